"""A style of XL as a LoRA: read back by diffusers' own XL pipeline, the same picture within the error that was told."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from conftest import make_painting
from diffusers import StableDiffusionXLPipeline
from test_lora_export import style_of
from tiny_sdxl import make_xl_base, make_xl_parts

from pipelines import SigStyleText2ImgPipeline
from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import StyleToken
from sigstyle.config import CaptureConfig
from sigstyle.learning.loop import capture_style
from sigstyle.style.foreign import opened_with
from sigstyle.style.lora import XL_ENCODERS, lora_of
from sigstyle.style.style import Style

PROMPT = "a tower in the style of <wave>"
HOW: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": 4.0, "output_type": "latent"}


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return make_xl_base()


@pytest.fixture(scope="module")
def style(base: BaseModel) -> Style:
    """A captured style, with the offsets of its layers made strong enough to be seen."""
    few: dict[str, Any] = {"steps": 1, "size_px": 64, "crops": 1, "batch_size": 1, "autocast": "off"}
    config = CaptureConfig.preset("classic", targets="style-block", **few)
    made, strong = capture_style(base, [make_painting()], "wave", config), style_of(base, "style-block")
    token = StyleToken("<wave>", torch.randn(made.token.embedding.shape, generator=torch.Generator().manual_seed(3)))
    assert made.offsets.keys() == strong.offsets.keys()
    return dataclasses.replace(made, offsets=strong.offsets, token=token)


def start() -> torch.Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def painted(base: BaseModel, style: Style) -> tuple[torch.Tensor, torch.Tensor]:
    """The style's picture and the base's own."""
    painter: Any = SigStyleText2ImgPipeline.from_base(base)
    painter.set_progress_bar_config(disable=True)
    painter.load_style(style)
    ours, without = (
        painter("a tower", preset="classic", strength=strength, latents=start(), **HOW).images for strength in (1.0, 0)
    )
    return ours, without


@pytest.mark.parametrize("layout", ["kohya", "peft", "full"])
def test_diffusers_paints_the_same_with_the_export(
    base: BaseModel, style: Style, painted: tuple[torch.Tensor, torch.Tensor], tmp_path: Path, layout: str
) -> None:
    lora = lora_of(style, base, full=True) if layout == "full" else lora_of(style, base, layout=layout)
    token = lora.save(tmp_path / "lora.safetensors")
    parts = make_xl_parts()
    pipe: Any = StableDiffusionXLPipeline(**vars(parts), add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    if layout == "full":  # which A1111 and ComfyUI read, and diffusers does not
        tensors = safetensors.torch.load_file(tmp_path / "lora.safetensors")
        flat = {f"lora_unet_{path.replace('.', '_')}.diff": path for path in style.offsets}
        assert tensors.keys() == flat.keys()
        with torch.no_grad():
            for name, change in tensors.items():
                pipe.unet.get_submodule(flat[name]).weight.add_(change)
    else:
        pipe.load_lora_weights(tmp_path / "lora.safetensors")
    halves = safetensors.torch.load_file(token)
    for place, key in enumerate(XL_ENCODERS):
        end = {0: (pipe.tokenizer, pipe.text_encoder), 1: (pipe.tokenizer_2, pipe.text_encoder_2)}[place]
        pipe.load_textual_inversion(halves[key], token="<wave>", tokenizer=end[0], text_encoder=end[1])
    theirs = pipe(PROMPT, height=64, width=64, latents=start(), **HOW).images
    ours, without = painted
    assert lora.error <= 0.02 and (ours - without).norm() > 0
    assert (ours - theirs).norm() < 0.05 * (ours - without).norm()
    back = opened_with(token, base)
    assert torch.equal(back.token.embedding, style.token.embedding)
    if layout != "full":
        again = opened_with(str(tmp_path / "lora.safetensors"), base)
        assert again.offsets.keys() <= style.offsets.keys() and len(again.offsets) > 1

"""What diffusers asks of every pipeline: lists, tensors and arrays, embeddings, generators, schedulers, dtypes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_parts, make_unet
from diffusers import (
    ControlNetModel,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
)
from ldm_file import save_ldm
from PIL import Image
from random_style import random_style
from test_checkpoints import tiny_families

from pipelines import SigStylePipeline, SigStyleText2ImgPipeline
from pipelines.calls import given_pictures
from sigstyle.base.model import BaseModel
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError, ImageError

__all__ = ["tiny_families"]  # a fixture
SMALL: dict[str, Any] = {"num_inference_steps": 2, "height": 64, "width": 64, "output_type": "latent"}
FEW: dict[str, Any] = {"config": TransferConfig(size_px=64, margin_px=0), "output_type": "latent"}


def quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def pipe(base: BaseModel) -> SigStylePipeline:
    pipe = quiet(SigStylePipeline.from_base(base))
    pipe.load_style(random_style(base))
    return pipe


@pytest.fixture
def painter(pipe: SigStylePipeline) -> SigStyleText2ImgPipeline:
    return quiet(SigStyleText2ImgPipeline.from_pipe(pipe))


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- lists, tensors and arrays


def test_a_list_is_painted_as_each_alone(pipe: SigStylePipeline, painting: Image.Image) -> None:
    photos, prompts = [painting, painting.rotate(180)], ["a tower", "a hut"]
    both: Any = pipe(photos, prompts, **FEW)
    alone = [pipe(photo, prompt, **FEW) for photo, prompt in zip(photos, prompts, strict=True)]
    assert torch.equal(both.images, torch.cat([one.images for one in alone])) and len(both.trace) == 2
    again = pipe(photos, prompts, trace=both.trace, return_dict=False, **FEW)
    assert torch.equal(again[0], both.images) and not both.notices
    with pytest.raises(ConfigError, match="There are 2 of image; expected 1 or 3"):
        pipe(photos, ["a", "b", "c"], **FEW)
    shown = pipe(photos, "a tower", **dict(FEW, output_type="np"))
    assert shown.images.shape == (2, 64, 77, 3) and shown.images.dtype == np.float32
    with pytest.raises(ConfigError, match="different sizes"):
        pipe([painting, painting.rotate(90, expand=True)], **dict(FEW, output_type="np"))


def test_tensors_and_arrays_are_the_pictures_they_hold(pipe: SigStylePipeline, painting: Image.Image) -> None:
    expected = pipe(painting, **FEW).images
    bytes_ = np.asarray(painting)
    numbers = torch.from_numpy(bytes_ / 255).permute(2, 0, 1).float()
    for given in (bytes_, bytes_ / 255, numbers, numbers[None], numbers[None] * 2 - 1, [numbers]):
        assert torch.equal(pipe(given, **FEW).images, expected)
    assert pipe(torch.stack([numbers, numbers.flip(2)]), **FEW).images.shape[0] == 2
    mask = np.zeros(bytes_.shape[:2], dtype=np.uint8)
    kept = pipe(painting, mask=mask, config=FEW["config"]).images[0]
    assert np.array_equal(np.asarray(kept), bytes_)
    for bad in (np.zeros((4, 4, 4, 4, 3)), torch.zeros(2, 5, 8, 8), np.zeros(7)):
        with pytest.raises(ImageError, match=r"expected a tensor \[b, 3, h, w\]"):
            given_pictures(bad)
    with pytest.raises(ImageError, match="not finite"):
        given_pictures(np.full((8, 8, 3), np.nan))


def test_prompts_in_a_list_take_their_own_generators_and_latents(painter: SigStyleText2ImgPipeline) -> None:
    generators = [seeded(seed) for seed in (1, 2, 3, 4)]
    both = painter(["a tower", "a hut"], num_images_per_prompt=2, generator=generators, **SMALL).images
    later = painter("a hut", num_images_per_prompt=2, generator=[seeded(3), seeded(4)], **SMALL).images
    assert both.shape[0] == 4 and torch.equal(both[2:], later)
    noise = torch.randn(2, 4, 8, 8, generator=seeded())
    apart = [painter(text, latents=row[None], **SMALL).images for text, row in zip(("a", "b"), noise, strict=True)]
    assert torch.equal(painter(["a", "b"], latents=noise, **SMALL).images, torch.cat(apart))
    with pytest.raises(ConfigError, match="There are 3 generator; expected 4"):
        painter(["a tower", "a hut"], num_images_per_prompt=2, generator=generators[:3], **SMALL)
    pictures_ = painter(["a", "b"], num_images_per_prompt=2, **dict(SMALL, output_type="pil")).images
    assert [image.size for image in pictures_] == [(64, 64)] * 4


def test_a_stop_ends_a_list(painter: SigStyleText2ImgPipeline) -> None:
    def stop(called: Any, *_: Any) -> None:
        called.stop()

    stopped = painter(["a", "b"], callback_on_step_end=stop, **SMALL)
    assert stopped.interrupted and len(stopped.images) == 1


# --- embeddings and generators


def test_embeddings_take_the_place_of_prompts(
    pipe: SigStylePipeline, painter: SigStyleText2ImgPipeline, painting: Image.Image
) -> None:
    plain: dict[str, Any] = SMALL | {"preset": "classic"}  # painting, the base sees the prompt without the style
    embeds = painter.encode_prompt("a tower")
    assert torch.equal(painter(prompt_embeds=embeds, **plain).images, painter("a tower", **plain).images)
    assert torch.equal(pipe(painting, prompt_embeds=embeds, **FEW).images, pipe(painting, "a tower", **FEW).images)
    mud = painter.encode_prompt("mud", strength=0.0)
    named = painter("a tower", negative_prompt="mud", **plain).images
    found = painter("a tower", negative_prompt_embeds=mud, **plain).images
    torch.testing.assert_close(found, named)
    assert not torch.equal(named, painter("a tower", **plain).images)
    two = torch.cat([embeds, painter.encode_prompt("a hut")])
    assert torch.equal(painter(prompt_embeds=two, **plain).images[1:], painter("a hut", **plain).images)


def test_a_generator_moves_on_and_a_fresh_one_is_its_seed(pipe: SigStylePipeline, painting: Image.Image) -> None:
    generator = seeded()
    first, second = (pipe(painting, generator=generator, **FEW).images for _ in range(2))
    assert torch.equal(first, pipe(painting, generator=seeded(), **FEW).images)
    assert torch.equal(
        first, pipe(painting, config=TransferConfig(seed=3, size_px=64, margin_px=0), output_type="latent").images
    )
    assert not torch.equal(first, second)
    generator = seeded()
    pipe(painting, generator=generator, **FEW)
    assert torch.equal(second, pipe(painting, generator=generator, **FEW).images)


# --- schedulers


@pytest.mark.parametrize("kind", [EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, LCMScheduler])
def test_a_prompt_is_painted_by_the_scheduler_that_is_set(painter: SigStyleText2ImgPipeline, kind: Any) -> None:
    unchecked: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    plain: Any = quiet(StableDiffusionPipeline(**vars(make_parts()), **unchecked))
    scheduler = kind.from_config(painter.scheduler.config)
    painter.scheduler, plain.scheduler = scheduler, kind.from_config(scheduler.config)
    more = SMALL | {"guidance_scale": 4.0, "num_inference_steps": 3}
    expected = plain("a tower", generator=seeded(), **more).images
    found = painter("a tower", generator=seeded(), strength=0, signal_leak=0, **more).images
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert not torch.equal(painter("a tower", generator=seeded(), **more).images, found)


def test_schedulers_that_cannot_serve_are_refused_in_one_line(
    pipe: SigStylePipeline, painter: SigStyleText2ImgPipeline, painting: Image.Image
) -> None:
    painter.scheduler = HeunDiscreteScheduler.from_config(painter.scheduler.config)
    with pytest.raises(ConfigError, match="HeunDiscreteScheduler, which evaluates the UNet 2 times"):
        painter("a tower", **SMALL)
    plain = pipe(painting, **FEW).images
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    assert torch.equal(pipe(painting, **FEW).images, plain)  # painting follows the noise schedule alone
    with pytest.raises(ConfigError, match=r"inverting a photo takes DDIM: set pipe\.scheduler"):
        pipe(painting, preset="classic", size_px=64)


# --- what is not there


def test_what_other_pipelines_take_is_refused_in_one_line(pipe: SigStylePipeline, painting: Image.Image) -> None:
    given = {"clip_skip": 1, "ip_adapter_image": painting, "control_image": painting, "sigmas": [1.0]}
    for name, value in given.items():
        with pytest.raises(ConfigError, match=f"{name} is given, which is not supported: "):
            pipe(painting, **{name: value}, **FEW)
    with pytest.raises(TypeError, match="unexpected keyword argument 'speed'"):
        pipe(painting, speed=1, **FEW)
    with pytest.raises(ConfigError, match="IP-Adapters are not supported"):
        pipe.load_ip_adapter("someone/some-adapter")
    unchecked: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    net = ControlNetModel.from_unet(make_unet())
    source: Any = StableDiffusionControlNetPipeline(**vars(make_parts()), controlnet=net, **unchecked)
    with pytest.raises(ConfigError, match="has a ControlNet"):
        SigStylePipeline.from_pipe(source)


# --- loading


def test_from_pipe_keeps_the_styles(pipe: SigStylePipeline, painter: SigStyleText2ImgPipeline) -> None:
    assert painter.styles == pipe.styles and painter.base is pipe.base
    painter.unload_style()
    assert list(pipe.styles) == ["wave"]
    assert list(SigStylePipeline.from_pipe(pipe).styles) == ["wave"]


def test_from_single_file_is_the_pipeline_of_that_file(tmp_path: Path, tiny_families: None) -> None:
    parts = make_parts(vae="kl", prediction_type="v_prediction")
    path = save_ldm(tmp_path / "one.safetensors", parts)
    made = quiet(SigStyleText2ImgPipeline.from_single_file(path, prediction_type="v_prediction"))
    style = random_style(made.base)
    made.load_style(style)
    direct = quiet(SigStyleText2ImgPipeline(**vars(parts)))
    direct.load_style(style)
    assert torch.equal(made("a tower", **SMALL).images, direct("a tower", **SMALL).images)
    half = SigStylePipeline.from_single_file(path, torch_dtype=torch.bfloat16)
    assert half.unet.dtype == torch.bfloat16


@pytest.mark.parametrize("kind", [SigStylePipeline, SigStyleText2ImgPipeline])
def test_saved_and_loaded_it_paints_the_same(kind: Any, base: BaseModel, painting: Image.Image, tmp_path: Path) -> None:
    pipe = quiet(kind.from_base(base))
    pipe.save_pretrained(tmp_path)
    pipe.load_style(random_style(base))
    loaded = quiet(kind.from_pretrained(tmp_path))
    loaded.load_style(random_style(base))
    call: Any = (lambda p: p(painting, **FEW)) if kind is SigStylePipeline else (lambda p: p("a tower", **SMALL))
    # not bit-equal: weights that diffusers loads lie at other addresses, and products round by these
    torch.testing.assert_close(call(loaded).images, call(pipe).images, atol=1e-4, rtol=1e-4)
    loaded.to(torch.bfloat16)
    assert call(loaded).images.isfinite().all() and loaded.dtype == torch.bfloat16


def test_the_bar_ends_where_it_says(pipe: SigStylePipeline, painting: Image.Image, capsys: Any) -> None:
    pipe.set_progress_bar_config(disable=False)
    pipe(painting, **FEW)
    assert "2/2" in capsys.readouterr().err

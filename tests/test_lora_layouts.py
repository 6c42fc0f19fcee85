"""Exports at a stated error, in the layouts and under the names that other programs look for, and their headers."""

import dataclasses
import hashlib
import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import MakeBase, make_parts
from random_style import random_style
from test_base_model import save_pipeline
from test_checkpoints import network
from test_cli import done, refused
from test_lora_export import diffusers_with, style_of

from pipelines import SigStyleText2ImgPipeline
from sigstyle.base.headers import read_header
from sigstyle.base.model import BaseModel, load_base
from sigstyle.base.original_names import original_names
from sigstyle.errors import ConfigError
from sigstyle.style.lora import Lora, base_facts, lora_of
from sigstyle.style.style import Style
from sigstyle.style.targets import target_layers
from sigstyle.style.tensor_file import read_tensors
from sigstyle.style.truncate import Spectrum, ranks_for

SETTINGS: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": 4.0, "output_type": "latent"}


@pytest.mark.parametrize("layout", ["kohya", "peft"])
def test_diffusers_paints_the_same_at_the_stated_error(base: BaseModel, tmp_path: Path, layout: str) -> None:
    """Layers have ranks of their own here, and each has its own scale in diffusers."""
    style = style_of(base, "decoder")
    lora = lora_of(style, base, layout=layout)
    ranks = {v.shape[0] for k, v in lora.tensors.items() if "lora_A" in k or "lora_down" in k}
    assert 0 < lora.error <= 0.02 and len(ranks) > 1 and max(ranks) == lora.rank
    pipe = diffusers_with(tmp_path / "lora.safetensors", lora.save(tmp_path / "lora.safetensors"))
    settings: dict[str, Any] = SETTINGS | {
        "latents": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    }
    painter = SigStyleText2ImgPipeline.from_base(base)
    painter.set_progress_bar_config(disable=True)
    painter.load_style(style)
    ours, without = (
        painter("a tower", preset="classic", strength=strength, **settings).images for strength in (1.0, 0.0)
    )
    theirs = pipe("a tower in the style of <wave>", height=64, width=64, **settings).images
    assert (ours - theirs).norm() < 0.05 * (ours - without).norm()


def test_whole_differences_are_exact_and_ranks_are_the_fewest_numbers(base: BaseModel) -> None:
    style = style_of(base, "decoder")
    whole = lora_of(style, base, full=True)
    assert whole.rank == 0 and whole.error == 0 and len(whole.tensors) == len(style.offsets)
    for path, offset in style.offsets.items():
        weight = base.unet.get_submodule(path).weight.detach()
        found = whole.tensors[f"lora_unet_{path.replace('.', '_')}.diff"]
        torch.testing.assert_close(weight + found, offset.apply(weight), atol=1e-3, rtol=1e-3)
    generator = torch.Generator().manual_seed(0)
    spectra = [Spectrum(torch.randn(shape, generator=generator).double()) for shape in ((4, 9), (9, 4), (6, 6))]
    ranks = ranks_for(spectra, 0.5)
    missing = sum(s.squares[rank:].sum() for s, rank in zip(spectra, ranks, strict=True))
    energy = sum(s.squares.sum() for s in spectra)
    assert missing <= 0.25 * energy and ranks_for(spectra, 0.0) == [4, 4, 6]
    last = min(float(s.squares[rank - 1]) for s, rank in zip(spectra, ranks, strict=True) if rank)
    assert missing + last * 13 / 12 > 0.25 * energy  # 13 and 12 numbers a rank


def test_the_header_says_what_it_is_for_and_what_calls_it(base: BaseModel, tmp_path: Path) -> None:
    style = dataclasses.replace(random_style(base), thumbnail="data:image/png;base64,AAAA")
    path = tmp_path / "waves.safetensors"
    lora_of(style, base, 2).save(path)
    texts = read_header(path)["__metadata__"]
    data = path.read_bytes()
    digest = hashlib.sha256(data[8 + struct.unpack("<Q", data[:8])[0] :]).hexdigest()
    assert texts["modelspec.hash_sha256"] == f"0x{digest}" and texts["sshs_model_hash"] == digest
    assert texts["modelspec.trigger_phrase"] == "in the style of <wave>" and texts["ss_output_name"] == "waves"
    assert json.loads(texts["ss_tag_frequency"]) == {"wave": {"in the style of <wave>": 1}}
    assert texts["modelspec.thumbnail"] == style.thumbnail and texts["ss_network_dim"] == "2"
    assert texts["modelspec.architecture"] == "tiny/lora" and texts["modelspec.resolution"] == "64x64"


def test_architectures_are_called_by_their_own_names(make_base: MakeBase) -> None:
    def told(width: int, prediction: Any = "epsilon") -> tuple[str, str]:
        base = make_base(prediction_type=prediction)
        base.unet.register_to_config(cross_attention_dim=width)
        facts = base_facts(base)
        return facts["modelspec.architecture"], facts["ss_base_model_version"]

    assert told(768) == ("stable-diffusion-v1/lora", "sd_v1")
    assert told(1024) == ("stable-diffusion-v2-512/lora", "sd_v2")
    assert told(1024, "v_prediction") == ("stable-diffusion-v2-768-v/lora", "sd_v2_v")
    assert told(2048) == ("stable-diffusion-xl-v1-base/lora", "sdxl_base_v1-0")


# --- names

_SUFFIXES = {"attentions": {}, "resnets": {"conv1": "in_layers_2", "conv2": "out_layers_3"}}
_SUFFIXES["resnets"] |= {"time_emb_proj": "emb_layers_1", "conv_shortcut": "skip_connection"}


def a1111_name(key: str) -> str:
    """Where A1111 looks for the layer of a LoRA's key, by the rules of its own table for 1.x and 2.x."""
    if found := re.fullmatch(r"lora_unet_(down|up)_blocks_(\d+)_(attentions|resnets)_(\d+)_(.+)", key):
        side, level, kind, place, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
        block = f"input_blocks_{1 + level * 3 + place}" if side == "down" else f"output_blocks_{level * 3 + place}"
        return f"{block}_{int(kind == 'attentions')}_{_SUFFIXES[kind].get(rest, rest)}"
    if found := re.fullmatch(r"lora_unet_up_blocks_(\d+)_upsamplers_0_conv", key):
        return f"output_blocks_{2 + int(found[1]) * 3}_{2 if int(found[1]) > 0 else 1}_conv"
    return key


def test_every_name_is_one_that_a1111_and_comfyui_know() -> None:
    """At the full size of 1.5: A1111 turns names into the original ones, ComfyUI lists diffusers' names, flattened."""
    unet = network("sd1", "unet")
    paths = list(target_layers(unet, "decoder+all"))
    originals = original_names(paths, 2)
    assert len(paths) > 150
    for path in paths:
        key = f"lora_unet_{path.replace('.', '_')}"
        assert a1111_name(key) == originals[path].replace(".", "_"), path
    flat = {name.removesuffix(".weight").replace(".", "_") for name in unet.state_dict()}
    assert {path.replace(".", "_") for path in paths} <= flat


# --- the command


def test_layouts_and_errors_on_the_command_line(tmp_path: Path) -> None:
    folder = save_pipeline(tmp_path / "tiny", make_parts())
    style, out = tmp_path / "wave.safetensors", tmp_path / "lora.safetensors"
    random_style(load_base(folder)).save(style)
    command = ("export", style, "-o", out, "--base", folder)
    data = json.loads(done(*command, "--json").stdout)
    assert 0 < data["relative_error"] <= 0.02
    done(*command, "--layout", "peft")
    names = read_tensors(out)[0]
    assert f"unet.{next(iter(Style.load(style).offsets))}.lora_A.weight" in names
    assert "LoRA of whole differences" in done(*command, "--full").stdout
    assert all(name.endswith(".diff") for name in read_tensors(out)[0])
    assert "expected one of kohya, peft" in refused(*command, "--layout", "onnx")
    assert "expected a share of 0 to 1" in refused(*command, "--error", "2")
    assert "neither a rank nor" in refused(*command, "--full", "--rank", "3")
    with pytest.raises(ConfigError, match="layout"):
        lora_of(Style.load(style), load_base(folder), layout="x")
    assert isinstance(lora_of(Style.load(style), load_base(folder), error=0.9), Lora)

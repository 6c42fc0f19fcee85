"""Exported styles, read back by diffusers: the same pictures, at any rank the error that was told."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import MakeBase, make_parts
from diffusers import StableDiffusionPipeline
from random_style import random_style
from safetensors import safe_open
from test_base_model import save_pipeline
from test_cli import done, refused

from pipelines import SigStyleText2ImgPipeline
from sigstyle.base.model import BaseModel, load_base
from sigstyle.base.prompts import StyleToken
from sigstyle.errors import BaseMismatchError, ConfigError, StyleFileError
from sigstyle.style.lora import lora_of
from sigstyle.style.offsets import Offset
from sigstyle.style.style import Style
from sigstyle.style.targets import target_layers
from sigstyle.style.tensor_file import read_tensors
from sigstyle.style.truncate import truncated

FULL_RANK = 1000


def style_of(base: BaseModel, group: str, vectors: int = 1) -> Style:
    """A random style on the layers of `group`, with a token of several vectors."""
    generator = torch.Generator().manual_seed(3)
    offsets = {
        path: Offset(*(0.3 * torch.randn(shape, generator=generator) for shape in ((fan_out, 3), (3, fan_in))))
        for path, (fan_out, fan_in) in target_layers(base.unet, group).items()
    }
    token = StyleToken("<wave>", torch.randn(vectors, base.unet.config.cross_attention_dim, generator=generator))
    return dataclasses.replace(random_style(base), offsets=offsets, token=token)


def diffusers_with(lora: Path, token: Path) -> Any:
    unchecked: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipe: Any = StableDiffusionPipeline(**vars(make_parts()), **unchecked)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_lora_weights(lora)
    pipe.load_textual_inversion(token)
    return pipe


@pytest.mark.parametrize(("group", "vectors"), [("attention", 1), ("decoder", 2)])
def test_diffusers_paints_the_same_with_the_export(base: BaseModel, tmp_path: Path, group: str, vectors: int) -> None:
    style = style_of(base, group, vectors)
    lora = lora_of(style, base, FULL_RANK)
    assert lora.error < 1e-5
    pipe = diffusers_with(tmp_path / "lora.safetensors", lora.save(tmp_path / "lora.safetensors"))

    settings: dict[str, Any] = {"num_inference_steps": 4, "guidance_scale": 4.0, "output_type": "latent"}
    settings |= {"latents": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))}
    painter = SigStyleText2ImgPipeline.from_base(base)
    painter.set_progress_bar_config(disable=True)
    painter.load_style(style)
    ours = painter("a tower", preset="classic", **settings).images
    theirs = pipe("a tower in the style of <wave>", height=64, width=64, **settings).images
    without = painter("a tower", preset="classic", strength=0.0, **settings).images
    assert (ours - theirs).abs().max() < 0.02 * (ours - without).abs().max()


def test_the_error_is_that_of_the_weights_and_falls_with_the_rank(base: BaseModel) -> None:
    style = random_style(base)
    errors = []
    for rank in (1, 4, 12, FULL_RANK):
        lora, missing, whole = lora_of(style, base, rank), 0.0, 0.0
        for path, offset in style.offsets.items():
            name = f"lora_unet_{path.replace('.', '_')}"
            weight = base.unet.get_submodule(path).weight.detach()
            change = offset.apply(weight) - weight
            up, down = (lora.tensors[f"{name}.lora_{side}.weight"].float() for side in ("up", "down"))
            scale = float(lora.tensors[f"{name}.alpha"]) / up.shape[1]  # as every reader has it
            missing += (change - scale * up @ down).square().sum().item()
            whole += change.square().sum().item()
        assert lora.error == pytest.approx((missing / whole) ** 0.5, abs=2e-3)
        assert lora.rank <= rank
        errors.append(lora.error)
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-5 < errors[-2]


@pytest.mark.parametrize("shape", [(6, 20), (20, 6)])
def test_truncation_is_that_of_the_svd(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    for rank in (1, 4, 6, 9):
        up, down, lost = truncated(matrix, rank)
        torch.testing.assert_close(up @ down, (u[:, :rank] * s[:rank]) @ v[:rank])
        assert lost == pytest.approx(s[rank:].square().sum().item(), abs=1e-9)
    up, down, lost = truncated(torch.zeros(shape).double(), 2)
    assert not (up @ down).any() and lost == 0


def test_the_base_is_only_read_and_must_be_the_styles(base: BaseModel, make_base: MakeBase) -> None:
    before = {name: p.clone() for name, p in base.unet.named_parameters()}
    lora_of(random_style(base), base, 2)
    assert all(torch.equal(p, before[name]) for name, p in base.unet.named_parameters())
    with pytest.raises(BaseMismatchError):
        lora_of(random_style(base), make_base(seed=1), 2)
    with pytest.raises(ConfigError, match="rank of the LoRA is 0"):
        lora_of(random_style(base), base, 0)


def test_export_on_the_command_line(tmp_path: Path) -> None:
    folder = save_pipeline(tmp_path / "tiny", make_parts())
    style, out = tmp_path / "wave.safetensors", tmp_path / "lora.safetensors"
    random_style(load_base(folder)).save(style)
    data = json.loads(done("export", style, "-o", out, "--base", folder, "--rank", 4, "--json").stdout)
    token = tmp_path / "embeddings" / "wave.safetensors"
    assert (data["lora"], data["textual_inversion"], data["rank"]) == (str(out), str(token), 4)
    assert data["trigger"] == "in the style of <wave>" and 0 < data["relative_error"] < 1
    assert data["trigger_by_file_name"] == "in the style of wave"
    said = done("export", style, "-o", out, "--base", folder, "--rank", 4).stdout
    assert "of rank 4" in said and 'in A1111 its file name calls it: prompt "… in the style of wave"' in said
    assert 'load_textual_inversion("wave.safetensors", token="<wave>"): prompt "… in the style of <wave>"' in said
    assert len(read_tensors(out)[0]) == 3 * len(Style.load(style).offsets)
    assert "expected a whole number from 1" in refused("export", style, "-o", out, "--base", folder, "--rank", 0)
    assert "not a SigStyle style" in refused("export", out, "-o", tmp_path / "again.safetensors", "--base", folder)
    assert "in an existing folder" in refused("export", style, "-o", tmp_path / "no" / "x.safetensors")
    assert "is an input" in refused("export", style, "-o", style, "--base", folder)
    assert "ends in .safetensors" in refused("export", style, "-o", tmp_path / "x.pt")
    with pytest.raises(StyleFileError, match="cannot be written"):
        lora_of(random_style(load_base(folder)), load_base(folder), 1).save(tmp_path / "no" / "x.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"tiny", style.name, out.name, "embeddings"}
    assert [path.name for path in token.parent.iterdir()] == [token.name]


def test_the_embedding_never_takes_the_place_of_what_is_no_export(tmp_path: Path) -> None:
    folder = save_pipeline(tmp_path / "tiny", make_parts())
    style, out = tmp_path / "wave.safetensors", tmp_path / "lora.safetensors"
    random_style(load_base(folder)).save(style)
    there = tmp_path / "embeddings" / "wave.safetensors"
    there.parent.mkdir()
    for foreign in (style.read_bytes(), b"mine"):
        there.write_bytes(foreign)
        assert "no embedding that sigstyle exported" in refused("export", style, "-o", out, "--base", folder)
        assert there.read_bytes() == foreign and not out.exists()


def test_the_embedding_has_one_tensor_that_is_called_by_either_name(tmp_path: Path) -> None:
    """A1111 takes the only tensor and calls it like the file; diffusers is told the token, or reads the key."""
    base = load_base(save_pipeline(tmp_path / "tiny", make_parts()))
    style = random_style(base, "great-wave")
    token = lora_of(style, base, 2).save(tmp_path / "lora.safetensors")
    assert token.stem == "great-wave"
    with safe_open(token, "pt") as file:
        assert list(file.keys()) == ["<great-wave>"]
        assert torch.equal(file.get_tensor("<great-wave>"), style.token.embedding)
    pipe = diffusers_with(tmp_path / "lora.safetensors", token)
    assert "<great-wave>" in pipe.tokenizer.get_vocab()

"""Stable Diffusion XL at its true shapes, without weights: what a style takes, and what families change of defaults."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from benchmarks.families import XL_UNET
from sigstyle.config import CaptureConfig, GenerateConfig, TransferConfig
from sigstyle.defaults import DEFAULTS, SD1, SDXL, family_of_width, resolved
from sigstyle.settings import resolve
from sigstyle.style.targets import MOST_BYTES, offset_bytes, target_layers

REFERENCE_BYTES = 2 * 4 * 128 * 128


@pytest.fixture(scope="module")
def unet() -> Any:
    with torch.device("meta"):
        return UNet2DConditionModel.from_config(dict(XL_UNET))


def test_it_is_xl(unet: Any) -> None:
    assert sum(parameter.numel() for parameter in unet.parameters()) == 2_567_463_684


@pytest.mark.parametrize("preset", ["default", "classic", "paper"])
def test_a_style_of_xl_stays_below_a_megabyte(unet: Any, preset: str) -> None:
    config = resolved(CaptureConfig, preset, None, {}, SDXL)
    layers = target_layers(unet, config.targets, config.rank)
    taken = offset_bytes(layers, config.rank) + (REFERENCE_BYTES if config.classic else 0)
    assert {path.split(".")[0] for path in layers} == {"up_blocks"} and len(layers) == 36
    assert taken < MOST_BYTES


def test_families_are_told_by_the_width_of_a_token() -> None:
    assert [family_of_width(width) for width in (768, 1024, 2048, 256)] == ["sd1", "sd2", "sdxl", ""]


def test_a_familys_defaults_stand_in_where_nothing_is_said() -> None:
    assert resolved(CaptureConfig, None, None, {}, "") == resolve(CaptureConfig, None, None, {})
    assert resolved(CaptureConfig, None, None, {}, SDXL).rank == 3
    assert resolved(CaptureConfig, None, None, {"rank": 4}, SDXL).rank == 4
    assert resolved(CaptureConfig, None, CaptureConfig(), {}, SDXL) == CaptureConfig()
    assert resolved(GenerateConfig, None, None, {"prompt": "x"}, SD1).guidance_scale == 7.5
    assert resolved(TransferConfig, "classic", None, {}, SDXL) == TransferConfig.preset("classic")
    for found in DEFAULTS:
        assert getattr(found.kind.preset(found.preset, **{found.name: found.value}), found.name) == found.value
        assert found.value != getattr(found.kind.preset(found.preset), found.name) or found.grounds == "published"


def test_the_document_lists_every_default_of_a_family() -> None:
    page = (Path(__file__).parent.parent / "docs/checkpoints.md").read_text(encoding="utf-8")
    for found in DEFAULTS:
        assert f"| `{found.name}` | {found.value} | {found.grounds} | {found.why} |" in page

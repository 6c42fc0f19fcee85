"""The embedded base as it ships: what it is, how large it is, and the quality it must keep."""

import json
from pathlib import Path

import pytest
from diffusers import StableDiffusionPipeline

from sigstyle.base.fingerprints import fingerprint
from sigstyle.style.shipped import open_style
from sigstyle.style.targets import target_layers
from weights.styles.__main__ import STYLES
from weights.training.autoencoder_eval import load_sample, quality, reconstruct
from weights.training.export import check
from weights.training.report import round_trip

ROOT = Path(__file__).parents[1]
MINI = ROOT / "weights" / "mini"


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    """The base, loaded the plain way."""
    loaded = StableDiffusionPipeline.from_pretrained(MINI, safety_checker=None)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_it_is_small_enough_to_ship() -> None:
    found = check(MINI)
    assert found["parameters_m"] <= 24 and found["total_mb"] <= 48 and found["largest_mib"] < 16


def test_its_decoder_has_both_attentions_at_two_or_more_resolutions(pipe: StableDiffusionPipeline) -> None:
    kinds = [{name.rsplit(".", 1)[-1] for name, _ in block.named_modules()} for block in pipe.unet.up_blocks]
    assert sum({"attn1", "attn2"} <= found for found in kinds) >= 2


@pytest.mark.parametrize(
    ("image", "floor"),
    [("content/neuschwanstein.jpg", 22.4), ("content/owl.jpg", 30.5), ("style/van-gogh-harvest.jpg", 27.7)],
)
def test_the_autoencoder_keeps_an_unseen_image(pipe: StableDiffusionPipeline, image: str, floor: float) -> None:
    sample = load_sample(ROOT / "examples" / image)
    psnr, ssim = quality(sample.pixels, reconstruct(pipe.vae, sample.pixels, "cpu", bf16=False))
    scores = json.loads((MINI / "scores.json").read_text())["autoencoder_512px"]["all"]
    assert scores["psnr"] >= 28 and scores["ssim"] >= 0.84
    assert psnr > floor and ssim > 0.75


def test_inversion_and_reconstruction_lose_at_most_half_a_decibel(pipe: StableDiffusionPipeline) -> None:
    sample = load_sample(ROOT / "examples" / "content" / "neuschwanstein.jpg", short_px=256)
    found = round_trip(pipe, sample.pixels, "a photo of a castle", steps=50, iterations=2)
    assert found["autoencoder"] - found["round_trip"] <= 0.5
    assert found["between"] > 34


@pytest.mark.parametrize("name", sorted(STYLES))
def test_a_shipped_style_is_small_and_of_this_base(pipe: StableDiffusionPipeline, name: str) -> None:
    style = open_style(name)
    assert style.name == name and style.base_fingerprint == fingerprint(pipe.unet)
    assert style.thumbnail and len(style.offsets) == len(target_layers(pipe.unet, "decoder+all"))
    assert style.palette is not None and style.decoder_offsets and style.reference is None
    assert (ROOT / "weights" / "styles" / f"{name}.safetensors").stat().st_size <= 1_000_000

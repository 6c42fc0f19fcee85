"""The embedded base as it ships: what it is, how large it is, and the quality it must keep."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

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


@pytest.mark.parametrize("image", ["content/neuschwanstein.jpg", "content/owl.jpg", "style/van-gogh-harvest.jpg"])
def test_the_autoencoder_keeps_an_unseen_image(pipe: StableDiffusionPipeline, image: str) -> None:
    sample = load_sample(ROOT / "examples" / image)
    psnr, ssim = quality(sample.pixels, reconstruct(pipe.vae, sample.pixels, "cpu", bf16=False))
    scores = json.loads((MINI / "scores.json").read_text())["autoencoder_512px"]["all"]
    assert scores["psnr"] >= 28 and scores["ssim"] >= 0.84
    assert psnr > 24 and ssim > 0.8


def test_inversion_and_reconstruction_lose_at_most_half_a_decibel(pipe: StableDiffusionPipeline) -> None:
    sample = load_sample(ROOT / "examples" / "content" / "neuschwanstein.jpg", short_px=256)
    found = round_trip(pipe, sample.pixels, "a photo of a castle", steps=50, iterations=2)
    assert found["autoencoder"] - found["round_trip"] <= 0.5
    assert found["between"] > 34


def test_prompts_steer_what_is_drawn(pipe: StableDiffusionPipeline) -> None:
    def draw(prompt: str) -> np.ndarray:
        generator = torch.Generator().manual_seed(0)
        return np.asarray(pipe(prompt, num_inference_steps=20, guidance_scale=3.0, height=128, width=128,
                               generator=generator).images[0], np.float32)  # fmt: skip

    clip_art, stone = draw("clip art of a tree"), draw("a texture of stone")
    assert (clip_art.min(-1) > 225).mean() > (stone.min(-1) > 225).mean() + 0.1, "clip art stands on an empty ground"

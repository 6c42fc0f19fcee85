"""The embedded base as it ships: what it is, how large it is, and the quality it must keep."""

import json
from pathlib import Path

import pytest
from diffusers import StableDiffusionPipeline
from PIL import Image

import sigstyle
from sigstyle.base.fingerprints import fingerprint
from sigstyle.base.model import load_base
from sigstyle.config import CaptureConfig
from sigstyle.learning.loop import capture_style
from sigstyle.style.shipped import open_style
from sigstyle.style.targets import MOST_BYTES, decoder_layers, offset_bytes, target_layers
from sigstyle.style.tensor_file import read_tensors
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
    config = style.metadata["config"]
    layers = target_layers(pipe.unet, config["targets"], config["rank"])
    room = MOST_BYTES - offset_bytes(layers, config["rank"])
    assert style.thumbnail and {path: offset.shape for path, offset in style.offsets.items()} == layers
    assert set(style.decoder_offsets) == set(decoder_layers(pipe.vae, config["rank"], room))
    assert style.palette is not None and style.reference is style.start_mean is style.latent_mean is None
    assert (ROOT / "weights" / "styles" / f"{name}.safetensors").stat().st_size <= 1_000_000


def test_a_default_capture_stays_below_a_megabyte_and_holds_nothing_of_the_image_itself(tmp_path: Path) -> None:
    painting = Image.open(ROOT / "examples" / "style" / "van-gogh-harvest.jpg").convert("RGB").resize((512, 512))
    painting.save(tmp_path / "photo.png")
    few = CaptureConfig(steps=1, painting=1, batch_size=1, crops=1, size_px=64, autocast="off")
    style = capture_style(load_base("mini", "cpu"), [painting], "harvest", few, bank=tmp_path)
    style.save(tmp_path / "style.safetensors")
    assert (tmp_path / "style.safetensors").stat().st_size < 1_000_000
    names = {name for name in read_tensors(tmp_path / "style.safetensors")[0] if "." not in name}
    assert names == {"token", "palette_mean", "palette_covariance", "brushwork", "strokes"}
    assert style.offsets and style.decoder_offsets and style.rank == CaptureConfig().rank


def test_a_batch_of_a_shipped_style_finds_its_base_by_itself(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.open(ROOT / "examples/content/cat.jpg").resize((64, 64)).save(photo)
    results = list(sigstyle.batch(photo, "great-wave", tmp_path / "out", size_px=64, margin_px=0))
    assert [result.error for result in results] == [None] and results[0].path is not None
    assert Image.open(results[0].path).size == (64, 64)

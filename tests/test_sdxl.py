"""Stable Diffusion XL: the whole way through on a tiny base, and parity with diffusers' own XL pipeline."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import digest, make_painting, make_parts
from diffusers import StableDiffusionXLPipeline
from ldm_file import save_family, save_ldm
from PIL import Image
from random_style import random_style
from tiny_sdxl import make_xl_base, make_xl_parts

import sigstyle
from pipelines import SigStylePipeline, SigStyleText2ImgPipeline
from sigstyle import api
from sigstyle.base import families, loading
from sigstyle.base.autoencoder import decode_latents, encode_latents
from sigstyle.base.conditioning import Conditioning, size_ids
from sigstyle.base.fingerprints import text_fingerprint
from sigstyle.base.model import BaseModel, load_base
from sigstyle.base.prompts import StyleToken
from sigstyle.base.split_unet import split_forward
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.diffusion.denoise import denoise
from sigstyle.errors import BaseMismatchError, ConfigError
from sigstyle.learning.loop import capture_style
from sigstyle.style.style import Style

FEW: dict[str, Any] = {"steps": 2, "size_px": 64, "crops": 2, "autocast": "off"}
SMALL: dict[str, Any] = {"size_px": 64, "margin_px": 0}
PRESETS = {"default": {}, "classic": {"steps": 3}, "paper": {"steps": 3}}


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return make_xl_base()


@pytest.fixture(scope="module")
def style(base: BaseModel) -> Style:
    return random_style(base, scale=0.2)


@pytest.fixture(scope="module")
def theirs(base: BaseModel) -> StableDiffusionXLPipeline:
    parts = ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "scheduler")
    pipe = StableDiffusionXLPipeline(**{part: getattr(base, part) for part in parts}, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def test_a_prompt_is_read_as_diffusers_reads_it(base: BaseModel, theirs: StableDiffusionXLPipeline) -> None:
    embeds, negative, pooled, negative_pooled = theirs.encode_prompt("a tower", device=torch.device("cpu"))
    cond, empty = base.reader.encode(["a tower"]), base.reader.encode([""])
    assert torch.equal(cond.embeds, embeds) and cond.pooled is not None and torch.equal(cond.pooled, pooled)
    assert torch.equal(empty.embeds, negative) and torch.equal(empty.pooled, negative_pooled)  # type: ignore[arg-type]
    assert negative is not None and not negative.any()


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_denoising_is_diffusers_own(base: BaseModel, theirs: StableDiffusionXLPipeline, scale: float) -> None:
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        cond, empty = base.reader.encode(["a tower"]), base.reader.encode([""])
    expected: Any = theirs(
        "a tower", latents=start, guidance_scale=scale, num_inference_steps=3, height=64, width=64, output_type="latent"
    )
    found = denoise(base.unet, base.scheduler, start, cond, empty, steps=3, guidance_scale=scale)
    torch.testing.assert_close(found, expected.images)


@torch.no_grad()
def test_the_split_forward_is_the_unets_own(base: BaseModel) -> None:
    cond, sample, timesteps = base.reader.encode(["a tower"]).expand(2), torch.randn(2, 4, 8, 8), torch.tensor([3, 900])
    own = base.unet(sample, timesteps, cond.embeds, added_cond_kwargs=cond.added(base.unet, sample)).sample
    assert torch.equal(split_forward(base.unet, sample, timesteps, cond), own)
    with pytest.raises(ValueError, match="pooled"):
        Conditioning(cond.embeds).added(base.unet, sample)


def test_sizes_are_those_of_the_picture_and_windows_are_no_small_pictures() -> None:
    unet = make_xl_parts(sample_size=16).unet
    assert size_ids(unet, torch.zeros(2, 4, 16, 24)).tolist() == [[128, 192, 0, 0, 128, 192]] * 2
    assert size_ids(unet, torch.zeros(1, 4, 8, 8)).tolist() == [[128, 128, 0, 0, 128, 128]]


@torch.no_grad()
def test_a_token_has_vectors_in_both_encoders_and_moves_the_pooled_text(base: BaseModel) -> None:
    token = StyleToken("<wave>", torch.randn(2, sum(base.reader.widths)))
    halves = base.reader.split(token)
    assert [half.embedding.shape[1] for half in halves] == base.reader.widths
    text = "a cat in the style of <wave>"
    expected = base.reader.encode([text], [token])
    for place in (0, 1):
        changed = token.embedding.clone().split(base.reader.widths, dim=1)
        changed[place].add_(1)
        found = base.reader.encode([text], [StyleToken("<wave>", torch.cat(changed, dim=1))])
        first, second = (found.embeds != expected.embeds).split(base.reader.widths, dim=-1)
        assert [first.any().item(), second.any().item()] == [place == 0, place == 1]
        assert torch.equal(found.pooled, expected.pooled) == (place == 0)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="width"):
        base.reader.encode([text], [StyleToken("<wave>", token.embedding[:, 1:])])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_captured_style_paints_as_it_was_saved(base: BaseModel, tmp_path: Path, preset: str) -> None:
    config = CaptureConfig.preset(preset, **FEW | ({"painting": 1} if preset == "default" else {}))
    before = [digest(module) for module in base.modules]
    made = capture_style(base, [make_painting()], "Wave", config)
    made.save(tmp_path / "wave.safetensors")
    style = Style.load(tmp_path / "wave.safetensors")
    assert style == made and style.token.embedding.shape == (1, sum(base.reader.widths))
    if preset == "classic":
        assert style.reference is not None and style.reference.shape == (4, 8, 8)
    settings = {**SMALL, **PRESETS[preset], "preset": preset}
    one, two = (api.transfer(make_painting(), each, base=base, **settings).images[0] for each in (made, style))
    assert np.array_equal(np.asarray(one), np.asarray(two))
    assert [digest(module) for module in base.modules] == before


@pytest.mark.parametrize("preset", PRESETS)
def test_strength_0_gives_the_photo_back(base: BaseModel, style: Style, preset: str) -> None:
    settings = {**SMALL, **PRESETS[preset], "preset": preset}
    photo = make_painting().resize((64, 64))
    off = api.transfer(photo, style, base=base, strength=0.0, **settings).images[0]
    on = api.transfer(photo, style, base=base, **settings).images[0]
    assert np.abs(np.asarray(off, dtype=int) - np.asarray(photo, dtype=int)).max() <= 1
    assert not np.array_equal(np.asarray(on), np.asarray(off))


def test_a_prompt_alone_is_painted_and_strength_0_is_the_base(
    base: BaseModel, style: Style, theirs: StableDiffusionXLPipeline
) -> None:
    pipe: Any = SigStyleText2ImgPipeline.from_base(base)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_style(style)
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    how: dict[str, Any] = {"num_inference_steps": 2, "guidance_scale": 3.0, "output_type": "latent"}
    plain = pipe("a tower", latents=start, strength=0.0, **how).images
    expected: Any = theirs("a tower", latents=start, height=64, width=64, **how)
    torch.testing.assert_close(plain, expected.images)
    assert not torch.equal(pipe("a tower", latents=start, **how).images, plain)


def test_a_folder_in_diffusers_layout_is_a_base_and_a_pipeline(
    base: BaseModel, style: Style, theirs: StableDiffusionXLPipeline, tmp_path: Path
) -> None:
    theirs.save_pretrained(tmp_path / "xl")
    loaded = load_base(tmp_path / "xl", "cpu")
    assert (loaded.fingerprint, loaded.text_fingerprint) == (base.fingerprint, base.text_fingerprint)
    assert loaded.zero_empty and loaded.text_encoder_2 is not None
    pipe: Any = SigStylePipeline.from_pretrained(tmp_path / "xl")
    pipe.set_progress_bar_config(disable=True)
    pipe.load_style(style)
    pictures = [pipe(make_painting(), **SMALL).images[0]]
    pictures += api.transfer(make_painting(), style, base=loaded, **SMALL).images
    painted, alone = (np.asarray(picture, dtype=int) for picture in pictures)
    assert np.abs(painted - alone).max() <= 2  # weights that diffusers loads lie elsewhere and round otherwise
    pipe.save_pretrained(tmp_path / "ours")
    again: Any = SigStylePipeline.from_pretrained(tmp_path / "ours")
    assert again.base.text_fingerprint == base.text_fingerprint and again.config.force_zeros_for_empty_prompt


def test_one_file_of_the_original_layout_is_a_base(
    base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = make_xl_parts()
    folder = save_family(tmp_path / "family", parts, families.family_folder("sdxl") / "model_index.json")
    tokenizers = {"tokenizer": parts.tokenizer, "tokenizer_2": parts.tokenizer_2}
    monkeypatch.setattr(loading, "family_folder", lambda family: folder if family == "sdxl" else None)
    monkeypatch.setattr(loading, "family_tokenizers", lambda _: tokenizers)
    loaded = load_base(save_ldm(tmp_path / "xl.safetensors", parts), "cpu")
    assert (loaded.fingerprint, loaded.text_fingerprint) == (base.fingerprint, base.text_fingerprint)
    assert loaded.vae_fingerprint == base.vae_fingerprint and loaded.zero_empty


def test_embeddings_alone_are_refused_since_xl_reads_more(base: BaseModel, style: Style) -> None:
    pipe: Any = SigStylePipeline.from_base(base)
    pipe.load_style(style)
    with pytest.raises(ConfigError, match="pooled"):
        pipe.encode_prompt("a tower")
    with pytest.raises(ConfigError, match="pooled"):
        pipe(make_painting(), prompt_embeds=torch.zeros(1, 77, 80), **SMALL)


def test_a_batch_has_the_picture_of_a_transfer(base: BaseModel, style: Style, tmp_path: Path) -> None:
    make_painting().save(tmp_path / "photo.png")
    style.save(tmp_path / "wave.safetensors")
    config = TransferConfig(**SMALL)
    files = [tmp_path / "photo.png"], [tmp_path / "wave.safetensors"], tmp_path / "out"
    list(sigstyle.batch(*files, config=config, base=base))
    (made,) = (path for path in (tmp_path / "out").rglob("*wave*.png"))
    alone = api.transfer(tmp_path / "photo.png", tmp_path / "wave.safetensors", base=base, config=config)
    assert np.array_equal(np.asarray(Image.open(made)), np.asarray(alone.images[0]))


def test_styles_and_parts_of_the_wrong_family_are_refused_in_one_line(base: BaseModel, style: Style) -> None:
    small = BaseModel.from_pipeline(make_parts(), name="tiny")
    with pytest.raises(BaseMismatchError, match=re.escape("tiny-xl")):
        api.transfer(make_painting(), style, base=small, **SMALL)
    with pytest.raises(BaseMismatchError, match="another architecture"):
        api.transfer(make_painting(), random_style(small), base=base, **SMALL)
    for changes, told in (({"text_encoder_2": None}, "no text_encoder_2"), ({"tokenizer_2": None}, "no tokenizer_2")):
        parts = make_xl_parts()
        vars(parts).update(changes)
        with pytest.raises(ConfigError, match=told):
            BaseModel.from_pipeline(parts)
    odd = make_parts()
    odd.text_encoder_2, odd.tokenizer_2 = base.text_encoder_2, base.tokenizer_2
    with pytest.raises(ConfigError, match="second text encoder"):
        BaseModel.from_pipeline(odd)
    refiner = make_xl_parts()
    refiner.unet.register_to_config(projection_class_embeddings_input_dim=64)
    with pytest.raises(ConfigError, match="refiner"):
        BaseModel.from_pipeline(refiner)


def test_an_autoencoder_that_overflows_computes_in_float32_and_keeps_its_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    vae = make_xl_base().vae.half()
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    assert vae.config.force_upcast
    before, met = digest(vae), []
    for name in ("encode", "decode"):
        own = getattr(vae, name)
        monkeypatch.setattr(vae, name, lambda x, own=own: met.append(x.dtype) or own(x))
    with torch.no_grad():
        decode_latents(vae, encode_latents(vae, pixels))
    assert met == [torch.float32, torch.float32] and digest(vae) == before and vae.dtype == torch.float16


def test_text_fingerprints_know_both_encoders(base: BaseModel) -> None:
    one, two = base.text_encoders
    assert len({text_fingerprint(one), text_fingerprint(two), text_fingerprint(one, two)}) == 3
    assert base.text_fingerprint == text_fingerprint(one, two)


def test_pooled_text_is_float32_beside_sizes_which_autocast_refuses_of_float16(base: BaseModel) -> None:
    cond, latents = base.reader.encode(["a tower"]).to(torch.float16), torch.zeros(1, 4, 8, 8)
    added = cond.added(base.unet, latents)
    assert added is not None and {tensor.dtype for tensor in added.values()} == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16):
        torch.cat([added["text_embeds"], added["time_ids"]], dim=-1)

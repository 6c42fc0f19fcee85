from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import MakeBase, make_parts, make_unet, make_vae
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, PNDMScheduler, StableDiffusionPipeline

from sigstyle.base import model as base_model
from sigstyle.base.autoencoder import decode_latents, encode_latents, pixels_per_latent
from sigstyle.base.fingerprints import fingerprint, latents_fingerprint, text_fingerprint
from sigstyle.base.model import BaseModel, default_size_px, load_base
from sigstyle.errors import ConfigError


def save_pipeline(folder: Path, parts: SimpleNamespace) -> Path:
    unchecked: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    StableDiffusionPipeline(**vars(parts), **unchecked).save_pretrained(folder)
    return folder


def test_a_saved_pipeline_loads_as_the_same_base(tmp_path: Path) -> None:
    parts = make_parts()
    loaded = load_base(save_pipeline(tmp_path / "ours", parts), device="cpu")
    assert loaded.name == "ours"
    assert loaded.fingerprint == fingerprint(parts.unet)
    assert all(torch.equal(a, b) for a, b in zip(loaded.unet.parameters(), parts.unet.parameters(), strict=True))


def test_a_folder_keeps_the_whole_of_its_name_and_a_file_loses_its_ending(tmp_path: Path) -> None:
    folder = save_pipeline(tmp_path / "sd-v1.5", make_parts())
    assert load_base(folder, device="cpu").name == "sd-v1.5"
    (tmp_path / "sd-v1.5.safetensors").touch()
    assert base_model.base_name(str(tmp_path / "sd-v1.5.safetensors")) == "sd-v1.5"
    assert base_model.base_name("some-owner/sd-v1.5") == "some-owner/sd-v1.5"


def test_the_embedded_base_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_model, "EMBEDDED_FOLDER", save_pipeline(tmp_path / "mini", make_parts()))
    assert load_base("mini", device="cpu").name == "mini"


def test_a_loaded_base_passes_through(base: BaseModel) -> None:
    assert load_base(base) is base


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_fingerprint_does_not_depend_on_the_dtype(dtype: torch.dtype) -> None:
    unet: Any = make_unet()
    before = fingerprint(unet)
    assert fingerprint(unet.to(dtype)) == before


def test_fingerprint_tells_weights_and_architectures_apart(make_base: MakeBase) -> None:
    first, again, tuned = (make_base(seed=seed).fingerprint for seed in (0, 0, 1))
    wider = fingerprint(make_unet(block_out_channels=(16, 32, 64)))
    assert first == again
    assert first.split("-")[0] == tuned.split("-")[0] and first != tuned
    assert wider.split("-")[0] != first.split("-")[0]


@pytest.mark.parametrize("kind", ["tiny", "kl"])
def test_the_autoencoders_fingerprint_is_of_its_latents(kind: str) -> None:
    vae = make_vae(kind)
    before = latents_fingerprint(vae)
    torch.nn.Module.to(vae, torch.bfloat16)
    assert latents_fingerprint(vae) == before
    with torch.no_grad():
        for parameter in vae.decoder.parameters():
            parameter.neg_()
    assert latents_fingerprint(vae) == before, "a fine-tuned decoder reads the same latents"
    vae.register_to_config(scaling_factor=0.5)
    assert latents_fingerprint(vae) not in (before, latents_fingerprint(make_vae(kind)))
    assert latents_fingerprint(vae).split("-")[0] == before.split("-")[0]


def test_tokens_added_to_the_vocabulary_leave_the_text_encoder_what_it_is() -> None:
    parts = make_parts()
    before = text_fingerprint(parts.text_encoder)
    parts.text_encoder.resize_token_embeddings(len(parts.tokenizer) + 3)
    assert text_fingerprint(parts.text_encoder) == before
    assert text_fingerprint(make_parts(seed=1).text_encoder) != before


def test_bases_are_equal_to_themselves_alone(make_base: MakeBase) -> None:
    base, other = make_base(), make_base()
    assert base == base and base != other and len({base, other}) == 2


def test_fingerprint_sees_a_slight_fine_tune() -> None:
    unet: Any = make_unet()
    before = fingerprint(unet)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.02 * parameter.std().nan_to_num() * torch.randn_like(parameter))
    assert fingerprint(unet) != before


@pytest.mark.parametrize("make", [PNDMScheduler, EulerDiscreteScheduler])
def test_any_scheduler_with_betas_becomes_ddim_with_nothing_clipped(make: type) -> None:
    parts = make_parts()
    parts.scheduler = make(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    scheduler = BaseModel.from_pipeline(parts).scheduler
    assert not scheduler.config.clip_sample
    assert scheduler.config.beta_schedule == "scaled_linear"
    assert torch.equal(scheduler.alphas_cumprod, make_parts().scheduler.alphas_cumprod)


def test_a_flow_matching_scheduler_is_refused() -> None:
    parts = make_parts()
    parts.scheduler = FlowMatchEulerDiscreteScheduler()
    with pytest.raises(ConfigError, match="expected one with betas"):
        BaseModel.from_pipeline(parts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unet": make_unet(in_channels=9)}, "takes 9 channels for 4"),
        ({"text_encoder_2": object()}, "XL"),
        ({"vae": None}, "has no vae"),
        ({"unet": make_unet(num_class_embeds=3)}, "conditioned on classes"),
    ],
)
def test_other_kinds_of_pipelines_are_refused(change: dict, message: str) -> None:
    parts = SimpleNamespace(**(vars(make_parts()) | change))
    with pytest.raises(ConfigError, match=message):
        BaseModel.from_pipeline(parts)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.ckpt", "pickle"),
        ("/no/such/folder", "There is no base"),
        ("missing.safetensors", "cannot be loaded"),
    ],
)
def test_bases_that_are_not_there(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_base(name, offline=True)


def test_an_absent_hub_base_says_so_and_names_the_embedded_one() -> None:
    with pytest.raises(ConfigError, match="'mini'"):
        load_base("some-owner/some-base", offline=True)


def test_a_folder_that_is_no_pipeline_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    with pytest.raises(ConfigError, match="has no folder vae"):
        load_base(tmp_path)


def test_weights_that_are_only_there_as_pickles_are_refused(tmp_path: Path) -> None:
    folder = save_pipeline(tmp_path / "base", make_parts())
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_base(folder)


@pytest.mark.parametrize("kind", ["tiny", "kl"])
def test_encoding_is_deterministic_scaled_and_undone_by_decoding(kind: str) -> None:
    vae: Any = make_vae(kind).eval()
    pixels = torch.rand(1, 3, 64, 48) * 2 - 1
    with torch.no_grad():
        latents, again = encode_latents(vae, pixels), encode_latents(vae, pixels)
        own = vae.encode(pixels)
        plain = own.latent_dist.mean if kind == "kl" else own.latents
        decoded = decode_latents(vae, latents)
        direct = vae.decode(plain).sample.clamp(-1, 1)
    assert latents.shape == (1, 4, 8, 6)
    assert torch.equal(latents, again)
    assert torch.allclose(latents, plain * vae.config.scaling_factor)
    assert torch.allclose(decoded, direct, atol=1e-5)


@pytest.mark.parametrize("kind", ["tiny", "kl"])
def test_sizes(make_base: MakeBase, kind: str) -> None:
    base = make_base(vae=kind)
    assert pixels_per_latent(base.vae) == 8
    assert base_model.side_multiple_px(base) == 32
    assert base_model.trained_size_px(base) == 64
    assert default_size_px(base) == 512
    base.unet.register_to_config(sample_size=96)
    assert default_size_px(base) == 768

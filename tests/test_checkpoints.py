"""Checkpoints as people have them: one file, halves alone, shards, the hub; what is none is told before it is read."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import huggingface_hub
import pytest
import safetensors.torch
import torch
from accelerate import init_empty_weights
from conftest import digest, make_parts
from diffusers import AutoencoderKL, UNet2DConditionModel
from ldm_file import ldm_tensors, save_family, save_ldm
from test_base_model import save_pipeline
from test_cli import refused
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from sigstyle.base import families, layouts, loading
from sigstyle.base.model import BaseModel, load_base
from sigstyle.base.original_names import original_names
from sigstyle.errors import ConfigError

PARAMETERS = {
    "sd1": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480},
    "sd2": {"unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840},
    "sdxl": {
        "unet": 2_567_463_684,
        "vae": 83_653_863,
        "text_encoder": 123_060_480,
        "text_encoder_2": 694_659_840,
    },
}
KINDS = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}


def network(family: str, part: str) -> Any:
    """A part of a family at its full size, on the meta device, where it takes no memory."""
    folder = str(families.family_folder(family))
    with init_empty_weights():
        if part in KINDS:
            return KINDS[part](CLIPTextConfig.from_pretrained(folder, subfolder=part))
        kind: Any = UNet2DConditionModel if part == "unet" else AutoencoderKL
        return kind.from_config(kind.load_config(folder, subfolder=part))


@pytest.fixture
def tiny_families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Families of the size of tiny pipelines, so that their files can be read."""
    index = families.family_folder("sd1") / "model_index.json"
    folder = save_family(tmp_path / "family", make_parts(vae="kl"), index)
    monkeypatch.setattr(loading, "family_folder", lambda _: folder)
    monkeypatch.setattr(loading, "family_tokenizers", lambda _: {"tokenizer": make_parts().tokenizer})


# --- what ships


@pytest.mark.parametrize("family", PARAMETERS)
def test_a_familys_configs_are_those_of_its_checkpoints(family: str) -> None:
    found = {part: sum(p.numel() for p in network(family, part).parameters()) for part in PARAMETERS[family]}
    assert found == PARAMETERS[family]


def test_the_tokenizers_are_clips() -> None:
    text = "a photo of a cat"
    tokenizer = families.clip_tokenizer()
    assert tokenizer(text).input_ids == [49406, 320, 1125, 539, 320, 2368, 49407] and len(tokenizer) == 49408
    padded = families.family_tokenizers("sd2")["tokenizer"](text, padding="max_length").input_ids
    assert len(padded) == 77 and padded[:7] == tokenizer(text).input_ids and set(padded[7:]) == {0}
    assert tokenizer(text, padding="max_length").input_ids[7:] == [49407] * 70


def test_the_names_of_the_fixture_are_those_of_a_real_checkpoint() -> None:
    """Names that diffusers asks for by itself to tell a 1.x checkpoint, and as many of a UNet as that has."""
    unet = network("sd1", "unet")
    names = set(original_names(unet.state_dict(), 2).values())
    assert len(names) == 686 and "output_blocks.11.0.skip_connection.weight" in names
    assert "input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight" in names
    assert {"output_blocks.2.1.conv.weight", "output_blocks.5.2.conv.weight", "input_blocks.3.0.op.bias"} <= names


# --- one file


@pytest.mark.parametrize("open_clip", [False, True])
def test_one_file_is_the_base_that_its_folder_is(
    tmp_path: Path, tiny_families: None, monkeypatch: pytest.MonkeyPatch, open_clip: bool
) -> None:
    parts = make_parts(vae="kl", prediction_type="v_prediction")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("the hub was asked"))
    texts = {"modelspec.prediction_type": "v"}
    base = load_base(save_ldm(tmp_path / "wave.safetensors", parts, open_clip, **texts), device="cpu")
    expected = BaseModel.from_pipeline(parts)
    assert base.fingerprint == expected.fingerprint and base.vae_fingerprint == expected.vae_fingerprint
    assert base.text_fingerprint == expected.text_fingerprint and base.name == "wave"
    assert all(digest(getattr(base, part)) == digest(getattr(parts, part)) for part in ("unet", "vae", "text_encoder"))
    assert base.scheduler.config.prediction_type == "v_prediction" and base.few_steps == ""


def test_a_prediction_type_is_said_or_told_or_shown(tmp_path: Path, tiny_families: None) -> None:
    parts = make_parts(vae="kl")

    def found(name: str, prediction: str | None = None, **texts: str) -> BaseModel:
        return load_base(save_ldm(tmp_path / name, parts, True, **texts), device="cpu", prediction_type=prediction)

    shown = found("a.safetensors")  # a UNet of random numbers answers with none of its noise
    assert (shown.scheduler.config.prediction_type, shown.unet.config.sample_size) == ("v_prediction", 96)
    told = found("b.safetensors", **{"modelspec.prediction_type": "epsilon"})
    assert (told.scheduler.config.prediction_type, told.unet.config.sample_size) == ("epsilon", 64)
    assert found("a.safetensors", "sample").scheduler.config.prediction_type == "sample"
    folder = save_pipeline(tmp_path / "folder", parts)
    given = load_base(folder, device="cpu", prediction_type="v_prediction")
    assert given.scheduler.config.prediction_type == "v_prediction"
    with pytest.raises(ConfigError, match="expected one of epsilon, v_prediction, sample"):
        load_base(folder, prediction_type="noise")


def test_a_unet_shows_what_it_predicts() -> None:
    mini = load_base("mini", device="cpu")
    assert loading.shown_prediction(mini.unet) == mini.scheduler.config.prediction_type == "v_prediction"

    class Noise(torch.nn.Module):
        config, device, dtype = mini.unet.config, torch.device("cpu"), torch.float32

        def forward(self, noisy: torch.Tensor, *_: Any, **__: Any) -> Any:
            return SimpleNamespace(sample=0.9 * noisy)

    assert loading.shown_prediction(Noise()) == "epsilon"


CHANNELS = {9: "for inpainting", 8: "InstructPix2Pix", 7: "for upscaling", 5: "steered by depth"}


def test_a_checkpoint_for_something_else_is_told_by_its_header(tmp_path: Path, tiny_families: None) -> None:
    tensors = ldm_tensors(make_parts(vae="kl"))
    first = "model.diffusion_model.input_blocks.0.0.weight"
    changed = {told: tensors | {first: torch.zeros(16, count, 3, 3)} for count, told in CHANNELS.items()}
    changed["an LCM checkpoint"] = tensors | {"model.diffusion_model.time_embed.cond_proj.weight": torch.zeros(2, 2)}
    changed["EDM"] = tensors | {"edm_mean": torch.zeros(1)}
    path = tmp_path / "other.safetensors"
    for told, weights in changed.items():
        safetensors.torch.save_file({name: value.contiguous() for name, value in weights.items()}, path)
        with pytest.raises(ConfigError, match=told):
            load_base(path)


# --- folders


def halved(folder: Path) -> None:
    """Every weight file of a folder in 16 bits alone, as a variant."""
    for path in folder.rglob("*.safetensors"):
        tensors = {name: value.half() for name, value in safetensors.torch.load_file(path).items()}
        safetensors.torch.save_file(tensors, path.with_suffix(".fp16.safetensors"), {"format": "pt"})
        path.unlink()


def test_a_folder_of_halves_alone_loads(tmp_path: Path) -> None:
    parts = make_parts(vae="kl")
    folder = save_pipeline(tmp_path / "halves", parts)
    halved(folder)
    base = load_base(folder, device="cpu")
    assert base.fingerprint == BaseModel.from_pipeline(parts).fingerprint and base.dtype == torch.float32
    assert torch.equal(base.unet.conv_in.weight, parts.unet.conv_in.weight.half().float())


def test_a_sharded_folder_loads(tmp_path: Path) -> None:
    parts = make_parts()
    folder = save_pipeline(tmp_path / "cut", parts)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    parts.unet.save_pretrained(folder / "unet", max_shard_size="100KB", variant="fp16")
    assert len(layouts.variants_of(layouts.names_in(folder), "unet")["fp16"]) > 1
    base = load_base(folder, device="cpu")
    assert digest(base.unet) == digest(parts.unet) and layouts.holds_all_weights(layouts.names_in(folder))
    next(iter((folder / "unet").glob("*-of-*"))).unlink()
    assert not layouts.holds_all_weights(layouts.names_in(folder))
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_base(folder)


def test_what_a_folder_is_instead_is_told_by_its_names_and_configs(tmp_path: Path) -> None:
    def made(name: str, files: dict[str, Any]) -> Path:
        for file, config in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(json.dumps(config))
        return tmp_path / name

    folder = save_pipeline(tmp_path / "lcm", make_parts())
    config = json.loads((folder / "unet/config.json").read_text())
    (folder / "unet/config.json").write_text(json.dumps(config | {"time_cond_proj_dim": 256}))
    wide = save_pipeline(tmp_path / "inpainting", make_parts())
    (wide / "unet/config.json").write_text(json.dumps(config | {"in_channels": 9}))
    given = {
        "is a LoRA": made("lora", {"pytorch_lora_weights.safetensors": {}}),
        "is a ControlNet": made("canny", {"config.json": {"_class_name": "ControlNetModel"}}),
        "with a transformer": made("flux", {"model_index.json": {}, "transformer/config.json": {}}),
        "a textual inversion": made("cat", {"learned_embeds.safetensors": {}}),
        r"single files \(v1.safetensors\)": made("files", {"v1.safetensors": {}, "README.md": {}}),
        "is an LCM with the guidance": folder,
        "takes 9 channels for 4": wide,
    }
    for told, path in given.items():
        with pytest.raises(ConfigError, match=told):
            load_base(path)
    assert "is a ControlNet" in refused(
        "generate", "a", "-s", "wave", "-o", tmp_path / "o.png", "--base", tmp_path / "canny"
    )


# --- the hub


REPOSITORY = (
    *("model_index.json", "unet/config.json", "vae/config.json", "text_encoder/config.json"),
    *("scheduler/scheduler_config.json", "tokenizer/vocab.json", "tokenizer/merges.txt"),
    *("safety_checker/model.safetensors", "v1-5-pruned.safetensors", "unet/diffusion_pytorch_model.bin"),
    *("unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"),
    *("vae/diffusion_pytorch_model.safetensors", "text_encoder/model.fp16.safetensors"),
    *("text_encoder/model.safetensors", "README.md"),
)


def test_of_a_repository_each_part_is_fetched_once_in_half_where_that_serves() -> None:
    configs = {name for name in REPOSITORY[:7]}
    assert set(layouts.wanted_files(REPOSITORY, half=True)) - configs == {
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.fp16.safetensors",
    }
    assert set(layouts.wanted_files(REPOSITORY, half=False)) - configs == {
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
    }
    shards = [f"unet/diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    cut = [*shards, "unet/diffusion_pytorch_model.safetensors.index.json", "unet/config.json"]
    assert layouts.wanted_files(cut, half=True) == sorted(cut)


def test_a_repository_that_is_no_pipeline_is_told_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Any] = []

    def snapshot(_repository: str, **how: Any) -> str:
        if how.get("local_files_only"):
            raise huggingface_hub.errors.LocalEntryNotFoundError("not cached")
        fetched.append(how["allow_patterns"])
        return str(save_pipeline(tmp_path / "fetched", make_parts()))

    names: list[str] = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda _: names)
    names += ["pytorch_lora_weights.safetensors", "README.md"]
    with pytest.raises(ConfigError, match=r"someone/some-base is a LoRA.*Give it with --lora"):
        load_base("someone/some-base")
    assert not fetched
    names[:] = REPOSITORY
    assert load_base("someone/some-base", device="cpu", dtype=torch.float16).dtype == torch.float16
    assert fetched == [layouts.wanted_files(REPOSITORY, half=True)]


# --- few steps


@pytest.mark.parametrize(
    ("name", "schedule", "kind"),
    [
        ("sd-turbo", {}, "Turbo"),
        ("DreamShaperXL_Lightning-SFW", {}, "Lightning"),
        ("realvisxlV50_v50LightningBakedvae", {}, "Lightning"),
        ("some/dreamshaper8_lcm", {}, "LCM"),
        ("Hyper-SD15-4steps", {}, "Hyper-SD"),
        ("tiny", {"_class_name": "LCMScheduler"}, "LCM"),
        ("tiny", {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}, "Turbo"),
        ("hyperrealism-turbocharged", {}, ""),
        ("vpred", {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True}, ""),
        ("tiny", {"_class_name": "EulerDiscreteScheduler"}, ""),
    ],
)
def test_a_base_for_few_steps_is_known(name: str, schedule: dict[str, Any], kind: str) -> None:
    assert families.few_steps_kind(name, schedule) == kind


def test_a_folder_says_with_its_sampler_that_it_is_for_few_steps(tmp_path: Path) -> None:
    parts = make_parts()
    parts.scheduler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
    )
    base = load_base(save_pipeline(tmp_path / "quick", parts), device="cpu")
    assert base.few_steps == "Turbo" and base.scheduler.config.timestep_spacing == "trailing"

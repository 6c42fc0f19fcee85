"""LoRAs under a style and as one, textual inversions as tokens, and bases that carry an adapter already."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from conftest import digest, make_parts
from diffusers import StableDiffusionPipeline
from peft import LoKrConfig, LoraConfig, PeftConfig, inject_adapter_in_model
from PIL import Image
from random_style import random_style
from test_base_model import save_pipeline
from test_cli import QUICK_FLAGS, done, refused
from torch import Tensor

import sigstyle
from pipelines import SigStylePipeline
from sigstyle.base.model import BaseModel, load_base
from sigstyle.base.original_names import original_names
from sigstyle.cli.info import command_of
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.style.attach import styled
from sigstyle.style.foreign import opened_with
from sigstyle.style.lora import lora_of
from sigstyle.style.lora_file import read_lora
from sigstyle.style.style import Style
from sigstyle.style.targets import target_layers
from sigstyle.style.under import under

ATTENTION = "up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
CONVOLUTION = "down_blocks.0.resnets.0.conv1"
TEXT, OUTER = (f"encoder.layers.0.self_attn.{layer}" for layer in ("q_proj", "out_proj"))


def factors(out: int, inner: tuple[int, ...], rank: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(out + len(inner))
    kernel = tuple(1 for _ in inner[1:])
    return 0.3 * torch.randn(out, rank, *kernel, generator=generator), torch.randn(rank, *inner, generator=generator)


def save_lora(path: Path, form: str = "kohya", **texts: str) -> Path:
    """A LoRA of an attention layer, a convolution and a text encoder's layer of the tiny base, in several forms."""
    layers = {"unet": {ATTENTION: factors(32, (32,)), CONVOLUTION: factors(16, (16, 3, 3))}}
    layers["text_encoder"] = {TEXT: factors(32, (32,)), OUTER: factors(32, (32,))}
    originals = original_names(layers["unet"], 1)
    tensors: dict[str, Tensor] = {}
    for part, entries in layers.items():
        for layer, (up, down) in entries.items():
            name = originals[layer] if form == "original" and part == "unet" else layer
            if form == "peft":
                tensors |= {f"{part}.{name}.lora_B.weight": up * 0.5, f"{part}.{name}.lora_A.weight": down}
                continue
            prefix = "lora_unet_" if part == "unet" else "lora_te_text_model_"
            key = prefix + name.replace(".", "_")
            tensors |= {f"{key}.lora_up.weight": up, f"{key}.lora_down.weight": down}
            tensors[f"{key}.alpha"] = torch.tensor(1.0)  # half of the rank
    safetensors.torch.save_file({k: v.contiguous() for k, v in tensors.items()}, path, texts or None)
    return path


@pytest.mark.parametrize("form", ["kohya", "original", "peft"])
def test_a_lora_adds_what_its_factors_say_wherever_it_comes_from(base: BaseModel, tmp_path: Path, form: str) -> None:
    lora = read_lora(save_lora(tmp_path / "ink.safetensors", form), base)
    before = {part: digest(getattr(base, part)) for part in ("unet", "text_encoder")}
    up, down = factors(16, (16, 3, 3))
    plain = base.unet.get_submodule(CONVOLUTION).weight.clone()
    with under(base, [(lora, 0.8)]) as carrying:
        expected = plain + 0.8 * 0.5 * (up.flatten(1) @ down.flatten(1)).view_as(plain)
        torch.testing.assert_close(base.unet.get_submodule(CONVOLUTION).weight, expected)
        assert carrying.fingerprint == base.fingerprint and carrying.identity != base.identity
        assert digest(base.text_encoder) != before["text_encoder"]
    assert {part: digest(getattr(base, part)) for part in before} == before and lora.rank == 2


def test_diffusers_hears_the_same_of_a_lora(base: BaseModel, tmp_path: Path) -> None:
    path = save_lora(tmp_path / "ink.safetensors")
    unchecked: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipe: Any = StableDiffusionPipeline(**vars(make_parts()), **unchecked)
    pipe.load_lora_weights(path)
    ids = base.tokenizer("a tower", padding="max_length", max_length=77, return_tensors="pt").input_ids
    noisy, timestep = torch.randn(1, 4, 8, 8), torch.tensor(500)
    with torch.no_grad(), under(base, [(read_lora(path, base), 1.0)]):
        embeds = base.reader.encode(["a tower"]).embeds
        torch.testing.assert_close(embeds, pipe.text_encoder(ids)[0], atol=1e-4, rtol=1e-4)
        ours, theirs = (unet(noisy, timestep, embeds).sample for unet in (base.unet, pipe.unet))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_loha_is_the_product_of_its_matrices(base: BaseModel, tmp_path: Path) -> None:
    (a, b), (c, d) = factors(32, (32,)), factors(33, (32,))
    key = f"lora_unet_{ATTENTION.replace('.', '_')}"
    tensors = {"w1_a": a, "w1_b": b, "w2_a": c[:32], "w2_b": d}
    path = tmp_path / "loha.safetensors"
    safetensors.torch.save_file({f"{key}.hada_{name}": value.contiguous() for name, value in tensors.items()}, path)
    lora = read_lora(path, base)
    torch.testing.assert_close(lora.parts["unet"][ATTENTION].delta(), (a @ b) * (c[:32] @ d))


PEFT: dict[str, PeftConfig] = {
    "dora": LoraConfig(r=2, lora_alpha=3, target_modules=["to_q", "conv1"], use_dora=True, init_lora_weights=False),
    "lokr": LoKrConfig(r=1, alpha=3, target_modules=["to_q", "conv1"], init_weights=False, decompose_both=True),
    "lokr, whole": LoKrConfig(r=64, alpha=64, target_modules=["to_q", "conv1"], init_weights=False),
}


@pytest.mark.parametrize("form", PEFT)
def test_dora_and_lokr_are_what_peft_makes_of_them(base: BaseModel, tmp_path: Path, form: str) -> None:
    theirs: Any = inject_adapter_in_model(PEFT[form], make_parts().unet)
    before, tensors = {name: p.clone() for name, p in base.unet.named_parameters()}, {}
    with torch.no_grad():
        for name, value in theirs.named_parameters():
            if "magnitude" in name:
                value.mul_(1.3)
            if "lora_" in name or "lokr_" in name:
                tensors[f"unet.{name.replace('.default', '')}"] = value.detach().clone().contiguous()
    paths = [path for path, layer in theirs.named_modules() if hasattr(layer, "base_layer")]
    if form != "lokr, whole":  # PEFT's names leave alpha out
        tensors |= {f"unet.{path}.alpha": torch.tensor(3.0) for path in paths}
    safetensors.torch.save_file(tensors, tmp_path / "x.safetensors")
    lora = read_lora(tmp_path / "x.safetensors", base)
    assert sorted(lora.parts["unet"]) == sorted(paths) and len(paths) > 5
    for layer in theirs.modules():
        if hasattr(layer, "base_layer"):
            layer.merge()
    with under(base, [(lora, 1.0)]):
        for path in paths:
            ours, own = base.unet.get_submodule(path).weight, theirs.get_submodule(path).base_layer.weight
            torch.testing.assert_close(ours, own, atol=1e-4, rtol=1e-4)
            assert not torch.equal(ours, before[f"{path}.weight"])


def test_what_is_no_lora_of_this_base_is_one_line(base: BaseModel, tmp_path: Path) -> None:
    key = f"lora_unet_{ATTENTION.replace('.', '_')}"
    good = safetensors.torch.load_file(save_lora(tmp_path / "good.safetensors"))
    wide = {f"{key}.lora_up.weight": torch.zeros(64, 2), f"{key}.lora_down.weight": torch.zeros(2, 64)}
    given = {
        "is for a weight of": wide,
        "which this base does not have": {"lora_unet_mid_block_x.lora_down.weight": torch.zeros(2, 2)},
        "Tucker": good | {f"{key}.lokr_t2": torch.zeros(32, 1)},
        "damaged layer": good | {f"{key}.dora_scale": torch.zeros(7, 1)},
        "has only k1, k2_a": {f"{key}.lokr_w1": torch.zeros(4, 4), f"{key}.lokr_w2_a": torch.zeros(8, 8)},
        "has only up": {f"{key}.lora_up.weight": torch.zeros(32, 2)},
        "is a textual inversion, no LoRA": {"emb_params": torch.zeros(1, 32)},
    }
    for told, tensors in given.items():
        safetensors.torch.save_file(tensors, tmp_path / "x.safetensors")
        with pytest.raises(StyleFileError, match=told):
            read_lora(tmp_path / "x.safetensors", base)
    random_style(base).save(tmp_path / "style.safetensors")
    with pytest.raises(StyleFileError, match="is a SigStyle style, no LoRA"):
        read_lora(tmp_path / "style.safetensors", base)
    with pytest.raises(ConfigError, match="a number of -10 to 10"):
        sigstyle.generate("a", random_style(base), base=base, loras=[(tmp_path / "good.safetensors", 99)])


# --- under a style


def test_a_picture_over_a_lora_says_so_and_leaves_the_base(base: BaseModel, photo: Path, tmp_path: Path) -> None:
    path, style, before = save_lora(tmp_path / "ink.safetensors"), random_style(base), digest(base.unet)
    settings: dict[str, Any] = {"base": base, "preset": "classic", "steps": 2, "size_px": 64}
    plain = sigstyle.transfer(photo, style, **settings)
    over = sigstyle.transfer(photo, style, loras=[(path, 0.5)], trace=plain.trace, **settings)
    assert "inverted anew" in over.notices[0] and over.images[0] != plain.images[0]
    [entry] = over.recipe["loras"]
    assert (entry["name"], entry["path"], entry["weight"]) == ("ink", str(path), 0.5) and "loras" not in plain.recipe
    assert f"--lora {path}:0.5" in str(command_of(over.recipe)) and digest(base.unet) == before
    again = sigstyle.transfer(photo, style, loras=[(path, 0.5)], trace=over.trace, **settings)
    assert again.images[0].tobytes() == over.images[0].tobytes() and not again.notices


def test_a_style_learned_over_a_lora_asks_for_it(base: BaseModel, photo: Path, tmp_path: Path) -> None:
    path = save_lora(tmp_path / "ink.safetensors")
    config: dict[str, Any] = {"steps": 1, "crops": 1, "size_px": 64, "preset": "classic"}
    plain = sigstyle.capture(photo, base=base, name="wave", **config)
    style = sigstyle.capture(photo, base=base, name="wave", loras=[path], **config)
    assert style.hash != plain.hash and style.base_fingerprint == plain.base_fingerprint
    assert style.metadata["loras"][0]["name"] == "ink" and "loras" not in plain.metadata
    made = sigstyle.generate("a tower", style, preset="classic", base=base, steps=1, size_px=64)
    assert "captured over the LoRA ink; give it too (--lora)" in made.notices[0]
    assert not sigstyle.generate(
        "a tower", style, preset="classic", base=base, steps=1, size_px=64, loras=[path]
    ).notices


def test_loras_on_the_command_line(photo: Path, tmp_path: Path) -> None:
    folder = save_pipeline(tmp_path / "tiny", make_parts())
    style, out = tmp_path / "wave.safetensors", tmp_path / "out.png"
    random_style(load_base(folder)).save(style)
    lora = save_lora(tmp_path / "ink.safetensors")
    command = ("generate", "a", "-s", style, "-o", out, "--base", folder, "--steps", 1, "--size-px", 64)
    data = json.loads(done(*command, "--lora", f"{lora}:0.7", "--lora", lora, "--json").stdout)
    assert [entry["weight"] for entry in data["recipe"]["loras"]] == [0.7, 1.0]
    assert "There is no LoRA" in refused(*command, "--lora", tmp_path / "none.safetensors")
    assert "is a SigStyle style, no LoRA. A style is given with -s" in refused(*command, "--lora", style)
    instant = ("capture", photo, "-o", tmp_path / "i.safetensors", "--instant", "--lora", lora)
    assert "An instant style is not trained" in refused(*instant)
    assert "expected one of epsilon" in refused(*command, "--prediction-type", "noise")
    done("capture", photo, "-o", tmp_path / "v.safetensors", "--base", folder, *QUICK_FLAGS,
         "--prediction-type", "v_prediction")  # fmt: skip
    assert Style.load(tmp_path / "v.safetensors").metadata["prediction_type"] == "v_prediction"


# --- as a style


def test_a_lora_is_a_style_that_its_trigger_calls(base: BaseModel, tmp_path: Path) -> None:
    path = save_lora(tmp_path / "ink_wash.safetensors", **{"modelspec.trigger_phrase": "in the style of ink"})
    style = opened_with(str(path), base)
    assert (style.name, style.token.token) == ("ink_wash", "<ink-wash>")
    ours = base.reader.encode(["a tower in the style of <ink-wash>"], [style.token]).embeds
    words = base.reader.encode(["a tower in the style of ink"]).embeds
    torch.testing.assert_close(ours, words, atol=1e-3, rtol=1e-3)
    plain, lora = base.unet.get_submodule(ATTENTION).weight.clone(), read_lora(path, base)
    with styled(base.unet, [(style.offsets, 0.5), (random_style(base).offsets, 0.5)]):
        change = random_style(base).offsets[ATTENTION].delta()
        expected = plain * (1 + 0.5 * change) + 0.5 * lora.parts["unet"][ATTENTION].delta()
        torch.testing.assert_close(base.unet.get_submodule(ATTENTION).weight, expected, atol=1e-3, rtol=1e-3)
    style.save(tmp_path / "kept.safetensors")
    assert Style.load(tmp_path / "kept.safetensors") == style
    made = sigstyle.generate("a tower", [str(path)], preset="classic", base=base, steps=1, size_px=64)
    assert "leaves out its part in the text encoder" in made.notices[0]
    with pytest.raises(ConfigError, match="does not say what base it is for; give that base with --base"):
        sigstyle.generate("a tower", str(path), steps=1)
    exported = lora_of(style, base, 2)
    assert exported.error < 1e-3 and exported.rank == 2


def test_a_textual_inversion_is_a_style_without_offsets(base: BaseModel, photo: Path, tmp_path: Path) -> None:
    path = tmp_path / "cat.safetensors"
    safetensors.torch.save_file({"emb_params": torch.randn(2, 32)}, path)
    style = opened_with(path, base)
    assert len(style.token.embedding) == 2 and not style.offsets and style.abilities == ["paper"]
    made = sigstyle.transfer(photo, path, base=base, preset="paper", steps=2, size_px=64)
    assert made.images[0].size == (77, 64)
    safetensors.torch.save_file({"clip_l": torch.zeros(1, 32), "clip_g": torch.zeros(1, 48)}, path)
    with pytest.raises(StyleFileError, match="of width 32 and 48; this base, tiny, reads 32"):
        opened_with(path, base)


# --- a base that carries one


def test_a_base_with_an_adapter_already_on_takes_a_style(base: BaseModel, painting: Image.Image) -> None:
    style = random_style(base)
    parts = make_parts()
    known = target_layers(parts.unet, "decoder+all")
    config = LoraConfig(r=2, target_modules=["to_q", "to_k", "conv1"], init_lora_weights=False)
    parts.unet.add_adapter(config)
    assert target_layers(parts.unet, "decoder+all") == known
    inner = parts.unet.get_submodule(ATTENTION).base_layer.weight
    before = inner.clone()
    with styled(parts.unet, [(style.offsets, 1.0)]):
        torch.testing.assert_close(inner, style.offsets[ATTENTION].apply(before))
    assert torch.equal(inner, before)
    pipe = SigStylePipeline.from_base(BaseModel.from_pipeline(parts, name="tiny"))
    pipe.set_progress_bar_config(disable=True)
    pipe.load_style(random_style(pipe.base))
    assert pipe(painting, size_px=64, output_type="latent").images.isfinite().all()
    assert torch.equal(inner, before)

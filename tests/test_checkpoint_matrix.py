"""Every family in every layout through everything that is done with a base: tiny, random, with real names."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import digest, make_painting, make_parts
from diffusers import StableDiffusionXLPipeline
from ldm_file import save_family, save_ldm
from random_style import random_style
from test_base_model import save_pipeline
from test_checkpoints import halved
from tiny_sdxl import make_xl_parts

import sigstyle
from sigstyle.base import families, loading
from sigstyle.base.model import BaseModel, load_base
from sigstyle.style.lora import lora_of
from sigstyle.style.lora_file import read_lora
from sigstyle.style.style import Style

FAMILIES = ("sd1", "sd2", "sdxl")
LAYOUTS = ("folder", "halves", "shards", "file")
SMALL: dict[str, Any] = {"size_px": 64, "margin_px": 0}


def parts_of(family: str) -> SimpleNamespace:
    """The parts of a tiny pipeline of a family; 2.x predicts v."""
    if family == "sdxl":
        return make_xl_parts()
    return make_parts(vae="kl", prediction_type="v_prediction" if family == "sd2" else "epsilon")


def saved(parts: SimpleNamespace, family: str, layout: str, root: Path) -> Path:
    """A pipeline as people have it."""
    if layout == "file":
        texts = {} if family != "sd2" else {"modelspec.prediction_type": "v"}
        return save_ldm(root / f"{family}.safetensors", parts, family == "sd2", **texts)
    folder = root / family
    if family == "sdxl":
        StableDiffusionXLPipeline(**vars(parts), add_watermarker=False).save_pretrained(folder)
    else:
        save_pipeline(folder, parts)
    if layout == "halves":
        halved(folder)
    if layout == "shards":
        (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
        parts.unet.save_pretrained(folder / "unet", max_shard_size="100KB")
    return folder


@dataclass(frozen=True)
class Case:
    """A base as it was loaded, the one it was saved from, and its weights then."""

    base: BaseModel
    own: BaseModel
    before: list[str]
    style: Style


@pytest.fixture(scope="module", params=[(family, layout) for family in FAMILIES for layout in LAYOUTS], ids="-".join)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    family, layout = request.param
    parts, root = parts_of(family), tmp_path_factory.mktemp("matrix")
    with pytest.MonkeyPatch.context() as patched:
        if layout == "file":  # what families ship, at the size of tiny pipelines
            configs = save_family(root / "configs", parts, families.family_folder(family) / "model_index.json")
            names = [name for name in ("tokenizer", "tokenizer_2") if hasattr(parts, name)]
            patched.setattr(loading, "family_folder", lambda found: configs if found == family else None)
            patched.setattr(loading, "family_tokenizers", lambda _: {name: getattr(parts, name) for name in names})
        base = load_base(saved(parts, family, layout, root), device="cpu")
    style = random_style(base)
    yield Case(base, BaseModel.from_pipeline(parts), [digest(module) for module in base.modules], style)


def pixels(result: Any) -> np.ndarray:
    return np.asarray(result.images[0], dtype=int)


def test_it_is_the_base_that_was_saved(case: Case) -> None:
    base, own = case.base, case.own
    assert (base.fingerprint, base.vae_fingerprint) == (own.fingerprint, own.vae_fingerprint)
    assert base.text_fingerprint == own.text_fingerprint and base.zero_empty == own.zero_empty
    assert base.scheduler.config.prediction_type == own.scheduler.config.prediction_type


def test_a_style_is_captured_saved_and_opened_again(case: Case, tmp_path: Path) -> None:
    few: dict[str, Any] = {"preset": "classic", "steps": 1, "crops": 1, "batch_size": 1, "size_px": 64}
    made = sigstyle.capture(make_painting(), base=case.base, name="wave", **few)
    made.save(tmp_path / "wave.safetensors")
    again = Style.load(tmp_path / "wave.safetensors")
    again.check_base(case.base)
    again.check_base(case.own)
    assert again == made and [digest(module) for module in case.base.modules] == case.before


def test_a_photo_is_painted_and_strength_0_gives_it_back(case: Case) -> None:
    photo = make_painting().resize((64, 64))
    on, off = (
        pixels(sigstyle.transfer(photo, case.style, base=case.base, strength=strength, **SMALL)) for strength in (1, 0)
    )
    assert np.abs(off - np.asarray(photo, dtype=int)).max() <= 1 and np.abs(on - off).max() > 1
    assert [digest(module) for module in case.base.modules] == case.before


def test_a_prompt_is_painted(case: Case) -> None:
    how: dict[str, Any] = {"base": case.base, "preset": "classic", "steps": 1, "size_px": 64}
    styled, plain = (
        pixels(sigstyle.generate("a tower", case.style, strength=strength, **how)) for strength in (1.0, 0.0)
    )
    assert styled.shape == (64, 64, 3) and np.abs(styled - plain).max() > 0


def test_a_style_is_exported_and_read_as_a_lora(case: Case, tmp_path: Path) -> None:
    lora = lora_of(case.style, case.base)
    lora.save(tmp_path / "lora.safetensors")
    found = read_lora(tmp_path / "lora.safetensors", case.base).parts["unet"]
    assert lora.error <= 0.02 and found.keys() <= case.style.offsets.keys() and found

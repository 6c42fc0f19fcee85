"""Compiled UNets: the same pictures, nothing compiled anew for another style, and everything as it was afterwards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import digest, make_painting, make_parts
from PIL import Image
from random_style import random_style
from test_base_model import save_pipeline
from torch._dynamo.utils import counters

import sigstyle
from pipelines import SigStylePipeline
from sigstyle.base import compiling
from sigstyle.base.compiling import check_compiler, is_compiled, uncompiled
from sigstyle.base.fingerprints import fingerprint
from sigstyle.base.model import BaseModel, load_base
from sigstyle.cli.info import command_of
from sigstyle.errors import Cancelled, ConfigError

SMALL: dict[str, Any] = {"size_px": 64, "margin_px": 0}
EVERY = compiling.unet_blocks


@pytest.fixture(scope="module", autouse=True)
def quick_backend() -> Iterator[None]:
    """Graphs are found as for any backend, and run as they are; one block, which has offsets, stands for all."""

    def one(unet: Any, encoder_only: bool = False) -> list[Any]:
        return [unet.mid_block if encoder_only else unet.up_blocks[-1]]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compiling, "BACKEND", "eager")
        patched.setattr(compiling, "unet_blocks", one)
        yield


@pytest.fixture
def untranslated(base: BaseModel) -> Iterator[None]:
    """What is compiled runs as it is written: how it is translated is another test's."""
    check_compiler(base.device)
    torch.compiler.set_stance("force_eager")
    yield
    torch.compiler.set_stance("default")


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return BaseModel.from_pipeline(make_parts(), name="tiny")


def pixels(result: Any) -> np.ndarray:
    return np.asarray(result.images[0])


def graphs() -> int:
    return counters["stats"]["unique_graphs"]


def test_other_styles_are_painted_by_what_was_compiled_once(base: BaseModel) -> None:
    before, styles = digest(base.unet), [random_style(base, seed=seed) for seed in (0, 1)]
    check_compiler(base.device)
    begun = graphs()
    how: dict[str, Any] = {"base": base, **SMALL}
    first = sigstyle.transfer(make_painting(), styles[0], compile=True, **how)
    found = graphs()
    assert found == begun + 1
    second = sigstyle.transfer(make_painting(), styles[1], compile=True, **how)
    again = sigstyle.transfer(make_painting(), styles[0], compile=True, strength=0.7, **how)
    assert graphs() == found and not counters["unimplemented"] and not counters["graph_break"]
    plain = [sigstyle.transfer(make_painting(), style, **how) for style in styles]
    assert np.array_equal(pixels(first), pixels(plain[0])) and np.array_equal(pixels(second), pixels(plain[1]))
    assert first.recipe["base"]["compiled"] is again.recipe["base"]["compiled"] is True
    assert "compiled" not in plain[0].recipe["base"] and not is_compiled(base.unet)
    assert digest(base.unet) == before and fingerprint(base.unet) == base.fingerprint
    assert "--compile" in str(command_of({**first.recipe, "content": {"path": "x.png"}}))


def test_blocks_stand_aside_where_attention_is_steered(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    style, how = random_style(base), {"base": base, "preset": "classic", "steps": 2, "reference": 0.0, **SMALL}
    plain = sigstyle.transfer(make_painting(), style, **how)
    over = sigstyle.transfer(make_painting(), style, compile=True, **how)
    assert np.array_equal(pixels(over), pixels(plain))
    assert compiling.COMPILED_APART in over.notices and compiling.COMPILED_APART not in plain.notices
    block = base.unet.up_blocks[-1]
    block.compile(backend="eager")
    slot = vars(block)["_compiled_call_impl"]
    with pytest.raises(Cancelled):
        sigstyle.transfer(make_painting(), style, compile=True, should_stop=lambda: True, **how)
    assert vars(block)["_compiled_call_impl"] is slot and is_compiled(base.unet)
    with uncompiled(block):
        assert not is_compiled(base.unet)
    vars(block).pop("_compiled_call_impl")


def test_a_capture_compiles_what_nothing_is_learned_in(base: BaseModel, untranslated: None) -> None:
    config: dict[str, Any] = {"steps": 1, "crops": 1, "batch_size": 1, "size_px": 64, "preset": "classic"}
    plain, over = (
        sigstyle.capture(make_painting(), base=base, name="wave", compile=flag, **config) for flag in (False, True)
    )
    assert over.metadata["compiled"] is True and "compiled" not in plain.metadata and not is_compiled(base.unet)
    assert all(torch.equal(plain.offsets[path].up, over.offsets[path].up) for path in plain.offsets)
    with pytest.raises(ConfigError, match="not trained"):
        sigstyle.capture(make_painting(), base=base, instant=True, compile=True)


def test_every_route_takes_it(base: BaseModel, tmp_path: Path, untranslated: None) -> None:
    make_painting().save(tmp_path / "photo.png")
    style, how = random_style(base), {"base": base, "compile": True, **SMALL}
    [made] = sigstyle.batch([tmp_path / "photo.png"], style, tmp_path / "out", **how)
    assert made.path is not None and made.recipe is not None and made.recipe["base"]["compiled"] is True
    alone = sigstyle.transfer(tmp_path / "photo.png", style, **how)
    assert np.array_equal(np.asarray(Image.open(made.path)), pixels(alone))
    tile = sigstyle.texture(style, base=base, compile=True, size_px=64)
    painted = sigstyle.generate("a tower", style, base=base, compile=True, steps=1, size_px=64)
    assert tile.recipe["base"]["compiled"] is painted.recipe["base"]["compiled"] is True
    folder = save_pipeline(tmp_path / "tiny", make_parts())
    pipe: Any = SigStylePipeline.from_base(load_base(folder, compile=True))
    assert is_compiled(pipe.unet) and pipe.base.compiled
    assert BaseModel.from_pipeline(pipe).compiled and not is_compiled(base.unet)


def test_without_a_compiler_it_is_one_sentence(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> Any:
        raise RuntimeError("No working C++ compiler found in g++.\nTry another.")

    monkeypatch.setattr(compiling, "BACKEND", missing)
    told = r"cannot be compiled for cpu here: No working C\+\+ compiler found in g\+\+\. Leave --compile \(in Python"
    with pytest.raises(ConfigError, match=told):
        check_compiler(torch.device("cpu"))
    with pytest.raises(ConfigError, match="Leave --compile"):
        sigstyle.generate("a", random_style(base), base=base, compile=True)
    assert not is_compiled(base.unet)
    assert [len(blocks) for blocks in (EVERY(base.unet), EVERY(base.unet, encoder_only=True))] == [7, 4]

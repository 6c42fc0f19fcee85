"""NaN and infinity end in one line that names the step, on every route, and never in a picture."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import MakeBase, digest
from PIL import Image
from random_style import random_style
from test_cli import refused

import sigstyle
from sigstyle import api
from sigstyle.base.model import BaseModel
from sigstyle.batches.batch import batch
from sigstyle.config import TransferConfig
from sigstyle.errors import PaintingError
from sigstyle.imaging.images import load_image
from sigstyle.style import ingredients

FEW: dict[str, Any] = {"size_px": 64}
CLASSIC = {"preset": "classic", "steps": 3, "size_px": 64}


@contextmanager
def broken(module: Any, calls: range = range(10**6), value: float = float("nan")) -> Iterator[None]:
    """A module that gives one NaN in the calls with these numbers."""
    made = 0

    def spoil(_module: Any, _args: Any, output: Any) -> Any:
        nonlocal made
        made += 1
        if made - 1 in calls:
            output[(0,) * output.ndim] = value

    handle = module.register_forward_hook(spoil)
    try:
        yield
    finally:
        handle.remove()


def painted(base: BaseModel, photo: Path) -> dict[str, tuple[Callable[[], Any], int, str]]:
    """Ways to paint, how many evaluations come before the second step, and what that step is called."""
    style = random_style(base)
    return {
        "paint": (lambda: api.transfer(photo, style, base=base, steps=3, **FEW), 2, "step 2 of 3"),
        "swap": (lambda: api.transfer(photo, style, base=base, reference=0.0, **CLASSIC), 4, "step 2 of 3"),
        "inversion": (lambda: api.transfer(photo, style, base=base, reference=0.0, **CLASSIC), 1, "inversion step 2"),
        "generate": (lambda: api.generate("a", style, base=base, steps=3, guidance_scale=1, **FEW), 1, "step 2 of 3"),
        "training-free": (
            lambda: sigstyle.transfer_training_free(photo, photo, base=base, steps=3, **FEW),
            7,
            "step 2",
        ),
    }


@pytest.mark.parametrize("way", ["paint", "swap", "inversion", "generate", "training-free"])
def test_the_step_is_named_and_nothing_stays_behind(base: BaseModel, photo: Path, way: str) -> None:
    paint, before, step = painted(base, photo)[way]
    weights = digest(base.unet), digest(base.vae)
    with broken(base.unet.conv_out, range(before, before + 1)), pytest.raises(PaintingError) as told:
        paint()
    assert step in str(told.value) and "float32" in str(told.value) and "\n" not in str(told.value)
    assert (digest(base.unet), digest(base.vae)) == weights
    paint()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("way", ["paint", "swap", "generate", "training-free"])
def test_pixels_are_looked_at_before_they_are_clamped(make_base: MakeBase, photo: Path, way: str, value: float) -> None:
    base = make_base(vae="kl")
    paint = painted(base, photo)[way][0]
    with broken(base.vae.decoder.conv_out, value=value), pytest.raises(PaintingError, match="autoencoder's decoder"):
        paint()


def test_an_encoder_that_overflows_is_named(base: BaseModel, photo: Path) -> None:
    with broken(base.vae.encoder.layers[-1]), pytest.raises(PaintingError, match="encoding the photo"):
        api.transfer(photo, random_style(base), base=base, **FEW)


def test_float32_is_advised_where_it_is_not_in_use(base: BaseModel, photo: Path) -> None:
    base.unet.to(torch.bfloat16)
    with broken(base.unet.conv_out), pytest.raises(PaintingError, match=r"in bfloat16. Use --dtype float32"):
        api.transfer(photo, random_style(base), base=base, **FEW)


def test_a_preview_of_nan_does_not_hide_the_step(base: BaseModel, photo: Path) -> None:
    seen: list[Image.Image] = []
    with broken(base.unet.conv_out, range(1, 9)), pytest.raises(PaintingError, match="step 1 of 2"):
        api.transfer(photo, random_style(base), base=base, steps=2, on_preview=seen.append, **FEW)


def test_a_batch_counts_it_as_a_failure_and_goes_on(base: BaseModel, photo: Path, tmp_path: Path) -> None:
    load_image(photo).rotate(180).save(tmp_path / "second.png")
    config = TransferConfig(size_px=64)
    with broken(base.unet.conv_out, range(1, 2)):
        made = list(
            batch([photo, tmp_path / "second.png"], random_style(base), tmp_path / "o", base=base, config=config)
        )
    assert "step 1 of 1" in (made[0].error or "") and made[0].path is None
    assert made[1].error is None and made[1].path is not None and made[1].path.exists()
    assert not list((tmp_path / "o").glob("photo*.png"))


def test_the_shell_says_it_in_one_line(
    base: BaseModel, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_style(base).save(tmp_path / "wave.safetensors")
    monkeypatch.setattr(ingredients, "load_base", lambda *_, **__: base)
    with broken(base.unet.conv_out):
        told = refused(
            "transfer", photo, "-s", tmp_path / "wave.safetensors", "--base", "mini", "-o", tmp_path / "o.png"
        )
    assert "NaN or infinite" in told and not (tmp_path / "o.png").exists()

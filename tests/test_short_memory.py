"""Short memory on every route: once more in tiles, once more smaller, then one line; nothing stays changed."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import MakeBase, digest
from PIL import Image
from random_style import random_style
from test_cli import QUICK_FLAGS, refused, run
from test_studio import ANNA, LEARNING

import sigstyle
from sigstyle import api
from sigstyle.base.autoencoder import decode_latents, encode_latents
from sigstyle.base.memory import in_tiles, is_out_of_memory
from sigstyle.base.model import BaseModel, default_size_px, load_base, trained_size_px
from sigstyle.errors import CaptureError, ConfigError, PaintingError
from sigstyle.imaging.images import load_image, read_recipe, to_tensor
from sigstyle.studio.learn import learn
from sigstyle.studio.paint import imagine, restyle
from sigstyle.studio.studio import Studio
from sigstyle.style import ingredients

SHORT = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("MPS backend out of memory (MPS allocated: 17.91 GB, other allocations: 1 GB)."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
)
LARGE: dict[str, Any] = {"size_px": 128}


@contextmanager
def short(base: BaseModel, error: BaseException = SHORT[0], unless: Callable[[Any, tuple], bool] | None = None) -> Any:
    """A base whose memory is short, `unless` the autoencoder and what the UNet is given are so."""
    met: list[bool] = []

    def grab(_module: Any, args: Any) -> None:
        met.append(base.vae.use_slicing)
        if unless is None or not unless(base.vae, tuple(args[0].shape)):
            raise error

    handle = base.unet.register_forward_pre_hook(grab)
    try:
        yield met
    finally:
        handle.remove()


def tiled(vae: Any, shape: tuple) -> bool:
    return vae.use_slicing


def smaller(vae: Any, shape: tuple) -> bool:
    return tiled(vae, shape) and min(shape[2:]) < 16


def test_every_kind_is_known_and_nothing_else() -> None:
    assert all(is_out_of_memory(error) for error in SHORT)
    others = (RuntimeError("shapes do not fit"), OSError(errno.ENOSPC, "full"), ValueError("out of memory"), KeyError())
    assert not any(is_out_of_memory(error) for error in others)


@pytest.mark.parametrize("error", SHORT, ids=lambda error: type(error).__name__)
def test_the_same_picture_is_tried_in_tiles_first(base: BaseModel, photo: Path, error: BaseException) -> None:
    style = random_style(base)
    whole = api.transfer(photo, style, base=base, **LARGE)
    with short(base, error, unless=tiled):
        result = api.transfer(photo, style, base=base, **LARGE)
    assert result.images[0].tobytes() == whole.images[0].tobytes()  # smaller than a tile
    assert result.recipe == whole.recipe | {"tiled": True}
    assert result.notices == ["Memory was short on cpu: the autoencoder worked in pieces."]
    assert not (base.vae.use_tiling or base.vae.use_slicing)


def painted(base: BaseModel, photo: Path) -> dict[str, Callable[..., Any]]:
    style = random_style(base)
    return {
        "paint": lambda size_px: api.transfer(photo, style, base=base, size_px=size_px, margin_px=0),
        "swap": lambda size_px: api.transfer(
            photo, style, base=base, preset="classic", steps=2, size_px=size_px, margin_px=0, reference=0.0
        ),
        "generate": lambda size_px: api.generate("a", style, base=base, steps=2, size_px=size_px, margin_px=0),
        "training-free": lambda size_px: sigstyle.transfer_training_free(
            photo, photo, base=base, steps=2, size_px=size_px
        ),
    }


@pytest.mark.parametrize("way", ["paint", "swap", "generate", "training-free"])
def test_then_a_smaller_one_whose_recipe_says_so(base: BaseModel, photo: Path, way: str) -> None:
    paint, before = painted(base, photo)[way], (digest(base.unet), digest(base.vae))
    with short(base, unless=smaller):
        result = paint(128)
    side = 90 if way != "generate" else 88  # 128 x 0.7, in steps that the base can paint
    assert abs(min(result.images[0].size) - side) <= 8
    assert "instead of 128 px" in " ".join(result.notices)
    made = result.recipe["settings"]["size_px"] if way != "generate" else result.recipe["height"]
    assert paint(made).images[0].tobytes() == result.images[0].tobytes()
    assert (digest(base.unet), digest(base.vae)) == before and not base.vae.use_slicing


@pytest.mark.parametrize("way", ["paint", "swap", "generate", "training-free"])
def test_then_one_line_and_the_base_is_as_it_was(base: BaseModel, photo: Path, way: str) -> None:
    before = digest(base.unet), digest(base.vae)
    with (
        short(base) as met,
        pytest.raises(PaintingError, match=r"too little memory on cpu.*also in pieces and at 90 px"),
    ):
        painted(base, photo)[way](128)
    assert met == [False, True, True]
    assert (digest(base.unet), digest(base.vae)) == before
    assert not (base.vae.use_tiling or base.vae.use_slicing)


def test_nothing_gets_smaller_than_the_base_was_trained_at(base: BaseModel, photo: Path) -> None:
    assert trained_size_px(base) == 64 < default_size_px(base)
    with short(base) as met, pytest.raises(PaintingError, match="also in pieces \\("):
        api.transfer(photo, random_style(base), base=base, size_px=64)
    assert len(met) == 2


def test_other_errors_are_not_tried_again(base: BaseModel, photo: Path) -> None:
    with short(base, RuntimeError("shapes do not fit")) as met, pytest.raises(RuntimeError, match="shapes"):
        api.transfer(photo, random_style(base), base=base, **LARGE)
    assert len(met) == 1


@pytest.mark.parametrize("vae", ["tiny", "kl"])
def test_tiles_show_what_the_whole_shows(make_base: MakeBase, painting: Image.Image, vae: str) -> None:
    base = make_base(vae=vae)
    base.vae.tile_sample_min_size, base.vae.tile_latent_min_size = 64, 8
    pixels = to_tensor(painting.resize((192, 128)))
    with torch.no_grad():
        whole = encode_latents(base.vae, pixels)
        with in_tiles(base.vae):
            parts = encode_latents(base.vae, pixels)
            shown = decode_latents(base.vae, whole)
    assert parts.shape == whole.shape and shown.shape == pixels.shape
    assert (parts - whole).abs().mean() < 0.5 * whole.std()


# --- batch


def test_a_batch_paints_each_alone_then_smaller_then_goes_on(base: BaseModel, photo: Path, tmp_path: Path) -> None:
    for number in range(3):
        load_image(photo).rotate(90 * number, expand=False).save(tmp_path / f"p{number}.png")
    photos, style = [tmp_path / f"p{number}.png" for number in range(3)], random_style(base)
    few: dict[str, Any] = {"base": base, "size_px": 128, "together": 3}

    def alone(vae: Any, shape: tuple) -> bool:
        return shape[0] == 1

    with short(base, unless=alone):
        made = list(sigstyle.batch(photos, style, tmp_path / "alone", **few))
    assert [result.error for result in made] == [None] * 3
    assert all("together" not in (result.recipe or {}) and "tiled" not in (result.recipe or {}) for result in made)
    single = api.transfer(photos[1], style, base=base, **LARGE).images[0]
    assert made[1].path is not None and Image.open(made[1].path).tobytes() == single.tobytes()

    with short(base, unless=lambda vae, shape: shape[0] == 1 and min(shape[2:]) <= 20):
        made = list(sigstyle.batch(photos[:2], style, tmp_path / "small", **few))
    assert [result.error for result in made] == [None] * 2
    assert made[0].path is not None and read_recipe(made[0].path)["settings"]["size_px"] == 90
    assert "instead of 128 px" in (tmp_path / "small" / "manifest.jsonl").read_text()

    with short(base):
        made = list(sigstyle.batch(photos[:2], style, tmp_path / "none", **few))
    assert all("too little memory" in (result.error or "") for result in made)


# --- the app


@pytest.fixture
def studio(tmp_path: Path, base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setattr("sigstyle.studio.library.STYLES_FOLDER", tmp_path / "none")
    monkeypatch.setattr("sigstyle.studio.bases.load_base", lambda key, device, cache, memory: base)
    studio = Studio(tmp_path / "data", device="cpu")
    random_style(base, "wave").save(studio.folder.folder("styles") / "wave.safetensors")
    yield studio


def test_the_app_does_the_same(studio: Studio, base: BaseModel, photo: Path) -> None:
    config = sigstyle.config.TransferConfig(size_px=128, margin_px=0)  # type: ignore[attr-defined]
    with short(base, unless=smaller):
        (picture,) = restyle(studio, ANNA, [photo], "wave", "mini", config).wait()
    assert "instead of 128 px" in picture.notices[-1]
    with short(base), pytest.raises(PaintingError, match="too little memory"):
        imagine(studio, ANNA, "a tower", "wave", "mini", {"steps": 2, "size_px": 128}).wait()
    with short(base), pytest.raises(CaptureError, match="too little memory"):
        learn(studio, ANNA, [photo], "mine", "mini", LEARNING).wait()


# --- learning, loading, the shell


def test_learning_and_loading_say_it_in_one_line(
    base: BaseModel, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (SHORT[1], SHORT[2], SHORT[5]):
        with short(base, error), pytest.raises(CaptureError, match="too little memory"):
            api.capture(photo, base=base, steps=2, size_px=64, autocast="off")
    monkeypatch.setattr("sigstyle.base.model.from_folder", lambda *_: (_ for _ in ()).throw(SHORT[2]))
    with pytest.raises(ConfigError, match="does not fit into the memory of cpu"):
        load_base("mini", "cpu")


def test_the_shell_says_it_in_one_line(
    base: BaseModel, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave, out = tmp_path / "wave.safetensors", tmp_path / "o.png"
    random_style(base).save(wave)
    monkeypatch.setattr(ingredients, "load_base", lambda *_, **__: base)
    with short(base):
        told = refused("transfer", photo, "-s", wave, "--base", "mini", "-o", out, "--size-px", 128)
        assert "too little memory" in told and "--size-px" in told
        command = ["capture", photo, "--base", "mini", "-o", tmp_path / "s.safetensors", *QUICK_FLAGS]
        assert "too little memory" in refused(*command)
    monkeypatch.setattr(api, "transfer", lambda *_, **__: (_ for _ in ()).throw(MemoryError()))
    result = run("transfer", photo, "-s", wave, "-o", out)
    assert result.exit_code == 1 and "too little memory for this" in result.stderr and "Traceback" not in result.stderr

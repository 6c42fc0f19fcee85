"""Surfaces: seamless tiles of any size, and textures laid on an object of a photo."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakeBase, digest, make_parts
from PIL import Image
from random_style import random_style
from test_areas import disc, scene
from test_base_model import save_pipeline
from test_cli import done, refused

import sigstyle
from sigstyle.api import transfer
from sigstyle.base.model import BaseModel, load_base
from sigstyle.errors import Cancelled, ConfigError
from sigstyle.imaging.images import load_image, read_recipe, to_tensor
from sigstyle.imaging.wrapping import WrappedTiles, smooth_noise, wrapped
from sigstyle.painting.dressing import dressed

SMALL: dict[str, Any] = {"size_px": 96, "grain_px": 48}


@pytest.fixture
def base(make_base: MakeBase) -> BaseModel:
    return make_base(prediction_type="v_prediction")


def steps(pixels: torch.Tensor) -> tuple[float, float]:
    """The mean step of [b, c, h, w] across its wrapped edges, and the largest of those between lines inside."""
    edges, inside = [], []
    for dim in (-1, -2):
        along = pixels.transpose(dim, -1)
        lines = (along - along.roll(1, -1)).abs().mean((0, 1, 2))
        edges.append(float(lines[0]))
        inside.append(float(lines[1:].max()))
    return max(edges), max(inside)


def test_tiles_on_a_torus_join_to_what_they_were_cut_from() -> None:
    picture = torch.rand(1, 3, 96, 96)
    for tile, overlap in ((48, 16), (64, 24), (128, 32)):  # the last is larger than the torus
        tiles = WrappedTiles(96, tile, overlap, 8)
        cut = [tiles.tile(picture, start) for start in tiles.starts]
        torch.testing.assert_close(tiles.joined(cut), picture)
    assert WrappedTiles(1024, 512, 96, 8).starts[-1] == (680, 680)


def test_wrapped_noise_and_margins_go_round_the_edges() -> None:
    field = smooth_noise(torch.randn(1, 2, 64, 64), 6)
    edge, inside = steps(field)
    assert edge < inside < 0.5 < steps(torch.linspace(0, 1, 64).expand(1, 1, 64, 64))[0]
    around = wrapped(field, 100)
    assert torch.equal(around[..., :64, :64], around[..., 64:128, 64:128])


@pytest.mark.parametrize("size_px", [96, 100, 200])
def test_a_seamless_tile_steps_no_more_across_its_edges_than_inside(base: BaseModel, size_px: int) -> None:
    made = sigstyle.texture(random_style(base), base=base, seamless="on", size_px=size_px, grain_px=48)
    assert made.images[0].size == (size_px, size_px)
    edge, inside = steps(to_tensor(made.images[0]))
    assert edge < inside


def test_without_seamless_it_is_another_picture_of_that_size(base: BaseModel) -> None:
    style = random_style(base)
    plain = sigstyle.texture(style, base=base, **SMALL).images[0]
    assert plain.size == (96, 96)
    assert plain != sigstyle.texture(style, base=base, seamless="on", **SMALL).images[0]


def test_the_same_seed_is_the_same_surface_and_the_base_is_as_before(base: BaseModel) -> None:
    style, before = random_style(base), digest(base.unet)
    told: list[tuple[int, int]] = []
    one = sigstyle.texture(style, base=base, seed=3, on_progress=lambda *at: told.append(at), **SMALL)
    assert told == [(i, told[0][1]) for i in range(1, told[0][1] + 1)]
    again = sigstyle.texture(style, base=base, config=None, **{**one.recipe["settings"]})
    other = sigstyle.texture(style, base=base, seed=4, **SMALL)
    assert one.images == again.images and one.images != other.images
    assert digest(base.unet) == before
    with pytest.raises(Cancelled):
        sigstyle.texture(style, base=base, should_stop=lambda: True, **SMALL)
    assert digest(base.unet) == before


def test_the_shell_makes_a_tile_again_from_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_pipeline(tmp_path / "base", make_parts(prediction_type="v_prediction"))
    random_style(load_base("base"), "wave").save("wave.safetensors")
    done("texture", "wave.safetensors", "-o", "tile.png", "--size", 96, "--seamless", "--base", "base")
    recipe = read_recipe("tile.png")
    assert (recipe["kind"], recipe["settings"]["seamless"]) == ("texture", "on")
    command = json.loads(done("info", "tile.png", "--json").stdout)["command"]
    done(*shlex.split(command)[3:], "--base", "base")
    assert load_image("again.png") == load_image("tile.png")
    told = refused("texture", "wave.safetensors", "-o", "b.png", "--size", 9, "--base", "base")
    assert "size_px is 9" in told and not Path("b.png").exists()


def stripes() -> Image.Image:
    rows = np.where(np.arange(64) // 8 % 2, 220, 60).astype(np.uint8)
    across, down = np.tile(rows, (64, 1)), np.tile(rows[:, None], (1, 64))
    return Image.fromarray(np.stack([across, np.full((64, 64), 120, np.uint8), down], -1))


def test_a_texture_keeps_the_object_s_shading_and_the_rest_of_the_photo() -> None:
    photo = np.asarray(scene()).astype(float)
    light = np.linspace(0.4, 1.0, photo.shape[1])[None, :, None]
    shaded = Image.fromarray((photo * light).astype(np.uint8))
    area = Image.fromarray((disc() * 255).astype(np.uint8))
    found = np.asarray(dressed(shaded, stripes(), area)).astype(float)
    assert (found[~disc()] == np.asarray(shaded)[~disc()]).all()
    plain = np.asarray(dressed(scene(), stripes(), area)).astype(float)

    def brightness(values: np.ndarray, left: int) -> float:
        return float(values[75:105, left : left + 30].mean())

    assert brightness(found, 138) / brightness(found, 92) > 1.15 * brightness(plain, 138) / brightness(plain, 92)


def test_a_texture_is_painted_on_what_is_chosen_and_its_recipe_makes_it_again(base: BaseModel, tmp_path: Path) -> None:
    style = random_style(base)
    area = Image.fromarray((disc() * 255).astype(np.uint8))
    stripes().save(tmp_path / "stripes.png")
    plain = np.asarray(transfer(scene(), style, mask=area, base=base, size_px=64).images[0])
    for texture in (tmp_path / "stripes.png", "style"):
        made = transfer(scene(), style, mask=area, texture=texture, base=base, size_px=64)
        values = np.asarray(made.images[0])
        assert (values[~disc()] == np.asarray(scene())[~disc()]).all()
        assert (values[disc()] != plain[disc()]).any()
    assert made.recipe["texture"] == "style"
    with pytest.raises(ConfigError, match="laid on by painting"):
        transfer(scene(), style, texture="style", preset="classic", base=base)

"""Two styles of one name in one picture, and a style called otherwise: in Python, in the shell, from the recipe."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_painting, make_parts
from PIL import Image, ImageChops
from random_style import random_style
from test_base_model import save_pipeline
from test_cli import done, refused

from sigstyle import api
from sigstyle.base.model import BaseModel, load_base
from sigstyle.base.prompts import StyleToken
from sigstyle.cli.info import command_of
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import read_recipe
from sigstyle.style.blend import Blend
from sigstyle.style.style import Style

SMALL: dict[str, Any] = {"size_px": 64, "margin_px": 0}
WAYS: list[dict[str, Any]] = [{"steps": 2}, {"preset": "classic", "steps": 3}]


def twins(base: BaseModel) -> tuple[Style, Style]:
    """Two styles that have nothing in common but name and token."""
    return random_style(base, "wave"), random_style(base, "wave", seed=1)


def called(style: Style, name: str) -> Style:
    """A style that also has the token of another name."""
    return dataclasses.replace(style, name=name, token=StyleToken(f"<{name}>", style.token.embedding))


def same(first: Image.Image, second: Image.Image) -> bool:
    return ImageChops.difference(first, second).getbbox() is None


@pytest.mark.parametrize("way", WAYS)
def test_a_blend_is_the_same_whatever_its_styles_are_called(base: BaseModel, way: dict[str, Any]) -> None:
    one, two = twins(base)
    photo = make_painting()
    blended = api.transfer(photo, [one, two], base=base, weights=[0.7, 0.3], **SMALL, **way)
    apart = api.transfer(photo, [one, called(two, "oil")], base=base, weights=[0.7, 0.3], **SMALL, **way)
    again = api.transfer(photo, [one, two], base=base, weights=[0.7, 0.3], **SMALL, **way)
    alone = api.transfer(photo, one, base=base, **SMALL, **way)
    assert same(blended.images[0], apart.images[0]) and same(blended.images[0], again.images[0])
    assert not same(blended.images[0], alone.images[0])
    entries = blended.recipe["styles"]
    assert [(e["name"], e["hash"], e["weight"]) for e in entries] == [("wave", one.hash, 0.7), ("wave", two.hash, 0.3)]


def test_a_prompt_is_painted_in_both(base: BaseModel) -> None:
    one, two = twins(base)
    settings: dict[str, Any] = {"base": base, "steps": 2, "width": 64, "height": 64}
    blended = api.generate("a tower in the style of <wave>", [one, two], **settings)
    assert same(blended.images[0], api.generate("a tower", [one, called(two, "oil")], **settings).images[0])
    assert not same(blended.images[0], api.generate("a tower", one, **settings).images[0])


def test_each_prompt_of_a_blend_has_its_own_vectors(base: BaseModel) -> None:
    one, two = twins(base)
    both = Blend((one, two), (0.25, 0.75)).embed(base.reader, "a tower", 1.0).embeds
    alone = [Blend((s,), (1.0,)).embed(base.reader, "a tower", 1.0).embeds for s in (one, two)]
    assert (both - (0.25 * alone[0] + 0.75 * alone[1])).abs().max() < 1e-5


def test_one_style_twice_is_that_style(base: BaseModel) -> None:
    one, _ = twins(base)
    twice = api.transfer(make_painting(), [one, one], base=base, **SMALL).images[0]
    alone = api.transfer(make_painting(), one, base=base, **SMALL).images[0]
    assert np.asarray(ImageChops.difference(twice, alone)).max() <= 2


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path, Path]:
    """A photo, two styles of one name, and their base."""
    folder = save_pipeline(tmp_path / "tiny", make_parts())
    make_painting().save(tmp_path / "cat.png")
    paths = []
    for number, style in enumerate(twins(load_base(folder)), 1):
        (tmp_path / str(number)).mkdir()
        paths.append(tmp_path / str(number) / "wave.safetensors")
        style.save(paths[-1])
    return tmp_path / "cat.png", paths[0], paths[1], folder


def test_the_shell_blends_them_and_the_recipe_makes_the_picture_again(files: tuple[Path, ...], tmp_path: Path) -> None:
    photo, one, two, folder = files
    out = tmp_path / "out.png"
    done("transfer", photo, "-s", f"{one}:0.6", "-s", f"{two}:0.4", "-o", out, "--base", folder, "--size-px", "64")
    recipe = read_recipe(out)
    assert [entry["path"] for entry in recipe["styles"]] == [str(one), str(two)]
    command = command_of(recipe)
    assert command is not None
    words = command.split()[3:]
    words[words.index("again.png")] = str(tmp_path / "again.png")
    words[words.index("--base") + 1] = str(folder)
    done(*words)
    assert same(Image.open(out), Image.open(tmp_path / "again.png"))


def test_a_style_is_renamed_in_place_and_paints_as_before(files: tuple[Path, ...], tmp_path: Path) -> None:
    _, one, two, _ = files
    before = Style.load(one)
    said = done("rename", one, "Big Wave").stdout
    assert "Big Wave, which was wave; its token stays <wave>" in said
    renamed = Style.load(one)
    assert (renamed.name, renamed.token, renamed.hash) == ("Big Wave", before.token, before.hash)
    assert renamed.metadata == before.metadata and renamed == before
    assert json.loads(done("rename", one, "wave", "--json").stdout)["was"] == "Big Wave"
    link = tmp_path / "link.safetensors"
    link.symlink_to(two)
    done("rename", link, "Other")
    assert link.is_symlink() and Style.load(two).name == "Other"
    assert done("rename", two, "Still", "--quiet").stdout == ""


@pytest.mark.parametrize("name", ["", "   ", "★", "a\nb", "a" * 81, "\udcff wave"])
def test_a_name_that_no_capture_takes_changes_nothing(files: tuple[Path, ...], base: BaseModel, name: str) -> None:
    _, one, _, _ = files
    before = one.read_bytes()
    assert "expected" in refused("rename", one, name)
    assert one.read_bytes() == before and len(os.listdir(one.parent)) == 1
    with pytest.raises(ConfigError):
        random_style(base).renamed(name)


def test_only_a_style_file_of_ones_own_is_renamed(tmp_path: Path) -> None:
    assert "comes with SigStyle" in refused("rename", "woodcut", "Mine")
    assert "no file 'nothing'" in refused("rename", "nothing", "Mine")
    (tmp_path / "x.safetensors").write_bytes(b"notes")
    assert "no safetensors file" in refused("rename", tmp_path / "x.safetensors", "Mine")
    assert (tmp_path / "x.safetensors").read_bytes() == b"notes"

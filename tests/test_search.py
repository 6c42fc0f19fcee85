"""Search: styles note what they look like, and are sorted by how much they look like an image or a style."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import make_painting
from random_style import random_style
from test_cli import done, refused

import sigstyle
from sigstyle.base.model import BaseModel
from sigstyle.errors import ConfigError
from sigstyle.learning.measured import Measured
from sigstyle.scoring.features import style_features
from sigstyle.studio.folder import DataFolder, Workspace
from sigstyle.studio.library import Library
from sigstyle.style.similar import LOOK, look, look_of
from sigstyle.style.style import Style

FEW = {"steps": 1, "size_px": 64, "crops": 1, "batch_size": 1, "painting": 1, "autocast": "off"}


def noting(base: BaseModel, name: str, angle: int) -> Style:
    """A style that notes the look of a turned painting."""
    measured = Measured.on([make_painting().rotate(angle, expand=True)], style_features(), torch.device("cpu"))
    return replace(random_style(base), name=name, metadata=look(measured.vector))


@pytest.fixture
def library(base: BaseModel, tmp_path: Path) -> Path:
    """A folder with two styles that say what they look like, one that does not, and one that is none."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for style in (noting(base, "Level", 0), noting(base, "Upright", 90), replace(random_style(base), name="Silent")):
        style.save(folder / f"{style.name}.safetensors")
    (folder / "broken.safetensors").write_bytes(b"nothing")
    return folder


def test_a_capture_notes_what_its_image_looks_like_and_its_hash_does_not_change(base: BaseModel) -> None:
    style = sigstyle.capture(make_painting(), base=base, name="Level", **FEW)
    found, expected = look_of(style), look_of(noting(base, "Level", 0))
    assert found is not None and expected is not None and torch.equal(found, expected)
    assert replace(style, metadata={}).hash == style.hash
    classic = sigstyle.capture(make_painting(), base=base, preset="classic", steps=1, size_px=64, crops=1, batch_size=1)
    assert look_of(classic) is None


def test_the_image_itself_is_likest_and_a_style_finds_itself(base: BaseModel) -> None:
    styles = [noting(base, "Upright", 90), noting(base, "Level", 0), random_style(base)]
    found = sigstyle.similar_styles(make_painting(), styles)
    assert [one.style.name for one in found] == ["Level", "Upright"]
    assert found[0].likeness == pytest.approx(1, abs=1e-3) and found[0].likeness > found[1].likeness
    assert sigstyle.similar_styles(styles[0], styles, count=1)[0].style is styles[0]
    with pytest.raises(ConfigError, match="does not say what it looks like"):
        sigstyle.similar_styles(styles[2], styles)


@pytest.mark.parametrize("entry", [None, 3, {}, {"space": "other"}, [1, 2], "text", {"embedding": ["x"] * 64}])
def test_a_note_that_is_none_leaves_the_style_usable(base: BaseModel, tmp_path: Path, entry: object) -> None:
    style = noting(base, "Level", 0)
    noted = style.metadata[LOOK]
    odd = {**noted, **entry} if isinstance(entry, dict) and entry else entry
    replace(style, metadata={LOOK: odd}).save(tmp_path / "odd.safetensors")
    assert look_of(Style.load(tmp_path / "odd.safetensors")) is None


def test_the_command_sorts_and_says_what_it_leaves_out(library: Path, photo: Path) -> None:
    result = done("styles", "--like", photo, "--folder", library, "--json")
    rows = json.loads(result.stdout)["styles"]
    mine = [row["name"] for row in rows if row["style"].startswith(str(library))]
    assert mine[0] == "Level" and "Upright" in mine and "Silent" not in mine
    assert [row["likeness"] for row in rows] == sorted((row["likeness"] for row in rows), reverse=True)
    assert "broken.safetensors" in result.stderr and "Silent" in result.stderr
    assert "Silent" in done("styles", "--folder", library).stdout
    assert len(done("styles", "--like", library / "Level.safetensors", "--count", 1).stdout.splitlines()) == 1


def test_what_cannot_be_searched_with_is_one_line(library: Path, tmp_path: Path) -> None:
    assert "nowhere.png" in refused("styles", "--like", tmp_path / "nowhere.png")
    assert "nowhere" in refused("styles", "--folder", tmp_path / "nowhere")
    assert "does not say what it looks like" in refused("styles", "--like", library / "Silent.safetensors")


def test_the_app_finds_styles_like_this(base: BaseModel, tmp_path: Path) -> None:
    library = Library(DataFolder(tmp_path), Workspace(tmp_path / "person"))
    for style in (noting(base, "Level", 0), noting(base, "Upright", 90)):
        library.add(style)
    found = library.like(make_painting(), fingerprint=base.fingerprint)
    assert [entry.name for entry, _ in found] == ["Level", "Upright"]
    assert library.like(found[1][0].style)[0][0].name == "Upright"

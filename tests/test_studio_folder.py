import dataclasses
import json
from pathlib import Path

import pytest
from conftest import make_painting
from PIL import Image
from random_style import random_style

from sigstyle.base.model import BaseModel
from sigstyle.errors import ConfigError, ImageError, StyleFileError
from sigstyle.imaging.images import load_image
from sigstyle.studio.folder import DataFolder, Workspace, pixels_hash, safe_name
from sigstyle.studio.library import Library
from sigstyle.style.style import Style


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Great Wave", "great-wave"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "untitled"),
        ("C:\\Windows\\x", "c-windows-x"),
        ("con", "con-1"),
        ("Straße № 5", "straße-no-5"),
        ("浪", "浪"),
        ("a\0b\nc", "a-b-c"),
        ("", "untitled"),
    ],
)
def test_any_text_becomes_a_safe_file_name(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_a_name_is_never_longer_than_a_file_system_takes() -> None:
    assert len(safe_name("a" * 5000)) <= 60
    assert len(safe_name("浪" * 5000).encode()) < 200


def test_people_have_folders_apart_that_their_keys_cannot_be_read_off(folder: DataFolder) -> None:
    anna, bert = folder.workspace("key:anna"), folder.workspace("key:bert")
    assert anna.root != bert.root
    assert "anna" not in str(anna.root.relative_to(folder.root))
    assert folder.workspace("key:../..").root.parent == folder.root / "people"
    with pytest.raises(ConfigError, match="key"):
        folder.workspace("")


def test_a_kept_photo_is_its_pixels_and_nothing_else(folder: DataFolder, tmp_path: Path) -> None:
    photo = tmp_path / "holiday.jpg"
    exif = Image.Exif()
    exif[0x010E] = "secret words"
    make_painting().save(photo, exif=exif)
    workspace = folder.workspace("key:anna")
    kept = workspace.keep_photo(photo)
    assert kept == workspace.keep_photo(photo)
    assert b"secret words" not in kept.read_bytes()
    assert load_image(kept).tobytes() == load_image(photo).tobytes()
    assert workspace.photo(pixels_hash(load_image(photo))) == kept
    assert folder.workspace("key:bert").photo(kept.stem) is None


@pytest.mark.parametrize("sha256", ["../../secret", "", "0" * 64, "/etc/passwd"])
def test_only_hashes_find_photos(folder: DataFolder, sha256: str) -> None:
    assert folder.workspace("key:anna").photo(sha256) is None


def test_what_is_no_image_is_not_kept(folder: DataFolder, tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    workspace = folder.workspace("key:anna")
    with pytest.raises(ImageError, match=r"page\.jpg is not a supported image"):
        workspace.keep_photo(tmp_path / "page.jpg")
    assert not any((workspace.root / "photos").glob("*"))


def test_the_secret_outlives_a_restart(folder: DataFolder) -> None:
    assert folder.secret() == DataFolder(folder.root).secret()
    assert DataFolder(folder.root / "other").secret() != folder.secret()


@pytest.fixture
def workspace(folder: DataFolder) -> Workspace:
    return folder.workspace("key:anna")


@pytest.fixture
def library(folder: DataFolder, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Library:
    monkeypatch.setattr("sigstyle.studio.library.STYLES_FOLDER", tmp_path / "shipped")
    return Library(folder, workspace)


def named(base: BaseModel, name: str) -> Style:
    """A style whose name could not be a token."""
    return dataclasses.replace(random_style(base), name=name)


def test_styles_are_added_renamed_and_removed(library: Library, base: BaseModel) -> None:
    added = library.add(named(base, "Great Wave"))
    assert added.own and added.path.name == "great-wave.safetensors"
    renamed = library.rename("Great Wave", "../Big  Wave")
    assert renamed.name == "../Big Wave"
    assert renamed.path.parent == added.path.parent
    assert renamed.style.hash == added.style.hash
    assert [entry.name for entry in library.entries()] == ["../Big Wave"]
    library.remove(added.style.hash)
    assert library.entries() == [] and not list(added.path.parent.iterdir())


def test_names_are_taken_once(library: Library, base: BaseModel) -> None:
    library.add(random_style(base, "wave"))
    with pytest.raises(ConfigError, match="already"):
        library.add(random_style(base, "wave", seed=1))
    assert library.add_under_free_name(random_style(base, "wave", seed=1)).name == "wave 2"
    with pytest.raises(ConfigError, match="no name"):
        library.check_free("  ")


def test_two_names_that_give_one_file_name_are_two_files(library: Library, base: BaseModel) -> None:
    library.add(random_style(base, "wave"))
    library.add(named(base, "Wave!"))
    assert len(list((library.workspace.root / "styles").iterdir())) == 2


def test_nobody_sees_anothers_styles_but_everyone_the_shared_ones(
    folder: DataFolder, library: Library, base: BaseModel
) -> None:
    library.add(random_style(base, "mine"))
    random_style(base, "ours").save(folder.folder("styles") / "ours.safetensors")
    other = Library(folder, folder.workspace("key:bert"))
    assert [entry.name for entry in other.entries()] == ["ours"]
    assert [entry.name for entry in library.entries()] == ["mine", "ours"]
    with pytest.raises(ConfigError, match="came with the app"):
        library.remove("ours")
    with pytest.raises(ConfigError, match="There is no style 'mine' here; there are: ours"):
        other.get("mine")


def test_a_dropped_style_file_is_checked_and_written_anew(library: Library, base: BaseModel, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    random_style(base, "wave").save(file)
    assert library.add_file(file).style.hash == random_style(base, "wave").hash
    (tmp_path / "y.safetensors").write_bytes(b"\x80\x05 a pickle")
    with pytest.raises(StyleFileError, match="pickle"):
        library.add_file(tmp_path / "y.safetensors")


def test_only_styles_of_the_base_are_shown_and_broken_files_are_left_out(
    library: Library, base: BaseModel, workspace: Workspace
) -> None:
    library.add(random_style(base, "wave"))
    (workspace.folder("styles") / "broken.safetensors").write_text(json.dumps({}))
    assert [entry.name for entry in library.entries(base.fingerprint)] == ["wave"]
    assert library.entries("00000000-00000000") == []


def test_a_thumbnail_is_shown_or_a_plain_one_in_its_place(library: Library, base: BaseModel) -> None:
    plain = library.add(random_style(base, "wave")).thumbnail()
    assert plain.size == (128, 128)

"""Destinations on every route: nothing is lost, links and modes are kept, and leftovers go."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import make_parts
from PIL import Image
from random_style import random_style
from test_base_model import save_pipeline
from test_cli import QUICK_FLAGS, SMALL, done, refused

from sigstyle import api, files
from sigstyle.base.model import BaseModel, load_base
from sigstyle.errors import ConfigError, ImageError
from sigstyle.files import check_destination, write_atomically
from sigstyle.imaging.images import save_png
from sigstyle.style import ingredients

FEW: dict[str, Any] = {"size_px": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny base and a style of it."""
    place = tmp_path_factory.mktemp("given")
    random_style(load_base(save_pipeline(place / "tiny", make_parts()))).save(place / "wave.safetensors")
    return place


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names_of(photo: Path) -> dict[str, Path]:
    """Ways to say the same file."""
    other = photo.with_name("other.png")
    os.link(photo, other)
    link = photo.with_name("link.png")
    link.symlink_to(photo)
    return {"itself": photo, "hard link": other, "link": link, "roundabout": photo.parent / "." / photo.name}


# --- inputs


def test_an_input_is_never_written_over_in_the_shell(
    folder: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = photo.read_bytes()
    monkeypatch.setattr(ingredients, "load_base", None)
    mask = tmp_path / "mask.png"
    Image.open(photo).convert("L").save(mask)
    wave = folder / "wave.safetensors"
    for path in names_of(photo).values():
        for flags in ([], ["--overwrite"], ["-y"]):
            command = ["transfer", photo, "-s", wave, "-o", path, "--base", folder / "tiny", *flags]
            assert "is an input" in refused(*command)
    assert "is an input" in refused("transfer", photo, "-s", wave, "--mask", mask, "-o", mask, "-y")
    assert "is an input" in refused("transfer", photo, "-s", mask, "--training-free", "-o", mask, "-y")
    assert "is an input" in refused("export", wave, "-o", wave, "-y")
    picture = tmp_path / "look.step-0002.png"
    picture.write_bytes(before)
    capture = ["capture", picture, "-o", tmp_path / "look.safetensors", "--preview-every", 2, *QUICK_FLAGS, "-y"]
    assert "is an input" in refused(*capture)
    bank = tmp_path / "bank"
    bank.mkdir()
    (bank / "x.step-0002.png").write_bytes(before)
    command = ["capture", photo, "--bank", bank, "-o", bank / "x.safetensors", "--preview-every", 2, "-y"]
    assert "is an input" in refused(*command, *QUICK_FLAGS)
    assert photo.read_bytes() == picture.read_bytes() == (bank / "x.step-0002.png").read_bytes() == before


def test_an_input_is_never_written_over_in_python(
    base: BaseModel, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, style = photo.read_bytes(), random_style(base)
    monkeypatch.chdir(tmp_path)
    result = api.transfer("photo.png", style, base=base, **FEW)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for path in names_of(photo).values():
        with pytest.raises(ConfigError, match="is an input"):
            result.save(path)
    with pytest.raises(ConfigError, match="is an input"):
        api.capture(photo, base=base, state_path=photo)
    assert photo.read_bytes() == before
    foreign = tmp_path / "foreign.png"
    foreign.write_bytes(b"mine")
    assert result.save(foreign) == [foreign] and foreign.read_bytes() != b"mine"  # as a library is expected to


# --- what is there already


def test_a_foreign_file_is_replaced_when_asked_and_one_of_ours_at_once(
    folder: Path, photo: Path, painting: Image.Image, tmp_path: Path
) -> None:
    wave, out = folder / "wave.safetensors", tmp_path / "out.png"
    flags = ["-o", out, "--base", folder / "tiny", *SMALL]
    paint, generate = ["transfer", photo, "-s", wave, *flags], ["generate", "a tower", "-s", wave, *flags[:4]]
    generate += ["--steps", 1, "--size-px", 64]
    painting.save(out)
    before = out.read_bytes()
    assert "was not made by this command" in refused(*paint)
    assert out.read_bytes() == before
    done(*paint, "--overwrite")
    done(*paint)
    assert "was not made by this command" in refused(*generate)
    done(*generate, "-y")
    done(*generate)
    save_png(painting, out, {"kind": "preview"})
    assert "add --overwrite" in refused(*paint)


def test_a_foreign_style_is_replaced_when_asked_and_one_of_ours_at_once(
    folder: Path, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "look.safetensors"
    capture = ["capture", photo, "-o", out, "--base", folder / "tiny", *QUICK_FLAGS]
    out.write_bytes(b"mine")
    assert "was not made by this command" in refused(*capture)
    done(*capture, "-y")
    done(*capture)
    export = ["export", folder / "wave.safetensors", "-o", out, "--base", folder / "tiny"]
    assert "was not made by this command" in refused(*export)
    done(*export, "-y")
    done(*export)
    assert "was not made by this command" in refused(*capture)
    embedding, lora = tmp_path / "embeddings" / "wave.safetensors", tmp_path / "lora.safetensors"
    embedding.write_bytes(b"mine")
    assert "wave.safetensors is there already" in refused(*export[:3], lora, *export[4:])
    assert not lora.exists()


# --- what is no file


def test_places_that_are_no_files_get_one_line(folder: Path, photo: Path, tmp_path: Path) -> None:
    pipe, loop, long = tmp_path / "pipe.png", tmp_path / "loop.png", tmp_path / f"{'n' * 300}.png"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    (tmp_path / "null.png").symlink_to("/dev/null")
    (tmp_path / "there.png").mkdir()
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(tmp_path / "s.png"))
    told = {
        pipe: "a pipe, a device or a socket",
        tmp_path / "null.png": "a pipe, a device or a socket",
        tmp_path / "s.png": "a pipe, a device or a socket",
        tmp_path / "there.png": "it is a folder",
        loop: "ymbolic link",
        long: "304 bytes and may have 255",
        Path("~nosuchuser/x.png"): "no user ~nosuchuser",
        photo / "out.png": "cannot be written",
        tmp_path / "no" / "out.png": "existing folder",
    }
    wave = folder / "wave.safetensors"
    for path, expected in told.items():
        for flags in ([], ["-y"]):
            assert expected in refused("transfer", photo, "-s", wave, "-o", path, *flags), path
    for path in (pipe, tmp_path / "null.png"):
        with pytest.raises(ImageError, match="a pipe, a device"):
            save_png(Image.open(photo), path, {})
    with pytest.raises(ImageError, match="a NUL in the name"):
        save_png(Image.open(photo), "a\0b.png", {})
    assert Path("/dev/null").is_char_device() and pipe.is_fifo()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_read_only_file_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept.png"
    kept.write_bytes(b"mine")
    kept.chmod(0o444)
    with pytest.raises(ConfigError, match="read-only"):
        check_destination(kept, overwrite=True)


# --- writing


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    link, target = tmp_path / "link", tmp_path / "deep" / "target"
    link.symlink_to(Path("deep") / "target")
    for data in (b"new", b"old"):  # first it dangles
        write_atomically(link, data)
        assert link.is_symlink() and target.read_bytes() == data
    assert {path.name for path in tmp_path.rglob("*")} == {"deep", "link", "target"}


def test_modes_follow_the_umask_and_the_file_replaced(tmp_path: Path, umask: Callable[[int], int]) -> None:
    for mask, expected in ((0o077, 0o600), (0o002, 0o664), (0o022, 0o644)):
        umask(mask)
        write_atomically(tmp_path / f"{mask}", b"new")
        assert mode(tmp_path / f"{mask}") == expected
    for kept in (0o600, 0o640, 0o666, 0o755):
        (tmp_path / "old").touch()
        (tmp_path / "old").chmod(kept)
        write_atomically(tmp_path / "old", b"new")
        assert mode(tmp_path / "old") == kept
    (tmp_path / "team").mkdir()
    (tmp_path / "team").chmod(0o2775)
    plain, ours = tmp_path / "team" / "plain", tmp_path / "team" / "ours"
    plain.write_bytes(b"")
    write_atomically(ours, b"new")
    assert (ours.stat().st_gid, mode(ours)) == (plain.stat().st_gid, mode(plain))


def test_a_name_of_255_bytes_can_be_written(tmp_path: Path) -> None:
    for name in ("n" * 255, "é" * 127):
        write_atomically(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 2


def test_leftovers_of_dead_processes_go_and_others_stay(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from sigstyle import files\n"
        "files.os.replace = lambda *_: os._exit(9)\n"
        "files.write_atomically(Path(sys.argv[1]), b'half')\n"
    )
    root = Path(files.__file__).parents[1]
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out.png")], cwd=root, check=False)
    (left,) = tmp_path.iterdir()
    assert killed.returncode == 9 and left.name.startswith(".out.png.") and left.name.endswith(".tmp")
    host, rest = left.name.removeprefix(".out.png.").split("+", 1)
    alive = tmp_path / f".a.png.{host}+{os.getpid()}+00000000.tmp"
    elsewhere, foreign = tmp_path / f".a.png.{host}-2+{rest}", tmp_path / ".foreign.tmp"
    for path in (alive, elsewhere, foreign):
        path.touch()
    write_atomically(tmp_path / "b.png", b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"b.png", alive.name, elsewhere.name, foreign.name}

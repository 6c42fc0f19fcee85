"""A batch in a folder where anything may lie: nothing lost, nothing silently wrong, one item never stops the others."""

import errno
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import make_painting
from PIL import Image, PngImagePlugin
from random_style import random_style

import sigstyle
from sigstyle.base.model import BaseModel
from sigstyle.batches import paint, write
from sigstyle.batches.batch import BatchResult, failures, plan
from sigstyle.errors import ConfigError, ImageError
from sigstyle.imaging.images import read_recipe

FEW: dict[str, Any] = {"steps": 2, "size_px": 64}


@pytest.fixture
def shop(base: BaseModel, tmp_path: Path) -> Path:
    """A folder with three photos and a style."""
    (tmp_path / "photos").mkdir()
    for number in range(3):
        make_painting().rotate(25 * number).save(tmp_path / "photos" / f"p{number}.png")
    random_style(base, "ink").save(tmp_path / "ink.safetensors")
    return tmp_path


def run(shop: Path, base: BaseModel, **settings: Any) -> list[BatchResult]:
    return list(sigstyle.batch(shop / "photos", shop / "ink.safetensors", shop / "out", base=base, **FEW, **settings))


def pictures(shop: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (shop / "out").glob("*--*.png") if path.is_file()}


def lines(shop: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (shop / "out" / "manifest.jsonl").read_text().splitlines()]


def errors(results: list[BatchResult]) -> list[str]:
    return [result.error for result in results if result.error]


@pytest.mark.parametrize("damage", ["half", "empty", "head", "flipped"])
def test_a_damaged_picture_of_this_job_is_painted_again(shop: Path, base: BaseModel, damage: str) -> None:
    run(shop, base)
    whole, path = pictures(shop), shop / "out" / "p1--ink.png"
    data = bytearray(path.read_bytes())
    data[-40] ^= 255  # in the pixels
    kinds = {"half": bytes(path.read_bytes()[: len(data) // 2]), "empty": b"", "head": path.read_bytes()[:600]}
    path.write_bytes(kinds.get(damage, bytes(data)))
    assert len(plan(shop / "photos", shop / "ink.safetensors", shop / "out", **FEW).missing()) == 1
    told: list[str] = []
    assert [result.path for result in run(shop, base, on_notice=told.append)] == [path]
    assert pictures(shop) == whole and len(told) == 1 and "it is made again" in told[0]


def deep_recipe(path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("sigstyle", '{"a":' * 40_000 + "1" + "}" * 40_000)
    make_painting().save(path, pnginfo=info)


FOREIGN: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("mine"),
    "picture": lambda path: make_painting().save(path),
    "deep recipe": deep_recipe,
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "link to a photo": lambda path: path.symlink_to("../photos/p0.png"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_left_alone_and_the_rest_goes_on(shop: Path, base: BaseModel, kind: str) -> None:
    path, photo = shop / "out" / "p1--ink.png", (shop / "photos" / "p0.png").read_bytes()
    path.parent.mkdir()
    FOREIGN[kind](path)
    before = (os.lstat(path).st_mode, os.lstat(path).st_size, os.lstat(path).st_mtime_ns)
    results = run(shop, base)
    assert len(results) == 3 and len(errors(results)) == 1 and "it was left alone" in errors(results)[0]
    assert (os.lstat(path).st_mode, os.lstat(path).st_size, os.lstat(path).st_mtime_ns) == before
    assert (shop / "photos" / "p0.png").read_bytes() == photo
    told = failures(shop / "out", plan(shop / "photos", shop / "ink.safetensors", shop / "out", **FEW).outputs)
    assert list(told) == ["p1--ink.png"] and "left alone" in told["p1--ink.png"]
    assert [line["status"] for line in lines(shop)] == ["done", "failed", "done"]
    path.rmdir() if kind == "folder" else path.unlink()
    assert [result.path for result in run(shop, base)] == [path]


def test_a_file_that_appears_while_painting_is_left_alone(
    shop: Path, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, save = shop / "out" / "p0--ink.png", write.save_png

    def late(image: Any, place: Path, recipe: Any) -> None:
        save(image, place, recipe)
        if place.name == "p1--ink.png":
            (shop / "out" / "p2--ink.png").write_text("mine")

    monkeypatch.setattr(write, "save_png", late)
    results = run(shop, base)
    assert (shop / "out" / "p2--ink.png").read_text() == "mine" and path.exists()
    assert [bool(result.error) for result in results] == [False, False, True]


def test_pages_of_others_are_left_alone_and_the_pictures_are_made(shop: Path, base: BaseModel) -> None:
    out = shop / "out"
    out.mkdir()
    (out / "index.html").write_text("my page")
    make_painting().save(out / "contact-sheet.png")
    (out / "manifest.jsonl").write_text('{"image": "a.png"}\n{"image": "b.png"}\n')
    sheet, told = (out / "contact-sheet.png").read_bytes(), []
    assert not errors(run(shop, base, on_notice=told.append))
    assert (out / "index.html").read_text() == "my page" and (out / "contact-sheet.png").read_bytes() == sheet
    assert len(told) == 2 and all("left alone" in text for text in told)
    assert (out / "manifest-before-1.jsonl").read_text().count("image") == 2 and len(lines(shop)) == 3


BAD_LINES = [
    b"",
    b"\0\0\0",
    b"\xff\xfe",
    b"[1]",
    b"3",
    b'{"output": 3}',
    b'{"output": ["p0--ink.png"], "status": "done"}',
    b'{"output": "../../etc/passwd", "status": "done"}',
    b'{"output": "stranger.png", "status": "done", "photo": "x", "look": "y"}',
    b'{"output": "p1--ink.png", "status": {}}',
    b'{"output": "p1--ink.png", "status": "done"}',
    b'{"output": "p1--ink.png", "status": "done", "look": {}, "photo": [], "recipe": [1], "seconds": 1e999}',
    b'{"output": "p1--ink.png", "status": "done", "seconds": ' + b"9" * 4000 + b', "notice": {"a": 1}}',
    b'{"output": "p1--ink.png", "status": "failed", "error": ["x"]}',
    b'{"output": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"output": "' + b"x" * 5_000_000,
    b'{"output": "p1--ink.png", "status": "done", "seco',
]


def test_lines_of_any_shape_are_dropped_and_the_manifest_is_whole_again(shop: Path, base: BaseModel) -> None:
    run(shop, base)
    path = shop / "out" / "manifest.jsonl"
    whole = [{**line, "seconds": 0} for line in lines(shop)]
    data = path.read_bytes()
    (shop / "out" / "stranger.png").write_bytes(b"x")
    for number, bad in enumerate(BAD_LINES):
        path.write_bytes(data + bad + b"\n" if number % 2 else bad + b"\n" + data)
        assert run(shop, base) == []
        assert [{**line, "seconds": 0} for line in lines(shop)] == whole
    path.write_bytes(b"\n".join(BAD_LINES))
    (shop / "out" / "p1--ink.png").unlink()
    assert [result.error for result in run(shop, base)] == [None]
    assert [{**line, "seconds": 0} for line in lines(shop)] == whole


def test_a_manifest_that_is_no_file_is_told_at_once(shop: Path, base: BaseModel) -> None:
    (shop / "out" / "manifest.jsonl").mkdir(parents=True)
    with pytest.raises(ConfigError, match="is no file"):
        run(shop, base)


def test_whatever_one_picture_raises_the_others_are_made(
    shop: Path, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = paint.Painter.paint
    raised = iter([ZeroDivisionError("a\nb"), MemoryError(), RecursionError("deep")])

    def fragile(self: Any, group: Any, *rest: Any) -> Any:
        if any(loaded.photo.label == "p1" for loaded in group):
            raise next(raised)
        return original(self, group, *rest)

    monkeypatch.setattr(paint.Painter, "paint", fragile)
    results = run(shop, base)
    assert errors(results) == ["ZeroDivisionError: a b"] and len(pictures(shop)) == 2
    for picture in (shop / "out").glob("*--*.png"):
        picture.unlink()
    results = run(shop, base, together=3)  # as a group first, then one by one
    assert errors(results) == ["RecursionError: deep"] and len(pictures(shop)) == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_ends_it_and_another_fault_of_a_file_does_not(
    shop: Path, base: BaseModel, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    save = write.save_png

    def failing(code: int) -> Callable[..., None]:
        def save_or_fail(image: Any, path: Path, recipe: Any) -> None:
            if path.name.startswith("p1"):
                raise ImageError("cannot be written") from OSError(code, os.strerror(code))
            save(image, path, recipe)

        return save_or_fail

    monkeypatch.setattr(write, "save_png", failing(errno.ENAMETOOLONG))
    assert errors(run(shop, base)) == ["cannot be written"] and len(pictures(shop)) == 2
    monkeypatch.setattr(write, "save_png", failing(number))
    with pytest.raises(ImageError, match="The rest waits for a restart"):
        run(shop, base)
    monkeypatch.setattr(write, "save_png", save)
    assert len(run(shop, base)) == 1 and len(pictures(shop)) == 3


def test_two_jobs_at_once_are_refused_and_one_job_is_shared(shop: Path, base: BaseModel) -> None:
    first = sigstyle.batch(shop / "photos", shop / "ink.safetensors", shop / "out", base=base, **FEW)
    next(first)
    other = random_style(base, "other", seed=3)
    with pytest.raises(ConfigError, match="Another job is at work"):
        sigstyle.batch(shop / "photos", other, shop / "out", base=base, **FEW)
    with pytest.raises(ConfigError, match="Another job is at work"):
        sigstyle.batch(shop / "photos" / "p0.png", shop / "ink.safetensors", shop / "out", base=base, **FEW)
    shared = sigstyle.batch(shop / "photos", shop / "ink.safetensors", shop / "out", base=base, **FEW)
    list(first)
    assert not errors(list(shared)) and len(pictures(shop)) == 3
    assert len(list(sigstyle.batch(shop / "photos", other, shop / "out", base=base, **FEW))) == 3
    assert not list((shop / "out" / ".sigstyle-batch" / "jobs").iterdir())


def test_what_dead_processes_left_is_swept_and_nothing_else(shop: Path, base: BaseModel) -> None:
    out = shop / "out"
    (out / "gallery" / "after").mkdir(parents=True)
    left = [out / ".p0--ink.png.ab12cd34.tmp", out / "gallery" / "after" / ".p1--ink.png.jpg.x+1+ab.tmp"]
    left += [out / ".manifest.jsonl.abc.tmp", out / ".contact-sheet-001.png.abc.tmp"]
    others = [out / ".notes.txt.abc.tmp", out / "mine.tmp"]
    for path in left + others:
        path.write_text("x")
    run(shop, base)
    assert not any(path.exists() for path in left) and all(path.exists() for path in others)


def test_names_that_are_not_utf8_are_painted_and_shown(shop: Path, base: BaseModel) -> None:
    for name in (b"caf\xe9.png", b"caf\xe8.png"):
        with open(os.path.join(os.fsencode(shop / "photos"), name), "wb") as file:
            make_painting().save(file, "PNG")
    results = run(shop, base)
    assert not errors(results) and len(pictures(shop)) == 5
    assert all(name.encode() and "caf" in name for name in set(pictures(shop)) - {f"p{n}--ink.png" for n in range(3)})
    assert run(shop, base) == []
    assert (shop / "out" / "index.html").read_text(encoding="utf-8").count('class="card"') == 5
    assert read_recipe(results[0].path or "") == results[0].recipe


def test_a_short_idat_is_no_finished_picture(shop: Path, base: BaseModel) -> None:
    run(shop, base)
    path = shop / "out" / "p0--ink.png"
    data = path.read_bytes()
    start = data.index(b"IDAT") - 4
    (length,) = struct.unpack(">I", data[start : start + 4])
    path.write_bytes(data[: start + 8 + length // 2])
    assert [result.path for result in run(shop, base)] == [path]
    Image.open(path).load()

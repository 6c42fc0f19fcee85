"""What a batch is asked for: names on any system, folders as they are, job files of any shape."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import make_painting
from random_style import random_style

import sigstyle
from sigstyle.base.model import BaseModel
from sigstyle.batches.batch import Plan, plan
from sigstyle.errors import ConfigError
from sigstyle.names import LONGEST_BYTES, file_part, is_file_part, same_file_key
from sigstyle.studio.folder import safe_name
from sigstyle.style.style import Style

FEW: dict[str, Any] = {"steps": 2, "size_px": 64}


@pytest.fixture
def style(base: BaseModel) -> Style:
    return random_style(base)


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        make_painting().save(file, "PNG")
    return path


def names(planned: Plan) -> list[str]:
    return [output.name for output in planned.outputs]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("cat", "cat"),
        ('a<b>:"/\\|?*c', "a_b______" + "__c"),
        ("a\0b\x1b\u202ec", "a_b__c"),
        ("caf\udce9", "caf_"),
        (" . a. .", "a"),
        ("CON", "CON-1"),
        ("con.tar.gz", "con-1.tar.gz"),
        ("Com¹", "Com¹-1"),
        ("lpt0 .x", "lpt0-1.x"),
        ("console", "console"),
        ("...", "unnamed"),
    ],
)
def test_one_rule_for_every_part_of_a_path(text: str, part: str) -> None:
    assert file_part(text) == part and is_file_part(part)


def test_parts_are_cut_by_bytes_and_never_within_a_letter() -> None:
    for text in ("a" * 5000, "猫" * 5000, "é🙂" * 500, "a" + "猫" * 400, "con" * 900):
        part = file_part(text, 5000, 200)
        assert 195 < len(part.encode()) <= 200 and text.startswith(part)
    assert same_file_key("A\u0301") == same_file_key("\u00e1")
    assert safe_name("CON") == "con-1" and safe_name("con") == "con-1"


@pytest.mark.parametrize("name", ["猫" * 80, "猫" * 75, "n" * 251, "🙂" * 62, "CON", "nul.x", "a ", "x" * 120 + "1"])
def test_photos_of_any_name_are_painted_and_do_not_stop_others(
    tmp_path: Path, base: BaseModel, style: Style, name: str
) -> None:
    for stem in (name, "鳥", name[:-1] + "2"):
        photo(tmp_path / "in" / f"{stem}.png"[-255:])
    results = list(sigstyle.batch(tmp_path / "in", style, tmp_path / "o", base=base, **FEW))
    assert [result.error for result in results] == [None] * 3
    assert not list(sigstyle.batch(tmp_path / "in", style, tmp_path / "o", base=base, **FEW))
    files = [path for path in (tmp_path / "o").rglob("*") if path.is_file() and ".sigstyle-batch" not in path.parts]
    assert all(is_file_part(path.name) and len(path.name.encode()) <= LONGEST_BYTES + 4 for path in files)
    assert len({same_file_key(str(path)) for path in files}) == len(files)
    assert len([path for path in files if path.parent.name == "after"]) == 3
    assert (tmp_path / "o" / "index.html").read_text(encoding="utf-8").count('class="card"') == 3


def test_a_photo_is_its_place_in_the_folder_however_that_was_typed_or_mounted(
    tmp_path: Path, style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "A.PNG", "sub/b.png", "sub/B.png"):
        photo(tmp_path / "in" / name)
    monkeypatch.chdir(tmp_path)
    wanted = names(plan("in", style, "o"))
    assert len(set(map(same_file_key, wanted))) == 4
    (tmp_path / "mount").symlink_to(tmp_path / "in")
    for typed in (tmp_path / "in", "./in/", "in/../in", "mount", tmp_path / "mount"):
        assert names(plan(typed, style, tmp_path / "o")) == wanted
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "in").rename(tmp_path / "elsewhere" / "photos")
    assert names(plan("elsewhere/photos", style, "o")) == wanted


def test_a_photo_written_in_two_ways_in_a_job_file_is_one(tmp_path: Path, style: Style) -> None:
    photo(tmp_path / "sub" / "a.png")
    rows = ["sub/a.png", "./sub/../sub/a.png", str(tmp_path / "sub" / "a.png")]
    text = "\n".join(json.dumps({"content": row, "seed": number}) for number, row in enumerate(rows))
    (tmp_path / "j.jsonl").write_text(text)
    planned = plan(None, style, tmp_path / "o", jobs=tmp_path / "j.jsonl")
    assert {output.photo.label for output in planned.outputs} == {"a"} and len(set(names(planned))) == 3


def test_what_a_folder_holds_is_taken_or_named(tmp_path: Path, style: Style) -> None:
    content, other = tmp_path / "in", tmp_path / "other"
    for name in ("a.png", "saved.jfif", "old.jpe", "sub/b.png"):
        photo(content / name)
    photo(other / "c.png")
    photo(other / "deep" / "d.png")
    (content / "linked").symlink_to(other)
    (content / "again").symlink_to(other)
    (content / "sub" / "loop").symlink_to(content)
    (other / "deep" / "back").symlink_to(other)
    for name in ("IMG_1.HEIC", "x.txt", "y.txt", "z.psd"):
        (content / name).touch()
    planned = plan(content, style, tmp_path / "o")
    assert names(planned) == [f"{name}--wave.png" for name in ("a", "again/c", "again/deep/d", "old", "saved", "sub/b")]
    told = "\n".join(planned.notices)
    assert told.count("link to a folder whose photos are taken already") == 3
    assert "IMG_1.HEIC" in told and "as JPEG" in told and "2 .txt, 1 .psd" in told
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "a.heic").touch()
    with pytest.raises(ConfigError, match=r"no photos in .*a\.heic.*as JPEG"):
        plan(tmp_path / "phone", style, tmp_path / "o")


@pytest.mark.parametrize("contents", ["~nosuchuser/in", "n" * 300, "a\0b"])
def test_places_that_cannot_be_are_one_line(tmp_path: Path, style: Style, contents: str) -> None:
    with pytest.raises(ConfigError, match="expected a folder"):
        plan(contents, style, tmp_path / "o")
    with pytest.raises(ConfigError, match=r"cannot be a folder|cannot be read"):
        plan(photo(tmp_path / "a.png"), style, contents)
    with pytest.raises(ConfigError):
        plan(None, style, tmp_path / "o", jobs=f"{contents}/j.jsonl")


DEEP = "[" * 60 + "]" * 60
BAD_ROWS = [
    ('{"content": "~nosuchuser/a.png"}', "no such user"),
    ('{"content": "a.png", "style": "a\\u0000b"}', "style holds a control character"),
    ('{"content": "a\\ud800.png"}', "content holds half a letter"),
    ('{"content": "a.png", "prompt": "\\udce9"}', "prompt holds half a letter"),
    ('{"content": "a.png", "prompt": "\\u001b[31m"}', "prompt holds a control character"),
    ('{"content": ' + "[" * 100_000 + "}", "is no usable JSON: it is too deeply nested"),
    ('{"content": ' + "[" * 900 + "]" * 900 + "}", "is no usable JSON: it is nested more than 64 deep"),
    ('{"content": "a.png", "style": [' + DEEP + "]}", "style holds a list"),
    ('{"content": "a.png", "seed": ' + DEEP + "}", "seed holds a list"),
    ('{"content": "a.png", "prompt": {"a": 1}}', "prompt holds an object"),
    ('{"content": "a.png", "seed": 1' + "0" * 400 + "}", "seed is far too large"),
    ('{"content": "a.png", "seed": 1' + "0" * 9000 + "}", "is no usable JSON"),
    ('{"content": "a.png", "strength": NaN}', "strength is nan"),
    ('{"content": "a.png", "strength": 1e999}', "strength is inf"),
    ('{"content": "a.png", "prompt": "' + "x" * 20_000 + '"}', "prompt has 20000 letters"),
    ('{"content": "a.png", "style": "' + "n" * 300 + '"}', "row 2"),
    ('{"content": "a.png", "style": "~nosuchuser/x.safetensors"}', "row 2"),
    ('{"' + "k" * 3000 + '": 1}', "unknown column"),
    ('{"content": "a.png", "output": "' + "n" * 300 + '"}', "304 bytes in it may have 230"),
    ('{"content": "a.png", "output": "a/' + "猫" * 80 + '"}', "bytes in it may have 230"),
    ('{"content": "a.png", "output": "CON"}', "'CON-1.png' is"),
    ('{"content": "a.png", "output": "nul.x/a"}', "no name on every system"),
    ('{"content": "a.png", "output": "a:b?"}', "no name on every system"),
    ('{"content": "a.png", "output": "dir ./a"}', "no name on every system"),
    ('{"content": "a.png", "output": "gallery/a"}', "is for the batch itself"),
    ('{"content": "a.png", "output": "index.html/a"}', "is for the batch itself"),
    ('{"content": "a.png", "output": "fine.png/x"}', "asks for the file fine.png"),
    ('{"content": "a.png", "output": "FINE"}', "both ask for"),
]


@pytest.mark.parametrize(("row", "message"), BAD_ROWS, ids=range(len(BAD_ROWS)))
def test_a_bad_row_is_refused_with_its_number_in_one_sentence(
    tmp_path: Path, style: Style, row: str, message: str
) -> None:
    photo(tmp_path / "a.png")
    (tmp_path / "j.jsonl").write_text(f'{{"content": "a.png", "output": "fine", "seed": 1}}\n{row}\n')
    with pytest.raises(ConfigError, match=message) as caught:
        plan(None, style, tmp_path / "o", jobs=tmp_path / "j.jsonl")
    assert "j.jsonl, row 2" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert not (tmp_path / "o").exists()


def test_letters_that_end_lines_elsewhere_do_not_end_a_row(tmp_path: Path, style: Style) -> None:
    photo(tmp_path / "a.png")
    row = json.dumps({"content": "a.png", "prompt": "one\u2028two\x85three"}, ensure_ascii=False)
    (tmp_path / "j.jsonl").write_bytes(f"{row}\r\n".encode())
    planned = plan(None, style, tmp_path / "o", jobs=tmp_path / "j.jsonl")
    assert [output.config.prompt for output in planned.outputs] == ["one\u2028two\x85three"]


def test_csv_cells_are_held_to_the_same(tmp_path: Path, style: Style) -> None:
    photo(tmp_path / "a.png")
    (tmp_path / "j.csv").write_text('content,output\na.png,"a|b"\n')
    with pytest.raises(ConfigError, match=r"j\.csv, row 2: output is 'a\|b\.png'"):
        plan(None, style, tmp_path / "o", jobs=tmp_path / "j.csv")
    (tmp_path / "j.csv").write_text("content,prompt\na.png,x\x07y\n")
    with pytest.raises(ConfigError, match=r"j\.csv, row 2: prompt holds a control character"):
        plan(None, style, tmp_path / "o", jobs=tmp_path / "j.csv")
    os.mkfifo(tmp_path / "k.csv")
    with pytest.raises(ConfigError, match="regular file"):
        plan(None, style, tmp_path / "o", jobs=tmp_path / "k.csv")

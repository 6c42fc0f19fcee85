"""Text from outside: file names, prompts, recipes and consoles never cost work that was done."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_painting, make_parts
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from random_style import random_style
from test_base_model import save_pipeline

from sigstyle import api
from sigstyle.base.model import BaseModel, load_base
from sigstyle.base.prompts import tokenize
from sigstyle.cli.console import FAILED, Report, fail, say
from sigstyle.config import CaptureConfig, GenerateConfig, TransferConfig
from sigstyle.errors import ConfigError, ImageError
from sigstyle.imaging.images import RECIPE_KEY, read_recipe, save_png
from sigstyle.text import check_words, json_text, parsed_json, shown, style_name_of

ROOT = Path(__file__).resolve().parent.parent
STRAY = b"caf\xe9".decode(errors="surrogateescape")
FEW = {"steps": 1, "size_px": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny base and a style of it."""
    folder = tmp_path_factory.mktemp("text")
    base = load_base(save_pipeline(folder / "tiny", make_parts()), device="cpu")
    random_style(base).save(folder / "wave.safetensors")
    make_painting().save(folder / "photo.png")
    return folder


def shell(folder: Path, *words: str | bytes, encoding: str = "utf-8", out: str = "") -> tuple[int, bytes, str]:
    """Exit code, standard output and standard error of a command, run in a console of this encoding."""
    command = [sys.executable, "-m", "sigstyle", *words]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    with open(out or os.devnull, "wb") as full:
        place = full if out else subprocess.PIPE
        made = subprocess.run(command, stdout=place, stderr=subprocess.PIPE, cwd=folder, env=environment)
    return made.returncode, made.stdout or b"", made.stderr.decode(errors="backslashreplace")


def transfer(*more: str | bytes, photo: str | bytes = "photo.png") -> list[str | bytes]:
    return ["transfer", photo, "-s", "wave.safetensors", "--base", "tiny", "--steps", "1", "--size-px", "64", *more]


def test_a_name_that_is_no_utf_8_is_carried_through_a_transfer(folder: Path) -> None:
    make_painting().save(folder / f"{STRAY}.png")
    code, output, errors = shell(folder, *transfer("-o", b"ma\xe9.png", photo=b"caf\xe9.png"))
    assert (code, errors) == (0, ""), errors
    assert rb"ma\xe9.png" in output and (folder / b"ma\xe9.png".decode(errors="surrogateescape")).is_file()
    recipe = read_recipe(folder / b"ma\xe9.png".decode(errors="surrogateescape"))
    assert recipe["content"]["path"] == f"{STRAY}.png"
    code, output, _ = shell(folder, "info", b"ma\xe9.png", "--json")
    command = json.loads(output)["command"]
    assert code == 0 and r"$'caf\xe9.png'" in command
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True).stdout.split(b"\0")
    assert b"caf\xe9.png" in words, "a shell reads the name again as it is"


def test_a_prompt_that_is_no_utf_8_is_refused_before_anything_is_loaded(folder: Path) -> None:
    words: list[str | bytes] = ["transfer", "none.png", "-s", "none", "-o", "x.png", "--prompt", b"caf\xe9"]
    code, output, errors = shell(folder, *words)
    assert (code, output) == (2, b"") and errors.count("\n") == 1 and r"caf\xe9" in errors and "UTF-8" in errors


def test_a_console_that_cannot_show_a_name_shows_an_escape(folder: Path) -> None:
    encoding = "cp1252"
    (folder / "日本").mkdir(exist_ok=True)
    make_painting().save(folder / "日本/猫.png")
    words = transfer("-o", f"日本/é-{encoding}.png", "--json", photo="日本/猫.png")
    code, output, errors = shell(folder, *words, encoding=encoding)
    assert (code, errors) == (0, "")
    assert json.loads(output)["images"] == [f"日本/é-{encoding}.png"]
    code, output, _ = shell(folder, "info", f"日本/é-{encoding}.png", encoding=encoding)
    assert code == 0 and rb"\u65e5" in output
    code, _, errors = shell(folder, "info", "猫.png", encoding=encoding)
    assert code == 2 and r"\u732b" in errors


def test_a_full_or_closed_output_does_not_undo_a_picture(folder: Path) -> None:
    code, _, errors = shell(folder, *transfer("-o", "full.png"), out="/dev/full")
    assert (code, errors) == (0, "") and (folder / "full.png").is_file()
    code, _, errors = shell(folder, "info", "full.png", out="/dev/full")
    assert code == 1 and errors.count("\n") == 1, "nothing was done but the words that were lost"


def test_a_reader_that_leaves_does_not_change_the_exit_code(folder: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "sigstyle", *transfer("-o", "unread.png")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    made = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, cwd=folder, env=environment)
    os.close(write)
    assert (made.returncode, made.stderr) == (0, b"") and (folder / "unread.png").is_file()


def test_streams_that_fail_are_said_so_and_raise_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    closed = io.StringIO()
    closed.close()
    assert say("x", closed) is False
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert say("é", narrow) is True and narrow.buffer.getvalue() == b"\\xe9\n"  # type: ignore[attr-defined]
    Report().notice("red \x1b[31m\r\nsecond")
    fail("no \x1b]0;title\x07 here", FAILED)
    assert capsys.readouterr().err == "red \\x1b[31m\\r\\nsecond\nsigstyle: no \\x1b]0;title\\x07 here\n"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain é 波 😀", "plain é 波 😀"),
        (STRAY, "caf\\xe9"),
        ("a\tb\x9b\x00", "a\\tb\\x9b\\x00"),
        ("\u202ex", "\\u202ex"),
    ],
)
def test_what_is_shown(text: str, seen: str) -> None:
    assert shown(text) == seen


@pytest.mark.parametrize("text", [STRAY, "a\0b", "\ud83d"])
@pytest.mark.parametrize("name", ["prompt", "negative_prompt"])
def test_prompts_that_no_recipe_could_hold_are_refused(text: str, name: str) -> None:
    for config in (TransferConfig, GenerateConfig):
        with pytest.raises(ConfigError, match=name) as caught:
            config.from_dict({name: text})
        assert str(caught.value).isprintable()
    with pytest.raises(ConfigError, match="domain"):
        CaptureConfig(domain=text)


def test_a_tokenizer_is_not_given_what_it_cannot_read(base: BaseModel) -> None:
    with pytest.raises(ConfigError, match="UTF-8"):
        tokenize(base.tokenizer, [STRAY])
    assert check_words("prompt", "größer\n波") == "größer\n波"


def test_python_refuses_before_a_base_is_loaded(painting: Image.Image) -> None:
    for call in (
        lambda: api.transfer(painting, "none", base="none", prompt=STRAY),
        lambda: api.generate("a\0", "none"),
    ):
        with pytest.raises(ConfigError, match="prompt"):
            call()
    with pytest.raises(ConfigError, match="style name"):
        api.capture(painting, base="none", name="a\nb")
    with pytest.raises(ImageError, match="cannot be read"):
        api.transfer("a\0.png", "none")


def test_a_style_is_called_after_a_file_of_any_name() -> None:
    assert style_name_of(STRAY) == "caf-" and style_name_of("a\nb" + "c" * 300) == "a-b" + "c" * 77


def test_json_goes_out_as_utf_8_and_comes_back(painting: Image.Image, tmp_path: Path) -> None:
    values = {"path": STRAY, "bell": "\x07\x9b\u2028", "wide": "波😀"}
    text = json_text(values)
    assert text.encode() and shown(text) == text and parsed_json(text) == values and "波😀" in text
    save_png(painting, tmp_path / "a.png", values)
    assert read_recipe(tmp_path / "a.png") == values


@pytest.mark.parametrize("depth", [65, 900, 100_000])
@pytest.mark.parametrize("shape", ["[]", "{}"])
def test_deep_json_is_refused_in_words(depth: int, shape: str) -> None:
    opening = "[" if shape == "[]" else '{"a":'
    deep = opening * depth + "1" + shape[1] * depth
    with pytest.raises(ValueError, match=r"deep|nested"):
        parsed_json(deep)
    assert parsed_json(opening * 60 + "1" + shape[1] * 60)


def test_a_picture_with_a_deep_recipe_is_one_line(folder: Path) -> None:
    info = PngInfo()
    info.add_itxt(RECIPE_KEY, "[" * 100_000 + "]" * 100_000, zip=True)
    make_painting().save(folder / "deep.png", pnginfo=info)
    with pytest.raises(ImageError, match="nested"):
        read_recipe(folder / "deep.png")
    code, output, errors = shell(folder, "info", "deep.png")
    assert (code, output, errors.count("\n")) == (2, b"", 1)


def test_control_characters_of_a_recipe_are_shown_as_escapes(folder: Path) -> None:
    save_png(make_painting(), folder / "rude.png", {"kind": "\x1b[2Jgone", "settings": {"prompt": "\x9bx\r"}})
    code, output, _ = shell(folder, "info", "rude.png")
    assert code == 0 and b"\x1b" not in output and rb"\x1b[2Jgone" in output
    code, output, _ = shell(folder, "info", "rude.png", "--json")
    assert "\x9b".encode() not in output and json.loads(output)["settings"]["prompt"] == "\x9bx\r"

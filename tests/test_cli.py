import ast
import dataclasses
import errno
import inspect
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import make_parts
from PIL import Image
from random_style import random_style
from test_base_model import save_pipeline
from typer.testing import CliRunner, Result

import sigstyle
from pipelines import SigStylePipeline, SigStyleText2ImgPipeline
from sigstyle import api
from sigstyle.base import model as base_model
from sigstyle.base.model import BaseModel, load_base
from sigstyle.cli import console as cli_console
from sigstyle.cli import demo
from sigstyle.cli.main import app
from sigstyle.cli.options import split_weights
from sigstyle.config import CaptureConfig, GenerateConfig, TransferConfig
from sigstyle.errors import StyleFileError
from sigstyle.imaging.images import read_recipe, save_png
from sigstyle.settings import settable
from sigstyle.style import ingredients, shipped
from sigstyle.style.statistics_file import STATISTICS
from sigstyle.style.style import Style
from sigstyle.style.tensor_file import write_tensors

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUICK = {"steps": 4, "batch_size": 2, "painting": 1, "crops": 2, "size_px": 64, "autocast": "off"}
QUICK_FLAGS = [word for name, value in QUICK.items() for word in (f"--{name.replace('_', '-')}", str(value))]
SMALL = ["--steps", "3", "--size-px", "64"]
CLASSIC = ["--preset", "classic"]


def run(*args: Any) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def done(*args: Any) -> Result:
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result


def refused(*args: Any) -> str:
    """The one line on standard error of a command that ends with exit code 2."""
    result = run(*args)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    assert result.stderr.startswith("sigstyle: ")
    return result.stderr


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny base."""
    return save_pipeline(tmp_path_factory.mktemp("bases") / "tiny", make_parts())


@pytest.fixture(scope="module")
def wave(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A style of the tiny base."""
    path = tmp_path_factory.mktemp("styles") / "wave.safetensors"
    random_style(load_base(base)).save(path)
    return path


def test_help_needs_nothing_heavy() -> None:
    code = "import sys, sigstyle.cli; print({'torch', 'numpy', 'diffusers', 'PIL', 'gradio'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout == "set()\n"


def test_without_a_command_help_comes_and_exit_code_2() -> None:
    result = run()
    assert result.exit_code == 2
    assert all(name in result.stdout for name in ("capture", "transfer", "generate", "info", "demo", "doctor"))
    assert done("--version").stdout == f"sigstyle {sigstyle.__version__}\n"


def options_of(name: str) -> set[str]:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize(
    ("name", "config", "without"),
    [
        ("capture", CaptureConfig, ()),
        ("transfer", TransferConfig, ()),
        ("generate", GenerateConfig, ("prompt",)),
    ],
)
def test_every_setting_is_a_flag(name: str, config: type, without: tuple[str, ...]) -> None:
    names = {entry.name for entry in settable(config)}
    flags = {f"--{entry.replace('_', '-')}": entry for entry in names}
    found = {flag for flag, entry in flags.items() if flag in options_of(name)}
    assert found == {flag for flag, entry in flags.items() if entry not in without}
    assert {"--base", "--device", "--dtype", "--quiet", "--json", "--debug"} <= options_of(name)


def test_capture_is_that_of_the_library(base: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    result = done("capture", photo, "-o", out, "--base", base, "--json", "--preview-every", 2, *QUICK_FLAGS)
    style = Style.load(out)
    assert style.hash == api.capture(photo, base=base, **QUICK).hash
    assert style.name == "photo"
    data = json.loads(result.stdout)
    assert (data["style"], data["hash"], data["token"]) == (str(out), style.hash, "<photo>")
    previews = [tmp_path / f"mine.step-{step}.png" for step in ("0002", "0004")]
    assert [Path(path) for path in data["previews"]] == previews
    assert Image.open(previews[0]).size == (384, 384)  # a photo of the bank
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["photo.png", "mine.safetensors", *(path.name for path in previews)]
    )


def test_capture_takes_a_name_and_info_tells_how_it_was_made(base: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    result = done("capture", photo, photo, "-o", out, "--base", base, "--name", "My Look", *QUICK_FLAGS)
    assert result.stdout.startswith(f"{out}  <my-look>, ")
    style, told = Style.load(out), json.loads(done("info", out, "--json").stdout)
    assert (told["name"], told["token"], told["hash"]) == ("My Look", "<my-look>", style.hash)
    assert told["config"] == style.metadata["config"]
    assert told["can"] == ["default", "paper"] and re.fullmatch("#[0-9a-f]{6}", told["palette"]["mean"])
    assert told["brushwork"] == style.brushwork.to_dict() and told["decoder_layers"] == len(style.decoder_offsets)
    assert "  steps: 4\n" in done("info", out).stdout


def interrupting(at: int) -> Any:
    @contextmanager
    def bar(self: cli_console.Report, description: str) -> Iterator[cli_console.Update]:
        def update(count: int, total: int, note: str = "") -> None:
            if count == at:
                raise KeyboardInterrupt

        yield update

    return bar


def test_ctrl_c_in_a_capture_can_be_resumed(
    base: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, state = tmp_path / "mine.safetensors", tmp_path / "mine.state.safetensors"
    command = ["capture", photo, "-o", out, "--base", base, *QUICK_FLAGS]
    with monkeypatch.context() as patch:
        patch.setattr(cli_console.Report, "bar", interrupting(at=2))
        stopped = run(*command)
    assert stopped.exit_code == 130
    assert stopped.stderr.count("\n") == 1 and "step 2 of 4" in stopped.stderr and str(state) in stopped.stderr
    assert state.exists() and not out.exists()
    assert "of another capture: seed was 0 and is 1" in refused(*command, "--seed", 1, "--resume")
    done(*command, "--resume")
    assert not state.exists()
    assert Style.load(out).hash == api.capture(photo, base=base, **QUICK).hash


def test_a_state_in_the_way_and_one_missing_are_mentioned(base: Path, photo: Path, tmp_path: Path) -> None:
    out, state = tmp_path / "mine.safetensors", tmp_path / "mine.state.safetensors"
    command = ["capture", photo, "-o", out, "--base", base, *QUICK_FLAGS]
    assert "No state at" in done(*command, "--resume").stderr
    state.write_bytes(b"old")
    assert "was not made by this command" in refused(*command)
    write_tensors(state, {}, {"sigstyle_capture": "{}"})
    assert "--resume goes on" in done(*command).stderr


@pytest.mark.parametrize(
    "flags",
    [
        ["--prompt", "a house", "--strength", 0.8, "--freedom", 0.6, "--palette", 0.5, "--strokes", 2.0, "--seed", 5],
        [*CLASSIC, "--prompt", "a house", "--strength", 0.8, "--swap-until", 0.7, "--seed", 5],
    ],
)
def test_transfer_writes_a_picture_that_info_can_make_again(
    base: Path, wave: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[Any]
) -> None:
    out = tmp_path / "out.png"
    result = done("transfer", photo, "-s", wave, "-o", out, "--base", base, "--json", *SMALL, *map(str, flags))
    data = json.loads(result.stdout)
    settings = data["recipe"]["settings"]
    given = dict(zip(flags[::2], flags[1::2], strict=True))
    assert data["images"] == [str(out)]
    assert all(settings[flag[2:].replace("-", "_")] == value for flag, value in given.items() if flag != "--preset")
    assert Image.open(out).size == (77, 64)

    told = json.loads(done("info", out, "--json").stdout)
    assert {key: told[key] for key in read_recipe(out)} == read_recipe(out)
    words = shlex.split(told["command"])
    monkeypatch.chdir(base.parent)  # a base in a folder is named by its folder's name
    done(*words[3:])
    assert Path("again.png").exists()
    assert Image.open("again.png").tobytes() == Image.open(out).tobytes()


def test_info_of_a_picture_of_before_painting_names_the_preset_that_makes_it_again(
    base: Path, wave: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, before = tmp_path / "out.png", tmp_path / "before.png"
    done("transfer", photo, "-s", wave, "-o", out, "--base", base, *SMALL, *CLASSIC, "--eta", 0.5)
    recipe = read_recipe(out)
    for name in ("method", "palette"):
        del recipe["settings"][name]
    save_png(Image.open(out), before, recipe)
    words = shlex.split(json.loads(done("info", before, "--json").stdout)["command"])
    flags = words[words.index("again.png") + 1 : words.index("--base")]
    assert flags == ["--preset", "classic", "--steps", "3", "--eta", "0.5", "--size-px", "64"]
    monkeypatch.chdir(base.parent)
    done(*words[3:])
    assert Image.open("again.png").tobytes() == Image.open(out).tobytes()
    del recipe["settings"]["eta"]
    save_png(Image.open(out), before, recipe)
    assert json.loads(done("info", before, "--json").stdout)["command"] is None, "nobody knows what it was"


def test_a_style_that_cannot_do_what_the_preset_asks_is_told_before_a_base_is_loaded(
    base: Path, wave: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    style, (old, new) = Style.load(wave), (tmp_path / "old.safetensors", tmp_path / "new.safetensors")
    dataclasses.replace(style, palette=None, decoder_offsets={}).save(old)
    dataclasses.replace(style, reference=None, **dict.fromkeys(STATISTICS)).save(new)
    monkeypatch.setattr(ingredients, "load_base", None)
    command = ["transfer", photo, "-o", tmp_path / "out.png", "--base", base, *SMALL]
    assert "wave has not learned to paint" in refused(*command, "-s", old)
    assert "wave does not hold its image's latents" in refused(*command, "-s", new, *CLASSIC)
    batch = ["batch", "-c", photo, "-o", tmp_path / "out", "--base", base, *SMALL]
    assert "wave has not learned to paint" in refused(*batch, "-s", old)
    assert json.loads(done("info", old, "--json").stdout)["can"] == ["classic", "paper"]
    assert json.loads(done("info", old, "--json").stdout)["palette"] is None


def test_help_says_which_preset_uses_which_setting() -> None:
    command = typer.main.get_command(app).commands["transfer"]  # type: ignore[attr-defined]
    panels = {parameter.name: (parameter.rich_help_panel, parameter.help) for parameter in command.params[1:]}
    assert panels["freedom"][0] == "Settings of the preset default alone"
    assert panels["eta"][0] == "Settings of the presets classic and paper alone"
    assert panels["eta"][1].endswith("(classic 1, paper 0)")
    assert panels["steps"][0] == "Settings" and panels["steps"][1].endswith("(default 1, classic 20, paper 50)")
    assert "classic" in panels["preset"][1]


def test_a_bank_of_one_s_own_is_painted_while_learning(base: Path, photo: Path, tmp_path: Path) -> None:
    out, bank = tmp_path / "mine.safetensors", tmp_path / "bank"
    bank.mkdir()
    command = ["capture", photo, "-o", out, "--base", base, *QUICK_FLAGS, "--bank", bank]
    assert "holds no photos" in refused(*command)
    Image.linear_gradient("L").convert("RGB").resize((600, 560)).save(bank / "grey.png")
    done(*command)
    assert Style.load(out).hash == api.capture(photo, base=base, bank=bank, name="photo", **QUICK).hash
    assert Style.load(out).hash != api.capture(photo, base=base, name="photo", **QUICK).hash
    assert "nothing is painted while learning" in refused(*command, *CLASSIC, "--painting", 0)


def test_export_says_what_a_lora_cannot_hold(base: Path, wave: Path, tmp_path: Path) -> None:
    out, plain = tmp_path / "lora.safetensors", tmp_path / "plain.safetensors"
    dataclasses.replace(Style.load(wave), decoder_offsets={}).save(plain)
    told = done("export", wave, "-o", out, "--base", base, "--rank", 8).stdout.splitlines()
    assert len(told) == 3 and "autoencoder is left out" in told[2]
    assert "left out: a LoRA" not in done("export", plain, "-o", out, "--base", base, "--rank", 8).stdout


def test_generate_writes_a_picture_that_info_can_make_again(
    base: Path, wave: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.png"
    flags = ["--steps", 2, "--width", 96, "--height", 64, "--negative-prompt", "blur", "--seed", 3]
    done("generate", "a tower", "-s", wave, "-o", out, "--base", base, *flags)
    assert Image.open(out).size == (96, 64)
    monkeypatch.chdir(base.parent)  # where another test's again.png may be
    done(*shlex.split(json.loads(done("info", out, "--json").stdout)["command"])[3:], "--overwrite")
    assert Image.open("again.png").tobytes() == Image.open(out).tobytes()


def test_info_of_a_prompt_of_before_says_what_it_did_not_start_from(base: Path, wave: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    done("generate", "a tower", "-s", wave, "-o", out, "--base", base, "--steps", 1, "--width", 64, "--height", 64)
    words = shlex.split(json.loads(done("info", out, "--json").stdout)["command"])
    assert words[words.index("--signal-leak") + 1] == "1.0", "said, as a family may have its own"
    recipe = read_recipe(out)
    del recipe["settings"]["signal_leak"]
    for name, flags in (("mini", ["--signal-leak", "0.0"]), ("tiny", ["--signal-leak", "0.0", "--guidance-scale"])):
        recipe["base"]["name"] = name
        save_png(Image.open(out), out, recipe)
        words = shlex.split(json.loads(done("info", out, "--json").stdout)["command"])
        assert all(flag in words for flag in flags)


def test_the_paper_preset_is_taken_with_settings_on_top(base: Path, wave: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    done("transfer", photo, "-s", wave, "-o", out, "--base", base, "--preset", "paper", *SMALL)
    wanted = TransferConfig.preset("paper", steps=3, size_px=64)
    assert read_recipe(out)["settings"] == wanted.to_dict()


def test_a_mask_keeps_the_rest(base: Path, wave: Path, photo: Path, painting: Image.Image, tmp_path: Path) -> None:
    out, mask = tmp_path / "out.png", tmp_path / "mask.png"
    Image.linear_gradient("L").point([255 * (value > 127) for value in range(256)]).resize(painting.size).save(mask)
    done("transfer", photo, "-s", wave, "-o", out, "--base", base, "--mask", mask, *SMALL)
    kept = (0, 0, painting.width, painting.height // 4)
    assert Image.open(out).crop(kept).tobytes() == painting.crop(kept).tobytes()


def test_shipped_styles_go_by_name_and_blend_by_weight(
    base: Path, wave: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "STYLES_FOLDER", wave.parent)
    other = tmp_path / "other.safetensors"
    random_style(load_base(base), "other", seed=1).save(other)
    out = tmp_path / "out.png"
    done("transfer", photo, "-s", "wave:0.7", "-s", other, "-o", out, "--base", base, *SMALL)
    found = [(style["name"], style["path"], style["weight"]) for style in read_recipe(out)["styles"]]
    assert found == [("wave", "wave", 0.7), ("other", str(other), 0.5)]
    assert done("info", "wave").stdout.startswith("kind: style\nname: wave\n")


def test_styles_and_weights_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b:2"):
        Path(name).touch()
    assert split_weights(["a"]) == (["a"], None)
    assert split_weights(["b:2"]) == (["b:2"], None)
    assert split_weights(["a:.5", "b:2:1", "a"]) == (["a", "b:2", "a"], [0.5, 1.0, 1 / 3])
    with pytest.raises(StyleFileError, match="no file 'a:x'"):
        split_weights(["a:x"])


def test_quiet_says_nothing(base: Path, wave: Path, photo: Path, tmp_path: Path) -> None:
    out, style = tmp_path / "out.png", tmp_path / "style.safetensors"
    assert done("transfer", photo, "-s", wave, "-o", out, "--base", base, "--quiet", *SMALL).output == ""
    assert done("capture", photo, "-o", style, "--base", base, "--quiet", *QUICK_FLAGS).output == ""


def test_bad_input_gets_one_line_and_leaves_nothing(base: Path, wave: Path, photo: Path, tmp_path: Path) -> None:
    text, pickle = tmp_path / "text.jpg", tmp_path / "base.ckpt"
    text.write_text("<html>")
    pickle.write_bytes(b"\x80\x04.")
    other = save_pipeline(tmp_path / "other", make_parts(seed=1))
    before = sorted(tmp_path.rglob("*"))
    out, style = tmp_path / "out.png", tmp_path / "out.safetensors"
    good = ["transfer", photo, "-s", wave, "-o", out, "--base", base, *SMALL]

    def with_(flag: str, value: Any) -> list[Any]:
        at = good.index(flag) + 1
        return [*good[:at], value, *good[at + 1 :]]

    cases = {
        "not a supported image": ["transfer", text, *good[2:]],
        "cannot be read as an image": ["transfer", tmp_path / "nosuch.jpg", *good[2:]],
        "no file 'nosuch' and no shipped style": with_("-s", "nosuch"),
        "numbers above 0": with_("-s", f"{wave}:-1"),
        "no safetensors file or is cut off": with_("-s", text),
        "ends in .png": with_("-o", tmp_path / "out.jpg"),
        "existing folder": with_("-o", tmp_path / "no" / "out.png"),
        "is a pickle": with_("--base", pickle),
        "which has other weights": with_("--base", other),
        "There is no base": with_("--base", "no/such/base"),
        "steps is 0": with_("--steps", 0),
        "'--steps': ": with_("--steps", "x"),
        "swap is 'v'; expected one of none, q, qk": [*good, *CLASSIC, "--swap", "v"],
        "swap is not used by this preset; it belongs to classic and paper": [*good, "--swap", "q"],
        "freedom is not used by this preset; it belongs to default": [*good, *CLASSIC, "--freedom", 0.4],
        "No such option: --method": [*good, "--method", "swap"],
        "no preset 'best'": [*good, "--preset", "best"],
        "no device 'gpu'": [*good, "--device", "gpu"],
        "dtype is 'int8'": [*good, "--dtype", "int8"],
        "No such option: --stepz": [*good, "--stepz", "3"],
        "Missing argument 'CONTENT'": ["transfer"],
        "There is no style": ["transfer", photo, "-o", out],
        "No such command 'tranfser'": ["tranfser", photo],
        "ends in .safetensors": ["capture", photo, "-o", tmp_path / "x.bin", "--base", base],
        "domain is ''": ["capture", photo, "-o", style, "--base", base, "--domain", ""],
        "needs a multiple of": ["capture", photo, "-o", style, "--base", base, *QUICK_FLAGS, "--size-px", 65],
        "carries no SigStyle recipe": ["info", photo],
        "no file 'nosuch.png'": ["info", "nosuch.png"],
    }
    for expected, arguments in cases.items():
        assert expected in refused(*arguments), expected
    assert sorted(tmp_path.rglob("*")) == before


def test_a_place_that_cannot_be_written_is_told_before_the_work(
    base: Path, wave: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(**_: Any) -> Any:
        raise OSError(errno.EROFS, "Read-only file system")

    (tmp_path / "folder.png").mkdir()
    command = ["transfer", photo, "-s", wave, "--base", base, *SMALL, "-o"]
    assert "it is a folder" in refused(*command, tmp_path / "folder.png")
    done(*command, tmp_path / "out.png")
    monkeypatch.setattr(tempfile, "TemporaryFile", closed)
    monkeypatch.setattr(ingredients, "load_base", None)
    assert "Read-only file system. Choose a writable folder" in refused(*command, tmp_path / "out.png")
    capture = ["capture", photo, "--base", base, *QUICK_FLAGS, "-o", tmp_path / "out.safetensors"]
    assert "Read-only file system" in refused(*capture)
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "folder.png", "out.png"}


def test_unusable_input_is_told_before_a_base_is_loaded(
    base: Path, wave: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, wide, out = tmp_path / "text.jpg", tmp_path / "wide.png", tmp_path / "out.png"
    text.write_text("hello")
    Image.new("L", (300, 100)).save(wide)
    monkeypatch.setattr(ingredients, "load_base", None)
    command = ["-o", out, "--base", base, *SMALL]
    assert "not a supported image" in refused("transfer", text, "-s", wave, *command)
    assert "same size or aspect" in refused("transfer", photo, "-s", wave, "--mask", wide, *command)
    assert "numbers above 0" in refused("transfer", photo, "-s", f"{wave}:0", *command)
    assert "numbers above 0" in refused("generate", "a tower", "-s", f"{wave}:0", "-o", out, "--base", base)


@pytest.mark.parametrize("flags", [("--width", -5), ("--width", 0), ("--height", 100000)])
def test_sides_that_cannot_be_painted_are_refused(
    base: Path, wave: Path, tmp_path: Path, flags: tuple[str, int]
) -> None:
    told = refused("generate", "a tower", "-s", wave, "-o", tmp_path / "out.png", "--base", base, *flags)
    assert f"{flags[0][2:]} is {flags[1]}; expected 8 to 4096 pixels" in told


def test_what_nobody_foresaw_gets_exit_code_1(wave: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by\nchance")

    monkeypatch.setattr(api, "transfer", broken)
    command = ["transfer", photo, "-s", wave, "-o", photo.with_name("out.png")]
    result = run(*command)
    assert result.exit_code == 1
    assert result.stderr == "sigstyle: ZeroDivisionError: by chance. Add --debug for the traceback.\n"
    assert "Traceback" in run(*command, "--debug").stderr


def demo_run(base: Path, folder: Path) -> tuple[demo.Demo, dict[str, Any]]:
    run = demo.Demo(cli_console.Report(), folder, CaptureConfig(**QUICK), TransferConfig(steps=3, size_px=64))
    return run, run.run(str(base), None, None)


def test_the_demo_makes_its_pictures(base: Path, wave: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "STYLES_FOLDER", wave.parent)
    run, data = demo_run(base, tmp_path / "new" / "demo")
    names = ["neuschwanstein-shipped.png", "neuschwanstein-captured.png"]
    assert [Path(path).name for path in data["pictures"]] == names
    assert [read_recipe(path)["styles"][0]["name"] for path in data["pictures"]] == ["wave", "hokusai-great-wave"]
    assert len(data["seconds"]) == 4 and data["notices"] == []
    assert run.lines()[-2:] == data["pictures"]
    assert Style.load(run.folder / "hokusai-great-wave.safetensors").metadata["config"]["steps"] == QUICK["steps"]


def test_the_demo_goes_on_without_a_shipped_style(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shipped, "STYLES_FOLDER", tmp_path)
    (tmp_path / "broken.safetensors").write_text("no")
    random_style(BaseModel.from_pipeline(make_parts(seed=1))).save(tmp_path / "foreign.safetensors")
    _, data = demo_run(base, tmp_path / "demo")
    assert [Path(path).name for path in data["pictures"]] == ["neuschwanstein-captured.png"]
    assert "broken.safetensors" in data["notices"][0]
    assert "No style is shipped for the base tiny" in capsys.readouterr().err


def test_the_demo_says_what_is_missing(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["demo", "-o", tmp_path / "demo"]
    (tmp_path / "file").touch()
    assert "file cannot be made" in refused("demo", "-o", tmp_path / "file", "--base", base)
    monkeypatch.setattr(base_model, "EMBEDDED_FOLDER", tmp_path / "mini")
    assert "embedded base is missing" in refused(*command)
    monkeypatch.setattr(demo, "EXAMPLES", tmp_path)
    assert "Get the repository or the package whole" in refused(*command, "--base", base)
    assert not (tmp_path / "demo").exists()


def readme_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def readme_commands() -> list[str]:
    lines = "\n".join(readme_blocks("(?:sh|bash|console)")).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if "python -m sigstyle" in line]


def test_the_readme_shows_every_command() -> None:
    shown = {shlex.split(line, comments=True)[3] for line in readme_commands()}
    assert shown == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", readme_commands())
def test_a_command_line_of_the_readme_parses(line: str) -> None:
    words = shlex.split(line, comments=True)[3:]
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    command.make_context(words[0], words[1:])
    assert all((ROOT / word).exists() for word in words if word.startswith("examples/"))


def test_python_in_the_readme_uses_what_there_is() -> None:
    callables = {
        "sigstyle.capture": (api.capture, CaptureConfig),
        "sigstyle.transfer": (api.transfer, TransferConfig),
        "sigstyle.generate": (api.generate, GenerateConfig),
        "pipe": (SigStylePipeline.__call__, TransferConfig),
        "text2img": (SigStyleText2ImgPipeline.__call__, None),
    }
    seen = set()
    calls = [
        node for code in readme_blocks("python") for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)
    ]
    for call in calls:
        name = ast.unparse(call.func)
        if name in callables:
            seen.add(name)
            function, config = callables[name]
            allowed = {*inspect.signature(function).parameters}
            allowed |= {entry.name for entry in dataclasses.fields(config)} if config else set()
            assert {keyword.arg for keyword in call.keywords} <= allowed
    assert {"sigstyle.capture", "sigstyle.transfer", "pipe"} <= seen

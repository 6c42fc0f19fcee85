"""The batch command: what it prints, its exit codes, and what it leaves behind."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import make_painting, make_parts
from random_style import random_style
from test_base_model import save_pipeline
from test_cli import done, refused, run

from sigstyle import doctor
from sigstyle.base.model import load_base
from sigstyle.batches import run as batch_run
from sigstyle.cli.main import app
from sigstyle.config import TransferConfig
from sigstyle.settings import settable

FEW = ["--steps", "2", "--size-px", "64", "--device", "cpu"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, a style and two photos."""
    folder = tmp_path_factory.mktemp("shop")
    random_style(load_base(save_pipeline(folder / "base", make_parts()))).save(folder / "wave.safetensors")
    (folder / "photos").mkdir()
    for number in range(2):
        make_painting().rotate(25 * number).save(folder / "photos" / f"p{number}.png")
    return folder


def words(shop: Path, output: Path, *more: Any) -> list[Any]:
    style = ["-s", shop / "wave.safetensors", "--base", shop / "base"]
    return ["batch", "--content", shop / "photos", *style, "-o", output, *FEW, *more]


def test_every_setting_is_a_flag() -> None:
    command = typer.main.get_command(app).commands["batch"]  # type: ignore[attr-defined]
    flags = {option for parameter in command.params for option in parameter.opts}
    assert {f"--{entry.name.replace('_', '-')}" for entry in settable(TransferConfig)} <= flags


def test_it_says_what_was_made_and_goes_on_when_called_again(shop: Path, tmp_path: Path) -> None:
    first = done(*words(shop, tmp_path / "out"))
    assert first.stdout.startswith("2 of 2 pictures are done, ")
    assert str(tmp_path / "out" / "index.html") in first.stdout
    data = json.loads(done(*words(shop, tmp_path / "out", "--json")).stdout)
    assert (data["pictures"], data["made"], data["there_before"], data["failed"]) == (2, 0, 2, {})
    assert data["contact_sheets"] == [str(tmp_path / "out" / "contact-sheet.png")]
    assert done(*words(shop, tmp_path / "quiet", "--quiet", "--no-gallery")).output == ""
    assert not (tmp_path / "quiet" / "index.html").exists()


def test_bad_photos_are_skipped_and_the_exit_code_tells(shop: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no")
    result = run(*words(shop, tmp_path / "out"), "--jobs", bad)
    assert result.exit_code == 2
    command = ["batch", "-c", bad, "-c", shop / "photos" / "p0.png", "-s", shop / "wave.safetensors"]
    result = run(*command, "--base", shop / "base", "-o", tmp_path / "out", *FEW)
    assert result.exit_code == 1
    assert f"skipped: {bad} in wave: bad.jpg is not a supported image" in result.stderr
    assert "1 of 2 pictures could not be made" in result.stderr
    assert (tmp_path / "out" / "p0--wave.png").exists()


def test_unusable_arguments_and_jobs_are_exit_code_2(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "no shipped style of that name" in refused("batch", "-c", shop, "-o", out, "-s", "none")
    assert "one of contents and jobs" in refused("batch", "-o", out, "-s", shop / "wave.safetensors")
    assert "no base nowhere/x/y" in refused(*words(shop, out), "--base", "nowhere/x/y")
    assert "several --content" in refused(*words(shop, out, "-c", shop))
    jobs = tmp_path / "jobs.csv"
    jobs.write_text("content,seed\na.png,x\n")
    assert "jobs.csv, row 2: seed is 'x'" in refused("batch", "--jobs", jobs, "-o", out)
    assert not out.exists()
    done(*words(shop, out))
    assert "was made with steps 2 instead of 3" in refused(*words(shop, out, "--steps", 3))


@pytest.mark.parametrize(("preset", "evaluations"), [("default", 1 + 2), ("classic", 2 + 2 + 1)])
def test_a_dry_run_counts_and_estimates_and_writes_nothing(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str, evaluations: int
) -> None:
    monkeypatch.setattr(doctor, "_MEASURE_S", 0.01)
    out = tmp_path / "out"
    command = words(shop, out, "--preset", preset)
    bad = shop / "photos" / "bad.jpg"
    bad.write_text("no")
    try:
        data = json.loads(done(*command, "--dry-run", "--json", "--together", 2).stdout)
    finally:
        bad.unlink()
    assert not out.exists()
    assert (data["photos"], data["styles"], data["pictures"], data["to_make"]) == (3, 1, 3, 3)
    assert data["cannot_be_opened"] == [str(bad)]
    evaluation, encoding, decoding = (data[f"{what}_s"]["64 px"] for what in ("unet_evaluation", "encode", "decode"))
    expected = 3 * (evaluations * evaluation + encoding + decoding)
    assert data["seconds"] == pytest.approx(expected, rel=0.05, abs=0.1)
    assert data["memory_gb"]["process"] > 0
    done(*command)
    again = json.loads(done(*command, "--dry-run", "--json").stdout)
    assert (again["there_already"], again["to_make"]) == (2, 0)


def test_ctrl_c_says_how_far_it_was(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint = batch_run.Painter.paint

    def interrupted(self: Any, group: Any, *rest: Any) -> Any:
        if group[0].photo.label == "p1":
            raise KeyboardInterrupt
        return paint(self, group, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(batch_run.Painter, "paint", interrupted)
        result = run(*words(shop, tmp_path / "out"))
    assert result.exit_code == 130
    assert "stopped: 1 of 2 pictures are done; the same command goes on" in result.stderr
    assert (tmp_path / "out" / "p0--wave.png").exists()
    assert json.loads(done(*words(shop, tmp_path / "out", "--json")).stdout)["made"] == 1


def test_what_cannot_be_is_one_line_and_what_is_left_out_is_said(shop: Path, tmp_path: Path) -> None:
    for place in ("~nosuchuser/out", "n" * 300):
        assert "cannot be" in refused(*words(shop, Path(place)))
    (tmp_path / "in").mkdir()
    make_painting().save(tmp_path / "in" / "a.jpe", "JPEG")
    (tmp_path / "in" / "b.HEIC").touch()
    command = ["batch", "-c", tmp_path / "in", "-s", shop / "wave.safetensors", "--base", shop / "base", *FEW]
    result = done(*command, "-o", tmp_path / "out")
    assert result.stderr.count("Export such photos as JPEG") == 1
    assert done(*command, "-o", tmp_path / "out", "--dry-run").stderr.count("Export such photos as JPEG") == 1


def test_a_foreign_file_is_one_failure_and_a_half_picture_none(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done(*words(shop, out))
    whole = (out / "p0--wave.png").read_bytes()
    (out / "p0--wave.png").write_bytes(whole[: len(whole) // 2])
    (out / "p1--wave.png").write_bytes(b"mine")
    result = run(*words(shop, out))
    assert result.exit_code == 1 and "it was left alone" in result.stderr and "it is made again" in result.stderr
    assert "1 of 2 pictures could not be made" in result.stderr
    assert (out / "p0--wave.png").read_bytes() == whole and (out / "p1--wave.png").read_bytes() == b"mine"


def test_a_traceback_comes_with_debug_alone(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_run.Painter, "paint", lambda *_: 1 / 0)
    result = run(*words(shop, tmp_path / "out"))
    assert result.exit_code == 1 and result.stderr.count("ZeroDivisionError: division by zero") == 2
    assert "Traceback" not in result.stderr
    assert "Traceback" in run(*words(shop, tmp_path / "out", "--debug")).stderr

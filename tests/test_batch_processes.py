"""Several processes, killed ones among them: every picture once, whole, and the same bytes as by one process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from batch_forks import SETTINGS
from conftest import make_painting, make_parts
from random_style import random_style
from test_base_model import save_pipeline
from typer.testing import CliRunner

import sigstyle
from sigstyle.base.model import load_base
from sigstyle.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, five photos of two sizes and three styles, with what one process makes of them in `alone`."""
    place = tmp_path_factory.mktemp("batch")
    base = load_base(save_pipeline(place / "base", make_parts()), "cpu")
    (place / "photos").mkdir()
    for number in range(5):
        photo = make_painting().rotate(20 * number)
        (photo if number % 3 else photo.resize((80, 80))).save(place / "photos" / f"p{number}.png")
    for seed, name in enumerate(("dots", "ink", "wave")):
        random_style(base, name, seed=seed).save(place / f"{name}.safetensors")
    styles = sorted(place.glob("*.safetensors"))
    results = list(sigstyle.batch(place / "photos", styles, place / "alone", base=base, **SETTINGS))
    assert [result.error for result in results] == [None] * 15
    return place


def pictures(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(output.glob("*--*.png"))}


def manifest(output: Path) -> list[str]:
    return [json.loads(line)["output"] for line in (output / "manifest.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, Any]:
    """What the forked processes of all scenarios did."""
    command = [sys.executable, str(ROOT / "tests" / "batch_forks.py"), str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_killed_at_random_none_is_lost_none_made_twice_none_partial(folder: Path, told: dict[str, Any]) -> None:
    assert told["kills"]["code"] == 0 and told["kills"]["killed"] >= 10
    assert told["kills"]["rewritten"] == []
    alone, killed = folder / "alone", folder / "killed"
    assert pictures(killed) == pictures(alone)
    assert manifest(killed) == manifest(alone) == sorted(pictures(alone))
    assert not [path for path in killed.iterdir() if path.suffix == ".tmp"]
    assert (killed / "index.html").exists() and (killed / "contact-sheet.png").exists()


def test_the_work_of_a_killed_process_is_taken_over(folder: Path, told: dict[str, Any]) -> None:
    assert told["takeover"]["codes"] == [-9, 0]
    assert pictures(folder / "taken") == pictures(folder / "alone")
    assert manifest(folder / "taken") == manifest(folder / "alone")


def test_processes_that_share_a_folder_share_the_work(folder: Path, told: dict[str, Any]) -> None:
    assert told["three"]["codes"] == [0, 0, 0]
    assert sum(told["three"]["made"]) == 15
    assert pictures(folder / "shared") == pictures(folder / "alone")
    assert manifest(folder / "shared") == manifest(folder / "alone")


def test_two_gloo_processes_make_the_same_bytes_as_one(folder: Path) -> None:
    def words(output: str) -> list[str]:
        styles = [word for style in sorted(folder.glob("*.safetensors")) for word in ("-s", str(style))]
        places = ["--content", str(folder / "photos"), "--base", str(folder / "base"), "-o", str(folder / output)]
        return ["batch", *places, *styles, "--device", "cpu", "--json", *FLAGS]

    one = CliRunner().invoke(app, words("one"))
    assert one.exit_code == 0, one.output
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "sigstyle", *words("two")]
    run = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["pictures"] == 15  # one of the two speaks
    assert pictures(folder / "two") == pictures(folder / "one")
    assert manifest(folder / "two") == manifest(folder / "one") == manifest(folder / "alone")


def test_loaded_weights_lie_where_matrix_products_round_alike_in_every_process(folder: Path) -> None:
    base = load_base(folder / "base", "cpu")
    modules = (base.unet, base.vae, base.text_encoder)
    assert not [name for module in modules for name, p in module.named_parameters() if p.data_ptr() % 64]

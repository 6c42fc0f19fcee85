"""The forgetting benchmark at toy size: it leaves a table and a sheet, and a second run does nothing anew."""

import sys
from pathlib import Path

import pytest
from conftest import make_painting
from PIL import Image
from random_hed import save_random_hed
from test_collection import base as base
from test_collection import empty as empty

from benchmarks import forgetting, fusion
from sigstyle.base.model import BaseModel
from sigstyle.style.collection import Collection


def test_a_toy_run_leaves_a_table_and_a_sheet(
    base: BaseModel,
    empty: Collection,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = [tmp_path / "level.png", tmp_path / "upright.png"]
    for path, angle in zip(images, (0, 90), strict=True):
        make_painting().rotate(angle, expand=True).save(path)
    monkeypatch.setattr(forgetting, "load_base", lambda *_: base)
    monkeypatch.setattr(forgetting, "style_images", lambda count: images[:count])
    monkeypatch.setattr(forgetting, "TILE_PX", 24)
    words = f"--styles 2 --steps 1 --painting 1 --crop-px 64 --size-px 64 --photo {photo} --name toy".split()
    words += ["--ways", "exact", "penalty", "free"]
    words += ["--judge", str(save_random_hed(tmp_path / "hed.h5"))]
    monkeypatch.setattr(
        sys, "argv", ["forgetting", *words, "--work", str(tmp_path / "w"), "--output", str(tmp_path / "o")]
    )
    forgetting.main()
    text = (tmp_path / "o" / "toy.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith(("| exact", "| penalty", "| free"))]
    assert len(rows) == 3 and all(row.split(" | ")[1] == "2" for row in rows)
    exact = next(row for row in rows if row.startswith("| exact"))
    assert [part.strip() for part in exact.split("|")[3:7]] == ["0.0%"] * 4, "nothing is forgotten"
    assert Image.open(tmp_path / "o" / "toy.jpg").size == (48, 8 * (24 + 14))
    monkeypatch.setattr(forgetting, "transfer", None)  # a second run has all pictures
    forgetting.main()
    assert (tmp_path / "o" / "toy.md").read_text(encoding="utf-8") == text


def test_a_toy_run_between_two_styles(
    base: BaseModel, empty: Collection, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, angle in (("level", 0), ("upright", 90)):
        make_painting().rotate(angle, expand=True).save(tmp_path / f"{name}.jpg")
    for name, value in {"STYLES": tmp_path, "PAIRS": (("level", "upright"),), "SHARES": (0.5,), "SAMPLES": 2}.items():
        monkeypatch.setattr(fusion, name, value)
    monkeypatch.setattr(fusion, "load_base", lambda *_: base)
    words = f"--size-px 64 --photo {photo} --judge {save_random_hed(tmp_path / 'hed.h5')} --output {tmp_path / 'o'}"
    monkeypatch.setattr(sys, "argv", ["fusion", *words.split()])
    fusion.main()
    lines = (tmp_path / "o" / "fusion.md").read_text().splitlines()
    heads = ["| level / upright | 0.5 |", "| between level / upright | ", "| level, ±0.01 | ", "| level, ±0.1 | "]
    rows = [[line for line in lines if line.startswith(head)] for head in heads]
    assert [len(found) for found in rows] == [1] * len(heads) and all(found[0].endswith("% |") for found in rows[1:])
    shares = [[float(cell.strip(" %")) for cell in found[0].split("|")[2:4]] for found in rows[1:]]
    assert all(bound >= met for bound, met in shares)
    assert Image.open(tmp_path / "o" / "fusion.jpg").size == (6 * 200, 16 + 200)

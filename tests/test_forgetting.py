"""The forgetting benchmark at toy size: it leaves a table and a sheet, and a second run does nothing anew."""

import sys
from pathlib import Path

import pytest
from conftest import make_painting
from PIL import Image
from random_hed import save_random_hed
from test_collection import base as base
from test_collection import empty as empty

from benchmarks import forgetting
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
    words += ["--judge", str(save_random_hed(tmp_path / "hed.h5"))]
    monkeypatch.setattr(
        sys, "argv", ["forgetting", *words, "--work", str(tmp_path / "w"), "--output", str(tmp_path / "o")]
    )
    forgetting.main()
    text = (tmp_path / "o" / "toy.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| held") or line.startswith("| free")]
    assert len(rows) == 2 and all(row.split(" | ")[1] == "2" for row in rows)
    assert Image.open(tmp_path / "o" / "toy.jpg").size == (48, 6 * (24 + 14))
    monkeypatch.setattr(forgetting, "transfer", None)  # a second run has all pictures
    forgetting.main()
    assert (tmp_path / "o" / "toy.md").read_text(encoding="utf-8") == text

"""The ablation harness: rows are read and checked, and a toy run leaves a table and a sheet."""

import sys
from pathlib import Path

import pytest
from PIL import Image
from random_hed import save_random_hed

from benchmarks import ablate
from benchmarks.ablate import Variant
from benchmarks.compare import Pairs
from sigstyle.base.model import BaseModel
from sigstyle.errors import ConfigError

QUICK = "steps=1,batch_size=1,crops=1,painting=1,size_px=64"


def test_rows_are_read_and_checked() -> None:
    assert Variant.read("rank=2,style_weight=2") == Variant("rank=2,style_weight=2", {"rank": 2, "style_weight": 2.0})
    read = Variant.read("steps=50,transfer.steps=2,freedom=0.1")
    assert (read.capture, read.transfer) == ({"steps": 50}, {"steps": 2, "freedom": 0.1})
    assert Variant.read("painting=0,anchor=0").preset == "classic" and Variant.read("freedom=0").preset == "default"
    for wrong in ("colour=1", "rank", "rank=", "rank=many", "paint.rank=2", "rank=0", "anchor=0", "transfer.steps=20"):
        with pytest.raises(ConfigError):
            Variant.read(wrong)


def test_a_toy_run_leaves_a_table_and_a_sheet(
    base: BaseModel, painting: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painting.rotate(180).save(tmp_path / "photo.png")
    painting.save(tmp_path / "wave.png")
    pairs = Pairs([tmp_path / "photo.png"], [tmp_path / "wave.png"])
    monkeypatch.setattr(Pairs, "named", lambda name: pairs)
    monkeypatch.setattr(ablate, "load_base", lambda name, device: base)
    monkeypatch.setattr(ablate, "BASELINE", Variant.read(QUICK))
    judge = str(save_random_hed(tmp_path / "hed.h5"))
    folder, words = tmp_path / "tuning", ["--size-px", "64", "--judge", judge, "--cache", str(tmp_path / "cache")]
    rows = [
        f"{QUICK},transfer.strokes=0",
        f"{QUICK},rank=2",
        QUICK.replace("painting=1", "painting=0") + ",transfer.steps=2",
    ]
    monkeypatch.setattr(sys, "argv", ["ablate", *rows, *words, "--output", str(folder), "--name", "toy"])
    ablate.main()
    lines = [line for line in (folder / "toy.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert lines[0] == "|  | style | grey | content | UNet evaluations | seconds | capture, s | kB |"
    assert len(lines) == 2 + 4 and any(line.startswith("| **") for line in lines)
    assert Image.open(folder / "toy.jpg").size == (256, (2 + 4) * (256 + 18))

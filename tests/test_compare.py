"""The comparison with the alternatives: its methods on a tiny base, its counts, its report."""

from pathlib import Path

import pytest
import torch
from conftest import digest
from PIL import Image
from random_style import random_style

from benchmarks import sweep
from benchmarks.compare import HELD_OUT, Pairs, compared
from benchmarks.compare_cache import Cache
from benchmarks.compare_methods import METHODS, Job, counted
from benchmarks.compare_report import Row, dominated, pareto, plot, sheet, table, verdict
from sigstyle.base.model import BaseModel
from sigstyle.errors import ConfigError
from sigstyle.scoring.scores import Scores

EVALUATIONS = {"default": 4 + 4 + 2, "faithful": 4 + 4 + 2, "paper": 4 + 8}
EVALUATIONS |= {"sdedit": 2, "injection": 12, "colour": 0, "photo": 0}


@pytest.fixture
def job(base: BaseModel, painting: Image.Image, tmp_path: Path) -> Job:
    painting.rotate(180).save(tmp_path / "photo.png")
    painting.save(tmp_path / "painting.png")
    return Job(base, tmp_path / "photo.png", tmp_path / "painting.png", 64, 0, {"steps": 4}, random_style(base))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_makes_a_picture_of_the_asked_size_and_restores_the_base(job: Job, name: str) -> None:
    weights = digest(job.base.unet)
    with counted(job.base) as rows:
        first = METHODS[name].make(job)
    assert sum(rows) == EVALUATIONS[name]
    assert first.size == (77, 64)
    assert METHODS[name].make(job).tobytes() == first.tobytes()
    assert digest(job.base.unet) == weights
    assert not job.base.unet._forward_pre_hooks


def test_methods_differ(job: Job) -> None:
    torch.manual_seed(1)
    assert len({method.make(job).tobytes() for method in METHODS.values()}) == len(METHODS)


def test_there_are_as_many_pairs_as_said_and_no_image_is_in_both() -> None:
    held, tuning = Pairs.named("held-out"), Pairs.named("tuning")
    assert (len(held.photos), len(held.styles)) == (6, 6)
    assert (len(tuning.photos), len(tuning.styles)) == (6, 8)
    assert all(path.is_file() for path in (*tuning.photos, *tuning.styles))
    assert not {p.read_bytes() for p in (*held.photos, *held.styles)} & {
        p.read_bytes() for p in (*tuning.photos, *tuning.styles)
    }
    sources = (HELD_OUT / "SOURCES.md").read_text(encoding="utf-8")
    assert all(path.name in sources and path.stat().st_size <= 200_000 for path in (*held.photos, *held.styles))


def rows(folder: Path) -> list[Row]:
    path = folder / "picture.png"
    Image.new("RGB", (60, 40), "red").save(path)
    scores = {"default": (0.2, 0.3), "paper": (0.3, 0.3), "photo": (0.4, 0.0)}
    made = [Row(n, "cat", "wave", path, Scores(s, c, 0, 0), 40, 1.5, None) for n, (s, c) in scores.items()]
    return [*made, Row("default", "dog", "wave", path, Scores(0.4, 0.5, 0, 0), 20, 2.5, 70.0)]


def test_the_table_has_means_and_who_is_undominated(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert [dominated(row, found) for row in found] == [False, True, False, False]
    lines = table(found, {"default": "ours", "paper": "theirs", "photo": "none"}).splitlines()
    assert lines[2] == "| ours | 0.300 | 0.400 | 0.000 | 0.000 | 30 | 2.0 | 70 | 2 of 2 |"
    assert lines[3].endswith("| none | 0 of 2 |")
    assert "| theirs | 1 of 1 | 1 of 1 |" in verdict(found, {"paper": "theirs"})
    assert "| none | 1 of 1 | 0 of 1 |" in verdict(found, {"photo": "none"})


def test_pareto() -> None:
    assert pareto([(1, 1), (0, 3), (2, 2), (3, 0), (1, 2)]) == [(0, 3), (1, 1), (3, 0)]


def test_plot_and_sheet_are_pictures(tmp_path: Path) -> None:
    found, titles = rows(tmp_path), {"default": "ours", "paper": "theirs", "photo": "none"}
    plot(found, titles, tmp_path / "plot.png")
    assert Image.open(tmp_path / "plot.png").width > 500
    sheet(found, list(titles), {"wave": tmp_path / "picture.png"}, tmp_path / "sheet.jpg")
    assert Image.open(tmp_path / "sheet.jpg").size == (4 * 150, 16 + 2 * 150)


def test_a_stopped_comparison_goes_on_where_it_was(job: Job, tmp_path: Path) -> None:
    pairs, cache = Pairs([job.content], [job.style_image]), Cache(tmp_path / "cache", job.base)
    first = list(compared(cache, pairs, ["sdedit", "photo"], job, capture_steps=2))
    with counted(job.base) as evaluated:
        assert list(compared(cache, pairs, ["sdedit", "photo"], job, capture_steps=2)) == first
        assert not evaluated
        assert [row.method for row in compared(cache, pairs, ["photo", "injection"], job, 2)] == ["photo", "injection"]
        assert sum(evaluated) == EVALUATIONS["injection"]
    assert first[0].evaluations == EVALUATIONS["sdedit"] and first[0].capture_s is not None
    assert first[1].scores.content < 0.1 and first[1].capture_s is None


def test_dials_are_read_and_checked() -> None:
    assert sweep.dial("transfer.adain=0,0.5") == ("transfer", "adain", [0.0, 0.5])
    assert sweep.dial("capture.steps=60,120") == ("capture", "steps", [60, 120])
    for wrong in ("adain=1", "transfer.colour=1", "transfer.adain", "capture.steps=many"):
        with pytest.raises(ConfigError, match="The dial is"):
            sweep.dial(wrong)


def test_a_sweep_marks_the_default_and_the_front() -> None:
    scores = [Scores(0.3, 0.2, 0, 0), Scores(0.2, 0.3, 0, 0), Scores(0.4, 0.4, 0, 0)]
    lines = sweep.table("adain", [0.0, 0.5, 1.0], scores, 0.5).splitlines()
    assert lines[2].endswith("| on the front |") and lines[3].endswith("| the default, on the front |")
    assert lines[4].endswith("|  |")

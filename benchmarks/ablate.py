"""Capture and transfer with one thing changed at a time, judged by others than the teacher: a table and a sheet.

    python -m benchmarks.ablate painting=0 rank=2 autoencoder=off style_weight=2 content_bound=0 --name capture
    python -m benchmarks.ablate instant start=instant,capture.steps=30 --pairs unseen --name instant
    python -m benchmarks.ablate capture.steps=50 transfer.steps=2 freedom=0.1 strokes=0 rank=8,steps=200

A row is one or several settings joined by commas; the first row is always the default. A setting is one of the capture
where there is one of that name, unless `transfer.` stands before it. `instant` is the style that the hypernetwork gives
at once. A capture that paints nothing (painting=0) is put on photos by inverting and swapping, which is all it can do.
Uses the first of the pairs; styles, pictures and scores are cached as in benchmarks.compare. Writes docs/tuning/NAME.md
and NAME.jpg.
"""

import argparse
import dataclasses
import io
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from benchmarks.compare import Pairs, shared_arguments
from benchmarks.compare_cache import ROOT, Cache
from benchmarks.compare_methods import Job
from benchmarks.compare_report import VGG16_HED, pareto
from sigstyle.base.model import load_base
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.files import write_atomically
from sigstyle.imaging.images import load_image
from sigstyle.scoring.pairs import mean
from sigstyle.scoring.scores import Scorer, Scores
from sigstyle.scoring.vgg16_hed import Vgg16HedScorer
from sigstyle.settings import field_type

TILE_PX, LABEL_PX = 256, 18
_CAPTURE, _TRANSFER = (
    {entry.name: field_type(entry) for entry in dataclasses.fields(kind) if not entry.metadata.get("internal")}
    for kind in (CaptureConfig, TransferConfig)
)


@dataclass(frozen=True)
class Variant:
    """A row: its name, and what it changes in capture and transfer."""

    name: str
    capture: dict[str, Any] = field(default_factory=dict)
    transfer: dict[str, Any] = field(default_factory=dict)
    instant: bool = False

    @classmethod
    def read(cls, text: str) -> "Variant":
        """'rank=2,transfer.steps=2' as settings. Raises: ConfigError."""
        if text == "instant":
            return cls(text, instant=True)
        made = cls(text)
        for part in text.split(","):
            name, _, value = part.partition("=")
            kind, _, setting = name.rpartition(".")
            home = {"": "capture" if setting in _CAPTURE else "transfer"}.get(kind, kind)
            known = {"capture": _CAPTURE, "transfer": _TRANSFER}.get(home, {})
            if setting not in known or not value:
                raise ConfigError(f"The row {text!r} has {part!r}; expected SETTING=VALUE or transfer.SETTING=VALUE.")
            try:
                getattr(made, home)[setting] = known[setting](value)
            except ValueError as error:
                raise ConfigError(f"The row {text!r} has {part!r}: {error}.") from error
        TransferConfig.preset(made.preset, **made.transfer)
        return made

    @property
    def config(self) -> CaptureConfig | None:
        """The settings of its capture, None where there is none. Raises: ConfigError for a bad value."""
        return None if self.instant else CaptureConfig.from_dict(self.capture)

    @property
    def preset(self) -> str:
        """How its style is put on photos."""
        return "classic" if self.config and self.config.classic else "default"


BASELINE = Variant("the default")


@dataclass(frozen=True)
class Measured:
    """What a variant gave: its pictures pair by pair, means over them, and what its captures took."""

    variant: Variant
    pictures: Sequence[Path]
    scores: Scores
    evaluations: float
    seconds: float
    capture_s: float
    style_bytes: float


def measured(cache: Cache, scorer: Scorer, pairs: Pairs, job: Job, variants: Sequence[Variant]) -> Iterator[Measured]:
    """Each variant on every pair. Raises: ConfigError."""
    for variant in variants:
        pictures, scores, facts, captures = [], [], [], []
        for image in pairs.styles:
            style, seconds = cache.style(image, variant.config)
            captures.append((seconds, sum(t.nbytes for t in style.tensors().values())))
            for photo in pairs.photos:
                own = replace(job, content=photo, style_image=image, style=style, changes=variant.transfer)
                picture, fact = cache.picture(variant.preset, own)
                pictures.append(picture)
                facts.append((fact["evaluations"], fact["seconds"]))
                scores.append(cache.scores(scorer, picture, own))
        evaluations, seconds = (sum(column) / len(facts) for column in zip(*facts, strict=True))
        capture_s, size = (sum(column) / len(captures) for column in zip(*captures, strict=True))
        yield Measured(variant, pictures, mean(scores), evaluations, seconds, capture_s, size)


def table(rows: Sequence[Measured]) -> str:
    """Means as Markdown; rows that no other one beats in style and content are in bold."""
    columns = [name for name in rows[0].scores.to_dict() if name.startswith("vgg16_hed")]
    by = [VGG16_HED.of(row.scores) for row in rows]
    front = pareto([(content, style) for style, content in by])
    head = [
        "",
        *(name.removeprefix("vgg16_hed_") for name in columns),
        "UNet evaluations",
        "seconds",
        "capture, s",
        "kB",
    ]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    for row, (style, content) in zip(rows, by, strict=True):
        values = [f"{row.scores.to_dict()[name]:.3f}" for name in columns]
        name = f"**{row.variant.name}**" if (content, style) in front else row.variant.name
        costs = [f"{row.evaluations:g}", f"{row.seconds:.1f}", f"{row.capture_s:.0f}", f"{row.style_bytes / 1000:.0f}"]
        lines.append(f"| {' | '.join([name, *values, *costs])} |")
    return "\n".join(lines) + "\n"


def sheet(rows: Sequence[Measured], pairs: Pairs, path: Path) -> None:
    """A JPEG: photos above, then a line for each variant; columns are the pairs, style by style."""
    lines: list[tuple[str, Sequence[Path]]] = [("style image", [s for s in pairs.styles for _ in pairs.photos])]
    lines += [("photo", list(pairs.photos) * len(pairs.styles))]
    lines += [(row.variant.name, row.pictures) for row in rows]
    canvas = Image.new("RGB", (len(lines[0][1]) * TILE_PX, len(lines) * (TILE_PX + LABEL_PX)), "white")
    draw = ImageDraw.Draw(canvas)
    for line, (name, places) in enumerate(lines):
        top = line * (TILE_PX + LABEL_PX)
        draw.text((4, top + 3), name, fill="black")
        for column, place in enumerate(places):
            tile = load_image(place)
            tile.thumbnail((TILE_PX - 4, TILE_PX - 4), Image.Resampling.LANCZOS)
            canvas.paste(tile, (column * TILE_PX + 2, top + LABEL_PX))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=85, optimize=True)
    write_atomically(path, buffer.getvalue())


def write(folder: Path, name: str, rows: Sequence[Measured], pairs: Pairs, job: Job) -> None:
    """The table and the sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    sheet(rows, pairs, folder / f"{name}.jpg")
    styles, photos = (", ".join(path.stem for path in paths) for paths in (pairs.styles, pairs.photos))
    text = [
        f"# Ablation: {name}",
        f"```sh\npython -m benchmarks.ablate {shlex.join(sys.argv[1:])}\n```",
        f"Photos: {photos}. Paintings: {styles}. {job.size_px} px, seed {job.seed}, base {job.base.name} "
        f"({job.base.fingerprint}), {torch.get_num_threads()} thread(s), torch {torch.__version__}. Style, grey "
        "and content are distances by vgg16-hed (docs/benchmarks.md), 0 at best; bold is on their front.",
        table(rows),
        f"![paintings, photos, then a line for each row]({name}.jpg)\n",
    ]
    write_atomically(folder / f"{name}.md", "\n\n".join(text).encode())


def arguments() -> argparse.Namespace:
    """What the command line says. Raises: ConfigError."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="SETTING=VALUE[,…]", type=Variant.read)
    parser.add_argument("--name", default="ablation", help="of the files written")
    parser.add_argument("--pairs", choices=("tuning", "held-out", "unseen"), default="tuning")
    parser.add_argument("--photos", type=int, default=2, help="take only the first so many photos")
    parser.add_argument("--styles", type=int, default=3, help="take only the first so many style images")
    shared_arguments(parser, ROOT / "docs/tuning")
    return parser.parse_args()


def main() -> None:
    """Makes and judges all rows; the table and the sheet are written anew after each, so a stopped run leaves some."""
    try:
        args = arguments()
        scorer = Scorer(extras=[Vgg16HedScorer(args.judge)])
        base = load_base(args.base, args.device)
    except ConfigError as error:
        sys.exit(f"benchmarks.ablate: {error}")
    every = Pairs.named(args.pairs)
    pairs = Pairs(every.photos[: args.photos], every.styles[: args.styles])
    job = Job(base, pairs.photos[0], pairs.styles[0], args.size_px, args.seed)
    rows: list[Measured] = []
    for row in measured(Cache(args.cache, base), scorer, pairs, job, [BASELINE, *args.variants]):
        rows.append(row)
        print(table(rows).splitlines()[-1], flush=True)
        write(args.output, args.name, rows, pairs, job)
    print(f"written: {args.output / args.name}.md")


if __name__ == "__main__":
    main()

"""Many styles in a row into one collection: what earlier ones lose, and what it costs the new ones to hold those.

    python -m benchmarks.forgetting --styles 30 --steps 60        hours on a CPU; stopped, it goes on where it was

Ways, with the same steps: exact (as `collection add` does it), penalty (`--holding penalty`), free (that without its
penalty), and alone (free, each style into a collection of its own), with which the others are compared. Every style is
painted on a photo when it was added and again at the milestones, and judged by vgg16-hed. Writes the table and a
contact sheet to docs/tuning/.
"""

import argparse
import io
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from benchmarks.compare import EXAMPLES, HELD_OUT, shared_arguments
from benchmarks.compare_cache import ROOT
from sigstyle.api import transfer
from sigstyle.base.model import BaseModel, load_base
from sigstyle.config import CollectionConfig
from sigstyle.errors import ConfigError
from sigstyle.files import write_atomically
from sigstyle.imaging.images import load_image
from sigstyle.learning.collecting import add_to_collection, new_collection
from sigstyle.scoring.vgg16_hed import Vgg16HedScorer
from sigstyle.style.collection import Collection
from sigstyle.style.collection_file import load_collection, save_collection
from sigstyle.style.drift import offsets_sketch

_FREE = {"holding": "penalty", "hold": 0.0}
WAYS: dict[str, dict[str, Any]] = {"exact": {}, "penalty": {"holding": "penalty"}, "free": _FREE, "alone": _FREE}
TILE_PX, SHOWN = 160, 8


def style_images(count: int) -> list[Path]:
    """Style images, always in the same mixed order. Raises: ConfigError where there are fewer."""
    every = sorted([*(EXAMPLES / "style").glob("*.jpg"), *HELD_OUT.glob("style/*.jpg"), *HELD_OUT.glob("unseen/*.jpg")])
    if count > len(every):
        raise ConfigError(f"There are {len(every)} style images; expected at least {count}.")
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(0)).tolist()
    return [every[place] for place in order[:count]]


@dataclass
class Bench:
    """What a run is made with, and where its collections, pictures and distances lie."""

    base: BaseModel
    config: CollectionConfig
    judge: Vgg16HedScorer
    photo: Path
    size_px: int
    folder: Path
    images: Sequence[Path]
    ways: Sequence[str]

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._places = self.folder / "distances.json"
        self.distances: dict[str, dict[str, float]] = {}
        if self._places.exists():
            self.distances = json.loads(self._places.read_text())

    def collection(self, way: str) -> Collection:
        """How far a way has come."""
        path = self.folder / f"{way}.safetensors"
        return load_collection(path) if path.exists() else new_collection(self.base)

    def add(self, way: str, index: int) -> None:
        """Add a style image, unless that is done, and judge it."""
        before = self.collection(way) if way != "alone" else new_collection(self.base)
        config = replace(self.config, **WAYS[way])
        done = len(before.members) > index if way != "alone" else f"alone {index} added" in self.distances
        if not done:
            image = load_image(self.images[index])
            before = add_to_collection(self.base, before, [image], self.images[index].stem, config)
            if way != "alone":
                save_collection(self.folder / f"{way}.safetensors", before)
        if f"{way} {index} added" not in self.distances:
            self.judged(before, way, index, "added")

    def judged(self, collection: Collection, way: str, index: int, when: str) -> dict[str, float]:
        """Distances of the photo painted in a style; kept."""
        key, image = f"{way} {index} {when}", self.images[index]
        if key not in self.distances:
            style = collection.style({image.stem: 1})
            picture = transfer(self.photo, style, base=self.base, size_px=self.size_px).images[0]
            picture.save(self.folder / f"{key}.png")
            found = self.judge.score(picture, load_image(self.photo), load_image(image))
            member = collection.member(image.stem)
            now = offsets_sketch(collection.offsets(member.embedding))
            drift = float((now - member.offsets_then).norm() / member.offsets_then.norm())
            self.distances[key] = {"style": found["vgg16_hed_style"], "content": found["vgg16_hed_content"]}
            self.distances[key]["drift"] = drift
            write_atomically(self._places, json.dumps(self.distances, indent=1).encode())
        return self.distances[key]

    def row(self, way: str, count: int) -> list[str]:
        """A way's line in the table, after so many styles: what earlier ones lost, and the added against alone."""
        collection, when = self.collection(way), f"after {count}"
        added = [self.distances[f"{way} {index} added"] for index in range(count)]
        alone = [self.distances[f"alone {index} added"] for index in range(count)]
        last = [self.judged(collection, way, index, when) for index in range(count)]
        earlier = list(zip(added, last, strict=True))[:-1]
        change = [abs(now["style"] / then["style"] - 1) for then, now in earlier]
        pairs = list(zip(added, alone, strict=True))
        worse = {key: [one[key] / other[key] - 1 for one, other in pairs] for key in ("style", "content")}
        return [
            way,
            str(count),
            *(f"{value:.1%}" for value in (max(change), _mean(change))),
            *(
                f"{value:.1%}"
                for value in (max(now["drift"] for _, now in earlier), _mean([n["drift"] for _, n in earlier]))
            ),
            *(f"{_mean(worse[key]):+.1%} / {max(worse[key]):+.1%}" for key in ("style", "content")),
            *(f"{_mean([one[key] for one in last]):.3f}" for key in ("style", "content")),
        ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


HEAD = [
    "",
    "styles",
    "worst change of an earlier style's distance",
    "mean",
    "worst drift of its offsets",
    "mean",
    "added, against alone: style, mean / worst",
    "content",
    "style at the end",
    "content",
]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def sheet(bench: Bench, count: int, path: Path) -> None:
    """A JPEG of the first styles: their images, then how each way paints them when added and at the end."""
    lines = ["style image", "alone 0 added"]
    lines += [f"{way} 0 {when}" for way in bench.ways for when in ("added", f"after {count}")]
    columns = min(SHOWN, count)
    canvas = Image.new("RGB", (columns * TILE_PX, len(lines) * (TILE_PX + 14)), "white")
    for row, line in enumerate(lines):
        ImageDraw.Draw(canvas).text((3, row * (TILE_PX + 14) + 1), line.replace(" 0 ", " "), fill="black")
        for column in range(columns):
            place = bench.images[column] if row == 0 else bench.folder / f"{line.replace(' 0 ', f' {column} ')}.png"
            tile = load_image(place)
            tile.thumbnail((TILE_PX - 3, TILE_PX - 3), Image.Resampling.LANCZOS)
            canvas.paste(tile, (column * TILE_PX, row * (TILE_PX + 14) + 14))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=85, optimize=True)
    write_atomically(path, buffer.getvalue())


def run(bench: Bench, milestones: Sequence[int], output: Path, name: str) -> None:
    """Add style after style, each in all ways; at the milestones judge all and write the table anew."""
    rows: list[Sequence[str]] = []
    for count in range(1, len(bench.images) + 1):
        for way in ("alone", *bench.ways):
            bench.add(way, count - 1)
        print(f"{count} styles", flush=True)
        first = bench.ways[0]
        fresh = len(bench.collection(first).members) == count or f"{first} 0 after {count}" in bench.distances
        if count in milestones and count > 1 and fresh:
            rows += [bench.row(way, count) for way in bench.ways]
            write(bench, rows, count, output, name)


def write(bench: Bench, rows: Sequence[Sequence[str]], count: int, output: Path, name: str) -> None:
    """The table and the sheet."""
    output.mkdir(parents=True, exist_ok=True)
    sheet(bench, count, output / f"{name}.jpg")
    settings = {
        key: value for key, value in bench.config.to_dict().items() if value != getattr(CollectionConfig(), key)
    }
    text = [
        "# Forgetting",
        f"```sh\npython -m benchmarks.forgetting {shlex.join(sys.argv[1:])}\n```",
        f"Photo: {bench.photo.stem}, {bench.size_px} px. Settings that differ from the defaults of `collection add`: "
        f"{json.dumps(settings)}. Base {bench.base.name} ({bench.base.fingerprint}), torch {torch.__version__}. "
        "Distances by vgg16-hed (docs/benchmarks.md), 0 at best.",
        table(rows),
        f"![style images, then each way when added and at the end]({name}.jpg)\n",
    ]
    write_atomically(output / f"{name}.md", "\n\n".join(text).encode())


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--styles", type=int, default=30, help="how many in a row")
    parser.add_argument("--milestones", type=int, nargs="+", default=[10, 20, 30], help="after how many all are judged")
    parser.add_argument("--steps", type=int, default=60, help="training steps of each")
    parser.add_argument("--painting", type=int, default=2, help="photos painted in one step")
    parser.add_argument("--crop-px", type=int, help="side of the crops that are remembered; the base's own")
    parser.add_argument("--ways", nargs="+", choices=[way for way in WAYS if way != "alone"], default=["exact", "free"])
    parser.add_argument("--photo", type=Path, default=HELD_OUT / "content/house.jpg")
    parser.add_argument("--name", default="forgetting", help="of the files written")
    parser.add_argument("--work", type=Path, default=ROOT / "outputs/forgetting", help="where a stopped run goes on")
    shared_arguments(parser, ROOT / "docs/tuning")
    return parser.parse_args()


def main() -> None:
    """Makes and judges all; says in one line what cannot be done."""
    args = arguments()
    changes: dict[str, Any] = {
        "steps": args.steps,
        "painting": args.painting,
        "size_px": args.crop_px,
        "seed": args.seed,
    }
    try:
        config, images = CollectionConfig(**changes), style_images(args.styles)
        judge, base = Vgg16HedScorer(args.judge), load_base(args.base, args.device)
        bench = Bench(base, config, judge, args.photo, args.size_px, args.work, images, args.ways)
        run(bench, [*args.milestones, args.styles], args.output, args.name)
    except ConfigError as error:
        sys.exit(f"benchmarks.forgetting: {error}")


if __name__ == "__main__":
    main()

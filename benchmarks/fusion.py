"""Between two styles: their embeddings' mean against their factors' mean, and how wide the box between them is.

    python -m benchmarks.fusion        minutes on a CPU

Styles are those that the hypernetwork gives at once. Each mixture is painted on one photo and judged by vgg16-hed
against both style images. Writes a table and a contact sheet to docs/tuning/.
"""

import argparse
import io
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks.compare import HELD_OUT, shared_arguments
from benchmarks.compare_cache import ROOT
from sigstyle.api import transfer
from sigstyle.base.model import BaseModel, load_base
from sigstyle.errors import ConfigError
from sigstyle.files import write_atomically
from sigstyle.imaging.images import load_image
from sigstyle.learning.collecting import new_collection
from sigstyle.learning.measured import Measured
from sigstyle.scoring.features import style_features
from sigstyle.scoring.vgg16_hed import Vgg16HedScorer
from sigstyle.style.collection import Collection, Member
from sigstyle.style.fusion import HyperBox, fused, reach

STYLES = HELD_OUT / "style"
PAIRS = (
    ("renoir-moulin-de-la-galette", "hiroshige-mackerel"),
    ("arcimboldo-spring", "hiroshige-inokashira-snow"),
    ("durer-lion", "bazille-ramparts"),
)
SHARES = (0.75, 0.5, 0.25)  # of the first
RADII = (0.01, 0.1)  # of boxes around one style
TILE_PX, SAMPLES = 200, 64


@dataclass
class Bench:
    """What the mixtures are made and judged with."""

    base: BaseModel
    collection: Collection
    judge: Vgg16HedScorer
    photo: Path
    size_px: int

    def painted(self, pair: Sequence[str], share: float, way: str) -> Image.Image:
        """The photo between two styles: 'embedding', or 'factors', which weighs two ready styles."""
        first, second = pair
        if way == "embedding" or share in (0, 1):
            shares = {name: value for name, value in ((first, share), (second, 1 - share)) if value}
            styles, weights = [self.collection.style(shares)], None
        else:
            styles, weights = [self.collection.style({name: 1}) for name in pair], [share, 1 - share]
        return transfer(self.photo, styles, weights=weights, base=self.base, size_px=self.size_px).images[0]

    def distances(self, picture: Image.Image, pair: Sequence[str]) -> list[float]:
        """Style distance to both, and content distance."""
        found = [self.judge.score(picture, load_image(self.photo), load_image(STYLES / f"{n}.jpg")) for n in pair]
        return [*(one["vgg16_hed_style"] for one in found), found[0]["vgg16_hed_content"]]

    def widths(self, pair: Sequence[str]) -> tuple[float, float]:
        """The bound between two styles, and how far their mixtures were found to be from the middle; as shares."""
        ends = [self.collection.member(name).embedding for name in pair]
        shares = [place / SAMPLES for place in range(SAMPLES + 1)]
        inside = [fused(ends, [share, 1 - share]) for share in shares]
        return self._bounded(HyperBox.between(ends), fused(ends, [1, 1]), inside)

    def widths_around(self, name: str, radius: float) -> tuple[float, float]:
        """The same of the box around one style; its corners are what is looked at."""
        embedding, generator = self.collection.member(name).embedding, torch.Generator().manual_seed(0)
        box = HyperBox.around(embedding, radius)
        inside = [box.point(torch.rand(len(box.spans), generator=generator).round()) for _ in range(SAMPLES)]
        return self._bounded([box], embedding, inside)

    def _bounded(self, boxes: list[HyperBox], middle: Tensor, inside: Sequence[Tensor]) -> tuple[float, float]:
        """The bound of boxes, and how far points inside are, from the offsets in the middle."""
        net = self.collection.network.net
        known = net.offsets(net.predict(middle).coefficients)
        size = sum(float(offset.delta().square().sum()) for offset in known.values())
        farthest = 0.0
        for point in inside:
            found = net.offsets(net.predict(point).coefficients)
            gap = sum(float((found[path].delta() - known[path].delta()).square().sum()) for path in known)
            farthest = max(farthest, (gap / size) ** 0.5)
        return reach(boxes, net, middle), farthest


def instant_collection(base: BaseModel, names: Sequence[str]) -> Collection:
    """The styles of images as the hypernetwork sees them, with nothing trained."""
    collection, network = new_collection(base), style_features().to(base.device)
    for name in names:
        measured = Measured.on([load_image(STYLES / f"{name}.jpg")], network, base.device)
        embedding, nothing = collection.network.embed(measured.vector), torch.zeros(1)
        member = Member(name, embedding, measured.palette, measured.brushwork, nothing, nothing)
        collection = collection.with_member(collection.network, member)
    return collection


def run(bench: Bench, output: Path, name: str) -> None:
    """Paints and judges pair after pair; table and sheet are written anew after each."""
    output.mkdir(parents=True, exist_ok=True)
    rows, boxes, lines = [], [], []
    for pair in PAIRS:
        called, line = " / ".join(pair), [load_image(STYLES / f"{pair[0]}.jpg"), bench.painted(pair, 1, "embedding")]
        for share in SHARES:
            cells = []
            for way in ("embedding", "factors"):
                picture = bench.painted(pair, share, way)
                first, second, content = bench.distances(picture, pair)
                cells.append(f"{first:.3f} + {second:.3f} = {first + second:.3f}, {content:.3f}")
                line.append(picture)
            rows.append(f"| {called} | {share:g} | {' | '.join(cells)} |")
            print(rows[-1], flush=True)
        lines.append([*line, bench.painted(pair, 0, "embedding"), load_image(STYLES / f"{pair[1]}.jpg")])
        bound, found = bench.widths(pair)
        boxes.append(f"| between {called} | {bound:.1%} | {found:.1%} |")
        for radius in RADII:
            bound, found = bench.widths_around(pair[0], radius)
            boxes.append(f"| {pair[0]}, ±{radius:g} | {bound:.1%} | {found:.1%} |")
        sheet(lines, output / f"{name}.jpg")
        write_atomically(output / f"{name}.md", report(bench, rows, boxes, name).encode())


def report(bench: Bench, rows: Sequence[str], boxes: Sequence[str], name: str) -> str:
    """The page of what was measured."""
    mixtures = ["| pair | share of the first | embeddings: to both, content | factors: to both, content |"]
    widths = ["| box | bound on the offsets' distance from the middle | farthest of what was looked at |"]
    text = [
        "# Between styles",
        f"```sh\npython -m benchmarks.fusion {shlex.join(sys.argv[1:])}\n```",
        f"Photo: {bench.photo.stem}, {bench.size_px} px, base {bench.base.name} ({bench.base.fingerprint}), "
        f"hypernetwork {bench.collection.network.hash}. Distances by vgg16-hed to both style images and their sum, 0 "
        "at best.",
        "\n".join([*mixtures, "| --- | --- | --- | --- |", *rows]),
        "\n".join([*widths, "| --- | --- | --- |", *boxes]),
        f"Looked at: {SAMPLES + 1} mixtures of two styles, {SAMPLES} corners of the box around one.",
        f"![between styles]({name}.jpg)\n",
    ]
    return "\n\n".join(text)


def sheet(lines: Sequence[Sequence[Image.Image]], path: Path) -> None:
    """A JPEG: for each pair the first image, its style, mixtures both ways, the second style, its image."""
    shares = [f"{share:g} {way}" for share in SHARES for way in ("embedding", "factors")]
    names = ["first image", "its style", *shares, "second style", "its image"]
    canvas = Image.new("RGB", (len(names) * TILE_PX, 16 + len(lines) * TILE_PX), "white")
    draw = ImageDraw.Draw(canvas)
    for column, name in enumerate(names):
        draw.text((column * TILE_PX + 3, 2), name, fill="black")
        for row, line in enumerate(lines):
            tile = line[column].convert("RGB")
            tile.thumbnail((TILE_PX - 3, TILE_PX - 3), Image.Resampling.LANCZOS)
            canvas.paste(tile, (column * TILE_PX, 16 + row * TILE_PX))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=85, optimize=True)
    write_atomically(path, buffer.getvalue())


def main() -> None:
    """Makes and judges all; says in one line what cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, default=HELD_OUT / "content/house.jpg")
    parser.add_argument("--name", default="fusion", help="of the files written")
    shared_arguments(parser, ROOT / "docs/tuning")
    args = parser.parse_args()
    try:
        base = load_base(args.base, args.device)
        collection = instant_collection(base, sorted({name for pair in PAIRS for name in pair}))
        run(Bench(base, collection, Vgg16HedScorer(args.judge), args.photo, args.size_px), args.output, args.name)
    except ConfigError as error:
        sys.exit(f"benchmarks.fusion: {error}")


if __name__ == "__main__":
    main()

"""Collect style images and photos that the hypernetwork for all styles learns from: ``index.jsonl`` and pictures."""

import hashlib
import json
import random
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from weights.training import dataset
from weights.training.sources import SOURCES, Source

SIDE_PX = 512
MOST = {"painting": 260, "art": 130, "texture": 45, "clipart": 130, "sky": 40, "photo": 60}
"""Most pictures of one group of a package, by kind."""

FILTERS = {
    "oil": ("fx_painting {a},{b},1.5,50,1", (3, 5), (2, 4)),
    "brush": ("fx_brushify 7,0.25,4,64,25,{a},0,2,4,0.2,0.5,{b},1,1,1,1,5,0,0.2,1,0", (10, 18), (20, 60)),
    "kuwahara": ("kuwahara {a} texturize_canvas {b},3,0.6", (5, 13), (5, 20)),
    "cartoon": ("cartoon {a},200,20,0.25,1.5,{b},0", (2, 5), (6, 16)),
    "poster": ("fx_poster_edges {a},{b},5,0,10,0,0,0", (15, 40), (40, 70)),
    "pencil": ("pencilbw {a},{b} texturize_paper", (0.3, 2), (30, 70)),
    "hatching": ("fx_hardsketchbw 300,{a},{b},0.1,20,0,0", (35, 70), (0.7, 1.5)),
    "charcoal": ("fx_charcoal {a},{b},170,0,1,0,50,70,255,255,255,0,0,0,0,0", (45, 75), (50, 80)),
    "engraving": ("fx_engrave {a},{b},0,8,40,0,0,0,10,1,0,0,0,1,0", (0.4, 1.2), (35, 60)),
    "stencil": ("stencilbw {a},{b}", (6, 16), (5, 15)),
    "halftone": ("halftone 5,{a},{b},5,0.1", (5, 10), (5, 10)),
    "glass": ("stained_glass {a},{b},1", (12, 30), (0.1, 0.3)),
    "facets": ("polygonize {a},{b},10,10,10", (120, 400), (5, 15)),
    "leaded": ("fx_polygonize {a},{b},10,10,10,0,0,0,255,0", (120, 400), (5, 15)),
    "mosaic": ("mosaic {a} texturize_canvas {b},3,0.6", (40, 90), (4, 12)),
    "ellipses": ("ellipsionism {a},{b},0.5,0.7,3,0.5", (12, 26), (6, 12)),
    "wash": ("fx_color_ellipses {a},{b},0.1", (300, 700), (4, 10)),
    "whirls": ("whirls {a},{b},0.2,1.8", (5, 10), (1, 3)),
    "glow": ("rodilius {a},10,300,5,5,{b}", (6, 14), (20, 40)),
    "dabs": ("fx_lylejk_painting {a},{b},4,10,0,0", (6, 12), (2, 4)),
}
"""G'MIC commands that turn a photo into a drawing or a painting, with the ranges of two of their numbers."""


@dataclass(frozen=True)
class Picture:
    """One picture with a short side of 512 px, for its style or as a photo to paint."""

    path: Path
    kind: str  # painting | art | texture | clipart | sky | filtered | photo
    split: str  # train | held
    source: str


def load_index(folder: Path) -> list[Picture]:
    """Read the pictures that ``build`` wrote to ``folder``."""
    rows = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    return [Picture(**{**row, "path": folder / row["path"]}) for row in rows]


def fitted(image: Image.Image) -> Image.Image:
    """A picture with a short side of 512 px, its long side cut to 768 px at most."""
    scale = SIDE_PX / min(image.size)
    size = (max(SIDE_PX, round(image.width * scale)), max(SIDE_PX, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.LANCZOS)
    left, top = (max(0, side - 768) // 2 for side in size)
    return image.crop((left, top, left + min(768, size[0]), top + min(768, size[1])))


def filtered(photo: Path, name: str, rng: random.Random) -> Image.Image | None:
    """A photo turned into a drawing or painting by G'MIC; None where the filter fails."""
    template, first, second = FILTERS[name]
    command = template.format(a=round(rng.uniform(*first), 2), b=round(rng.uniform(*second), 2))
    with tempfile.TemporaryDirectory() as scratch:
        source, made = Path(scratch, "in.png"), Path(scratch, "out.png")
        with Image.open(photo) as image:
            image.convert("RGB").save(source)
        words = ["gmic", str(source), *command.split(), "cut", "0,255", "-o", str(made)]
        done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
        if done.returncode or not made.exists():
            return None
        with Image.open(made) as image:
            return image.convert("RGB")


def _written(
    image: Image.Image, source: str, kind: str, out_dir: Path, seen: dataset.Seen | None = None
) -> dict | None:
    """The row of a picture that was written; None where it is almost empty or known already."""
    if dataset.dull(np.asarray(image)) or (seen is not None and not seen.add(dataset.fingerprint(image))):
        return None
    path = out_dir / "pictures" / f"{hashlib.sha1(source.encode()).hexdigest()[:16]}.webp"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=92, method=2)
    return asdict(Picture(path.relative_to(out_dir), kind, dataset.split_of(source), source)) | {
        "path": path.relative_to(out_dir).as_posix()
    }


def _of_group(group: Source, packages_dir: Path, most: int) -> Iterator[tuple[str, Image.Image]]:
    """At most `most` pictures of a group, on a ground where they are transparent, with a short side of 512 px."""
    Image.MAX_IMAGE_PIXELS = None
    for index, (name, image) in enumerate(dataset.pictures(group, packages_dir / group.package)):
        if index >= most:
            return
        source = f"{group.package}:{name}"
        yield source, fitted(dataset.flatten(image, random.Random(source)))


def collect(group: Source, packages_dir: Path, out_dir: Path, known: Sequence[int]) -> list[dict]:
    """Write the pictures of one group; `known` are the fingerprints of what must stay out."""
    seen = dataset.Seen()
    seen.hashes.extend(known)
    found = (
        _written(image, source, group.kind, out_dir, seen)
        for source, image in _of_group(group, packages_dir, MOST[group.kind])
    )
    return [row for row in found if row is not None]


def filter_photo(index: int, row: dict, out_dir: Path) -> dict | None:
    """Write one photo as a filter makes it; which filter goes round by `index`."""
    name = sorted(FILTERS)[index % len(FILTERS)]
    source = f"{row['source']}#{name}"
    made = filtered(out_dir / row["path"], name, random.Random(source))
    return None if made is None else _written(fitted(made), source, "filtered", out_dir)


def build(
    packages_dir: Path, out_dir: Path, excluded: Sequence[Path], own: Sequence[Path], workers: int = 2
) -> list[dict]:
    """Write pictures and ``index.jsonl``; the same packages give the same.

    `own` are folders of paintings of ours to learn from; whatever resembles a picture below `excluded` stays out.
    """
    seen = dataset.Seen()
    dataset.exclude_examples(excluded, seen)
    rows: list[dict] = []
    for path in sorted(path for folder in own for path in folder.glob("*.jpg")):
        with Image.open(path) as image:
            row = _written(fitted(image.convert("RGB")), f"examples:{path.name}", "painting", out_dir)
        rows += [row | {"split": "train"}] if row else []
    with ProcessPoolExecutor(workers) as pool:
        work = partial(collect, packages_dir=packages_dir, out_dir=out_dir, known=list(seen.hashes))
        for found in pool.map(work, SOURCES):
            rows += found
        photos = [row for row in rows if row["kind"] == "photo"]
        made = pool.map(partial(filter_photo, out_dir=out_dir), range(len(photos)), photos)
        rows += [row for row in made if row is not None]
    unique = {row["path"]: row for row in rows}
    lines = [json.dumps(row) for _, row in sorted(unique.items())]
    (out_dir / "index.jsonl").write_text("\n".join(lines) + "\n")
    return list(unique.values())

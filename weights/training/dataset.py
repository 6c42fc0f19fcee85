"""Cut the package files into captioned square tiles and read them back."""

import hashlib
import json
import random
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from weights.training import archives, captions
from weights.training.sources import SOURCES, Source

TILE_PX, SMALL_PX = 512, 256
HELD_OUT_PERCENT = 3
CROPS = {"photo": 20, "painting": 10, "art": 5, "sky": 3, "texture": 2, "clipart": 1}
"""Most native-resolution crops taken from one high-resolution file."""


@dataclass(frozen=True)
class Tile:
    """One square picture of 256 to 512 px with its caption."""

    path: Path
    caption: str
    colours: str
    kind: str
    weight: float
    split: str  # "train" | "held"
    source: str  # package:path
    whole: bool  # shows the whole picture, not a part of it


def load_index(data_dir: Path) -> list[Tile]:
    """Read the tiles that ``build`` wrote to ``data_dir``."""
    lines = (data_dir / "index.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [Tile(**{**row, "path": data_dir / row["path"]}) for row in rows]


def split_of(source: str) -> str:
    """Decide by a hash of the file name alone whether a file is held out."""
    return "held" if int(hashlib.sha1(source.encode()).hexdigest(), 16) % 100 < HELD_OUT_PERCENT else "train"


def fingerprint(image: Image.Image) -> int:
    """A 64-bit difference hash: near-equal pictures have near-equal hashes."""
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = (grey[:, 1:] > grey[:, :-1]).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


class Seen:
    """Remembers fingerprints and tells near-duplicates (at most 4 bits apart)."""

    def __init__(self) -> None:
        self.hashes: list[int] = []

    def add(self, value: int) -> bool:
        """Return whether ``value`` is new; if so, remember it."""
        if any((value ^ other).bit_count() <= 4 for other in self.hashes):
            return False
        self.hashes.append(value)
        return True


def flatten(image: Image.Image, rng: random.Random) -> Image.Image:
    """Put a picture with transparency on white or on a light random colour."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    alpha = np.asarray(rgba.getchannel("A"))
    box = Image.fromarray(alpha > 16).getbbox()
    if box and alpha.min() < 128:
        rgba = rgba.crop(box)
        side = int(max(rgba.size) * 1.1)
        colour = (255, 255, 255) if rng.random() < 0.5 else tuple(rng.randint(110, 255) for _ in range(3))
        ground = Image.new("RGBA", (side, side), (*colour, 255))
        ground.alpha_composite(rgba, ((side - rgba.width) // 2, (side - rgba.height) // 2))
        return ground.convert("RGB")
    return rgba.convert("RGB")


def dull(rgb: np.ndarray) -> bool:
    """Tell an almost empty tile, a sheet of white, or a map of surface normals."""
    small = rgb[::4, ::4].astype(np.float32)
    flat = small.reshape(-1, 3)
    white = (flat.min(1) > 246).mean()
    black = (flat.max(1) < 8).mean()
    bluish = flat.mean(0)
    normal_map = bluish[2] > 200 and abs(bluish[0] - 128) < 22 and abs(bluish[1] - 128) < 22
    return bool(flat.std(0).mean() < 7 or white > 0.8 or black > 0.8 or normal_map)


def square(image: Image.Image, at: float) -> Image.Image:
    """Crop the largest square, ``at`` 0 (left or top) to 1 (right or bottom)."""
    side = min(image.size)
    left, top = round((image.width - side) * at), round((image.height - side) * at)
    return image.crop((left, top, left + side, top + side))


def tiles_of(image: Image.Image, kind: str, rng: random.Random) -> Iterator[tuple[Image.Image, bool]]:
    """Yield (tile, shows the whole) views: whole squares first, then crops at finer scales."""
    side, long = min(image.size), max(image.size)
    if kind == "clipart":
        yield square(image, 0.5).resize((SMALL_PX, SMALL_PX), Image.Resampling.LANCZOS), True
        return
    size = TILE_PX if side >= 460 else SMALL_PX
    places = (0.5,) if long / side < 1.3 else (0.0, 1.0) if long / side < 2.2 else (0.0, 0.5, 1.0)
    for at in places:
        yield square(image, at).resize((size, size), Image.Resampling.LANCZOS), len(places) < 3
    if size == SMALL_PX:
        return
    area = (image.width * image.height) / TILE_PX**2
    for _ in range(min(CROPS[kind], int(area / 2.5))):
        scale = rng.uniform(TILE_PX * 1.25 / side, 1.0) if side > TILE_PX * 1.25 else 1.0
        span = min(side, round(TILE_PX / scale))
        left, top = rng.randint(0, image.width - span), rng.randint(0, image.height - span)
        part = image.crop((left, top, left + span, top + span))
        yield part.resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS), False


def stamp_text(root: Path, name: str) -> str:
    """Return the English line of a Tux Paint stamp's text file, or nothing."""
    text = (root / name).with_suffix(".txt")
    if not text.is_file():
        return ""
    first = text.read_text(errors="replace").splitlines()[0]
    return " ".join(first.lower().strip(" .!").split()[:12])


def pictures(group: Source, root: Path) -> Iterator[tuple[str, Image.Image]]:
    """Yield (path, decoded picture) of one group, in a fixed order, at most ``group.most``."""
    if group.archive:
        found = [(n, c) for n, c in archives.files(root, group.archive) if group.accepts(n)]
    else:
        found = [(n, None) for n in archives.names(root) if group.accepts(n)]
    found.sort(key=lambda item: hashlib.sha1(item[0].encode()).digest())
    taken = 0
    for name, content in found:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = Image.open(archives.stream(content) if content is not None else root / name)
                if min(image.size) < (120 if group.kind == "clipart" else 240) or max(image.size) / min(image.size) > 6:
                    continue
                image = ImageOps.exif_transpose(image)
                image.load()
        except (OSError, ValueError, SyntaxError):
            continue
        taken += 1
        if taken > group.most:
            return
        yield name, image


def caption_of(group: Source, root: Path, name: str) -> str:
    """Say what the file ``name`` of a group shows."""
    said = stamp_text(root, name) or (captions.words_of(name) if group.named else "")
    folder = captions.words_of(name.rsplit("/", 1)[0] + ".x")
    return captions.caption(group.kind, said, group.subject.format(folder=folder))


def cut(group: Source, packages_dir: Path, out_dir: Path) -> list[dict]:
    """Write the tiles of one group below ``out_dir``; return their rows and their pictures' fingerprints."""
    Image.MAX_IMAGE_PIXELS = None
    root, rows = packages_dir / group.package, []
    for name, image in pictures(group, root):
        source = f"{group.package}:{name}"
        rng = random.Random(source)
        picture = flatten(image, rng)
        if dull(np.asarray(picture.resize((128, 128)))):
            continue
        said = caption_of(group, root, name)
        for index, (tile, whole) in enumerate(tiles_of(picture, group.kind, rng)):
            rgb = np.asarray(tile)
            if dull(rgb):
                continue
            digest = hashlib.sha1(f"{source}#{index}".encode()).hexdigest()
            path = out_dir / "tiles" / digest[:2] / f"{digest[:16]}.webp"
            path.parent.mkdir(parents=True, exist_ok=True)
            tile.save(path, quality=93, method=2)
            rows.append(asdict(Tile(
                path=path.relative_to(out_dir), caption=said,
                colours=captions.colours_of(rgb), kind=group.kind, weight=group.weight, split=split_of(source),
                source=source, whole=whole)) | {"path": path.relative_to(out_dir).as_posix(),
                                                "fingerprint": fingerprint(picture)})  # fmt: skip
    return rows


def exclude_examples(folders: Sequence[Path], seen: Seen) -> None:
    """Remember the images below ``folders``, so that no copy of one is trained on."""
    for path in sorted(found for folder in folders for found in folder.rglob("*.jpg")):
        with Image.open(path) as image:
            seen.add(fingerprint(image))


def balance(rows: list[dict]) -> list[dict]:
    """Share a file's weight among its tiles so that no single wallpaper dominates."""
    tiles = Counter(row["source"] for row in rows)
    return [row | {"weight": round(row["weight"] * (tiles[row["source"]] ** -0.35), 4)} for row in rows]


def build(packages_dir: Path, out_dir: Path, examples: Sequence[Path], workers: int) -> list[dict]:
    """Cut every source group into tiles and write ``index.jsonl``; the same input gives the same tiles."""
    seen, rows = Seen(), []
    exclude_examples(examples, seen)
    with ProcessPoolExecutor(workers) as pool:
        for group_rows in pool.map(partial(cut, packages_dir=packages_dir, out_dir=out_dir), SOURCES):
            verdict: dict[str, bool] = {}
            for row in group_rows:
                value = row.pop("fingerprint")
                if row["source"] not in verdict:
                    verdict[row["source"]] = seen.add(value)
                if verdict[row["source"]]:
                    rows.append(row)
    rows = balance(rows)
    temporary = out_dir / "index.jsonl.tmp"
    temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    temporary.replace(out_dir / "index.jsonl")
    return rows

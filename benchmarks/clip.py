"""Makes the clip of docs/video.md and benchmarks/video.py: a camera pans over a photo while something crosses it.

python -m benchmarks.clip [OUT.mp4]      5 seconds, 24 frames a second, 640x480; no sound
"""

import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from sigstyle.film.encoding import write_film

ROOT = Path(__file__).resolve().parent.parent
SIZE, FPS, SECONDS = (640, 480), 24, 5
SCENE, THING = "neuschwanstein", "macaw"


def pictures(size: tuple[int, int] = SIZE, fps: int = FPS, seconds: float = SECONDS) -> Iterator[Image.Image]:
    """The frames: a slow pan with a slow zoom, a round cut-out that crosses it, and a little of a sensor's noise."""
    width, height = size
    scene, thing = (Image.open(ROOT / f"examples/content/{name}.jpg").convert("RGB") for name in (SCENE, THING))
    scale = max(width / scene.width, height / scene.height)
    side = height // 3
    thing = thing.crop((0, 0, min(thing.size), min(thing.size))).resize((side, side), Image.Resampling.LANCZOS)
    y, x = np.mgrid[0:side, 0:side] - (side - 1) / 2
    shape = Image.fromarray((np.clip((side / 2 - 1 - np.hypot(x, y)) / 2, 0, 1) * 255).astype(np.uint8))
    drawn = np.random.default_rng(0)
    for place in range(round(fps * seconds)):
        time = place / (fps * SECONDS)
        view = 1 / (scale * (1.35 + 0.25 * time))
        left, top = (0.05 + 0.75 * time) * (scene.width - width * view), 0.5 * (scene.height - height * view)
        box = (left, top, left + width * view, top + height * view)
        frame = scene.resize(size, Image.Resampling.BICUBIC, box)
        at = (0.1 + 0.7 * time) * (width - side), height * (0.4 + 0.05 * np.sin(12 * time))
        moved = (1, 0, -at[0], 0, 1, -at[1])
        over, mask = (
            part.transform(size, Image.Transform.AFFINE, moved, Image.Resampling.BICUBIC) for part in (thing, shape)
        )
        frame.paste(over, (0, 0), mask)
        noisy = np.asarray(frame) + drawn.normal(0, 1.5, (height, width, 3))
        yield Image.fromarray(noisy.clip(0, 255).round().astype(np.uint8))


def main(path: Path) -> None:
    """Write the clip."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for place, picture in enumerate(pictures()):
            files.append(Path(folder) / f"{place:04d}.png")
            picture.save(files[-1], compress_level=1)
        write_film(path, path.suffix, files, Fraction(FPS), None, None)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("clip.mp4"))

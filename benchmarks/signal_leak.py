"""How grey prompts come out with and without signal leak: light and colour over many seeds, beside photographs'.

    python -m benchmarks.signal_leak                 writes docs/tuning/signal-leak.md and .jpg; minutes on a CPU

Pictures are the base's own, at strength 0, so no style's palette is in them. Photographs are those that nothing was
measured on (benchmarks/pairs/content); the bank that the leak is measured on is in a line of its own.
"""

import argparse
import io
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.color import rgb2lab

from benchmarks.compare import HELD_OUT
from benchmarks.compare_cache import ROOT
from benchmarks.cost import table
from sigstyle.api import generate
from sigstyle.base.model import load_base
from sigstyle.data import shipped_photos
from sigstyle.errors import ConfigError
from sigstyle.files import write_atomically
from sigstyle.imaging.images import load_image

PROMPTS = ("a photo of mountains", "a photo of sea", "a painting of medieval landscape")
HEAD = ["", "mean lightness", "its spread", "spread of mean colour", "contrast", "chroma"]
_SIDE_PX, _TILE_PX = 64, 160


def light(pictures: Sequence[Image.Image]) -> list[float]:
    """In CIELAB: mean lightness, its and the mean colour's deviation over pictures, contrast within one, chroma."""
    small = [np.asarray(p.convert("RGB").resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BOX)) / 255 for p in pictures]
    lab = np.stack([rgb2lab(pixels).reshape(-1, 3) for pixels in small])
    means = lab.mean(axis=1)
    spread = means.std(axis=0)
    contrast, chroma = lab[..., 0].std(axis=1).mean(), np.hypot(lab[..., 1], lab[..., 2]).mean()
    return [float(v) for v in (means[:, 0].mean(), spread[0], np.hypot(spread[1], spread[2]), contrast, chroma)]


def line(name: str, pictures: Sequence[Image.Image]) -> list[str]:
    """A line of the table."""
    return [name, *(f"{value:.1f}" for value in light(pictures))]


def sheet(rows: Sequence[Sequence[Image.Image]]) -> bytes:
    """Rows of pictures as a JPEG."""
    canvas = Image.new("RGB", (max(map(len, rows)) * _TILE_PX, len(rows) * _TILE_PX), "white")
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            tile = picture.resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS)
            canvas.paste(tile, (column * _TILE_PX, row * _TILE_PX))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=85, optimize=True)
    return buffer.getvalue()


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--amounts", type=float, nargs="+", default=[0.0, 1.0, 1.5], help="of signal leak, a row each")
    parser.add_argument("--images", type=int, default=8, help="pictures of each prompt")
    parser.add_argument("--steps", type=int, default=20, help="denoising steps")
    parser.add_argument("--size-px", type=int, default=256, help="sides of the pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--base", default="mini")
    parser.add_argument("--device")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/tuning")
    return parser.parse_args()


def main() -> None:
    """Makes the pictures, writes table and sheet."""
    args = arguments()
    lines, shown = [], []
    for name, files in (
        ("photographs, held out", sorted((HELD_OUT / "content").glob("*.jpg"))),
        ("the bank", shipped_photos()),
    ):
        lines.append(line(name, [load_image(file) for file in files]))
    try:
        base, size = load_base(args.base, args.device), {"height": args.size_px, "width": args.size_px}
        for amount in args.amounts:
            how = {**size, "steps": args.steps, "seed": args.seed, "signal_leak": amount, "strength": 0.0}
            made = [generate(p, "cafe-terrace", base=base, num_images=args.images, **how).images for p in PROMPTS]
            lines.append(line(f"signal leak {amount:g}", [picture for pictures in made for picture in pictures]))
            shown += made
            print(" | ".join(lines[-1]), flush=True)
    except ConfigError as error:
        sys.exit(f"benchmarks.signal_leak: {error}")
    text = [
        "# Signal leak",
        f"```sh\npython -m benchmarks.signal_leak {shlex.join(sys.argv[1:])}".rstrip() + "\n```",
        f"{args.images} seeds of each prompt ({', '.join(PROMPTS)}), {args.size_px} px, {args.steps} steps, base "
        f"{base.name} ({base.fingerprint}). CIELAB, of pictures at {_SIDE_PX} px.",
        table(HEAD, lines),
        "![three rows for each amount, a prompt each](signal-leak.jpg)\n",
    ]
    write_atomically(args.output / "signal-leak.md", "\n\n".join(text).encode())
    write_atomically(args.output / "signal-leak.jpg", sheet(shown))


if __name__ == "__main__":
    main()

"""A sheet of one photo in fifteen blends of three styles: a triangle with a pure style in each corner.

python -m benchmarks.triangle examples/content/neuschwanstein.jpg tarascon great-wave church-auvers -o docs/fusion.jpg
"""

import argparse
from pathlib import Path

from PIL import Image

import sigstyle
from sigstyle.base.model import load_base
from sigstyle.imaging.images import load_image

_ROWS = 5
_PAINTED_PX = 512  # short side
_GAP_PX = 8


def weights_of(rows: int) -> list[list[tuple[float, float, float]]]:
    """The weights of each picture, row by row: the first style is on top, the second left below, the third right."""
    last = rows - 1
    return [[((last - row) / last, (row - i) / last, i / last) for i in range(row + 1)] for row in range(rows)]


def triangle(photo: Path, styles: list[str], size_px: int, seed: int) -> Image.Image:
    """The sheet. Units: size_px is the short side of each picture."""
    base, opened = load_base("mini"), load_image(photo)
    scale = size_px / min(opened.size)
    cell = round(opened.width * scale), round(opened.height * scale)
    width, height = (side + _GAP_PX for side in cell)
    sheet = Image.new("RGB", (_ROWS * width + _GAP_PX, _ROWS * height + _GAP_PX), "white")
    for row, line in enumerate(weights_of(_ROWS)):
        indent = _GAP_PX + (_ROWS - 1 - row) * width // 2
        for column, weights in enumerate(line):
            made = sigstyle.transfer(photo, styles, weights=weights, base=base, seed=seed, size_px=_PAINTED_PX)
            picture = made.images[0].resize(cell, Image.Resampling.LANCZOS)
            sheet.paste(picture, (indent + column * width, _GAP_PX + row * height))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("styles", nargs=3)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/fusion.jpg"))
    parser.add_argument("--size-px", type=int, default=176, help="short side of each picture")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sheet = triangle(given.photo, given.styles, given.size_px, given.seed)
    sheet.save(given.output, quality=86, optimize=True)


if __name__ == "__main__":
    main()

"""Contact sheets: photos across, styles down, as many pages as it takes."""

import re
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from sigstyle.batches.manifest import Line
from sigstyle.batches.present import peek_recipe, there
from sigstyle.batches.thumbs import before_path, thumb_path
from sigstyle.errors import ImageError
from sigstyle.imaging.images import save_png

SHEET = "contact-sheet"
_KIND = "contact sheet"
SHEET_NAME = re.compile(rf"{SHEET}(-\d{{3,}})?\.png")
_CELL_PX, _GAP_PX, _LABELS_PX, _TITLE_PX = 160, 8, 150, 34
_ACROSS, _DOWN = 12, 12
_PAPER, _INK, _FAINT = "#f7f7f5", "#222222", "#e4e4e0"


def rows_and_columns(lines: Iterable[Line]) -> tuple[list[str], list[str], dict[tuple[str, str], Line]]:
    """Looks, photos and the line at each (look, photo); a second picture of such a pair is a look of its own."""
    cells: dict[tuple[str, str], Line] = {}
    for line in lines:
        look, number = line["look"], 1
        while (look, line["photo"]) in cells:
            number += 1
            look = f"{line['look']} ({number})"
        cells[look, line["photo"]] = line
    return sorted({look for look, _ in cells}), sorted({photo for _, photo in cells}), cells


def write_sheets(folder: Path, lines: Sequence[Line]) -> list[Path]:
    """Write contact sheets of finished pictures into `folder`, in place of older ones; their paths.

    Raises: ImageError when they cannot be written, also where a file that is no contact sheet has their name.
    """
    looks, photos, cells = rows_and_columns(lines)
    pages = list(product(_parts(looks, _DOWN), _parts(photos, _ACROSS)))
    written = []
    for number, (down, across) in enumerate(pages, 1):
        path = folder / (f"{SHEET}.png" if len(pages) == 1 else f"{SHEET}-{number:03}.png")
        if there(path) and not _is_sheet(path):
            raise ImageError(f"{path} is no contact sheet of ours; it was left alone. Move it and start again.")
        save_png(_page(folder, down, across, cells), path, {"kind": _KIND, "looks": down, "photos": across})
        written.append(path)
    for older in sheet_paths(folder):
        if older not in written:
            older.unlink(missing_ok=True)
    return written


def sheet_paths(folder: Path) -> list[Path]:
    """The contact sheets in `folder`."""
    paths = (path for path in folder.glob(f"{SHEET}*.png") if SHEET_NAME.fullmatch(path.name))
    return sorted(path for path in paths if _is_sheet(path))


def _is_sheet(path: Path) -> bool:
    return (peek_recipe(path) or {}).get("kind") == _KIND


def _parts(items: list[str], size: int) -> list[list[str]]:
    return [items[first : first + size] for first in range(0, len(items), size)]


def _page(folder: Path, looks: list[str], photos: list[str], cells: dict[tuple[str, str], Line]) -> Image.Image:
    """The photos on top, one row for each look below, names on top and at the left."""
    step = _CELL_PX + _GAP_PX
    size = (_LABELS_PX + step * len(photos) + _GAP_PX, _TITLE_PX + step * (len(looks) + 1) + _GAP_PX)
    page = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=13)
    for row, look in enumerate(["photo", *looks]):
        top = _TITLE_PX + step * row
        draw.text((_GAP_PX, top + _CELL_PX // 2), _short(look, 19), _INK, font, anchor="lm")
    for column, photo in enumerate(photos):
        left = _LABELS_PX + step * column
        draw.text((left + _CELL_PX // 2, _TITLE_PX // 2), _short(photo, 21), _INK, font, anchor="mm")
        lines = [cells.get((look, photo)) for look in looks]
        thumbs = [thumb_path(folder, line["output"]) if line else None for line in lines]
        for row, thumb in enumerate([before_path(folder, photo), *thumbs]):
            _put(page, thumb, left, _TITLE_PX + step * row)
    return page


def _put(page: Image.Image, thumb: Path | None, left: int, top: int) -> None:
    """Puts a small picture into its cell, which stays empty where there is none."""
    try:
        if thumb is None:
            raise FileNotFoundError
        with Image.open(thumb, formats=("JPEG",)) as opened:
            small = ImageOps.contain(opened.convert("RGB"), (_CELL_PX, _CELL_PX))
    except OSError:
        page.paste(_FAINT, (left, top, left + _CELL_PX, top + _CELL_PX))
        return
    page.paste(small, (left + (_CELL_PX - small.width) // 2, top + (_CELL_PX - small.height) // 2))


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"

"""The gallery: one HTML page beside the pictures that opens from disk, with before and after of each."""

import html
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from sigstyle.batches.manifest import Line
from sigstyle.batches.present import there
from sigstyle.batches.sheet import rows_and_columns, sheet_paths
from sigstyle.batches.thumbs import before_path, thumb_path
from sigstyle.errors import ImageError
from sigstyle.files import write_atomically

GALLERY = "index.html"
_TOLD = ("prompt", "strength", "steps", "seed")  # the settings shown under a picture


def write_gallery(folder: Path, lines: Sequence[Line]) -> Path:
    """Write index.html for finished pictures; all that comes from names and prompts is escaped.

    Raises: OSError when it cannot be written, ImageError where a page that is not ours has its name.
    """
    looks, photos, cells = rows_and_columns(lines)
    ordered = sorted(cells.items(), key=lambda item: (item[0][1], item[0][0]))
    cards = [_card(folder, look, line) for (look, _), line in ordered]
    options = [f'<option value="{_escaped(look)}">{_escaped(look)}</option>' for look in looks]
    sheets = [f'<a href="{_url(path.name)}">{_escaped(path.stem)}</a>' for path in sheet_paths(folder)]
    parts = {
        "title": _escaped(folder.resolve().name),
        "counts": f"{len(photos)} photos, {len(looks)} styles, {len(cards)} pictures",
        "options": "\n".join(options),
        "sheets": " · ".join(sheets),
        "cards": "\n".join(cards),
    }
    path = folder / GALLERY
    if there(path) and not is_gallery(path):
        raise ImageError(f"{path} is no gallery of ours; it was left alone. Move it and start again.")
    write_atomically(path, _filled(parts).encode("utf-8", "replace"))
    return path


def is_gallery(path: Path) -> bool:
    """Whether a page begins as every gallery does."""
    head = _template().partition("{{")[0].encode()
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(head)) == head
    except OSError:
        return False


def _template() -> str:
    return files("sigstyle.batches").joinpath("gallery.html").read_text(encoding="utf-8")


def _filled(parts: Mapping[str, str]) -> str:
    """The page's template with its `{{parts}}`; what is put in is never looked at again."""
    pieces = _template().split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled += [parts[name], rest]
    return "".join(filled)


def _card(folder: Path, look: str, line: Line) -> str:
    """One picture: its small copy, which links to it and opens the comparison."""
    settings = (line.get("recipe") or {}).get("settings", {})
    told = [f"{name} {settings[name]}" for name in _TOLD if settings.get(name) not in (None, "")]
    after, before = _url(line["output"]), _url(before_path(folder, line["photo"]).relative_to(folder).as_posix())
    thumb = _url(thumb_path(folder, line["output"]).relative_to(folder).as_posix())
    photo, about = _escaped(line["photo"]), _escaped(" · ".join(told))
    return (
        f'<a class="card" href="{after}" data-before="{before}" data-look="{_escaped(look)}" data-photo="{photo}" '
        f'data-about="{about}"><img src="{thumb}" alt="{photo} in the style {_escaped(look)}" loading="lazy">'
        f"<b>{photo}</b><span>{_escaped(look)}</span></a>"
    )


def _escaped(text: object) -> str:
    return html.escape(str(text), quote=True)


def _url(path: str) -> str:
    """A relative path as a link: `./` keeps a colon in its first part from being read as a scheme."""
    return "./" + quote(path, safe="/", errors="surrogateescape")

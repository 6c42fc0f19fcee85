"""What lies where a picture goes: a picture of ours, a damaged one, or a file that is not ours to touch."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sigstyle.errors import ImageError
from sigstyle.files import reason
from sigstyle.imaging.images import RECIPE_KEY, load_image
from sigstyle.text import parsed_json

_HEAD_BYTES = 2**16
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Found:
    """A file where a picture goes: the `recipe` inside; why it is `damaged`, so that it is painted again; or why it is
    `foreign`, so that it is left alone."""

    recipe: dict[str, Any] | None = None
    damaged: str = ""
    foreign: str = ""


def there(path: Path) -> bool:
    """Whether anything is at `path`, a link that leads nowhere included."""
    return os.path.lexists(path)


def found_at(path: Path) -> Found:
    """What is at `path`, by its kind and its header; `damage` reads the rest."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Found(foreign="is a folder" if stat.S_ISDIR(status.st_mode) else "is a pipe or a device")
        if not status.st_size:
            return Found(damaged="is empty")
        recipe = peek_recipe(path)
        if recipe is not None:
            return Found(recipe)
        return Found(damaged="was cut short") if _begun_by_us(path) else Found(foreign="carries no recipe")
    except OSError as error:
        return Found(
            foreign="is a link that leads nowhere" if path.is_symlink() else f"cannot be read: {reason(error)}"
        )


def left_alone(path: Path, found: Found) -> str:
    """Why a picture cannot be made in a place where something else lies."""
    return f"{path} {found.foreign or found.damaged}: it was left alone. Move it and start again."


def damage(path: Path) -> str:
    """Why the picture at `path` cannot be decoded whole, or ''."""
    try:
        load_image(path)
    except ImageError as error:
        return f"cannot be decoded: {error}"
    return ""


def is_whole(path: Path) -> bool:
    """Whether a picture of ours is at `path`, decoded to its last row."""
    return there(path) and found_at(path).recipe is not None and not damage(path)


def peek_recipe(path: Path) -> dict[str, Any] | None:
    """The recipe in a PNG's header, which is all that is read; None when there is none."""
    try:
        if not path.is_file():
            return None
        with Image.open(path, formats=("PNG",)) as image:
            recipe = parsed_json(image.info.get(RECIPE_KEY, ""))
    except Exception:  # whatever a foreign file makes of a decoder: there is no recipe in it
        return None
    return recipe if isinstance(recipe, dict) else None


def _begun_by_us(path: Path) -> bool:
    """Whether a file begins as our pictures do, up to where it was cut. Raises: OSError."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(-min(path.stat().st_size, 12), os.SEEK_END)
        ends_well = b"IEND" in file.read()
    return head.startswith(_SIGNATURE) and b"iTXt" + RECIPE_KEY.encode() + b"\0" in head and not ends_well

"""Small copies for the gallery and the contact sheet, in a folder beside the pictures."""

import io
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

from sigstyle.batches.jobs import Output
from sigstyle.errors import ImageError
from sigstyle.files import write_atomically
from sigstyle.imaging.images import load_image

THUMBS = "gallery"
_THUMB_PX = 320
_ABANDONED_S = 600.0


def thumb_path(folder: Path, output: str) -> Path:
    """The small copy of the picture called `output`."""
    return folder / THUMBS / "after" / f"{output}.jpg"


def before_path(folder: Path, label: str) -> Path:
    """The photo called `label`, as large as its pictures."""
    return folder / THUMBS / "before" / f"{label}.jpg"


def write_thumb(folder: Path, output: str, image: Image.Image) -> None:
    """Write the small copy of a picture. Raises: OSError."""
    _write(thumb_path(folder, output), ImageOps.contain(image, (_THUMB_PX, _THUMB_PX)))


def write_before(folder: Path, label: str, photo: Image.Image, size: tuple[int, int]) -> None:
    """Write a photo at (width, height) `size` unless it is there. Raises: OSError."""
    path = before_path(folder, label)
    if not path.exists():
        _write(path, photo.resize(size, Image.Resampling.LANCZOS))


def restore_thumbs(folder: Path, outputs: Sequence[Output]) -> None:
    """Write the small copies that are missing because a process was killed just before. Raises: OSError."""
    for output in outputs:
        has_thumb, has_before = (
            path.exists() for path in (thumb_path(folder, output.name), before_path(folder, output.photo.label))
        )
        if (has_thumb and has_before) or not (folder / output.name).exists():
            continue
        try:
            image = load_image(folder / output.name)
            if not has_thumb:
                write_thumb(folder, output.name, image)
            if not has_before:
                write_before(folder, output.photo.label, load_image(output.photo.source), image.size)
        except ImageError:
            continue  # the gallery then shows an empty place


def sweep(folder: Path) -> None:
    """Remove temporary files that nobody has written to for a while: those of killed processes."""
    for path in folder.rglob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
        except OSError:
            continue


def _write(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=85)
    write_atomically(path, buffer.getvalue())

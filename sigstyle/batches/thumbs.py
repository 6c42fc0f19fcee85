"""Small copies for the gallery and the contact sheet, in a folder beside the pictures."""

import io
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image, ImageOps

from sigstyle.batches.jobs import Output
from sigstyle.batches.present import there
from sigstyle.batches.trouble import check_still_writable
from sigstyle.files import write_atomically
from sigstyle.imaging.images import load_image

THUMBS = "gallery"
_THUMB_PX = 320
_CUT_BYTES = 150  # a longer target may be cut in the name of its temporary file


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
    if not there(path):
        _write(path, photo.resize(size, Image.Resampling.LANCZOS))


def restore_thumbs(folder: Path, outputs: Sequence[Output]) -> None:
    """Write the small copies that are missing because a process was killed just before. Raises: ImageError."""
    for output in outputs:
        has_thumb, has_before = (
            there(path) for path in (thumb_path(folder, output.name), before_path(folder, output.photo.label))
        )
        if (has_thumb and has_before) or not there(folder / output.name):
            continue
        try:
            image = load_image(folder / output.name)
            if not has_thumb:
                write_thumb(folder, output.name, image)
            if not has_before:
                write_before(folder, output.photo.label, load_image(output.photo.source), image.size)
        except Exception as error:  # the gallery then shows an empty place
            check_still_writable(folder, error)


def sweep(folder: Path, outputs: Sequence[Output]) -> None:
    """Remove temporary files of a job's files; only where nobody is at work: they are of dead processes."""
    pictures = [folder / output.name for output in outputs]
    small = [
        path
        for output in outputs
        for path in (thumb_path(folder, output.name), before_path(folder, output.photo.label))
    ]
    names: dict[Path, set[str]] = {folder: {"manifest.jsonl", "index.html"}}
    for path in pictures + small:
        names.setdefault(path.parent, set()).add(path.name)
    for place, known in names.items():
        try:
            left = [entry.name for entry in os.scandir(place) if entry.name[:1] == "." and entry.name[-4:] == ".tmp"]
        except OSError:
            continue
        for name in left:
            if _is_of(name, known):
                with suppress(OSError):
                    (place / name).unlink()


def _is_of(temporary: str, names: set[str]) -> bool:
    """Whether a temporary file's name says that it was to become one of `names`, or a contact sheet."""
    target = temporary[1:-4].rpartition(".")[0]
    cut = len(target.encode("utf-8", "surrogateescape")) > _CUT_BYTES and any(name.startswith(target) for name in names)
    return bool(target) and (target in names or cut or target.startswith("contact-sheet"))


def _write(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=85)
    write_atomically(path, buffer.getvalue())

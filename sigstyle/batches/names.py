"""Names of what a batch writes: the same at every run of the same job, and different for different pictures."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sigstyle.names import LONGEST_BYTES, file_part, same_file_key, shortened

Item = TypeVar("Item")

_LOOK_BYTES = 120


def short_hash(text: str) -> str:
    """6 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:6]


def distinct(items: Sequence[Item], ways: Sequence[Callable[[Item], str]]) -> list[str]:
    """A name for each item: by the first of `ways` where that is its alone, by the next one otherwise, and so on.

    Names that are one file on some systems count as equal.
    """
    names = [ways[0](item) for item in items]
    for way in ways[1:]:
        counts = Counter(map(same_file_key, names))
        names = [
            way(item) if counts[same_file_key(name)] > 1 else name for item, name in zip(items, names, strict=True)
        ]
    return names


def look_part(name: str, extra: str = "") -> str:
    """A style's part of a picture's name."""
    return file_part(name, size=_LOOK_BYTES - len(extra)) + extra


def picture_name(label: str, look: str, extra: str = "") -> str:
    """The name of a photo's picture, with the photo's part cut where the whole would be too long for a file."""
    folder, slash, last = label.rpartition("/")
    end = f"--{look}{extra}.png"
    return f"{folder}{slash}{shortened(last, LONGEST_BYTES - len(end.encode()))}{end}"


def photo_identity(path: Path, folder: Path | None) -> str:
    """Which photo it is, however it was typed: its place as seen from `folder`, or in the whole system."""
    place = os.path.abspath(path.expanduser())
    if folder is None:
        return place
    try:
        return Path(os.path.relpath(place, os.path.abspath(folder.expanduser()))).as_posix()
    except ValueError:  # another drive
        return place


def photo_labels(paths: Sequence[Path], folder: Path | None, root: Path | None = None) -> list[str]:
    """A name for each photo, without suffix: its path inside `folder`, or the file's name where there is none.

    What then is still alike gets a hash of its `photo_identity` seen from `folder` or `root`.
    """
    places = [path.relative_to(folder) if folder is not None else Path(path.name) for path in paths]

    def label(path: Path, name: str, extra: str = "") -> str:
        last = file_part(name, 100 - len(extra), 200 - len(extra)) + extra
        return "/".join([*(file_part(part) for part in path.parent.parts), last])

    def hashed(pair: tuple[Path, Path]) -> str:
        return label(pair[0], pair[0].stem, f"-{short_hash(photo_identity(pair[1], folder or root))}")

    parent = (lambda pair: label(pair[0], f"{pair[1].parent.name}-{pair[0].name}")) if folder is None else None
    ways: list[Callable[[tuple[Path, Path]], str]] = [
        lambda pair: label(pair[0], pair[0].stem),
        lambda pair: label(pair[0], pair[0].name),
        *([parent] if parent else []),
        hashed,
    ]
    return distinct(list(zip(places, paths, strict=True)), ways)

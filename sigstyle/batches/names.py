"""Names of what a batch writes: the same at every run of the same job, and different for different pictures."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")

_UNUSABLE = re.compile(r'[<>:"/\\|?*]')


def safe(name: str) -> str:
    """`name` as one part of a file name on any system."""
    printable = "".join(letter if letter.isprintable() else "_" for letter in name)
    return _UNUSABLE.sub("_", printable).strip(" .")[:100] or "unnamed"


def short_hash(text: str) -> str:
    """6 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:6]


def distinct(items: Sequence[Item], ways: Sequence[Callable[[Item], str]]) -> list[str]:
    """A name for each item: by the first of `ways` where that is its alone, by the next one otherwise, and so on.

    Names that differ in upper and lower case alone count as equal: on some systems they are one file.
    """
    names = [ways[0](item) for item in items]
    for way in ways[1:]:
        counts = Counter(name.casefold() for name in names)
        names = [way(item) if counts[name.casefold()] > 1 else name for item, name in zip(items, names, strict=True)]
    return names


def photo_labels(paths: Sequence[Path], folder: Path | None) -> list[str]:
    """A name for each photo, without suffix: its path inside `folder`, or the file's name where there is none."""
    places = [path.relative_to(folder) if folder is not None else Path(path.name) for path in paths]

    def label(path: Path, name: str) -> str:
        return "/".join([*(safe(part) for part in path.parent.parts), safe(name)])

    pairs = list(zip(places, paths, strict=True))
    parent = (lambda pair: label(pair[0], f"{pair[1].parent.name}-{pair[0].name}")) if folder is None else None
    ways: list[Callable[[tuple[Path, Path]], str]] = [
        lambda pair: label(pair[0], pair[0].stem),
        lambda pair: label(pair[0], pair[0].name),
        *([parent] if parent else []),
        lambda pair: label(pair[0], f"{pair[0].stem}-{short_hash(str(pair[1]))}"),
    ]
    return distinct(pairs, ways)

"""The photos of a batch: those of a folder with its subfolders, and words on what was left out."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sigstyle.batches.names import photo_labels
from sigstyle.errors import ConfigError
from sigstyle.files import reason
from sigstyle.imaging.images import Source

PHOTO_SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif"}
_HEIC = {".heic", ".heif", ".hif", ".heics", ".heifs"}
_NAMED = 3  # files named in a notice


@dataclass(frozen=True)
class Photo:
    """A content image: where it comes from, what the caller calls it, and its part of the outputs' names."""

    source: Source
    origin: str
    label: str


def find_photos(contents: Source | Sequence[Source], output: Path) -> tuple[list[Photo], list[str]]:
    """The photos of a folder with its subfolders, or of one or several sources, and lines on what was left out.

    Raises: ConfigError when there is none.
    """
    if isinstance(contents, str | Path):
        try:
            path = Path(contents).expanduser()
            if path.is_dir():
                return _in_folder(path, output)
            there = os.path.lexists(path)
        except (OSError, RuntimeError, ValueError) as error:
            why = reason(error) if isinstance(error, OSError) else str(error)
            raise ConfigError(f"{contents} cannot be looked at: {why}; expected a folder with photos.") from error
        if not there:
            raise ConfigError(f"There is no {contents}; expected a folder with photos, or a photo.")
    sources = [contents] if isinstance(contents, Source) else list(contents)
    if not sources:
        raise ConfigError("There are no photos; expected a folder or a list of photos.")
    paths = [Path(source) for source in sources if isinstance(source, str | Path)]
    labels = iter(photo_labels(paths, None))
    photos = []
    for number, source in enumerate(sources, 1):
        named = isinstance(source, str | Path)
        label = next(labels) if named else f"image-{number:04}"
        photos.append(Photo(source, str(source) if named else label, label))
    return photos, []


def _in_folder(folder: Path, output: Path) -> tuple[list[Photo], list[str]]:
    """The photos in `folder`, sorted; hidden files and the outputs are no photos. Raises: ConfigError."""
    if folder.resolve() == output.resolve():
        raise ConfigError(f"{folder} is both where the photos are and where pictures go; expected another folder.")
    files, notices = _files(folder, output)
    found = [path for path in files if path.suffix.lower() in PHOTO_SUFFIXES]
    notices += _left_out(folder, [path for path in files if path.suffix.lower() not in PHOTO_SUFFIXES])
    if not found:
        more = "".join(f" {notice}" for notice in notices)
        raise ConfigError(f"There are no photos in {folder}; expected files such as .jpg or .png.{more}")
    found.sort(key=lambda path: path.relative_to(folder).as_posix())
    labels = photo_labels(found, folder)
    return [Photo(path, str(path), label) for path, label in zip(found, labels, strict=True)], notices


def _files(folder: Path, output: Path) -> tuple[list[Path], list[str]]:
    """All files that are not hidden, and lines on folders left out.

    Links to folders are followed, each folder once: what lies in `folder` itself comes before what is linked to.
    """
    taken = {_which(output)} - {None}
    files: list[Path] = []
    notices: list[str] = []
    links, waiting = [], [folder]
    while waiting or links:
        place = waiting.pop() if waiting else links.pop(0)
        which = _which(place)
        if which in taken:
            if place.is_symlink() and which != _which(output):
                notices.append(f"{place} is a link to a folder whose photos are taken already; it was left out.")
            continue
        taken.add(which)
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            notices.append(f"{place} cannot be read: {reason(error)}; it was left out.")
            continue
        for entry in entries:
            if not entry.name.startswith("."):
                path = Path(entry.path)
                (_kind(entry, files, waiting, links)).append(path)
    return files, notices


def _kind(entry: os.DirEntry, files: list[Path], folders: list[Path], links: list[Path]) -> list[Path]:
    """The list in which an entry belongs; what cannot be told, such as a link that leads nowhere, is a file."""
    try:
        if not entry.is_dir():
            return files
        return links if entry.is_symlink() else folders
    except OSError:
        return files


def _which(folder: Path) -> tuple[int, int] | None:
    """The same for the same folder under any name; None when it is not there."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _left_out(folder: Path, paths: Sequence[Path]) -> list[str]:
    """Lines on files that are no photos by their names."""
    heic = [path for path in paths if path.suffix.lower() in _HEIC]
    counts = Counter(path.suffix.lower() or "without suffix" for path in paths if path not in set(heic))
    notices = []
    if heic:
        shown = ", ".join(path.name for path in sorted(heic)[:_NAMED]) + (", …" if len(heic) > _NAMED else "")
        notices.append(
            f"HEIC in {folder} was left out, {len(heic)} of them ({shown}): this format is not read here. Export such "
            "photos as JPEG and start again."
        )
    if counts:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(8))
        total = sum(counts.values())
        files = "file is no image by its name" if total == 1 else "files are no images by their names"
        notices.append(f"{total} {files} in {folder} and left out: {kinds}.")
    return notices

"""What a batch is to make: photos, looks and the pictures of their pairs, planned before anything is painted."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from sigstyle.batches.names import distinct, photo_labels, safe, short_hash
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import Source
from sigstyle.style.style import Style

PHOTO_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif"}


@dataclass(frozen=True)
class Photo:
    """A content image: where it comes from, what the caller calls it, and its part of the outputs' names."""

    source: Source
    origin: str
    label: str


@dataclass(frozen=True)
class Look:
    """A style in this job: the style, what it was asked for by, and its part of the outputs' names."""

    style: Style
    path: str | None
    label: str


@dataclass(frozen=True)
class Output:
    """One picture to make; `name` is its path inside the output folder, `row` where it was asked for."""

    photo: Photo
    look: Look
    config: TransferConfig
    name: str = ""
    row: str = ""


@dataclass(frozen=True)
class Unit:
    """What one process takes at a time: a fixed group of photos with all pictures wanted of them."""

    outputs: tuple[Output, ...]

    @property
    def id(self) -> str:
        """The same for the same pictures."""
        return hashlib.sha256("\n".join(output.name for output in self.outputs).encode()).hexdigest()[:16]

    @property
    def photos(self) -> list[Photo]:
        """Its photos, in order."""
        return list({output.photo.label: output.photo for output in self.outputs}.values())


def find_photos(contents: Source | Sequence[Source], output: Path) -> tuple[list[Photo], list[str]]:
    """The photos of a folder with its subfolders, or of one or several sources, and lines on what was left out.

    Raises: ConfigError when there is none.
    """
    if isinstance(contents, str | Path) and Path(contents).expanduser().is_dir():
        return _in_folder(Path(contents).expanduser(), output)
    if isinstance(contents, str | Path) and not Path(contents).expanduser().exists():
        raise ConfigError(f"There is no {contents}; expected a folder with photos, or a photo.")
    sources = [contents] if isinstance(contents, Source) else list(contents)
    if not sources:
        raise ConfigError("There are no photos; expected a folder or a list of photos.")
    labels = iter(photo_labels([Path(source) for source in sources if isinstance(source, str | Path)], None))
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
    notices: list[str] = []
    found, others = [], 0
    for place, folders, files in os.walk(folder, onerror=lambda error: notices.append(f"{error}; it was left out.")):
        folders[:] = [n for n in folders if not n.startswith(".") and (Path(place) / n).resolve() != output.resolve()]
        paths = [Path(place) / name for name in files if not name.startswith(".")]
        found += [path for path in paths if path.suffix.lower() in PHOTO_SUFFIXES]
        others += sum(path.suffix.lower() not in PHOTO_SUFFIXES for path in paths)
    if others:
        notices.append(f"{others} files in {folder} are no images by their names; they were left out.")
    if not found:
        raise ConfigError(f"There are no photos in {folder}; expected files such as .jpg or .png.")
    found.sort(key=lambda path: path.relative_to(folder).as_posix())
    labels = photo_labels(found, folder)
    return [Photo(path, str(path), label) for path, label in zip(found, labels, strict=True)], notices


def looks_of(styles: Sequence[tuple[Style, str | None]]) -> list[Look]:
    """The looks of styles with their paths, one for each; different styles of one name get a hash added."""
    hashes = {id(style): style.hash for style, _ in styles}
    unique = list({hashes[id(style)]: style for style, _ in styles}.values())
    labels = distinct(unique, [lambda s: safe(s.name), lambda s: f"{safe(s.name)}-{hashes[id(s)][:6]}"])
    by_hash = {hashes[id(style)]: label for style, label in zip(unique, labels, strict=True)}
    return [Look(style, path, by_hash[hashes[id(style)]]) for style, path in styles]


def cross(photos: Sequence[Photo], looks: Sequence[Look], config: TransferConfig) -> list[Output]:
    """Every photo in every look."""
    return [Output(photo, look, config, row=f"{photo.origin} in {look.label}") for photo in photos for look in looks]


def named(outputs: Sequence[Output]) -> list[Output]:
    """The outputs with their names; those that differ in settings alone get a hash of the settings added.

    Raises: ConfigError when two ask for the same picture, or for different ones under one name.
    """

    def plain(output: Output) -> str:
        return output.name or f"{output.photo.label}--{output.look.label}.png"

    def told_apart(output: Output) -> str:
        settings = json.dumps(output.config.to_dict(), sort_keys=True)
        return output.name or f"{output.photo.label}--{output.look.label}--{short_hash(settings)}.png"

    names = distinct(outputs, [plain, told_apart])
    seen: dict[str, Output] = {}
    for output, name in zip(outputs, names, strict=True):
        other = seen.setdefault(name.casefold(), output)
        if other is not output:
            raise ConfigError(f"{other.row} and {output.row} both ask for {name}; expected each picture once.")
    return [replace(output, name=name) for output, name in zip(outputs, names, strict=True)]


def units_of(outputs: Sequence[Output], together: int) -> list[Unit]:
    """The outputs as units of at most `together` photos that want the same looks with the same settings.

    The groups follow from the job alone, never from who works on it: rounding depends on what is painted together.
    """
    by_photo: dict[str, list[Output]] = {}
    for output in outputs:
        by_photo.setdefault(output.photo.label, []).append(output)
    sets = [sorted(wanted, key=_order) for wanted in by_photo.values()]
    alike = groupby(sets, key=lambda wanted: [(output.look.label, output.config) for output in wanted])
    groups = [group for _, same in alike for group in _chunks(list(same), together)]
    return [Unit(tuple(output for wanted in group for output in wanted)) for group in groups]


def _chunks(items: list[list[Output]], size: int) -> list[list[list[Output]]]:
    return [items[first : first + size] for first in range(0, len(items), size)]


def _order(output: Output) -> tuple:
    """Sorts so that an inversion serves all that follow it: keys recorded and the longest swap come first."""
    config = output.config
    inversion = (config.prompt, config.steps, config.inversion_iterations, config.noise_sigma, config.size_px or 0)
    inversion += (config.margin_px, config.smoothing * min(1.0, config.strength))
    return (*inversion, config.seed, config.swap != "qk", config.swap == "none", -config.swap_until)

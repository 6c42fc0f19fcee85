"""What a batch is to make: photos, looks and the pictures of their pairs, planned before anything is painted."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import PurePosixPath

from sigstyle.batches.names import distinct, look_part, picture_name, short_hash
from sigstyle.batches.photos import Photo
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.names import same_file_key
from sigstyle.parts import NO_PARTS, Parts
from sigstyle.style.blend import Blend
from sigstyle.style.style import Style


@dataclass(frozen=True)
class Look:
    """A style in this job: the style, what it was asked for by, its part of the outputs' names, what goes with it."""

    style: Style
    path: str | None
    label: str
    parts: Parts = NO_PARTS

    @property
    def blend(self) -> Blend:
        """The style alone, in the colours that are wanted."""
        return Blend.of([self.style], colours=self.parts.colours)


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


def looks_of(styles: Sequence[tuple[Style, str | None]], parts: Parts = NO_PARTS) -> list[Look]:
    """The looks of styles with their paths, one for each; different styles of one name get a hash added."""
    hashes = {id(style): style.hash for style, _ in styles}
    unique = list({hashes[id(style)]: style for style, _ in styles}.values())
    labels = distinct(unique, [lambda s: look_part(s.name), lambda s: look_part(s.name, f"-{hashes[id(s)][:6]}")])
    by_hash = {hashes[id(style)]: label for style, label in zip(unique, labels, strict=True)}
    return [Look(style, path, by_hash[hashes[id(style)]], parts) for style, path in styles]


def with_parts(outputs: Sequence[Output], parts: Parts) -> list[Output]:
    """The outputs with parts that go with every look."""
    return [replace(output, look=replace(output.look, parts=parts)) for output in outputs]


def cross(photos: Sequence[Photo], looks: Sequence[Look], config: TransferConfig) -> list[Output]:
    """Every photo in every look."""
    return [Output(photo, look, config, row=f"{photo.origin} in {look.label}") for photo in photos for look in looks]


def named(outputs: Sequence[Output]) -> list[Output]:
    """The outputs with their names; those that differ in settings alone get a hash of the settings added.

    Raises: ConfigError when two ask for the same picture, or for different ones under one name.
    """

    def told_apart(output: Output, photo: str = "") -> str:
        settings = json.dumps(output.config.to_dict(), sort_keys=True)
        extra = f"--{short_hash(settings + photo)}"
        return output.name or picture_name(output.photo.label, output.look.label, extra)

    ways = [
        lambda output: output.name or picture_name(output.photo.label, output.look.label),
        told_apart,
        lambda output: told_apart(output, output.photo.label),
    ]
    names = distinct(outputs, ways)
    _check_apart(outputs, names)
    return [replace(output, name=name) for output, name in zip(outputs, names, strict=True)]


def _check_apart(outputs: Sequence[Output], names: Sequence[str]) -> None:
    """Raises: ConfigError when two outputs have one name, or one's file is the other's folder."""
    seen: dict[str, Output] = {}
    for output, name in zip(outputs, names, strict=True):
        other = seen.setdefault(same_file_key(name), output)
        if other is not output:
            raise ConfigError(f"{other.row} and {output.row} both ask for {name}; expected each picture once.")
    for output, name in zip(outputs, names, strict=True):
        for folder in PurePosixPath(name).parents:
            if (other := seen.get(same_file_key(str(folder)))) is not None:
                raise ConfigError(f"{other.row} asks for the file {folder}, {output.row} for a folder of that name.")


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

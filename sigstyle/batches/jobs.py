"""What a batch is to make: photos, looks and the pictures of their pairs, planned before anything is painted."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path, PurePosixPath

from sigstyle.base.model import BaseModel
from sigstyle.batches.names import distinct, look_part, picture_name, short_hash
from sigstyle.batches.photos import Photo
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.names import file_part, same_file_key
from sigstyle.parts import NO_PARTS, Parts
from sigstyle.style.blend import Blend
from sigstyle.style.lora_file import LoraFile, Weighted, read_lora
from sigstyle.style.style import Style

_LORAS_BYTES = 60  # of a picture's name


@dataclass(frozen=True)
class Look:
    """A style in this job: the style, what it was asked for by, its part of the outputs' names, what goes with it.

    `loras` lie under it.
    """

    style: Style
    path: str | None
    label: str
    parts: Parts = NO_PARTS
    loras: Weighted = ()

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


def looks_of(styles: Sequence[tuple[Style, str | None]], parts: Parts = NO_PARTS, loras: Weighted = ()) -> list[Look]:
    """The looks of styles with their paths, one for each, over the same LoRAs; see `labelled`."""
    return labelled([Look(style, path, "", parts, loras) for style, path in styles])


def labelled(looks: Sequence[Look]) -> list[Look]:
    """The looks with their labels: one style over several LoRAs gets their names, styles of one name get a hash."""
    hashes = {place: style.hash for place, style in {id(look.style): look.style for look in looks}.items()}

    def key(look: Look) -> tuple[str, str]:
        return hashes[id(look.style)], repr([(_lora_path(lora), weight) for lora, weight in look.loras])

    def told_by_loras(look: Look) -> str:
        names = "".join(f"-{Path(_lora_path(lora)).stem}" for lora, _ in look.loras)
        return look_part(look.style.name, file_part(names, size=_LORAS_BYTES)) if names else look_part(look.style.name)

    def told_apart(look: Look) -> str:
        own = hashes[id(look.style)][:6] if not look.loras else short_hash(repr(key(look)))
        return look_part(look.style.name, f"-{own}")

    unique = {key(look): look for look in looks}
    labels = distinct(list(unique.values()), [lambda look: look_part(look.style.name), told_by_loras, told_apart])
    by_key = dict(zip(unique, labels, strict=True))
    return [replace(look, label=by_key[key(look)]) for look in looks]


def _lora_path(lora: LoraFile | str | Path) -> str:
    return lora.path or lora.hash if isinstance(lora, LoraFile) else str(lora)


def with_parts(outputs: Sequence[Output], parts: Parts) -> list[Output]:
    """The outputs with parts that go with every look."""
    return [replace(output, look=replace(output.look, parts=parts)) for output in outputs]


def with_loras_read(outputs: Sequence[Output], base: BaseModel) -> list[Output]:
    """The outputs with their LoRAs read, each once. Raises: ConfigError, naming the row, for one of another base."""
    read: dict[str, LoraFile] = {}
    for output in outputs:
        for lora in (lora for lora, _ in output.look.loras if not isinstance(lora, LoraFile)):
            try:
                read[str(lora)] = read.get(str(lora)) or read_lora(lora, base)
            except StyleFileError as error:
                raise ConfigError(f"{output.row}: {error}") from error

    def with_read(look: Look) -> Look:
        return replace(look, loras=tuple((read.get(str(lora), lora), weight) for lora, weight in look.loras))

    looks = {output.look.label: with_read(output.look) for output in outputs}
    return [replace(output, look=looks[output.look.label]) for output in outputs]


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
    inversion += (repr([(_lora_path(lora), weight) for lora, weight in output.look.loras]),)
    return (*inversion, config.seed, config.swap != "qk", config.swap == "none", -config.swap_until)

"""A person's LoRAs: kept in a folder of their own, laid under the styles of the bases they fit, or let rest."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from sigstyle.base.model import BaseModel
from sigstyle.errors import ConfigError
from sigstyle.files import read_regular, reason
from sigstyle.studio.folder import Workspace, read_json, safe_name, write, write_json
from sigstyle.studio.keeping import Keeping
from sigstyle.style.lora_file import LoraFile, read_lora
from sigstyle.text import brief

FOLDER, SUFFIX, NOTE = "loras", ".safetensors", ".json"
MOST_LORAS = 6  # of one person on one kind of base
HEAVIEST = 2.0
_MOST_BYTES = 2**30
Note = tuple[str, str, float]


def architecture_of(fingerprint: str) -> str:
    """What tells which LoRAs fit a base: the part of its fingerprint that is not about its weights."""
    return fingerprint.partition("-")[0]


@dataclass(frozen=True)
class KeptLora:
    """A LoRA that is kept: `on` says whether it lies under styles now; `base` is the kind of base it fits."""

    path: Path
    hash: str
    base: str
    trigger: str
    weight: float = 1.0
    on: bool = True

    @property
    def name(self) -> str:
        """What it is called."""
        return self.path.stem

    @property
    def label(self) -> str:
        """With its weight, for people to read."""
        return f"{self.name} at {self.weight:g}"

    def write(self) -> None:
        """Put what is known of it beside it. Raises: ConfigError."""
        values = {"hash": self.hash, "base": self.base, "trigger": self.trigger}
        write_json(self.path.with_suffix(NOTE), values | {"weight": self.weight, "on": self.on})


class LoraShelf:
    """The LoRAs of one person."""

    def __init__(self, workspace: Workspace, keeping: Keeping | None = None) -> None:
        self.workspace, self.keeping, self.root = workspace, keeping or Keeping(), workspace.root / FOLDER

    def all(self, fingerprint: str | None = None) -> list[KeptLora]:
        """Those there are, in the order of their names, of one kind of base where a base's fingerprint is given."""
        found = (_read(path) for path in sorted(self.root.glob(f"*{SUFFIX}")))
        kind = None if fingerprint is None else architecture_of(fingerprint)
        return [lora for lora in found if lora is not None and kind in (None, lora.base)]

    def get(self, name: str) -> KeptLora:
        """The LoRA of this name, which is no path. Raises: ConfigError, which lists what there is."""
        for lora in self.all():
            if name in (lora.name, lora.hash):
                return lora
        known = ", ".join(lora.name for lora in self.all()) or "none yet"
        raise ConfigError(f"There is no LoRA {name[:80]!r} of yours; there are: {known}. Add its file first.")

    def add(self, file: Path, base: BaseModel) -> KeptLora:
        """Keep a copy of a LoRA that fits `base`.

        Raises: StyleFileError for what is no LoRA or is for another base; ConfigError for one that is here already, for
        one too many, or where there is no room.
        """
        lora = read_lora(file, base)
        here = self.all(base.fingerprint)
        known = next((kept for kept in here if kept.hash == lora.hash), None)
        if known is not None:
            raise ConfigError(f"{file.name} is here already: it is {known.name}.")
        if len(here) >= MOST_LORAS:
            raise ConfigError(f"{MOST_LORAS} LoRAs are kept for this base, which is as many as may. Remove one first.")
        self.keeping.check_room(self.workspace)
        path = self._copied(file)
        kept = KeptLora(path, lora.hash, architecture_of(base.fingerprint), lora.trigger[:200])
        try:
            kept.write()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return kept

    def change(self, name: str, weight: float | None = None, on: bool | None = None) -> KeptLora:
        """Lay a LoRA under styles with this weight, or let it rest. Raises: ConfigError."""
        kept = self.get(name)
        given = kept.weight if weight is None else checked_weight(weight)
        changed = replace(kept, weight=given, on=kept.on if on is None else bool(on))
        changed.write()
        return changed

    def match(self, wanted: "Underlay", fingerprint: str) -> list[str]:
        """Switch the LoRAs of a base as a picture had them; a few words on each that was otherwise."""
        weights, changed = {lora.hash: lora.weight for lora in wanted}, list[str]()
        for lora in self.all(fingerprint):
            on, weight = lora.hash in weights, weights.get(lora.hash, lora.weight)
            if (on, weight) != (lora.on, lora.weight):
                now = self.change(lora.name, weight, on)
                changed.append(now.label if on else f"{now.name} off")
        return changed

    def remove(self, name: str) -> None:
        """Delete a LoRA. Raises: ConfigError."""
        kept = self.get(name)
        for path in (kept.path, kept.path.with_suffix(NOTE)):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise ConfigError(f"{kept.name} cannot be deleted: {reason(error)}.") from error

    def chosen(self, wanted: Any = None) -> "Underlay":
        """What lies under styles: those that are on, or names with weights that a program asks for instead.

        Raises: ConfigError for other things than names and weights, and for a name that is not there.
        """
        if wanted is None:
            return Underlay(tuple(lora for lora in self.all() if lora.on and lora.weight), fitting=True)
        if not isinstance(wanted, Mapping) or not all(isinstance(name, str) for name in wanted):
            raise ConfigError(f"loras is {type(wanted).__name__}; expected names and weights, such as {{'ink': 0.8}}.")
        if len(wanted) > MOST_LORAS:
            raise ConfigError(f"These are {len(wanted)} LoRAs; at most {MOST_LORAS} at once.")
        found = [replace(self.get(name), weight=checked_weight(weight)) for name, weight in wanted.items()]
        return Underlay(tuple(lora for lora in found if lora.weight))

    def of_recipe(self, entries: Any) -> tuple["Underlay", list[str]]:
        """The LoRAs that a recipe says a picture was made over, by hash, and a sentence on each that is gone."""
        known, found, gone = {lora.hash: lora for lora in self.all()}, list[KeptLora](), list[str]()
        for entry in entries if isinstance(entries, Sequence) and not isinstance(entries, str) else ():
            told = entry if isinstance(entry, Mapping) else {}
            name, hash_ = str(told.get("name"))[:80], str(told.get("hash"))[:80]
            if hash_ in known:
                found.append(replace(known[hash_], weight=checked_weight(told.get("weight", 1.0))))
            else:
                gone.append(f"It was made over the LoRA {name} ({hash_}), which you have not. Add it in the Model tab.")
        return Underlay(tuple(found)), gone

    def given(self, underlay: "Underlay | None") -> "Underlay":
        """What was chosen for a piece of work, else what is on."""
        return self.chosen() if underlay is None else underlay

    def noted(self, notes: Sequence[Note]) -> "Underlay":
        """What `Underlay.notes` wrote down. Raises: ConfigError for one that is gone."""
        known = {lora.hash: lora for lora in self.all()}
        gone = [name for name, hash_, _ in notes if hash_ not in known]
        if gone:
            raise ConfigError(f"It was begun over the LoRA {', '.join(gone)}, which you have not. Add it once more.")
        return Underlay(tuple(replace(known[hash_], weight=weight) for _, hash_, weight in notes), fitting=True)

    def _copied(self, file: Path) -> Path:
        """A copy of a file under a name that is free. Raises: ConfigError."""
        folder, stem = self.workspace.folder(FOLDER), safe_name(file.stem, "lora")
        for number in count(1):
            path = folder / f"{stem if number == 1 else f'{stem}-{number}'}{SUFFIX}"
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            except FileExistsError:
                continue
            except OSError as error:
                raise ConfigError(f"{path.name} cannot be written: {reason(error)}. Make room.") from error
            write(path, read_regular(file, _MOST_BYTES))
            return path
        raise AssertionError("numbers do not end")


@dataclass(frozen=True)
class Underlay:
    """LoRAs for one piece of work; with `fitting` those for another kind of base are left out without a word."""

    loras: tuple[KeptLora, ...] = ()
    fitting: bool = False

    def opened(self, base: BaseModel) -> list[tuple[LoraFile, float]]:
        """The LoRAs with their weights, for a base, without the places of their files; called in the lane.

        Raises: StyleFileError for one that is for another base, or is gone since.
        """
        return [(replace(read_lora(lora.path, base), path=None), lora.weight) for lora in self.on(base)]

    def on(self, base: BaseModel) -> list[KeptLora]:
        """Those that are laid under the styles of this base."""
        return [lora for lora in self.loras if not self.fitting or lora.base == architecture_of(base.fingerprint)]

    def told_apart(self, base: BaseModel) -> str:
        """What tells pictures over them from pictures over others."""
        return "+".join(f"{lora.hash}:{lora.weight:g}" for lora in self.on(base))

    def notices(self, base: BaseModel) -> tuple[str, ...]:
        """What is worth saying of a picture that was made over them."""
        found = ", ".join(lora.label for lora in self.on(base))
        return (f"Over the LoRA {found}.",) if found else ()

    @property
    def notes(self) -> tuple[Note, ...]:
        """Name, hash and weight of each, to be written down."""
        return tuple((lora.name, lora.hash, lora.weight) for lora in self.loras)

    def __iter__(self) -> Iterator[KeptLora]:
        return iter(self.loras)


def checked_weight(weight: Any) -> float:
    """A weight as a number. Raises: ConfigError."""
    plain = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not plain or not -HEAVIEST <= weight <= HEAVIEST:
        raise ConfigError(
            f"The weight of a LoRA is {brief(weight)}; expected a number from -{HEAVIEST:g} to {HEAVIEST:g}."
        )
    return float(weight)


def _read(path: Path) -> KeptLora | None:
    """The LoRA at a path, or None where what is noted beside it cannot be read."""
    values = read_json(path.with_suffix(NOTE)) or {}
    try:
        hash_, base, trigger = (str(values[name]) for name in ("hash", "base", "trigger"))
        return KeptLora(path, hash_, base, trigger, checked_weight(values["weight"]), bool(values["on"]))
    except (KeyError, ConfigError):
        return None

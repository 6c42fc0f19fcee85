"""What every config is made of: fields with bounds and help, presets, validation and conversion."""

import dataclasses
import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar, get_args

from sigstyle.errors import ConfigError
from sigstyle.text import brief, check_words

SWITCH = ("off", "on")


def number(default: float | None, low: float, high: float, text: str, also: str = "") -> Any:
    """A field for a number; `also` is a word that may be said instead, which the config itself turns into one."""
    return field(default=default, metadata={"help": text, "low": low, "high": high, "also": also})


def choice(default: str, choices: tuple[str, ...], text: str) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices})


def switch(text: str) -> Any:
    """Something that is off unless it is asked for: a flag without a value."""
    return choice("off", SWITCH, text)


def words(default: str, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Alias:
    """Another name for a setting, in people's words; recipes and files hold the setting itself.

    With `inverse`, which is for settings from 0 to 1, it says how much of the opposite is wanted.
    """

    field: str
    help: str
    inverse: bool = False

    def value(self, said: Any) -> Any:
        """The setting's value for what was said under this name; what is no number stays as it is."""
        number = self.inverse and isinstance(said, int | float) and not isinstance(said, bool)
        return round(1 - said, 12) if number and math.isfinite(said) else said


def field_type(entry: dataclasses.Field) -> type:
    """The plain type (int, float or str) of a config field, without `| None`."""
    if isinstance(entry.type, types.UnionType):
        return next(kind for kind in get_args(entry.type) if kind is not type(None))
    return entry.type  # type: ignore[return-value]


def __check_number(entry: dataclasses.Field, value: Any, kind: type, name: str) -> None:
    """Raises ConfigError, under this name, unless `value` is a finite number of `kind` in the field's range."""
    allowed = (int, float) if kind is float else (int,)
    low, high = entry.metadata["low"], entry.metadata["high"]
    number = isinstance(value, allowed) and not isinstance(value, bool)
    if not number or not low <= value <= high or not math.isfinite(value):  # last, for it fails on huge integers
        noun = "a number" if kind is float else "a whole number"
        raise ConfigError(f"{name} is {brief(value)}; expected {noun} from {low} to {high}.")


def _check(entry: dataclasses.Field, value: Any, name: str) -> None:
    """Raises ConfigError, under this name, when `value` does not suit the field."""
    kind = field_type(entry)
    if value is None and isinstance(entry.type, types.UnionType):
        return
    if kind is not str:
        __check_number(entry, value, kind, name)
    elif not isinstance(value, str):
        raise ConfigError(f"{name} is {brief(value)}; expected text.")
    elif "choices" not in entry.metadata:
        check_words(name, value)
    elif value not in entry.metadata.get("choices", (value,)):
        raise ConfigError(f"{name} is {brief(value)}; expected one of {', '.join(entry.metadata['choices'])}.")


def settable(kind: Any) -> list[dataclasses.Field]:
    """The fields of a config, or of its class, that people set; a preset alone decides the others."""
    return [entry for entry in dataclasses.fields(kind) if not entry.metadata.get("internal")]


class Settings:
    """What both configs share: validation, presets and conversion."""

    _presets: Mapping[str, Mapping[str, Any]]
    _aliases: Mapping[str, Alias] = {}

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):  # type: ignore[arg-type]
            _check(entry, getattr(self, entry.name), entry.name)

    @classmethod
    def preset(cls, name: str = "default", **changes: Any) -> Self:
        """The settings called `name`, with `changes` on top.

        Raises: ConfigError for an unknown preset, an unknown setting or a bad value.
        """
        if name not in cls._presets:
            raise ConfigError(f"There is no preset {brief(name)}; expected one of {', '.join(cls._presets)}.")
        return cls.from_dict(cls.over(cls._presets[name], changes))

    @classmethod
    def aliases(cls) -> Mapping[str, Alias]:
        """Other names that settings go by, wherever settings are given."""
        return cls._aliases

    @classmethod
    def over(cls, values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
        """`values` with `changes` on top, which may go by other names."""
        changed = {cls._aliases[name].field if name in cls._aliases else name for name in changes}
        return {**{name: value for name, value in values.items() if name not in changed}, **changes}

    @classmethod
    def plain(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """`values` by the settings' own names. Raises: ConfigError for one given twice, or a bad value."""
        found = {name: value for name, value in values.items() if name not in cls._aliases}
        entries = {entry.name: entry for entry in dataclasses.fields(cls)}  # type: ignore[arg-type]
        for name in [name for name in values if name in cls._aliases]:
            alias = cls._aliases[name]
            if alias.field in found:
                raise ConfigError(f"Both {name} and {alias.field} are given; expected one of them, they are one dial.")
            _check(entries[alias.field], values[name], name)
            found[alias.field] = alias.value(values[name])
        return found

    @classmethod
    def preset_names(cls) -> tuple[str, ...]:
        """Names that `preset` takes."""
        return tuple(cls._presets)

    @classmethod
    def presets_using(cls, name: str) -> list[str]:
        """The presets that use a setting."""
        return list(cls._presets)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from a mapping such as a recipe; fields left out take their defaults.

        Raises: ConfigError for an unknown setting, one given under two names, or a bad value.
        """
        values = cls.plain(values)
        known = [entry.name for entry in dataclasses.fields(cls)]  # type: ignore[arg-type]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ConfigError(f"Unknown setting {', '.join(unknown)[:200]}; expected {', '.join(known)}.")
        return cls(**values)

    @classmethod
    def names(cls) -> list[str]:
        """The names of all settings."""
        return [entry.name for entry in dataclasses.fields(cls)]  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values, ready for JSON."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]


class Methodical(Settings):
    """Settings of several methods: some all of them use, some one alone; giving one that is not used is an error.

    The preset chooses the `method`, whose first choice is that of the preset 'default'.
    """

    _only: Mapping[str, tuple[str, ...]]  # settings that one method alone uses

    def __post_init__(self) -> None:
        super().__post_init__()
        used, fields = self.settings_of(self._method), dataclasses.fields(self)  # type: ignore[arg-type]
        self._refuse(f.name for f in fields if f.name not in used and getattr(self, f.name) != f.default)

    @property
    def _method(self) -> str:
        return getattr(self, "method")  # noqa: B009

    @classmethod
    def _of_preset(cls, name: str) -> str:
        return cls._presets[name].get("method", next(iter(cls._only)))

    @classmethod
    def _not_used(cls, method: str) -> set[str]:
        return {name for other, names in cls._only.items() if other != method for name in names}

    @classmethod
    def settings_of(cls, method: str) -> list[str]:
        """The settings that a method uses, in the order of the fields."""
        return [name for name in cls.names() if name not in cls._not_used(method)]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """As for every config. Raises: ConfigError also for a setting that the method does not use."""
        unused = cls._not_used(values.get("method", next(iter(cls._only))))
        cls._refuse(name for name in values if cls._setting(name) in unused)
        return super().from_dict(values)

    @classmethod
    def _setting(cls, name: str) -> str:
        return cls._aliases[name].field if name in cls._aliases else name

    @classmethod
    def _refuse(cls, unused: Iterable[str]) -> None:
        """Raises: ConfigError for settings that the method at hand does not use."""
        names = list(unused)
        if names:
            presets = cls.presets_using(cls._setting(names[0]))
            raise ConfigError(
                f"{', '.join(names)} is not used by this preset; it belongs to {' and '.join(presets)}. Leave it "
                f"out, or choose --preset {presets[0]} (in Python preset={presets[0]!r})."
            )

    @classmethod
    def presets_using(cls, name: str) -> list[str]:
        """The presets that use a setting."""
        return [key for key in cls._presets if name in cls.settings_of(cls._of_preset(key))]

    @property
    def nearest(self) -> str:
        """The name of the preset to say these settings with: of its method, and with the fewest changes on top."""
        alike = [name for name in self._presets if self._of_preset(name) == self._method]
        return min(alike, key=lambda name: len(self.changes(name)))

    def changes(self, preset: str) -> dict[str, Any]:
        """What is set otherwise than in a preset of the same method."""
        usual = self.preset(preset)
        return {name: value for name, value in self.to_dict().items() if value != getattr(usual, name)}

    def to_dict(self) -> dict[str, Any]:
        """The settings that the method uses, as plain values, ready for JSON."""
        return {name: getattr(self, name) for name in self.settings_of(self._method)}


C = TypeVar("C", bound=Settings)


def resolve(kind: type[C], preset: str | None, config: C | None, settings: Mapping[str, Any]) -> C:
    """Settings from a preset ('default' where it is None) or from a ready config, with `settings` on top.

    Raises: ConfigError for both at once, for an unknown preset, an unknown setting or a bad value.
    """
    if config is None:
        return kind.preset(preset or "default", **settings)
    if preset is not None:
        raise ConfigError(
            f"Both preset={brief(preset)} and config= are given; expected one of them. A config is made from a preset "
            f"with {kind.__name__}.preset({brief(preset)}, …)."
        )
    if not isinstance(config, kind):
        raise ConfigError(f"config is a {type(config).__name__}; expected a {kind.__name__}.")
    return kind.from_dict(kind.over(config.to_dict(), settings))

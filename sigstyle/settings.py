"""What every config is made of: fields with bounds and help, presets, validation and conversion."""

import dataclasses
import math
import types
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Self, TypeVar, get_args

from sigstyle.errors import ConfigError
from sigstyle.text import brief, check_words

SWITCH = ("off", "on")


def number(default: float | None, low: float, high: float, text: str) -> Any:
    return field(default=default, metadata={"help": text, "low": low, "high": high})


def choice(default: str, choices: tuple[str, ...], text: str) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices})


def switch(text: str) -> Any:
    """Something that is off unless it is asked for: a flag without a value."""
    return choice("off", SWITCH, text)


def words(default: str, text: str) -> Any:
    return field(default=default, metadata={"help": text})


def field_type(entry: dataclasses.Field) -> type:
    """The plain type (int, float or str) of a config field, without `| None`."""
    if isinstance(entry.type, types.UnionType):
        return next(kind for kind in get_args(entry.type) if kind is not type(None))
    return entry.type  # type: ignore[return-value]


def __check_number(entry: dataclasses.Field, value: Any, kind: type) -> None:
    """Raises ConfigError unless `value` is a finite number of `kind` in the field's range."""
    allowed = (int, float) if kind is float else (int,)
    low, high = entry.metadata["low"], entry.metadata["high"]
    number = isinstance(value, allowed) and not isinstance(value, bool)
    if not number or not low <= value <= high or not math.isfinite(value):  # last, for it fails on huge integers
        noun = "a number" if kind is float else "a whole number"
        raise ConfigError(f"{entry.name} is {brief(value)}; expected {noun} from {low} to {high}.")


def _check(entry: dataclasses.Field, value: Any) -> None:
    """Raises ConfigError when `value` does not suit the field."""
    kind = field_type(entry)
    if value is None and isinstance(entry.type, types.UnionType):
        return
    if kind is not str:
        __check_number(entry, value, kind)
    elif not isinstance(value, str):
        raise ConfigError(f"{entry.name} is {brief(value)}; expected text.")
    elif "choices" not in entry.metadata:
        check_words(entry.name, value)
    elif value not in entry.metadata.get("choices", (value,)):
        raise ConfigError(f"{entry.name} is {brief(value)}; expected one of {', '.join(entry.metadata['choices'])}.")


def settable(kind: Any) -> list[dataclasses.Field]:
    """The fields of a config, or of its class, that people set; a preset alone decides the others."""
    return [entry for entry in dataclasses.fields(kind) if not entry.metadata.get("internal")]


class Settings:
    """What both configs share: validation, presets and conversion."""

    _presets: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):  # type: ignore[arg-type]
            _check(entry, getattr(self, entry.name))

    @classmethod
    def preset(cls, name: str = "default", **changes: Any) -> Self:
        """The settings called `name`, with `changes` on top.

        Raises: ConfigError for an unknown preset, an unknown setting or a bad value.
        """
        if name not in cls._presets:
            raise ConfigError(f"There is no preset {brief(name)}; expected one of {', '.join(cls._presets)}.")
        return cls.from_dict({**cls._presets[name], **changes})

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

        Raises: ConfigError for an unknown setting or a bad value.
        """
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
    return kind.from_dict({**config.to_dict(), **settings})

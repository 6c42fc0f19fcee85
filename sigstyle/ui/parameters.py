"""The one place that the parameters of every call of the API pass, before anything is kept or queued."""

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sigstyle.errors import ConfigError
from sigstyle.studio.limits import LONGEST_TEXT, MOST_PHOTOS, MOST_STYLES
from sigstyle.ui.handlers import told
from sigstyle.ui.messages import plain_values

LONGEST = {"prompt": LONGEST_TEXT}
LONGEST_NAME = 300  # of styles, bases, keys and ids
MOST_SETTINGS = 40


def check_parameters(given: Mapping[str, Any]) -> None:
    """Raises: ConfigError for a parameter of another kind than its call takes, or one that is too large."""
    for name, value in given.items():
        if value is not None:
            _CHECKS.get(name, _text)(name, value)


def _text(name: str, value: Any) -> None:
    most = LONGEST.get(name, LONGEST_NAME)
    if not isinstance(value, str):
        raise ConfigError(f"{name} is {type(value).__name__}; expected a text.")
    if len(value) > most:
        raise ConfigError(f"{name} has {len(value)} characters; expected at most {most}.")
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in value):
        raise ConfigError(f"{name} holds half a character, which no text has; expected Unicode.")


def _number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name} is {str(value)[:40]!r}; expected a number.")


def _files(name: str, value: Any) -> None:
    if isinstance(value, str):
        return  # the place of one file, which Gradio has looked at
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ConfigError(f"{name} is {type(value).__name__}; expected files.")
    if len(value) > MOST_PHOTOS:
        raise ConfigError(f"These are {len(value)} {name}; at most {MOST_PHOTOS} at once.")


def _names(name: str, value: Any) -> None:
    if not isinstance(value, list):
        raise ConfigError(f"{name} is {type(value).__name__}; expected a list of names.")
    if len(value) > MOST_STYLES:
        raise ConfigError(f"These are {len(value)} {name}; at most {MOST_STYLES} at once.")
    for entry in value:
        _text(f"a name in {name}", entry)


def _settings(name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise ConfigError(f"{name} is {type(value).__name__}; expected an object such as {{'seed': 3}}.")
    if len(value) > MOST_SETTINGS:
        raise ConfigError(f"{name} has {len(value)} entries; expected at most {MOST_SETTINGS}.")
    for key, entry in value.items():
        _text("a setting's name", key)
        if key == "loras":
            _weights(entry)
        elif isinstance(entry, list | dict):
            raise ConfigError(f"{key[:40]} is {type(entry).__name__}; expected a plain number or text.")
        if isinstance(entry, str) and len(entry) > LONGEST_TEXT:
            raise ConfigError(f"{key[:40]} has {len(entry)} characters; expected at most {LONGEST_TEXT}.")


def _weights(value: Any) -> None:
    """LoRAs are asked for by the names they have here, never by a place."""
    if not isinstance(value, dict):
        raise ConfigError(f"loras is {type(value).__name__}; expected names and weights, such as {{'ink': 0.8}}.")
    for name, weight in value.items():
        _text("a name in loras", name)
        _number(f"the weight of {name[:40]}", weight)


def _switch(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is {type(value).__name__}; expected true or false.")


_CHECKS: Mapping[str, Callable[[str, Any], None]] = {
    "photos": _files, "photo": _files, "file": _files, "styles": _names, "settings": _settings, "strength": _number,
    "weight": _number, "on": _switch,
}  # fmt: skip


def bounded(function: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """`function(request, *values)` called with checked values alone, and telling no place on this computer."""

    def checked(values: tuple[Any, ...]) -> None:
        with told(page=False):
            check_parameters(dict(zip(names, values[-len(names) :] if names else (), strict=True)))

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def following(*values: Any) -> Iterator[Any]:
            checked(values)
            for reply in function(*values):
                yield [*reply[:-1], plain_values(reply[-1])]

        return following

    @functools.wraps(function)
    def answering(*values: Any) -> Any:
        checked(values)
        answer = function(*values)
        return answer if function.__name__ in _FILES else plain_values(answer)

    return answering


_FILES = ("style_file",)  # what answers with a file, whose place Gradio turns into an address

"""Text from outside: what may be kept as it is, how it is shown, and JSON read and written with limits."""

import json
import re
from typing import Any

from sigstyle.errors import ConfigError

_MAX_DEPTH = 64
_MAX_NAME = 80
_MAX_CHARACTERS = 64 * 2**20
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069"  # also what turns the line round
_UNSHOWN = re.compile(f"[{_CONTROLS}\ud800-\udfff]")
_UNSHOWN_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def shown(text: str) -> str:
    """`text` in one line that any terminal can be given: control characters and stray bytes are written as escapes."""
    return _UNSHOWN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if found[0] in _PLAIN:
        return _PLAIN[found[0]]
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte of a file name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def brief(value: Any, most: int = 80) -> str:
    """What a message says of a value from outside, however long that is."""
    text = shown(repr(value))
    return text if len(text) <= most else f"{text[:most]}…"


def check_words(name: str, text: str) -> str:
    """`text`, known to be what a tokenizer and a recipe can hold. Raises: ConfigError for stray bytes and NUL."""
    if _SURROGATE.search(text):
        raise ConfigError(
            f"{name} is '{shown(text[:80])}', which holds bytes that are no UTF-8; expected plain text. Type it anew "
            "in a UTF-8 terminal, or save its file as UTF-8."
        )
    if "\0" in text:
        raise ConfigError(f"{name} is '{shown(text[:80])}', which holds a NUL; expected plain text. Leave it out.")
    return text


def check_style_name(name: str) -> None:
    """Raises: ConfigError for a style name that could not be shown or is too long."""
    if not name.isprintable() or not 0 < len(name) <= _MAX_NAME:
        raise ConfigError(
            f"The style name is '{shown(name[:_MAX_NAME])}'; expected 1 to {_MAX_NAME} printable characters."
        )


def style_name_of(stem: str) -> str:
    """A style name made of a file's: what cannot be shown in it becomes '-'."""
    return "".join(letter if letter.isprintable() else "-" for letter in stem)[:_MAX_NAME]


def json_text(values: Any, **options: Any) -> str:
    """`values` as JSON that can be written as UTF-8 and shown: a file name's stray bytes are escaped, and read back."""
    text = json.dumps(values, **{"ensure_ascii": False, **options})
    return _UNSHOWN_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def parsed_json(text: str | bytes, **options: Any) -> Any:
    """What a JSON text holds; `options` are those of `json.loads`.

    Raises: ValueError for what is no JSON, is too long or so deeply nested that walking through it would fail.
    """
    if len(text) > _MAX_CHARACTERS:
        raise ValueError(f"it is JSON of {len(text)} characters; at most {_MAX_CHARACTERS} are read")
    try:
        values = json.loads(text, **options)
    except RecursionError:
        raise ValueError("it is too deeply nested") from None
    level = [values]
    for _ in range(_MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
        if not level:
            return values
    raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")


def _inside(values: Any) -> Any:
    return values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()

"""What the app says to people: without places on this computer, and on the page as text, whatever is in it."""

import html
import re
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.data import shipped_path

_PATH = re.compile(r"(?<![\w.:/<\\-])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\'\"<>|:*?]+[/\\])+(?=[^\s/\\])")


def placeless(text: str) -> str:
    """`text` in which files of this computer are called by their names alone."""
    for place in _places():
        text = text.replace(place + "/", "").replace(place + "\\", "").replace(place, "the app's folder")
    return _PATH.sub("", text)


def _places() -> list[str]:
    """Folders that the app works in, the longest first; with them go the paths that have spaces in them."""
    places = {Path.cwd(), Path.home(), Path(tempfile.gettempdir()), shipped_path(".").resolve()}
    return sorted((str(place) for place in places if len(place.parts) > 1), key=len, reverse=True)


def plain_values(value: Any) -> Any:
    """Plain values in which no text tells a place on this computer."""
    if isinstance(value, str):
        return placeless(value)
    if isinstance(value, dict):
        return {key: plain_values(inner) for key, inner in value.items()}
    return [plain_values(inner) for inner in value] if isinstance(value, list | tuple) else value


def without_flags(notice: str) -> str:
    """A line of the library's without its advice on flags of the command line, which a page does not have."""
    return re.sub(r"; --[\w-]+ .*", ".", notice)


def as_text(text: str) -> str:
    """`text` for where HTML is shown, so that what looks like HTML in it is read and not obeyed."""
    return html.escape(placeless(text), quote=False)


def as_markdown(text: str) -> str:
    """`text` for where Markdown is shown, likewise."""
    text = placeless(text)
    return "".join(f"&#{ord(letter)};" if letter in "<>&*_`[]()#|\\!~" else letter for letter in text)


def inform(text: str, duration: float = 5) -> None:
    """A toast that says what was done."""
    gr.Info(as_text(text), duration=duration)


def warn(text: str, title: str = "Note", duration: float = 15) -> None:
    """A toast that says what was not done."""
    gr.Warning(as_text(text), title=title, duration=duration)


def fault(text: str, title: str, page: bool = True, duration: float = 20) -> gr.Error:
    """The error to raise: on the page its text is shown as HTML is, to a program it goes as it is."""
    said = as_text(text) if page else placeless(text)
    return gr.Error(said, title=title, duration=duration, print_exception=False)

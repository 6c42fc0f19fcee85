"""What is said of the shipped styles: painting, artist and year, from the one table that says it."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sigstyle.data import shipped_path

LICENCE = "The painting is in the public domain, the style file under CC0."
_ROW = re.compile(r"\| `(?P<style>[^`]+)` \| (?P<text>[^|]+) \| `(?P<file>[^`]+)` \|")
_NUMERAL = re.compile(r"\b[ivx]{2,}\b")
_YEAR = re.compile(r"\d{4}$")


@dataclass(frozen=True)
class Origin:
    """Where a shipped style comes from; `artist` is '' where the table names none first, `painting` its file."""

    style: str
    artist: str
    text: str
    painting: Path

    @property
    def caption(self) -> str:
        """For below a small picture: a short title, and whose it is."""
        title = _NUMERAL.sub(lambda found: found[0].upper(), self.style.replace("-", " ").capitalize())
        return f"{title} · {_surname(self.artist)}" if self.artist else title


def _surname(artist: str) -> str:
    """'van Gogh' of 'Vincent van Gogh', 'Bruegel' of 'Pieter Bruegel the Elder'."""
    words = artist.partition(" the ")[0].split()
    start = next((place for place, word in enumerate(words) if word.islower()), len(words) - 1)
    return " ".join(words[start:])


def read_origins(table: str) -> dict[str, Origin]:
    """The rows of a table in Markdown: style, what it is of, and its file."""
    return {row["style"]: _origin(row["text"].strip(), row["file"], row["style"]) for row in _ROW.finditer(table)}


def _origin(text: str, file: str, style: str) -> Origin:
    parts = text.split(", ")
    known = len(parts) > 2 and _YEAR.search(parts[-1]) and not parts[0].startswith("The ")
    return Origin(style, parts[0] if known else "", text, shipped_path(file))


@cache
def origins() -> dict[str, Origin]:
    """Those of the shipped styles, by name."""
    try:
        return read_origins(shipped_path("weights/styles/README.md").read_text(encoding="utf-8"))
    except OSError:
        return {}


def caption_of(style: str) -> str:
    """What a style is called for people: its title and artist where it is a shipped one, else its name."""
    known = origins().get(style)
    return known.caption if known else style

"""Where the data that comes with the code lies: the embedded base, the shipped styles, the demo's examples."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
INSTALLED = _PACKAGE / "_data"


def shipped_path(place: str) -> Path:
    """The file or folder that a checkout has at `place`, such as 'weights/mini'; it need not exist.

    An installed package carries them in `sigstyle/_data`, where the wheel puts them (pyproject.toml); a checkout has
    them where they are made.
    """
    return (INSTALLED if INSTALLED.is_dir() else _PACKAGE.parent) / place


def shipped_photos() -> list[Path]:
    """The bank of photos that ships, by name: what captures paint, and what photographs are like at large."""
    return sorted(shipped_path("weights/content").glob("*.webp"))

"""The styles a person can choose from: shipped ones, those of everyone, and the person's own."""

import base64
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from sigstyle.errors import ConfigError, ImageError, StyleFileError
from sigstyle.imaging.images import load_image
from sigstyle.studio.folder import DataFolder, Workspace, safe_name
from sigstyle.style.shipped import STYLES_FOLDER
from sigstyle.style.style import Style

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Entry:
    """A style and where its file is; only one's `own` can be renamed and removed."""

    style: Style
    path: Path
    own: bool

    @property
    def name(self) -> str:
        """What it is called."""
        return self.style.name

    def thumbnail(self) -> Image.Image:
        """Its little picture, or a plain grey one."""
        return _thumbnail(self.style.thumbnail)


@lru_cache(maxsize=256)
def _thumbnail(uri: str) -> Image.Image:
    try:
        return load_image(base64.b64decode(uri.partition(",")[2]))
    except (ImageError, ValueError):
        return Image.new("RGB", (128, 128), "#9ca3af")


@lru_cache(maxsize=512)
def _loaded(path: Path, changed_ns: int, size: int) -> Style | None:
    """A style, read again when its file has changed; None when it cannot be used."""
    try:
        return Style.load(path)
    except StyleFileError:
        return None


class Library:
    """Styles by name for one person."""

    def __init__(self, folder: DataFolder, workspace: Workspace) -> None:
        self.workspace = workspace
        self._places = ((workspace.root / "styles", True), (folder.root / "styles", False), (STYLES_FOLDER, False))

    def entries(self, fingerprint: str | None = None) -> list[Entry]:
        """The styles, of one base where a fingerprint is given: first one's own, newest first, then by name."""
        found = {entry.name: entry for entry in reversed(list(self._all()))}
        chosen = [e for e in found.values() if fingerprint in (None, e.style.base_fingerprint)]
        return sorted(chosen, key=lambda e: (not e.own, -e.path.stat().st_mtime if e.own else 0, e.name.lower()))

    def _all(self) -> Iterator[Entry]:
        """Every usable style, those that hide others of the same name first."""
        for place, own in self._places:
            for path in sorted(place.glob(f"*{SUFFIX}")):
                status = path.stat()
                style = _loaded(path, status.st_mtime_ns, status.st_size)
                if style is not None:
                    yield Entry(style, path, own)

    def get(self, name: str) -> Entry:
        """The style of this name or hash. Raises: ConfigError, which lists what there is."""
        entries = self.entries()
        for entry in entries:
            if name in (entry.name, entry.style.hash):
                return entry
        known = ", ".join(entry.name for entry in entries) or "none yet"
        raise ConfigError(
            f"There is no style {name!r} here; there are: {known}. Learn it, or drop its file into the library."
        )

    def check_free(self, name: str) -> str:
        """`name` without spaces around it, when a new style may be called so. Raises: ConfigError."""
        name = " ".join(name.split())
        if not name:
            raise ConfigError("The style has no name yet. Give it one, such as 'Great Wave'.")
        if not name.isprintable() or len(name) > 80:
            raise ConfigError(f"The name has {len(name)} characters; expected 1 to 80 printable ones.")
        if any(entry.name == name for entry in self.entries()):
            raise ConfigError(f"There is a style called {name} already. Choose another name, or remove that one first.")
        return name

    def add(self, style: Style) -> Entry:
        """Keep a style under its own name. Raises: ConfigError, StyleFileError when it cannot be written."""
        self.check_free(style.name)
        folder = self.workspace.folder("styles")
        stem = safe_name(style.name, "style")
        path, number = folder / f"{stem}{SUFFIX}", 2
        while path.exists():
            path, number = folder / f"{stem}-{number}{SUFFIX}", number + 1
        style.save(path)
        return Entry(style, path, own=True)

    def add_under_free_name(self, style: Style) -> Entry:
        """Keep a style, with a number after its name where that is taken. Raises: as `add`."""
        taken, name, number = {entry.name for entry in self.entries()}, style.name, 2
        while name in taken:
            name, number = f"{style.name} {number}", number + 1
        return self.add(dataclasses.replace(style, name=name))

    def add_file(self, path: Path) -> Entry:
        """Keep a copy of someone's style file, checked and written anew. Raises: StyleFileError, ConfigError."""
        return self.add(Style.load(path))

    def rename(self, name: str, new_name: str) -> Entry:
        """Call an own style differently. Raises: ConfigError."""
        entry = self._own(name)
        renamed = dataclasses.replace(entry.style, name=self.check_free(new_name))
        added = self.add(renamed)
        entry.path.unlink(missing_ok=True)
        return added

    def remove(self, name: str) -> None:
        """Delete an own style. Raises: ConfigError."""
        self._own(name).path.unlink(missing_ok=True)

    def _own(self, name: str) -> Entry:
        entry = self.get(name)
        if not entry.own:
            raise ConfigError(f"{entry.name} came with the app, so it stays as it is. Choose a style of your own.")
        return entry

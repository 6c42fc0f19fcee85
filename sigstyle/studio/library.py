"""The styles a person can choose from: shipped ones, those of everyone, and the person's own."""

import base64
import dataclasses
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path

from PIL import Image

from sigstyle.base.prompts import token_for
from sigstyle.errors import ConfigError, ImageError, StyleFileError
from sigstyle.files import reason
from sigstyle.imaging.images import Source, load_image
from sigstyle.learning.likeness import looks_like
from sigstyle.studio.favourites import Favourites
from sigstyle.studio.folder import DataFolder, Workspace, safe_name
from sigstyle.studio.keeping import Keeping
from sigstyle.studio.origins import Origin, origins
from sigstyle.studio.trash import Trash
from sigstyle.style.shipped import STYLES_FOLDER
from sigstyle.style.similar import by_likeness
from sigstyle.style.style import Style

SUFFIX = ".safetensors"
STAR = "★"
log = logging.getLogger("sigstyle.app")


@dataclass(frozen=True)
class Entry:
    """A style and where its file is; only one's `own` can be renamed and removed, every one can be a `favourite`."""

    style: Style
    path: Path
    own: bool
    favourite: bool = False

    @property
    def name(self) -> str:
        """What it is called."""
        return self.style.name

    @property
    def origin(self) -> Origin | None:
        """What is known of the painting of a shipped style."""
        return origins().get(self.name) if self.path.parent == STYLES_FOLDER else None

    @property
    def caption(self) -> str:
        """What to call it on the page, behind a star where it is a favourite."""
        caption = self.origin.caption if self.origin else self.name
        return f"{STAR} {caption}" if self.favourite else caption

    @property
    def changed(self) -> float:
        """When its file was written, in seconds of the system's clock; 0 where it went a moment ago."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0.0

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
def _loaded(path: Path, changed_ns: int, size: int) -> Style | str:
    """A style, read again when its file has changed; where it cannot be used, a sentence that says why."""
    try:
        return Style.load(path)
    except StyleFileError as error:
        log.warning("A file in the library was left out: %s", error)
        return str(error).replace(str(path), path.name)


def _found(path: Path) -> Style | str:
    """The style at `path`, or a sentence that names the file and says why there is none."""
    try:
        status = path.stat()
    except OSError as error:
        return f"{path.name} cannot be read as a style: {reason(error)}."
    return _loaded(path, status.st_mtime_ns, status.st_size)


class Library:
    """Styles by name for one person."""

    def __init__(self, folder: DataFolder, workspace: Workspace, keeping: Keeping | None = None) -> None:
        self.workspace, self.keeping, self.favourites = workspace, keeping or Keeping(), Favourites(workspace)
        self._places = ((workspace.root / "styles", True), (folder.root / "styles", False), (STYLES_FOLDER, False))

    def entries(self, fingerprint: str | None = None) -> list[Entry]:
        """The styles, of one base where a fingerprint is given: favourites first, then one's own, newest first."""
        found = {entry.name: entry for entry in reversed([e for e in self._all() if isinstance(e, Entry)])}
        chosen = [e for e in found.values() if fingerprint in (None, e.style.base_fingerprint)]
        return sorted(chosen, key=_order)

    def like(self, like: Source | Style, fingerprint: str | None = None) -> list[tuple[Entry, float]]:
        """The styles that say what they look like, likest an image or a style first, with how alike they are, -1 to 1.

        Raises: ImageError; ConfigError for a style that does not say.
        """
        return by_likeness(looks_like(like), ((entry, entry.style) for entry in self.entries(fingerprint)))

    def unusable(self) -> list[str]:
        """A sentence on every file that is left out because it is no usable style."""
        return [entry for entry in self._all() if isinstance(entry, str)]

    def _all(self) -> Iterator[Entry | str]:
        """Every style, those that hide others of the same name first; what cannot be used is a sentence."""
        starred = self.favourites.all()
        for place, own in self._places:
            for path in sorted(place.glob(f"*{SUFFIX}")):
                style = _found(path)
                yield style if isinstance(style, str) else Entry(style, path, own, style.hash in starred)

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
        token_for(name)  # what a capture would refuse is refused before it begins
        if any(entry.name == name for entry in self.entries()):
            raise ConfigError(f"There is a style called {name} already. Choose another name, or remove that one first.")
        return name

    def add(self, style: Style) -> Entry:
        """Keep a style under its own name. Raises: ConfigError, StyleFileError when it cannot be written."""
        self.check_free(style.name)
        folder = self.workspace.folder("styles")
        path = _reserved(folder, safe_name(style.name, "style"))
        try:
            style.save(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Entry(style, path, own=True)

    def add_under_free_name(self, style: Style) -> Entry:
        """Keep a style, with a number after its name where that is taken. Raises: as `add`."""
        taken, name, number = {entry.name for entry in self.entries()}, style.name, 2
        while name in taken:
            name, number = f"{style.name[:70]} {number}", number + 1
        return self.add(dataclasses.replace(style, name=name))

    def add_file(self, path: Path) -> Entry:
        """Keep a copy of someone's style file, checked and written anew; one more of a name gets a number after it.

        Raises: StyleFileError; ConfigError for one that is here already, or where there is no room.
        """
        style = Style.load(path)
        known = next((entry for entry in self.entries() if entry.style.hash == style.hash), None)
        if known is not None and known.own:
            raise ConfigError(f"{path.name} is here already: it is the style called {known.name}.")
        self.keeping.check_room(self.workspace)
        return self.add_under_free_name(style)

    def star(self, name: str, on: bool) -> Entry:
        """Make any style a favourite, or one no more. Raises: ConfigError."""
        entry = self.get(name)
        self.favourites.mark(entry.style.hash, on)
        return dataclasses.replace(entry, favourite=on)

    def rename(self, name: str, new_name: str) -> Entry:
        """Call an own style differently. Raises: ConfigError."""
        entry = self._own(name)
        added = self.add(entry.style.renamed(self.check_free(new_name)))
        entry.path.unlink(missing_ok=True)
        return added

    def remove(self, name: str) -> None:
        """Delete an own style, which `Trash.undo` brings back. Raises: ConfigError."""
        Trash(self.workspace).put(self._own(name).path)

    def _own(self, name: str) -> Entry:
        entry = self.get(name)
        if not entry.own:
            raise ConfigError(f"{entry.name} came with the app, so it stays as it is. Choose a style of your own.")
        return entry


def _order(entry: Entry) -> tuple[bool, bool, float, str]:
    """Favourites first, then one's own, the newest of these first; the others by name."""
    return not entry.favourite, not entry.own, -entry.changed if entry.own else 0, entry.name.lower()


def _reserved(folder: Path, stem: str) -> Path:
    """A path for a new style, at which an empty file is made so that nobody else takes it. Raises: ConfigError."""
    for number in count(1):
        path = folder / f"{stem if number == 1 else f'{stem}-{number}'}{SUFFIX}"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            return path
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigError(f"{path.name} cannot be written: {reason(error)}. Make room, or ask for it.") from error
    raise AssertionError("numbers do not end")

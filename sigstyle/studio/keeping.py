"""How much of a person the app keeps, and how long; and deleting all of it."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sigstyle.errors import ConfigError
from sigstyle.files import reason
from sigstyle.studio.folder import Workspace
from sigstyle.studio.words import memory

KEPT = (
    "photos",
    "results",
    "styles",
    "favourites",
    "loras",
    "captures",
    "thumbs",
    "trash",
)  # the folders of a workspace, beside which nothing is touched
_LASTING = ("styles", "favourites", "loras")  # what stays as long as its owner comes here
_DAY_S = 86_400


@dataclass(frozen=True)
class Usage:
    """What there is of a person."""

    files: int
    bytes: int


@dataclass(frozen=True)
class Keeping:
    """Bounds on what is kept of one person, each None for no bound.

    Photos, pictures and unfinished styles go when they were not used for `days`; finished styles, stars and LoRAs when
    their owner was not here for so long.
    """

    most_bytes: int | None = None
    days: float | None = None

    def check_room(self, workspace: Workspace) -> None:
        """Raises: ConfigError when a person keeps as much as one may, so that nothing more is begun."""
        if self.most_bytes is None:
            return
        used = usage(workspace).bytes
        if used >= self.most_bytes:
            raise ConfigError(
                f"You keep {memory(used)} here, and {memory(self.most_bytes)} is the most one person may. Download "
                "what you need, then remove styles, or delete your things in the Model tab."
            )

    def words(self, workspace: Workspace) -> str:
        """What is kept of a person, and within which bounds."""
        found = usage(workspace)
        text = f"{found.files} files of yours are kept here, {memory(found.bytes)}"
        text += f" of at most {memory(self.most_bytes)}." if self.most_bytes is not None else "."
        return text if self.days is None else f"{text} What nobody used for {self.days:g} days goes by itself."

    def sweep(self, people: Path, now: float | None = None) -> int:
        """Delete what is too old below the folder of all people; how many files that were."""
        if self.days is None or not people.is_dir():
            return 0
        oldest = (time.time() if now is None else now) - self.days * _DAY_S
        return sum(_swept(Workspace(root), oldest) for root in sorted(people.iterdir()) if root.is_dir())


def visited(workspace: Workspace) -> None:
    """Note that the owner of a workspace is here."""
    if workspace.root.is_dir():
        os.utime(workspace.root)


def usage(workspace: Workspace) -> Usage:
    """What there is in a workspace now."""
    sizes = [status.st_size for _, status in _files(workspace)]
    return Usage(len(sizes), sum(sizes))


def delete_all(workspace: Workspace) -> Usage:
    """Delete everything in a workspace; what that was. Raises: ConfigError for what cannot be deleted."""
    found = usage(workspace)
    for name in KEPT:
        if (workspace.root / name).is_dir():
            try:
                shutil.rmtree(workspace.root / name)
            except OSError as error:
                raise ConfigError(f"Not everything is deleted: {reason(error)}. Ask whoever runs the app.") from error
    _drop_if_empty(workspace.root)
    return found


def _files(workspace: Workspace, names: Sequence[str] = KEPT) -> Iterator[tuple[Path, os.stat_result]]:
    """The files in folders of a workspace, with what the system says of them; links are not followed."""
    for name in names:
        for place, _, files in os.walk(workspace.root / name):
            for path in (Path(place) / file for file in files):
                try:
                    yield path, path.lstat()
                except OSError:
                    continue  # it went a moment ago


def _swept(workspace: Workspace, oldest: float) -> int:
    """Delete what is older than `oldest` in one workspace; how many files that were."""
    files = list(_files(workspace))
    present = max([workspace.root.stat().st_mtime, *(status.st_mtime for _, status in files)]) >= oldest
    if present:
        gone = [path for path, status in files if status.st_mtime < oldest and not _needed(workspace, path)]
    else:
        gone = [path for path, _ in files]
    for path in gone:
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in gone if path.parent.parent != workspace.root}:
        _drop_if_empty(folder)
    return len(gone)


def _needed(workspace: Workspace, path: Path) -> bool:
    """Whether an old file stays while its owner comes here: what lasts, or a photo that is still being learned."""
    if path.parent.name == "photos":
        notes = (workspace.root / "captures").glob("*.json")
        return any(path.stem in note.read_text(encoding="utf-8", errors="replace") for note in notes)
    return any(path.is_relative_to(workspace.root / name) for name in _LASTING)


def _drop_if_empty(folder: Path) -> None:
    with suppress(OSError):  # there is something in it, or it is gone
        folder.rmdir()

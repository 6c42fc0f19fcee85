"""What a person deleted a moment ago, kept so that it can be brought back."""

import time
from contextlib import suppress
from pathlib import Path

from sigstyle.errors import ConfigError
from sigstyle.files import reason
from sigstyle.studio.folder import Workspace, make_folder

KEPT_S = 3600
MOST = 20


class Trash:
    """The things deleted last, each below a folder that is named after the moment."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.root = workspace, workspace.root / "trash"

    def put(self, path: Path) -> None:
        """Move a file of the workspace in here, and let go of what has lain here for long. Raises: ConfigError."""
        self.empty(MOST - 1)
        place = self.root / str(time.time_ns()) / path.relative_to(self.workspace.root)
        make_folder(place.parent)
        try:
            path.replace(place)
        except OSError as error:
            raise ConfigError(f"{path.name} cannot be deleted: {reason(error)}.") from error

    def undo(self, folder: str) -> Path | None:
        """Put what was deleted last from a folder of the workspace back; None when there is nothing.

        Raises: ConfigError.
        """
        for moment in reversed([moment for moment in self._moments() if (moment / folder).is_dir()]):
            for file in (file for file in moment.rglob("*") if file.is_file()):
                place = self.workspace.root / file.relative_to(moment)
                if place.exists():
                    raise ConfigError(f"{place.name} is there again. Rename or delete that one first.")
                make_folder(place.parent)
                file.replace(place)
                _remove(moment)
                return place
        return None

    def empty(self, most: int = 0, older_s: float = KEPT_S) -> None:
        """Let go of what is older than this, and of all but the last `most`."""
        moments, oldest = self._moments(), time.time_ns() - round(older_s * 1e9)
        kept = moments[-most:] if most else []
        for moment in moments:
            if moment not in kept or int(moment.name) < oldest:
                _remove(moment)

    def _moments(self) -> list[Path]:
        if not self.root.is_dir():
            return []
        return sorted((path for path in self.root.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))


def _remove(folder: Path) -> None:
    """Delete a folder of the trash with what is in it."""
    for path in sorted(folder.rglob("*"), reverse=True):
        with suppress(OSError):  # it went a moment ago
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    with suppress(OSError):
        folder.rmdir()

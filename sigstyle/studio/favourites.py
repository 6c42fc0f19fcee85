"""The styles a person has starred: an empty file for each, named after the style's hash, which a new name keeps."""

import re

from sigstyle.errors import ConfigError
from sigstyle.files import reason
from sigstyle.studio.folder import Workspace

FOLDER = "favourites"
_HASH = re.compile(r"[0-9a-f]{4,64}")


class Favourites:
    """The starred styles of one person."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.root = workspace, workspace.root / FOLDER

    def all(self) -> frozenset[str]:
        """The hashes of those styles, also of ones that are deleted for now."""
        try:
            return frozenset(path.name for path in self.root.iterdir() if _HASH.fullmatch(path.name))
        except OSError:
            return frozenset()  # nobody has starred anything yet

    def mark(self, style_hash: str, on: bool) -> None:
        """Star a style, or take its star away. Raises: ConfigError when that cannot be written."""
        path = self.workspace.folder(FOLDER) / style_hash
        try:
            path.touch() if on else path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"The star cannot be kept: {reason(error)}. Make room, or ask for it.") from error

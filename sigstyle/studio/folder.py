"""The app's one folder: everything it writes lies below it, each person's work in a workspace of its own."""

import hashlib
import io
import json
import re
import secrets
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sigstyle.errors import ConfigError
from sigstyle.files import read_regular, reason, write_atomically
from sigstyle.imaging.images import Source, load_image
from sigstyle.names import file_part
from sigstyle.text import parsed_json

_MAX_NAME = 60
_PIXELS_HASH = re.compile(r"[0-9a-f]{64}")


def safe_name(text: str, otherwise: str = "untitled") -> str:
    """A file name without suffix made of any text: letters, digits and hyphens, never a path, never reserved."""
    plain = unicodedata.normalize("NFKC", text)
    name = re.sub(r"[^\w]+|_+", "-", plain).strip("-")[:_MAX_NAME].strip("-").lower()
    return file_part(name, _MAX_NAME, 3 * _MAX_NAME, otherwise)


def make_folder(path: Path) -> Path:
    """`path`, made with its parents where it is missing. Raises: ConfigError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The folder {path} cannot be made: {reason(error)}. Choose a writable one with --data."
        ) from error
    return path


@dataclass(frozen=True)
class Workspace:
    """One person's folders; `root` lies below the app's folder and is named after a hash of the person's key."""

    root: Path

    def folder(self, name: str) -> Path:
        """The subfolder `name`, which exists. Raises: ConfigError."""
        return make_folder(self.root / name)

    def keep_photo(self, source: Source) -> Path:
        """A photo, re-encoded without anything but its pixels, under a name that follows from them.

        Raises: ImageError for what cannot be used as an image, ConfigError when it cannot be written.
        """
        image = load_image(source)
        path = self.folder("photos") / f"{pixels_hash(image)}.png"
        if not path.exists():
            buffer = io.BytesIO()
            image.save(buffer, "PNG", compress_level=1)
            write(path, buffer.getvalue())
        return path

    def photo(self, sha256: str) -> Path | None:
        """The kept photo with these pixels, or None."""
        path = self.root / "photos" / f"{sha256}.png"
        return path if _PIXELS_HASH.fullmatch(sha256) and path.is_file() else None

    def new_result(self, stem: str, suffix: str = ".png") -> Path:
        """A path for a new result that nothing is at yet."""
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}-{safe_name(stem)}"
        return self.folder("results") / f"{name}{suffix}"


class DataFolder:
    """The app's folder, with a workspace for each person."""

    def __init__(self, root: Path) -> None:
        self.root = make_folder(root.expanduser().resolve())

    def folder(self, name: str) -> Path:
        """A folder that everyone shares: 'styles', 'models', 'cache'."""
        return make_folder(self.root / name)

    def workspace(self, key: str) -> Workspace:
        """The workspace of whoever holds `key`, which cannot be read off the folder's name.

        Raises: ConfigError for an empty key.
        """
        if not key:
            raise ConfigError("There is no workspace without a key. Reload the page.")
        return Workspace(self.root / "people" / hashlib.sha256(key.encode()).hexdigest()[:24])

    def secret(self) -> str:
        """A secret of this folder: what browsers keep is encrypted with it, so it outlives a restart."""
        path = self.root / "secret"
        if not path.exists():
            write(path, secrets.token_hex(16).encode())
            path.chmod(0o600)
        return read_regular(path, 1000).decode()


def pixels_hash(image: Image.Image) -> str:
    """The hash that recipes tell photos apart by."""
    return hashlib.sha256(image.tobytes()).hexdigest()


def write(path: Path, data: bytes) -> None:
    """Write a file whole. Raises: ConfigError."""
    try:
        write_atomically(path, data)
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be written: {reason(error)}. Make room in {path.parent}.") from error


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write plain values whole. Raises: ConfigError."""
    write(path, json.dumps(values, ensure_ascii=False, indent=1).encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Plain values that `write_json` wrote, or None when they cannot be read."""
    try:
        values = parsed_json(read_regular(path, 2**20))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None

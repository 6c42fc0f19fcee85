"""Every picture of a person, told by its own recipe: there is no list beside the files that could be lost or lie."""

import hashlib
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from sigstyle.errors import ConfigError, ImageError
from sigstyle.imaging.images import load_image, read_recipe
from sigstyle.painting.sizes import PLAIN_UP_TO, picture_size
from sigstyle.studio.folder import Workspace, write
from sigstyle.studio.limits import MOST_MEGAPIXELS
from sigstyle.studio.trash import Trash

THUMB_PX = 192
_SHEET = "contact-sheet"


@dataclass(frozen=True)
class MadePicture:
    """A kept picture: what it is told apart by, where it is, and what its recipe says.

    Units: size is (width, height) in pixels, made_at seconds of the system's clock.
    """

    id: str
    path: Path
    photo: Path | None
    subject: str
    styles: tuple[str, ...]
    kind: str
    seed: int
    size: tuple[int, int]
    made_at: float
    settings: Mapping[str, Any] = field(default_factory=dict)  # those that say how large it is
    base: str = ""  # its fingerprint
    regions: int = 0

    @property
    def larger(self) -> tuple[int, int] | None:
        """(width, height) it has when painted at the photo's own size; None where that is not more, or not possible."""
        short_px = self.settings.get("size_px")
        if self.photo is None or self.settings.get("method") != "paint" or not isinstance(short_px, int):
            return None
        with Image.open(self.photo) as photo:
            size = picture_size(photo.size, None, MOST_MEGAPIXELS)
        return size if min(size) > PLAIN_UP_TO * short_px else None

    @property
    def style(self) -> str:
        """Its styles, as one says them."""
        return " + ".join(dict.fromkeys(self.styles))

    @property
    def time(self) -> str:
        """When it was made: the hour today, the day before."""
        made, today = time.localtime(self.made_at), time.localtime()
        return time.strftime("%H:%M" if made[:3] == today[:3] else "%d %b %H:%M", made)

    @property
    def label(self) -> str:
        """For below its thumbnail."""
        return f"{self.subject} · {self.style} · {self.time}"

    def before(self) -> Image.Image | None:
        """The photo it was made from, at its size."""
        return None if self.photo is None else load_image(self.photo).resize(self.size, Image.Resampling.LANCZOS)


class History:
    """The pictures of one person, newest first."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.root = workspace, workspace.root / "results"

    def all(self) -> list[MadePicture]:
        """Every picture whose recipe can be read."""
        paths = [*self.root.glob("*.png"), *self.root.glob("*/pictures/*.png")]
        found = [self._kept(path) for path in paths if not path.name.startswith(_SHEET)]
        return sorted((kept for kept in found if kept is not None), key=lambda kept: kept.made_at, reverse=True)

    def get(self, id_: str) -> MadePicture:
        """The picture of this id. Raises: ConfigError when it is gone."""
        for kept in self.all():
            if kept.id == id_:
                return kept
        raise ConfigError("This picture is not here any more. Choose another one.")

    def of(self, path: Path) -> MadePicture | None:
        """The picture at a path, or None when it is gone."""
        return self._kept(path)

    def thumbnail(self, kept: MadePicture) -> Path:
        """A small copy, made when it is first asked for. Raises: ConfigError where there is no room for it."""
        path = self._thumb(kept)
        if not path.exists():
            image = load_image(kept.path)
            image.thumbnail((THUMB_PX * 2, THUMB_PX), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=88)
            write(path, buffer.getvalue())
        return path

    def delete(self, id_: str) -> MadePicture:
        """Delete a picture, which `Trash.undo` brings back. Raises: ConfigError."""
        kept = self.get(id_)
        Trash(self.workspace).put(kept.path)
        for path in (self._thumb(kept), kept.path.with_suffix(".zip")):
            path.unlink(missing_ok=True)
        return kept

    def _thumb(self, kept: MadePicture) -> Path:
        return self.workspace.folder("thumbs") / f"{hashlib.sha256(kept.id.encode()).hexdigest()[:24]}.jpg"

    def _kept(self, path: Path) -> MadePicture | None:
        try:
            status = path.stat()
        except OSError:
            return None  # it went a moment ago
        told = _told(path, status.st_mtime_ns, status.st_size)
        if told is None:
            return None
        recipe, size = told
        subject, photo = self._subject(path, recipe)
        names = tuple(style["name"] for style in recipe["styles"])
        id_ = path.relative_to(self.root).as_posix()
        seed = recipe["settings"]["seed"]
        return MadePicture(
            id_, path, photo, subject, names, recipe["kind"], seed, size, status.st_mtime, recipe["settings"],
            recipe["base"], recipe["regions"],
        )  # fmt: skip

    def _subject(self, path: Path, recipe: dict[str, Any]) -> tuple[str, Path | None]:
        """What a picture shows, in a word, and the kept photo it was made from."""
        if recipe["kind"] == "generate":
            return str(recipe["settings"].get("prompt", ""))[:40], None
        content = recipe.get("content") or {}
        name = Path(str(content.get("path") or "")).name
        if name:  # it was made with others, in a folder that has their photos beside it
            photo = path.parent.parent / "photos" / name
            return Path(name).stem, photo if photo.is_file() else None
        stem = path.stem.split("-", 3)[-1]
        return stem.rpartition("-in-")[0] or stem, self.workspace.photo(str(content.get("pixels_sha256", "")))


@lru_cache(maxsize=4096)
def _told(path: Path, changed_ns: int, size: int) -> tuple[dict[str, Any], tuple[int, int]] | None:
    """Recipe and size of a picture, read again when its file has changed; None where it has no whole recipe."""
    try:
        recipe = read_recipe(path)
        named = [*recipe["styles"], *(region["style"] for region in recipe.get("regions") or [])]
        styles = [{"name": str(style["name"])} for style in named]
        given = recipe["settings"]
        settings = {"seed": int(given["seed"]), "prompt": given.get("prompt", "")}
        settings |= {name: given.get(name) for name in ("size_px", "method")}
        with Image.open(path) as opened:
            pixels = opened.size
        return {
            "kind": recipe["kind"],
            "styles": styles,
            "settings": settings,
            "content": recipe.get("content"),
            "base": str(recipe["base"]["fingerprint"]),
            "regions": len(recipe.get("regions") or []),
        }, pixels
    except (ImageError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return None

"""Footage: the pictures of a film's file or of a folder, upright, in sRGB, each with its time."""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from sigstyle.errors import ImageError, SigStyleError, first_line
from sigstyle.files import expanded, reason
from sigstyle.film.decoding import Decoder, decoder_of, opened_film
from sigstyle.film.sound import Sound
from sigstyle.imaging.images import load_image
from sigstyle.imaging.opening import identified, read_picture
from sigstyle.text import shown

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif")
FOLDER_FPS = Fraction(24)
_LATE_S = 0.5  # how much earlier than its header says a film may end

Size = tuple[int, int]
Timed = tuple[float, Callable[[], Image.Image]]  # seconds from the film's begin, and what makes the picture


class Footage(Protocol):
    """What a clip is cut from. `size` is upright with square pixels; `rate` is in pictures a second."""

    name: str
    size: Size
    rate: Fraction
    has_sound: bool
    notices: list[str]

    def pictures(self, size: Size, start_s: float) -> Iterator[Timed]:
        """The pictures at a size, at least those from `start_s` on."""
        ...

    def ended(self, at_s: float) -> list[str]:
        """Lines about an end that came too early, once all pictures were read."""
        ...

    def sound(self, start_s: float, end_s: float) -> Sound | None:
        """What sounds in a part, where there is sound."""
        ...


@dataclass
class FilmFile:
    """A film's file. Raises: ImageError, when made, for what has no pictures or cannot be decoded."""

    path: Path
    name: str = field(init=False)
    size: Size = field(init=False)
    rate: Fraction = field(init=False)
    has_sound: bool = field(init=False)
    notices: list[str] = field(init=False, default_factory=list)
    _decoder: Decoder = field(init=False)
    _said_s: float | None = field(init=False)
    _trouble: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.name = shown(self.path.name)
        with opened_film(self.path, self.name) as container:
            self._decoder = decoder_of(container, self.name)
            self.has_sound = bool(container.streams.audio)
            stream = container.streams.video[self._decoder.stream]
            own = stream.duration * stream.time_base if stream.duration and stream.time_base else None
            whole = container.duration / 1e6 if container.duration else None  # with its sound
            self._said_s = float(own) if own is not None else whole
        self.size, self.rate = self._decoder.size, self._decoder.rate
        if self._decoder.tones:
            self.notices.append(f"{self.name} is HDR; its brightness is brought down to what sRGB can show.")

    def pictures(self, size: Size, start_s: float) -> Iterator[Timed]:
        """The pictures at a size, at least those from `start_s` on; a damaged film ends where the damage begins."""
        from av.error import FFmpegError

        self._trouble = ""
        try:
            with opened_film(self.path, self.name) as container:
                yield from self._decoder.timed(container, size, start_s)
        except FFmpegError as error:
            self._trouble = first_line(error)

    def ended(self, at_s: float) -> list[str]:
        """Lines about an end that came too early, once all pictures were read."""
        early = self._said_s is not None and at_s < self._said_s - max(_LATE_S, 2 / self.rate)
        if not early and not self._trouble:
            return []
        said = f" of {self._said_s:.1f}" if early else ""
        return [f"{self.name} is damaged or cut off: it ends after {at_s:.1f}{said} seconds."]

    def sound(self, start_s: float, end_s: float) -> Sound | None:
        """What sounds in a part, where there is sound."""
        return Sound(self.path, self._decoder.zero_s, start_s, end_s) if self.has_sound else None


@dataclass
class FilmFolder:
    """A folder of pictures in the order of their names, numbers in them counted. Raises: ImageError, when made."""

    path: Path
    name: str = field(init=False)
    size: Size = field(init=False)
    rate: Fraction = FOLDER_FPS
    has_sound: bool = False
    notices: list[str] = field(init=False, default_factory=list)
    _files: list[Path] = field(init=False)

    def __post_init__(self) -> None:
        self.name = shown(self.path.name)
        self._files = sorted(
            (path for path in self.path.iterdir() if path.suffix.lower() in PICTURES and path.is_file()), key=_numbered
        )
        if not self._files:
            raise ImageError(f"{self.name} has no pictures; expected some of {', '.join(PICTURES)}, a frame each.")
        self.size = load_image(self._files[0]).size
        others = [path for path in self._files[1:] if not _as_large(path, self.size)]
        if others:
            self.notices.append(
                f"{len(others)} pictures of {self.name} are not {self.size[0]}x{self.size[1]} as its first and are "
                f"resized, such as {shown(others[0].name)}."
            )

    def pictures(self, size: Size, start_s: float) -> Iterator[Timed]:
        """The pictures at a size. Raises: ImageError, when one is made that cannot be read."""
        for place, path in enumerate(self._files):
            yield float(place / self.rate), lambda path=path: resized(load_image(path), size)

    def ended(self, at_s: float) -> list[str]:
        """A folder ends where it ends."""
        return []

    def sound(self, start_s: float, end_s: float) -> Sound | None:
        """A folder has none."""
        return None


def footage_of(path: str | Path) -> Footage:
    """A film's file or a folder of pictures. Raises: ImageError for neither."""
    try:
        found = expanded(path)
        if found.is_dir():
            return FilmFolder(found)
        if not found.is_file():
            raise ImageError(f"There is no film {shown(str(path))}; expected a file or a folder of pictures.")
    except OSError as error:
        raise ImageError(f"{shown(str(path))} cannot be read: {reason(error)}.") from error
    return FilmFile(found)


def resized(image: Image.Image, size: Size) -> Image.Image:
    """`image` at a size."""
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def _as_large(path: Path, size: Size) -> bool:
    """Whether a picture's header says so; what cannot be read is told when it is read."""
    with contextlib.suppress(SigStyleError):
        return identified(path.name, read_picture(path)).size in (size, size[::-1])
    return True


def _numbered(path: Path) -> list[Any]:
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if part.isdigit() else part.casefold() for part in parts]

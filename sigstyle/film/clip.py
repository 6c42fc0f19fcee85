"""A clip: what of a film is wanted, at which size and rate, as an even row of frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from PIL import Image

from sigstyle.errors import ConfigError, ImageError
from sigstyle.film.footage import Footage, footage_of

MAX_FPS = 120
_MOST_FRAMES = 1_000_000


@dataclass(frozen=True)
class Clip:
    """A part of a film, resampled to an even rate: each frame shows the picture that is nearest in time.

    Units: start_s and end_s in seconds of the film; end_s is None for its end.
    """

    footage: Footage
    fps: Fraction
    start_s: float
    end_s: float | None

    @classmethod
    def open(
        cls, path: str | Path, fps: float | None = None, start_s: float | None = None, end_s: float | None = None
    ) -> "Clip":
        """Look at a film's file or a folder of pictures. Raises: ConfigError, ImageError."""
        _check(fps, start_s, end_s)
        footage = footage_of(path)
        rate = Fraction(fps).limit_denominator(1001) if fps is not None else footage.rate
        return cls(footage, rate, start_s or 0.0, end_s)

    def size(self, short_side_px: int) -> tuple[int, int]:
        """(width, height) with this short side, even as encoders want them."""
        own = self.footage.size
        width, height = (max(2, 2 * round(side * short_side_px / min(own) / 2)) for side in own)
        return width, height

    def notices(self, size: tuple[int, int], asked: bool) -> list[str]:
        """What is worth saying before it is painted at a size, which was `asked` for or is the usual one."""
        own = self.footage.size
        told = f"The clip has {own[0]}x{own[1]} pixels and is painted at {size[0]}x{size[1]}"
        shrunk = not asked and min(size) < 0.9 * min(own)
        return [*self.footage.notices, *([f"{told}; --size-px (size_px) sets another short side."] if shrunk else [])]

    def frames(self, size: tuple[int, int], first: int = 0) -> Iterator[Image.Image]:
        """The frames from number `first` on; where one picture is shown twice, the very same object comes twice.

        Raises: ImageError for a folder's picture that cannot be read, and for a film without end.
        """
        for place, make in enumerate(self._shown(size)):
            if place >= _MOST_FRAMES:
                raise ImageError(f"{self.footage.name} has over {_MOST_FRAMES} frames; choose a part (--from, --to).")
            if place >= first:
                yield make()

    def _shown(self, size: tuple[int, int]) -> Iterator[Callable[[], Image.Image]]:
        """What makes each frame."""
        half, tick = 1 / (2 * self.fps), 0
        latest: _Once | None = None
        begun_s, lasts_s = 0.0, float(1 / self.footage.rate)  # the last picture lasts as long as the one before it
        for time_s, make in self.footage.pictures(size, self.start_s):
            while latest is not None and time_s - self.start_s >= tick / self.fps + half:
                if self._over(tick):
                    return
                yield latest
                tick += 1
            lasts_s = lasts_s if latest is None else min(time_s - begun_s, lasts_s)
            latest, begun_s = _Once(make), time_s
        end_s = begun_s - self.start_s + lasts_s
        while latest is not None and tick / self.fps < end_s - 1e-3 and not self._over(tick):
            yield latest
            tick += 1

    def _over(self, tick: int) -> bool:
        """Whether a frame lies behind the part that is wanted."""
        return self.end_s is not None and self.start_s + tick / self.fps >= self.end_s - 1e-6


class _Once:
    """Makes a picture when it is first asked for, and gives the same again."""

    def __init__(self, make: Callable[[], Image.Image]) -> None:
        self._make: Callable[[], Image.Image] | None = make
        self._made: Image.Image | None = None

    def __call__(self) -> Image.Image:
        if self._made is None and self._make is not None:
            self._made, self._make = self._make(), None
        assert self._made is not None
        return self._made


def _check(fps: float | None, start_s: float | None, end_s: float | None) -> None:
    """Raises: ConfigError for a rate or a part that cannot be."""
    if fps is not None and not 0.1 <= fps <= MAX_FPS:
        raise ConfigError(f"fps is {fps}; expected a number from 0.1 to {MAX_FPS}.")
    for name, value in (("from", start_s), ("to", end_s)):
        if value is not None and not 0 <= value < 1e6:
            raise ConfigError(f"{name} is {value}; expected seconds from the begin of the film.")
    if end_s is not None and end_s <= (start_s or 0):
        raise ConfigError(f"from is {start_s or 0} and to is {end_s}; expected an end behind the begin.")

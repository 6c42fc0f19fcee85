"""Shots: where a film cuts, and the colours of what lies between two cuts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sigstyle.imaging.images import to_tensor
from sigstyle.imaging.palette import Palette

SIDE_PX = 96  # short side of the frames that are looked at
_BINS = 8
_OTHER_COLOURS = 0.35  # share of the pixels whose colours are not those of the frame before, where that is sudden
_ALL_OTHER_COLOURS = 0.7  # the same, where all moves fast
_SUDDEN = 3.0  # times what changes between the frames around
_STEPS = 20.0  # least difference of two frames across a cut, of 255


@dataclass(frozen=True, eq=False)
class Shot:
    """Frames between two cuts, from number `first` up to but not with `end`, and the palette of them all.

    `usual` is the frame whose own palette is nearest to it, and `small` that palette, at the size that was looked at.
    """

    first: int
    end: int
    palette: Palette
    usual: int
    small: Palette

    def palette_at(self, found: Palette) -> Palette:
        """The shot's palette at another size, at which the usual frame's is `found`: detail adds to the contrast."""
        mean = self.palette.mean + found.mean - self.small.mean
        return Palette(mean, self.palette.covariance + found.covariance - self.small.covariance)


def shots_of(frames: Iterable[Image.Image], on_frame: Callable[[int], object] = lambda count: None) -> list[Shot]:
    """The shots of a film, of its frames at a small size, none of which is kept; [] where there are no frames."""
    shots: list[Shot] = []
    before, usual, looks = None, 0.0, _Looks(0)  # usual is how much two frames of this shot differ
    for place, frame in enumerate(frames):
        now = _Look.at(frame)
        change = now.change(before) if before is not None else 0.0
        if before is not None and now.is_cut(before, change, usual):
            shots.append(looks.shot())
            usual, looks = 0.0, _Looks(place)
        else:
            usual = max(change, 0.9 * usual)
        looks.add(now.palette)
        before = now
        on_frame(place + 1)
    return [*shots, looks.shot()] if before is not None else []


class _Looks:
    """The palettes of a shot's frames, of which only numbers are kept."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._rows: list[NDArray[np.float32]] = []

    def add(self, palette: Palette) -> None:
        """Count one more frame."""
        self._rows.append(np.concatenate([palette.mean.numpy(), palette.covariance.numpy().ravel()]))

    def shot(self) -> Shot:
        """The shot of the frames so far."""
        rows = np.stack(self._rows)
        mean = rows.astype(np.float64).mean(0)
        usual = int(np.square(rows - mean).sum(1).argmin())
        palette, small = (_palette(row) for row in (mean, rows[usual]))
        return Shot(self.first, self.first + len(rows), palette, self.first + usual, small)


def _palette(row: NDArray) -> Palette:
    numbers = torch.from_numpy(np.array(row)).float()
    return Palette(numbers[:3], numbers[3:].reshape(3, 3))


@dataclass(frozen=True, eq=False)
class _Look:
    """What is kept of a frame until the next."""

    pixels: NDArray[np.float32]
    histogram: NDArray[np.float64]
    palette: Palette

    @classmethod
    def at(cls, frame: Image.Image) -> "_Look":
        pixels = np.asarray(frame)
        bins = (pixels // (256 // _BINS)).reshape(-1, 3).astype(np.int64) @ np.array([_BINS**2, _BINS, 1])
        histogram = np.bincount(bins, minlength=_BINS**3) / len(bins)
        with torch.no_grad():
            return cls(pixels.astype(np.float32), histogram, Palette.of(to_tensor(frame)))

    def change(self, before: "_Look") -> float:
        """How much this frame differs from the one before, in steps of 255."""
        return float(np.abs(self.pixels - before.pixels).mean())

    def is_cut(self, before: "_Look", change: float, usual: float) -> bool:
        """Whether another shot begins here: other colours, suddenly."""
        others = 0.5 * float(np.abs(self.histogram - before.histogram).sum())
        sudden = others > _OTHER_COLOURS and change > _SUDDEN * usual
        return change > _STEPS and (sudden or others > _ALL_OTHER_COLOURS)

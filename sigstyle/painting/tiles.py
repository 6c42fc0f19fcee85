"""Overlapping tiles of a picture, and what is made of each blended into one without seams."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Span:
    """A tile along one axis: its places [tile], and its share of the picture at each [tile]."""

    places: Tensor
    window: Tensor

    @property
    def start(self) -> int:
        """Its first place."""
        return int(self.places[0])


@dataclass(frozen=True, eq=False)
class Box:
    """One tile: its rows and its columns."""

    rows: Span
    columns: Span

    def cut(self, x: Tensor, scale: int = 1) -> Tensor:
        """Its part of `x` [b, c, h * scale, w * scale]."""
        rows, columns = (_finer(span.places, scale).to(x.device) for span in (self.rows, self.columns))
        return x.index_select(-2, rows).index_select(-1, columns)

    def weighted(self, part: Tensor) -> Tensor:
        """What was made of it [b, c, rows, columns], at its share of the picture."""
        rows, columns = (span.window.to(part) for span in (self.rows, self.columns))
        return part * (rows[:, None] * columns)


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut into tiles of one size that overlap by `overlap` at least: one tile where that is enough.

    With `wrap` the picture goes on at its other side, as a texture does, where it is larger than a tile.
    Units: any, the same for all; tiles begin at multiples of `unit`, as all sides must be.
    """

    height: int
    width: int
    tile: int
    overlap: int
    wrap: bool = False
    unit: int = 1

    def scaled(self, scale: int) -> "Tiling":
        """The same tiles of a picture `scale` times as large."""
        height, width = self.height * scale, self.width * scale
        return Tiling(height, width, self.tile * scale, self.overlap * scale, self.wrap, self.unit * scale)

    @cached_property
    def rows(self) -> list[Span]:
        """The tiles from top to bottom."""
        return self._spans(self.height)

    @cached_property
    def columns(self) -> list[Span]:
        """The tiles from left to right."""
        return self._spans(self.width)

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return len(self.rows) * len(self.columns)

    def boxes(self) -> Iterator[Box]:
        """The tiles, row by row."""
        return (Box(rows, columns) for rows in self.rows for columns in self.columns)

    def blended(self, work: Callable[[Box], Tensor], scale: int = 1) -> Tensor:
        """What `work` makes of every tile, `scale` times as large as it, as one [b, c, height * scale, width * scale].

        What it makes of a single tile is given back as it is.
        """
        if self.count == 1:
            return work(next(self.boxes()))
        whole: Tensor | None = None
        large = self.scaled(scale)
        for box, place in zip(self.boxes(), large.boxes(), strict=True):
            part = work(box)
            if whole is None:
                whole = part.new_zeros(*part.shape[:2], large.height, large.width)
            rows, columns = (span.places.to(part.device) for span in (place.rows, place.columns))
            whole[:, :, rows[:, None], columns] += place.weighted(part)
        assert whole is not None
        return whole

    def _spans(self, length: int) -> list[Span]:
        """Tiles along an axis, evenly spaced, whose shares add to 1 everywhere."""
        if self.tile >= length:
            return [Span(torch.arange(length), torch.ones(length))]
        step = self.tile - self.overlap
        count = math.ceil(length / step) if self.wrap else math.ceil((length - self.overlap) / step)
        reach, last = (length, count) if self.wrap else (length - self.tile, count - 1)
        starts = [round(i * reach / last / self.unit) * self.unit for i in range(count)]
        places = [(start + torch.arange(self.tile)) % length for start in starts]
        windows = [self._window(self.wrap or i > 0, self.wrap or i < count - 1) for i in range(count)]
        total = torch.zeros(length)
        for where, window in zip(places, windows, strict=True):
            total[where] += window
        return [Span(where, window / total[where]) for where, window in zip(places, windows, strict=True)]

    def _window(self, rising: bool, falling: bool) -> Tensor:
        """1, but for half a wave at the ends at which another tile lies."""
        window = torch.ones(self.tile)
        wave = 0.5 - 0.5 * torch.cos(math.pi * (torch.arange(self.overlap) + 0.5) / self.overlap)
        if rising:
            window[: self.overlap] *= wave
        if falling:
            window[self.tile - self.overlap :] *= wave.flip(0)
        return window


def _finer(places: Tensor, scale: int) -> Tensor:
    return (places[:, None] * scale + torch.arange(scale)).flatten()

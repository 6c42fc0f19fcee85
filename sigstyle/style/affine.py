"""Affine arithmetic: bounds through a network that remember which of its numbers move together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PLACES = 65  # of a function that are looked at between two bounds; what it does between them is added
_HALF, _LEAST_HALF = 2**-11, 2**-25  # by which float16 may miss a number: a share of it, and near 0
_FLAT = 1e-6  # of a number: a radius below which it is as good as constant


@dataclass(frozen=True, eq=False)
class Interval:
    """Numbers between two bounds, each by itself; both bounds of one shape."""

    low: Tensor
    high: Tensor

    def holds(self, values: Tensor, slack: float = 1e-5) -> bool:
        """Whether values are within the bounds, but for rounding."""
        room = slack * (1 + torch.maximum(self.low.abs(), self.high.abs()))
        return bool(((values >= self.low - room) & (values <= self.high + room)).all())


@dataclass(frozen=True, eq=False)
class Affine:
    """All numbers `middle + slopes @ t + rest * s`, for one t [m] for all of them and an own s each, within -1 and 1.

    Interval arithmetic forgets t: what cancels out in a sum is added up there. Shapes: middle, rest [n], slopes [n, m].

    Source: Comba & Stolfi, "Affine Arithmetic and Its Applications to Computer Graphics" (1993); for networks Singh et
    al., "Fast and Effective Robustness Certification" (NeurIPS 2018).
    """

    middle: Tensor
    slopes: Tensor
    rest: Tensor

    @classmethod
    def exactly(cls, middle: Tensor, slopes: Tensor) -> Self:
        """With nothing left over."""
        return cls(middle, slopes, torch.zeros_like(middle))

    @classmethod
    def joined(cls, parts: Sequence["Affine"]) -> Self:
        """The numbers of parts that have their t in common, one after the other."""
        return cls(
            torch.cat([part.middle for part in parts]),
            torch.cat([part.slopes for part in parts]),
            torch.cat([part.rest for part in parts]),
        )

    @property
    def radius(self) -> Tensor:
        """How far each number can be from its middle."""
        return self.slopes.abs().sum(1) + self.rest

    @property
    def interval(self) -> Interval:
        """The bounds of each number by itself."""
        return Interval(self.middle - self.radius, self.middle + self.radius)

    @property
    def rounded(self) -> Self:
        """The numbers, and whatever float16 makes of them."""
        return type(self)(self.middle, self.slopes, self.rest + _HALF * (self.middle.abs() + self.radius) + _LEAST_HALF)

    def times(self, factor: float) -> Self:
        """Every number times a factor."""
        return type(self)(factor * self.middle, factor * self.slopes, abs(factor) * self.rest)

    def plus(self, shift: Tensor) -> Self:
        """Every number, and what is to be added to it."""
        return type(self)(self.middle + shift, self.slopes, self.rest)

    def through(self, layer: nn.Linear) -> Self:
        """The outputs of a linear layer."""
        return type(self)(layer(self.middle), layer.weight @ self.slopes, layer.weight.abs() @ self.rest)

    def cosine(self) -> Self:
        """The cosines."""
        return self._bent(torch.cos, 1.0)

    def sine(self) -> Self:
        """The sines."""
        return self._bent(torch.sin, 1.0)

    def silu(self) -> Self:
        """x * sigmoid(x)."""
        return self._bent(F.silu, 0.5)

    def _bent(self, function: Callable[[Tensor], Tensor], curvature: float) -> Self:
        """A function of each number whose second derivative is nowhere more than `curvature`.

        The chord between its bounds goes on as slopes, all that the function departs from that is the rest: it is
        looked at in places, and between two of them departs from their chord by curvature * distance² / 8 at most.
        """
        radius = torch.maximum(self.radius, _FLAT * (1 + self.middle.abs()))
        low, high = self.middle - radius, self.middle + radius
        slope = (function(high) - function(low)) / (high - low)
        places = torch.lerp(low, high, torch.linspace(0, 1, _PLACES).to(low)[:, None])
        departures = function(places) - slope * places
        between = curvature * ((high - low) / (_PLACES - 1)) ** 2 / 8
        least, most = departures.amin(0) - between, departures.amax(0) + between
        middle = slope * self.middle + (least + most) / 2
        return type(self)(middle, slope[:, None] * self.slopes, slope.abs() * self.rest + (most - least) / 2)


@dataclass(frozen=True, eq=False)
class BoundedOffset:
    """All offsets `first @ diag(amounts) @ second` of a layer.

    Shapes: first [out, r], second [r, in], amounts [r].
    """

    first: Tensor
    second: Tensor
    amounts: Affine

    def interval(self) -> Interval:
        """The bounds of every element [out, in]."""
        middle = (self.first * self.amounts.middle) @ self.second
        radius = (self.first.abs() * self.amounts.rest) @ self.second.abs()
        for slopes in self.amounts.slopes.T:
            radius += ((self.first * slopes) @ self.second).abs()
        return Interval(middle - radius, middle + radius)

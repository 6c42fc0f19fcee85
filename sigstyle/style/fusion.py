"""Between styles of one hypernetwork: their mean at the same norm, and boxes whose offsets are known to be bounded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sigstyle.style.shared_hypernet import ANGLE, EMBEDDING, SharedHypernet

_LOWEST_SILU = -1.2784645  # where x * sigmoid(x) is smallest


def fused(embeddings: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """The embedding between embeddings [64] each, by their shares, brought back to the norm that all have.

    One alone comes back as it is.
    """
    if len(embeddings) == 1:
        return embeddings[0]
    mean = torch.stack([embedding * share for embedding, share in zip(embeddings, shares, strict=True)]).sum(0)
    return SharedHypernet.normed(mean / sum(shares)).half().float()


@dataclass(frozen=True, eq=False)
class Interval:
    """Numbers between two bounds, each by itself; both bounds of one shape."""

    low: Tensor
    high: Tensor

    @property
    def middle(self) -> Tensor:
        """Half way between the bounds."""
        return (self.low + self.high) / 2

    @property
    def radius(self) -> Tensor:
        """How far the bounds are from the middle."""
        return (self.high - self.low) / 2

    def holds(self, values: Tensor, slack: float = 1e-5) -> bool:
        """Whether values are within the bounds, but for rounding."""
        room = slack * (1 + torch.maximum(self.low.abs(), self.high.abs()))
        return bool(((values >= self.low - room) & (values <= self.high + room)).all())

    def through(self, layer: nn.Linear) -> Self:
        """The bounds of a linear layer's outputs."""
        middle, radius = layer(self.middle), self.radius @ layer.weight.abs().T
        return type(self)(middle - radius, middle + radius)

    def silu(self) -> Self:
        """The bounds of x * sigmoid(x), which falls up to one place and rises from there."""
        ends = torch.stack([F.silu(self.low), F.silu(self.high)])
        least = F.silu(torch.tensor(_LOWEST_SILU)).to(ends)
        turning = (self.low < _LOWEST_SILU) & (self.high > _LOWEST_SILU)
        return type(self)(torch.where(turning, least, ends.amin(0)), ends.amax(0))

    def cosine(self) -> Self:
        """The bounds of the cosine."""
        ends = torch.stack([self.low.cos(), self.high.cos()])
        low = torch.where(self._meets(math.pi), -torch.ones_like(self.low), ends.amin(0))
        return type(self)(low, torch.where(self._meets(0.0), torch.ones_like(self.low), ends.amax(0)))

    def _meets(self, angle: float) -> Tensor:
        """Where an angle, or one whole turns away from it, is between the bounds."""
        turn = 2 * math.pi
        return torch.floor((self.high - angle) / turn) >= torch.ceil((self.low - angle) / turn)


@dataclass(frozen=True, eq=False)
class BoundedOffset:
    """An offset's elements lie within |first| diag(radius) |second| of first diag(middle) second, each by itself.

    Shapes: first [out, r], second [r, in], middle and radius [r].
    """

    first: Tensor
    second: Tensor
    middle: Tensor
    radius: Tensor

    def interval(self) -> Interval:
        """The bounds of every element [out, in]."""
        middle = (self.first * self.middle) @ self.second
        radius = (self.first.abs() * self.radius) @ self.second.abs()
        return Interval(middle - radius, middle + radius)


@dataclass(frozen=True, eq=False)
class HyperBox:
    """All embeddings whose numbers lie between those of two corners [64]; whatever is inside makes bounded offsets.

    Source: Krukowski et al., "HINT: Hypernetwork Approach to Training Weight Interval Regions in Continual Learning"
    (2405.15444), section 3; here bounds are worked out for a network that was trained without them.
    """

    corners: Interval

    @classmethod
    def around(cls, embedding: Tensor, radius: float) -> Self:
        """The box that reaches `radius` to every side of an embedding, whose numbers have the deviation 1."""
        return cls(Interval(embedding - radius, embedding + radius))

    @classmethod
    def between(cls, embeddings: Sequence[Tensor]) -> Self:
        """The smallest box that has several embeddings, and with them every mean of theirs, inside."""
        every = torch.stack(list(embeddings))
        return cls(Interval(every.amin(0), every.amax(0)))

    def point(self, places: Tensor) -> Tensor:
        """The embedding at places [64] from 0, the low corner, to 1, the high one."""
        return torch.lerp(self.corners.low, self.corners.high, places.clamp(0, 1))

    def holds(self, embedding: Tensor) -> bool:
        """Whether an embedding is inside."""
        return self.corners.holds(embedding)

    @torch.no_grad()
    def coefficients(self, net: SharedHypernet) -> Interval:
        """Bounds [layers, basis] of the coefficients of every embedding inside, by interval arithmetic."""
        angles = Interval(ANGLE * self.corners.low * math.pi / 2, ANGLE * self.corners.high * math.pi / 2)
        turned = Interval(angles.low - math.pi / 2, angles.high - math.pi / 2)
        parts = (angles.cosine(), turned.cosine())
        hidden = Interval(torch.cat([p.low for p in parts]), torch.cat([p.high for p in parts]))
        for layer in net.trunk:
            assert isinstance(layer, nn.Linear)
            hidden = hidden.through(layer).silu()
        nothing = net.hidden(torch.zeros(EMBEDDING))
        known = Interval(
            torch.cat([self.corners.low, hidden.low - nothing]), torch.cat([self.corners.high, hidden.high - nothing])
        )
        found = known.through(net.head)
        shape = (len(net.shapes), net.basis)
        return Interval((net.shared + found.low).view(shape), (net.shared + found.high).view(shape))

    @torch.no_grad()
    def offsets(self, net: SharedHypernet) -> dict[str, BoundedOffset]:
        """The bounds of every layer's offset, by path."""
        bounds = self.coefficients(net)
        outs, ins = zip(*net.shapes.values(), strict=True)
        parts = zip(net.ups.split(outs, 1), net.downs.split(ins, 1), bounds.middle, bounds.radius, strict=True)
        return {
            path: BoundedOffset(first.T, second, middle, radius)
            for path, (first, second, middle, radius) in zip(net.shapes, parts, strict=True)
        }

    @torch.no_grad()
    def width(self, net: SharedHypernet) -> float:
        """The bounds' radius as a share of the offsets in the middle, by their norms over all layers."""
        radii, middles = [], []
        for bounded in self.offsets(net).values():
            for into, first, second, amount in (
                (radii, bounded.first.abs(), bounded.second.abs(), bounded.radius),
                (middles, bounded.first, bounded.second, bounded.middle),
            ):
                gram = (first.T @ first) * (second @ second.T)
                into.append(amount @ gram @ amount)
        return float((torch.stack(radii).sum() / torch.stack(middles).sum().clamp_min(1e-12)).sqrt())

"""Between styles of one hypernetwork: their mean at the same norm, and boxes whose offsets are known to be bounded."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Self

import torch
from torch import Tensor, nn

from sigstyle.style.affine import Affine, BoundedOffset
from sigstyle.style.shared_hypernet import ANGLE, EMBEDDING, SharedHypernet

PIECES = 16  # of what lies between styles: bounds of small pieces are narrow
_NORM = math.sqrt(EMBEDDING)  # that all embeddings have


def fused(embeddings: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """The embedding between embeddings [64] each, by their shares, brought back to the norm that all have.

    One alone comes back as it is.
    """
    return embeddings[0] if len(embeddings) == 1 else _mean(embeddings, shares).half().float()


def _mean(embeddings: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    mean = torch.stack([embedding * share for embedding, share in zip(embeddings, shares, strict=True)]).sum(0)
    return SharedHypernet.normed(mean / sum(shares))


def _halves(part: list[Tensor]) -> Iterator[list[Tensor]]:
    """The two parts of what lies between embeddings, cut half way between the two that are farthest apart."""
    far = max(combinations(range(len(part)), 2), key=lambda pair: float((part[pair[0]] - part[pair[1]]).norm()))
    middle = _mean([part[place] for place in far], [1, 1])
    for place in far:
        yield [middle if place == own else embedding for own, embedding in enumerate(part)]


@dataclass(frozen=True, eq=False)
class HyperBox:
    """All embeddings `centre + t @ spans` with t within -1 and 1; whatever is inside makes bounded offsets.

    So does what is inside once embedding and coefficients are rounded to float16, as they are before offsets are made;
    factors at full rank and before a file rounds them. Shapes: centre [64], spans [m, 64].
    Source: Krukowski et al., "HINT: Hypernetwork Approach to Training Weight Interval Regions in Continual Learning"
    (2405.15444), section 3, for boxes of embeddings and bounds of what a hypernetwork makes of them. Here the network
    was not trained for narrow ones; they are worked out by affine arithmetic, and sides need not go along the axes.
    """

    centre: Tensor
    spans: Tensor

    @classmethod
    def around(cls, embedding: Tensor, radius: float) -> Self:
        """The box that reaches `radius` to every side of an embedding, whose numbers have the deviation 1."""
        return cls(embedding, radius * torch.eye(EMBEDDING))

    @classmethod
    def between(cls, embeddings: Sequence[Tensor]) -> list[Self]:
        """Boxes that together hold whatever `fused` makes of several embeddings.

        What lies between them is cut in two between the two that are farthest apart, again and again.
        """
        parts = [list(embeddings)]
        if len(embeddings) > 1:
            parts = [[SharedHypernet.normed(embedding) for embedding in embeddings]]  # of which float16 left a little
        while len(embeddings) > 1 and len(parts) < PIECES:
            parts = [half for part in parts for half in _halves(part)]
        return [cls._hull(part) for part in parts]

    @classmethod
    def _hull(cls, embeddings: Sequence[Tensor]) -> Self:
        """A box with all means of embeddings inside, at every norm from their own to the one that all have.

        A mean is no shorter than the shortest embedding along any one direction, here that of the even mean, so it is
        made longer by `most` at most. Where some point away from that direction, it is the box around all there are.
        """
        mean = torch.stack(list(embeddings)).mean(0)
        least = min(float(embedding @ mean) for embedding in embeddings) / max(float(mean.norm()), 1e-12)
        if least <= 0:
            return cls.around(torch.zeros(EMBEDDING), _NORM)
        most = max(1.0, _NORM / least)
        spans = [(embedding - mean) / 2 * most for embedding in embeddings]
        spans = [2 * spans[0]] if len(spans) == 2 else spans  # the second is its opposite
        return cls((1 + most) / 2 * mean, torch.stack([*spans, (most - 1) / 2 * mean]))

    def point(self, places: Tensor) -> Tensor:
        """The embedding at places [m] from 0 to 1 along each span."""
        return self.centre + (2 * places.clamp(0, 1) - 1) @ self.spans

    @torch.no_grad()
    def coefficients(self, net: SharedHypernet) -> Affine:
        """Coefficients [layers * basis] of every embedding inside."""
        embedding = Affine.exactly(self.centre, self.spans.T).rounded
        angles = embedding.times(ANGLE * math.pi / 2)
        hidden = Affine.joined([angles.cosine(), angles.sine()])
        for layer in net.trunk:
            assert isinstance(layer, nn.Linear)
            hidden = hidden.through(layer).silu()
        departure = hidden.plus(-net.hidden(torch.zeros(EMBEDDING)))
        return Affine.joined([embedding, departure]).through(net.head).plus(net.shared).rounded

    @torch.no_grad()
    def offsets(self, net: SharedHypernet) -> dict[str, BoundedOffset]:
        """The bounds of every layer's offset, by path."""
        found, (outs, ins) = self.coefficients(net), zip(*net.shapes.values(), strict=True)
        rows = zip(*(part.split(net.basis) for part in (found.middle, found.slopes, found.rest)), strict=True)
        parts = zip(net.shapes, net.ups.split(outs, 1), net.downs.split(ins, 1), rows, strict=True)
        return {path: BoundedOffset(first.T, second, Affine(*row)) for path, first, second, row in parts}


@torch.no_grad()
def reach(boxes: Sequence[HyperBox], net: SharedHypernet, embedding: Tensor) -> float:
    """How far offsets of whatever is in boxes can be from those of an embedding, as a share of the norm of these."""
    known = {path: offset.delta() for path, offset in net.offsets(net.predict(embedding).coefficients).items()}
    farthest = 0.0
    for box in boxes:
        bounds = ((bounded.interval(), known[path]) for path, bounded in box.offsets(net).items())
        gaps = (torch.maximum(found.high - own, own - found.low) for found, own in bounds)
        farthest = max(farthest, sum(float(gap.square().sum()) for gap in gaps))
    size = sum(float(delta.square().sum()) for delta in known.values())
    return math.sqrt(farthest / max(size, 1e-12))

"""Low-rank multiplicative weight offsets: the styled weight is `W * (1 + s * up @ down)`."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sigstyle.base.content_hash import content_hash
from sigstyle.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Offset:
    """The factors of one layer's offset.

    Shapes: up [out, rank], down [rank, in]; a convolution counts `in` as channels * kernel area.
    Source: arXiv 2502.13997, section 3.2 (its offset generator makes matrices of rank 3 at most).
    """

    up: Tensor
    down: Tensor

    def __post_init__(self) -> None:
        if self.up.ndim != 2 or self.down.ndim != 2 or self.up.shape[1] != self.down.shape[0]:
            raise ConfigError(
                f"Offset factors have shapes {tuple(self.up.shape)} and {tuple(self.down.shape)}; "
                "expected [out, rank] and [rank, in]."
            )

    @property
    def hash(self) -> str:
        """Hex digits over both factors."""
        return content_hash("", {"up": self.up, "down": self.down})

    def __eq__(self, other: object) -> bool:
        """Whether the factors are equal, bit for bit."""
        return self.hash == other.hash if isinstance(other, Offset) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in) of the weight it belongs to."""
        return self.up.shape[0], self.down.shape[1]

    @property
    def rank(self) -> int:
        """Number of columns of `up`."""
        return self.up.shape[1]

    def delta(self) -> Tensor:
        """The offset as a float32 matrix [out, in]; autocast does not reach it."""
        with torch.autocast(self.up.device.type, enabled=False):
            return self.up.float() @ self.down.float()

    def apply(self, weight: Tensor, strength: float = 1.0) -> Tensor:
        """The styled weight, in the shape, dtype and device of `weight`: multiplied in float32, cast once.

        Raises: ConfigError when the weight is not [out, in] once flattened.
        """
        if (weight.shape[0], weight[0].numel()) != self.shape:
            raise ConfigError(f"A weight of shape {tuple(weight.shape)} cannot take an offset of shape {self.shape}.")
        delta = self.to(weight.device).delta().view(weight.shape)
        return (weight.float() * (1 + strength * delta)).to(weight.dtype)

    def to(self, device: torch.device) -> "Offset":
        """The same offset with its factors on `device`."""
        return Offset(self.up.to(device), self.down.to(device))

    def scaled(self, strength: float) -> "Offset":
        """The offset whose delta is `strength` times this one's."""
        return Offset(self.up * strength, self.down)


def identity(shape: tuple[int, int], rank: int = 1) -> Offset:
    """The offset that changes nothing, for a weight [out, in]."""
    return Offset(torch.zeros(shape[0], rank), torch.zeros(rank, shape[1]))


def mix(offsets: Sequence[Offset], weights: Sequence[float]) -> Offset:
    """The offset whose delta is the weighted sum of the deltas: factors are concatenated, ranks add up.

    Raises: ConfigError for no offsets, another number of weights, or different shapes.
    """
    if not offsets or len(offsets) != len(weights):
        raise ConfigError(f"Cannot mix {len(offsets)} offsets with {len(weights)} weights; expected one weight each.")
    if len({offset.shape for offset in offsets}) > 1:
        raise ConfigError(f"Cannot mix offsets of shapes {[offset.shape for offset in offsets]}; expected one shape.")
    scaled = [offset.scaled(weight) for offset, weight in zip(offsets, weights, strict=True)]
    return Offset(torch.cat([o.up for o in scaled], dim=1), torch.cat([o.down for o in scaled], dim=0))


def of_rank(offset: Offset, rank: int) -> Offset:
    """The offset of at most `rank` that is nearest to `offset`; itself where it has no more.

    Source: Eckart & Young, "The approximation of one matrix by another of lower rank" (1936); the singular values of a
    product of factors are found from their triangular parts alone.
    """
    if offset.rank <= rank:
        return offset
    first, left = torch.linalg.qr(offset.up.double())
    second, right = torch.linalg.qr(offset.down.double().T)
    u, values, v = torch.linalg.svd(left @ right.T)
    roots = values[:rank].sqrt()
    return Offset((first @ u[:, :rank] * roots).float(), (roots[:, None] * v[:rank] @ second.T).float())

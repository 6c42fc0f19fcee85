"""Changes of weights as low-rank factors: how many ranks each layer gets for an error that is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Spectrum:
    """A matrix [out, in], float64, and its parts by their share of it.

    The leading singular vectors of one side come from the smaller of `M M^T` and `M^T M`; projecting on them gives the
    other side. Source: the Eckart-Young theorem.
    """

    matrix: Tensor

    @property
    def cost(self) -> int:
        """Numbers that one rank takes."""
        return sum(self.matrix.shape)

    @property
    def _wide(self) -> bool:
        return self.matrix.shape[0] <= self.matrix.shape[1]

    @cached_property
    def _parts(self) -> tuple[Tensor, Tensor]:
        product = self.matrix @ self.matrix.T if self._wide else self.matrix.T @ self.matrix
        squares, vectors = torch.linalg.eigh(product)
        return squares.flip(-1).clamp_min(0), vectors.flip(-1)

    @property
    def squares(self) -> Tensor:
        """Squared singular values, descending; they add up to the squared Frobenius norm."""
        return self._parts[0]

    def factors(self, rank: int) -> tuple[Tensor, Tensor]:
        """Factors [out, r] and [r, in], of equal norm, of the nearest matrix of `rank`, or of all there is."""
        squares, vectors = self._parts
        scale = squares[:rank].pow(0.25)
        side, shrunk = vectors[:, :rank] * scale, scale.clamp_min(1e-12)
        if self._wide:
            return side, vectors[:, :rank].T @ self.matrix / shrunk.unsqueeze(1)
        return self.matrix @ vectors[:, :rank] / shrunk, side.T


def truncated(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """Factors of the nearest matrix of `rank`, and the squared Frobenius norm of what is left out."""
    spectrum = Spectrum(matrix)
    return *spectrum.factors(rank), spectrum.squares[rank:].sum().item()


def ranks_for(spectra: Sequence[Spectrum], error: float) -> list[int]:
    """The ranks with which all matrices together miss at most `error` of their Frobenius norm, in the fewest numbers.

    What counts most for the numbers it takes is kept first, whichever matrix it is of.
    """
    squares = torch.cat([spectrum.squares for spectrum in spectra])
    owner = torch.cat([torch.full_like(s.squares, place, dtype=torch.long) for place, s in enumerate(spectra)])
    costs = torch.tensor([spectrum.cost for spectrum in spectra], dtype=squares.dtype)[owner]
    order = torch.argsort(squares / costs, descending=True, stable=True)
    reached = squares[order].cumsum(0)
    kept = int((reached < (1 - error**2) * squares.sum()).sum()) + 1
    return torch.bincount(owner[order[:kept]], minlength=len(spectra)).tolist()

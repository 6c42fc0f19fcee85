"""How far what a hypernetwork makes for known embeddings has moved: to hold it there, and to measure it later."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from sigstyle.style.offsets import Offset
from sigstyle.style.shared_hypernet import SharedHypernet

PROBES = 128  # numbers of a sketch: it knows a distance within some 6 %
_SEED = 1906_00695


@dataclass(frozen=True, eq=False)
class Held:
    """What a network makes for some embeddings [t, 64], as it was before it was changed.

    Shapes: coefficients [t, layers, basis], tokens [t, n, dim], ups [basis, out], downs [basis, in].
    Source: von Oswald et al., "Continual Learning with Hypernetworks" (1906.00695), equation 2.
    """

    embeddings: Tensor
    coefficients: Tensor
    tokens: Tensor
    ups: Tensor
    downs: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, net: SharedHypernet, embeddings: Tensor) -> Self:
        """What `net` makes now."""
        coefficients, tokens = _made(net, embeddings)
        return cls(embeddings, coefficients, tokens, net.ups.detach().clone(), net.downs.detach().clone())

    def drift(self, net: SharedHypernet) -> Tensor:
        """For each embedding the squared change of all offsets and of the token, as shares of what they were; [t].

        With gradients to `net`. A change is written as the sum of three products that are all 0 where nothing changed,
        so that small ones are not lost in the difference of large numbers: of the basis' first factors, of the
        coefficients and of the second factors. No matrix is made: norms of products are those of their Gram matrices.
        """
        coefficients, tokens = _made(net, self.embeddings)
        moved = torch.cat([coefficients, coefficients - self.coefficients, self.coefficients], dim=2)
        outs, ins = zip(*net.shapes.values(), strict=True)
        firsts = torch.cat([net.ups - self.ups, self.ups, self.ups]).split(outs, dim=1)
        seconds = torch.cat([net.downs, net.downs, net.downs - self.downs]).split(ins, dim=1)
        change, size = _norms(firsts, seconds, moved), self._sizes(outs, ins)
        shift = (tokens - self.tokens).square().flatten(1).sum(1)
        return change / size + shift / self.tokens.square().flatten(1).sum(1).clamp_min(1e-12)

    @torch.no_grad()
    def _sizes(self, outs: tuple[int, ...], ins: tuple[int, ...]) -> Tensor:
        """Squared norms [t] of the offsets as they were."""
        found = _norms(self.ups.split(outs, dim=1), self.downs.split(ins, dim=1), self.coefficients)
        return found.clamp_min(1e-12)


def _made(net: SharedHypernet, embeddings: Tensor) -> tuple[Tensor, Tensor]:
    every = [net.predict(embedding) for embedding in embeddings]
    return torch.stack([one.coefficients for one in every]), torch.stack([one.token for one in every])


def _norms(firsts: tuple[Tensor, ...], seconds: tuple[Tensor, ...], amounts: Tensor) -> Tensor:
    """Squared norms [t] of sums of rank-1 matrices over all layers, of which `amounts` [t, layers, r] are taken."""
    grams = torch.stack([(a @ a.T) * (b @ b.T) for a, b in zip(firsts, seconds, strict=True)])
    return torch.einsum("tlr,lrs,tls->t", amounts, grams, amounts)


@torch.no_grad()
def offsets_sketch(offsets: dict[str, Offset]) -> Tensor:
    """Random projections [128] of all offsets together: the distance of two sketches is, about, that of the offsets.

    Each is the sum over the layers of a random vector, the offset, and another random vector, always the same.
    Source: Johnson & Lindenstrauss, "Extensions of Lipschitz mappings into a Hilbert space" (1984).
    """
    generator = torch.Generator().manual_seed(_SEED)
    found = torch.zeros(PROBES)
    for offset in offsets.values():
        left = torch.randn(PROBES, offset.up.shape[0], generator=generator)
        right = torch.randn(PROBES, offset.down.shape[1], generator=generator)
        found += ((left @ offset.up.cpu()) * (right @ offset.down.cpu().T)).sum(1)
    return found / PROBES**0.5


def picture_sketch(pixels: Tensor) -> Tensor:
    """The same of pixels of any shape: the distance of two sketches is, about, the root mean square of the pixels'."""
    values = pixels.float().cpu().flatten()
    generator = torch.Generator().manual_seed(_SEED)
    rows = [torch.randn(len(values), generator=generator) @ values for _ in range(PROBES)]
    return torch.stack(rows) / (PROBES * len(values)) ** 0.5

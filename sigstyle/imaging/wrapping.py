"""Pictures on a torus: what leaves on one side comes in on the other, so that copies of them fit side by side."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def wrapped(x: Tensor, margin_px: int) -> Tensor:
    """`x` [b, c, h, w] with a margin on each side that shows the opposite side; it may be wider than the picture."""
    rows = torch.arange(-margin_px, x.shape[-2] + margin_px, device=x.device) % x.shape[-2]
    columns = torch.arange(-margin_px, x.shape[-1] + margin_px, device=x.device) % x.shape[-1]
    return x[..., rows, :][..., columns]


def smooth_noise(noise: Tensor, sigma_px: float) -> Tensor:
    """`noise` [b, c, h, w] under a Gaussian that goes round the edges, each channel of mean 0 and deviation 1."""
    rates = [torch.fft.fftfreq(side, dtype=noise.dtype) for side in noise.shape[-2:]]
    square = rates[0].square()[:, None] + rates[1].square()[None]
    kept = torch.exp(-2 * (math.pi * sigma_px) ** 2 * square)
    field = torch.fft.ifft2(torch.fft.fft2(noise) * kept).real
    std, mean = torch.std_mean(field, dim=(2, 3), keepdim=True)
    return (field - mean) / std.clamp_min(1e-6)


@dataclass(frozen=True)
class WrappedTiles:
    """Overlapping tiles on a torus of `side_px`, each of `tile_px`, fading out over `overlap_px` at its edges."""

    side_px: int
    tile_px: int
    overlap_px: int
    grid_px: int  # tiles begin at its multiples

    @property
    def starts(self) -> list[tuple[int, int]]:
        """(top, left) of each tile."""
        cells = self.side_px // self.grid_px
        count = max(1, math.ceil(self.side_px / (self.tile_px - self.overlap_px)))
        places = [i * cells // count * self.grid_px for i in range(count)]
        return [(top, left) for top in places for left in places]

    def tile(self, x: Tensor, start: tuple[int, int], scale: int = 1) -> Tensor:
        """The part of `x` [b, c, h, w] under the tile at `start`; `x` has a `scale`-th of the torus' size."""
        rows, columns = (
            torch.arange(at // scale, (at + self.tile_px) // scale) % (self.side_px // scale) for at in start
        )
        return x[..., rows, :][..., columns]

    def joined(self, tiles: list[Tensor]) -> Tensor:
        """One picture [b, c, side, side] of tiles [b, c, tile, tile], in the order of `starts`."""
        ramp = ((torch.arange(self.tile_px) + 0.5) / self.overlap_px).clamp(max=1)
        ramp = torch.minimum(ramp, ramp.flip(0))
        weight = (ramp[:, None] * ramp[None]).to(tiles[0])
        turns = math.ceil(self.tile_px / self.side_px) + 1
        shape = (*tiles[0].shape[:2], turns * self.side_px, turns * self.side_px)
        total, shares = tiles[0].new_zeros(shape), tiles[0].new_zeros(1, 1, *shape[2:])
        for (top, left), tile in zip(self.starts, tiles, strict=True):
            here = (slice(None), slice(None), slice(top, top + self.tile_px), slice(left, left + self.tile_px))
            total[here] += tile * weight
            shares[here] += weight
        return self._folded(total) / self._folded(shares)

    def _folded(self, x: Tensor) -> Tensor:
        """What lies beyond the edges, added where it comes in again."""
        turns = x.shape[-1] // self.side_px
        return x.reshape(*x.shape[:2], turns, self.side_px, turns, self.side_px).sum((2, 4))

"""Where each pixel of a frame reads the noise of its shot, so that strokes and noise move with what they lie on."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sigstyle.film.flow import Floats, Flow, pixel_grid

_EVEN = (0.4, 2.5)  # area of noise, in pixels, that the middle pixel reads: beyond it all is laid anew
_APART = (0.754877666, 0.569840296)  # of a low-discrepancy sequence: where noise is read that was not yet


@dataclass(frozen=True, eq=False)
class Places:
    """Places (x, y) in a field of noise that goes on at its borders. Shapes: at [h, w, 2]. Units: pixels."""

    at: Floats

    @classmethod
    def own(cls, size: tuple[int, ...], number: int) -> "Places":
        """Each pixel reads its own place; frames of other numbers read others. `size` is (height, width)."""
        apart = np.array([size[1], size[0]]) * np.array(_APART) * number
        return cls(pixel_grid(size) + np.round(apart).astype(np.float32))

    def carried(self, flow: Flow, number: int) -> "Places":
        """The places of the next frame: carried along, new ones where something comes into view.

        A pixel takes the place of the one nearest to where it came from, moved by what lies between: in between two
        places that are far apart is none of either. Where a long zoom has stretched all, all places are new.
        """
        height, width = self.at.shape[:2]
        from_ = pixel_grid((height, width)) + flow.back
        x, y = (np.rint(from_[..., i]).astype(np.int64).clip(0, side - 1) for i, side in enumerate((width, height)))
        moved = self.at[y, x] + (from_ - np.stack([x, y], axis=-1)).astype(np.float32)
        new = Places.own((height, width), number)
        return Places(np.where(flow.seen[..., None], moved, new.at)) if _even(moved) else new

    def widened(self, margin_px: int) -> "Places":
        """With a mirrored margin, as the picture's."""
        return Places(np.pad(self.at, [(margin_px, margin_px), (margin_px, margin_px), (0, 0)], "symmetric"))

    def coarse(self, factor: int) -> "Places":
        """Those of a field so many times smaller, as that of latents is."""
        height, width = self.at.shape[:2]
        blocks = self.at[: height // factor * factor, : width // factor * factor]
        middle = blocks[factor // 2 :: factor, factor // 2 :: factor]
        return Places(((middle + 0.5) / factor - 0.5).astype(np.float32))

    def read(self, noise: Tensor) -> Tensor:
        """Noise [c, h, w] at these places, between pixels as they are mixed there: what is broader than that stays."""
        height, width = noise.shape[-2:]
        at = torch.from_numpy(np.ascontiguousarray(self.at)).to(noise)
        low = at.floor()
        part = at - low
        x, y = low[..., 0].long(), low[..., 1].long()
        total = torch.zeros(noise.shape[0], *at.shape[:2])
        for right in (0, 1):
            for down in (0, 1):
                weight = (part[..., 0] if right else 1 - part[..., 0]) * (part[..., 1] if down else 1 - part[..., 1])
                total += weight * noise[:, (y + down) % height, (x + right) % width]
        return total

    def nearest(self, noise: Tensor) -> Tensor:
        """White noise [c, h, w] at the pixels nearest to these places, as white as it was."""
        height, width = noise.shape[-2:]
        at = torch.from_numpy(np.rint(self.at).astype(np.int64))
        return noise[:, at[..., 1] % height, at[..., 0] % width]


def _even(at: Floats) -> bool:
    """Whether most neighbouring pixels read neighbouring places, neither squeezed nor stretched."""
    down, across = np.gradient(at, axis=0), np.gradient(at, axis=1)
    area = float(np.median(np.abs(across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0])))
    return _EVEN[0] < area < _EVEN[1]

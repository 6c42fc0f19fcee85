"""Enlarging a painted photo with the photo at hand: where they agree, its edges are the photo's own."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sigstyle.imaging.filters import brightness
from sigstyle.imaging.images import to_tensor

_RADIUS_PX = 2  # of the window in which painting and photo are compared, of the small picture
_CALM = 0.01  # variance of the photo's brightness below which nothing of it is taken: strokes are laid there
_LEAST, _MOST = -1.5, 1.5  # contrast in the painting for that in the photo
_STRIP_PX = 256


@torch.no_grad()
def enlarged(painted: Image.Image, photo: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`painted` at (width, height) `size`, with the photo's fine structure where it shows the photo's coarse one.

    What the painting makes of the photo's brightness is taken for a straight line in each place, found at the small
    size and used at the large one.

    Source: He & Sun, "Fast Guided Filter" (1505.00996), of which this takes the slope alone.
    """
    small = photo.resize(painted.size, Image.Resampling.LANCZOS)
    slope = _slope(to_tensor(painted), brightness(to_tensor(small)))
    levels = (slope - _LEAST).div(_MOST - _LEAST).mul(255).round().byte()[0].permute(1, 2, 0).numpy()
    near = photo if photo.size == size else photo.resize(size, Image.Resampling.LANCZOS)
    large, blurry, share = (
        np.array(image.resize(size, how))  # a copy of its own for the first, which becomes the result
        for image, how in (
            (painted, Image.Resampling.LANCZOS),
            (small, Image.Resampling.LANCZOS),
            (Image.fromarray(levels), Image.Resampling.BICUBIC),
        )
    )
    for top in range(0, size[1], _STRIP_PX):  # numbers of 32 bits for a whole photo would take much memory
        rows = slice(top, top + _STRIP_PX)
        detail = np.asarray(near.crop((0, top, size[0], min(size[1], top + _STRIP_PX)))).astype(np.float32)
        luma = (detail - blurry[rows]) @ np.array([0.299, 0.587, 0.114], np.float32)
        taken = (share[rows].astype(np.float32) * ((_MOST - _LEAST) / 255) + _LEAST) * luma[..., None]
        large[rows] = (large[rows] + taken).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(large)


def _slope(painted: Tensor, grey: Tensor) -> Tensor:
    """How the painting's colours [1, 3, h, w] go with the photo's brightness [1, 1, h, w] in each place."""

    def mean(x: Tensor) -> Tensor:
        padded = F.pad(x, (_RADIUS_PX,) * 4, mode="replicate")
        return F.avg_pool2d(padded, 2 * _RADIUS_PX + 1, stride=1)

    covariance = mean(grey * painted) - mean(grey) * mean(painted)
    variance = (mean(grey * grey) - mean(grey).square()).clamp_min(0)
    return mean(covariance / (variance + _CALM)).clamp(_LEAST, _MOST)

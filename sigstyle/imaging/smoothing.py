"""Smoothing that keeps edges: what a photo loses of its fine texture before a style paints its own."""

import torch.nn.functional as F
from torch import Tensor


def guided_filter(pixels: Tensor, amount: float, radius_px: int = 4) -> Tensor:
    """`pixels` with details flatter than `amount` smoothed away, guided by their own brightness; 0 changes nothing.

    Shapes: pixels [b, c, h, w] in [-1, 1]. Units: amount is a variance of brightness in that range.
    Source: He, Sun & Tang, "Guided Image Filtering", eq. 5, 6 and 8.
    """
    if amount == 0:
        return pixels

    def mean(x: Tensor) -> Tensor:
        padded, side = F.pad(x, (radius_px,) * 4, mode="replicate"), 2 * radius_px + 1
        return F.avg_pool2d(F.avg_pool2d(padded, (side, 1), stride=1), (1, side), stride=1)  # as one of side x side

    guide = pixels.mean(dim=1, keepdim=True)
    mean_guide, mean_pixels = mean(guide), mean(pixels)
    covariance = mean(guide * pixels) - mean_guide * mean_pixels
    variance = (mean(guide * guide) - mean_guide * mean_guide).clamp_min(0)
    slope = covariance / (variance + amount)
    offset = mean_pixels - slope * mean_guide
    return mean(slope) * guide + mean(offset)

"""Hold the content's edges while the style paints all else anew."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sigstyle.imaging.smoothing import guided_filter

_TEXTURE = 0.02  # variance of brightness below which detail counts as texture, not as an edge
_FULL_SLOPE = 0.1  # brightness a pixel, on a scale of 0 to 1, at which an edge is held fully
_DETAIL_LATENTS = 2.0  # deviation of the blur that tells detail from what is left to the style
_UNTIL = 0.85  # share of the denoising after which the style has the last word


@dataclass(frozen=True, eq=False)
class EdgeAnchor:
    """Draws the clean latents that each step predicts towards the content's detail, at the content's edges only.

    The content's latents first take each channel's mean and deviation from the prediction, so what is held is the
    drawing and not the palette.

    Shapes: latents [b, c, h, w] of the content; edges [b, 1, h, w], 0 to 1. `strength` 0 to 1.
    """

    latents: Tensor
    edges: Tensor
    strength: float

    def __call__(self, share: float, pred_x0: Tensor) -> Tensor | None:
        """What to add to predicted clean latents [n, c, h, w] when `share` of the steps is done; None for nothing."""
        if self.strength == 0 or share >= _UNTIL:
            return None
        std, mean = torch.std_mean(pred_x0, dim=(2, 3), keepdim=True)
        own_std, own_mean = torch.std_mean(self.latents, dim=(2, 3), keepdim=True)
        wanted = (self.latents - own_mean) / own_std.clamp_min(1e-6) * std + mean
        difference = wanted - pred_x0
        return self.strength * self.edges * (difference - _blurred(difference, _DETAIL_LATENTS))


def edge_map(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Where the content has edges rather than texture, 0 to 1: [b, 1, *size].

    Shapes: pixels [b, 3, H, W] in [-1, 1]; size is (h, w) of the latents.
    """
    brightness = guided_filter(pixels, _TEXTURE).mean(dim=1, keepdim=True) / 2
    framed = F.pad(brightness, (1, 1, 1, 1), mode="replicate")
    across = framed[..., 1:-1, 2:] - framed[..., 1:-1, :-2]
    down = framed[..., 2:, 1:-1] - framed[..., :-2, 1:-1]
    slope = _blurred((across.square() + down.square()).sqrt(), 1.5)
    strongest = F.adaptive_max_pool2d(slope, size)
    around = F.max_pool2d(strongest, 3, stride=1, padding=1)
    return ((strongest + around) / 2 / _FULL_SLOPE).clamp(0, 1)


def half_grey(pixels: Tensor) -> Tensor:
    """Pixels [b, 3, h, w] with half of their colour: detail that is held shall not bring the photo's hues along."""
    weights = pixels.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (pixels + (pixels * weights).sum(dim=1, keepdim=True)) / 2


def _blurred(x: Tensor, sigma: float) -> Tensor:
    """`x` [b, c, h, w] under a Gaussian of deviation `sigma`, its border values continued."""
    reach = round(2 * sigma)
    places = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-(places**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    channels = x.shape[1]
    padded = F.pad(x, (reach,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(rows, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)

"""What brushwork and strokes are both made with: brightness, blurs, and images looked up between pixels."""

import torch
import torch.nn.functional as F
from torch import Tensor


def brightness(pixels: Tensor) -> Tensor:
    """Luma [b, 1, h, w] of pixels [b, 3, h, w]. Source: ITU-R BT.601."""
    return (pixels * pixels.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def blurred(x: Tensor, sigma_px: float) -> Tensor:
    """`x` [b, c, h, w] under a Gaussian, its border values continued."""
    reach = max(1, round(2.5 * sigma_px))
    places = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-(places**2) / (2 * sigma_px**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    rows = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), kernel, groups=x.shape[1])
    return F.conv2d(F.pad(rows, (0, 0, reach, reach), mode="replicate"), kernel.mT, groups=x.shape[1])


def doubled_gradients(grey: Tensor) -> Tensor:
    """Squared gradients as vectors at twice their angle, [b, 2, h, w], which may be averaged.

    Shapes: grey [b, 1, h, w]. Source: Kass & Witkin, "Analyzing Oriented Patterns" (1987).
    """
    framed = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    across = framed[..., 1:-1, 2:] - framed[..., 1:-1, :-2]
    down = framed[..., 2:, 1:-1] - framed[..., :-2, 1:-1]
    return torch.cat([across.square() - down.square(), 2 * across * down], dim=1)


def pixel_places(pixels: Tensor) -> Tensor:
    """Each pixel's own (x, y), [b, 2, h, w]."""
    height, width = pixels.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y]).to(pixels).expand(len(pixels), -1, -1, -1)


def sampled(x: Tensor, places: Tensor) -> Tensor:
    """`x` [b, c, h, w] at the places [b, 2, h, w], mirrored beyond its border."""
    height, width = x.shape[-2:]
    scaled = [(places[:, 0] + 0.5) / width * 2 - 1, (places[:, 1] + 0.5) / height * 2 - 1]
    return F.grid_sample(x, torch.stack(scaled, dim=-1), padding_mode="reflection", align_corners=False)

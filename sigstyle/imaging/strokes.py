"""Strokes: how much brushwork an image shows where it is calm, and seeds of strokes that follow a photo's forms."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sigstyle.imaging.palette import Palette

SMOOTHING = 0.002  # variance of brightness below which a photo's own texture makes room for strokes
LENGTH_PX = 24  # of a seed, along the forms
_WIDTH_PX = 1.5  # deviation of a seed across
_STEP_PX = 2.0
_FORM_PX = 6.0  # deviation of the window in which a direction is found
_BAND_PX = (1.0, 5.0)  # deviations between which detail counts as brushwork
_PLACE_PX = 8.0  # deviation of the window in which its energy is measured
_CALM = (0.1, 0.25)  # quantiles over the places: what the calm parts of an image show
_GRAIN = 0.03  # what paper and scans show anyway
_OF_SEEDS = 0.7  # what the same measure says of seeds at amount 1, once they are painted over
LEAST = 0.03  # below it flat parts give the decoder nothing to paint on, and it makes patterns
MOST = 0.25  # above it the seeds stay visible in what is painted over them


def brushwork(pixels: Tensor) -> float:
    """How strongly stroke seeds must be laid for calm parts to be as lively as those of an image.

    It is the energy of detail between 1 and 5 px in the calmest quarter of the places, in units of the image's own
    contrast and less what the grain of paper gives; 0.03 to 0.25.

    Shapes: pixels [1, 3, h, w] in [-1, 1]. Units: sizes are for a short side of about 512 px.
    """
    grey = _brightness(pixels)
    band = blurred(grey, _BAND_PX[0]) - blurred(grey, _BAND_PX[1])
    energy = blurred(band.square(), _PLACE_PX).clamp_min(0).sqrt().flatten()
    some = energy[:: max(1, energy.numel() // 100_000)]  # torch sorts no more than 16 million
    calm = torch.quantile(some, some.new_tensor(_CALM)).mean()
    return min(MOST, max(LEAST, (float(calm / grey.std().clamp_min(1e-3)) - _GRAIN) / _OF_SEEDS))


def seeded(pixels: Tensor, palette: Palette, amount: float, generators: list[torch.Generator]) -> Tensor:
    """`pixels` with seeds of strokes laid along their forms, in the colours of `palette`; amount 0 changes nothing.

    What is painted over a photo makes strokes of them, also where the photo is flat and gives nothing to paint.

    Shapes: pixels [b, 3, h, w] in [-1, 1], a generator for each.
    """
    if amount == 0:
        return pixels
    values, axes = torch.linalg.eigh(palette.covariance.double())
    root = (axes @ torch.diag(values.clamp_min(0).sqrt()) @ axes.T).to(pixels)
    drawn = torch.stack([torch.randn(pixels.shape[1:], generator=generator) for generator in generators])
    field = stroke_field(pixels, drawn.to(pixels))
    return (pixels + amount * torch.einsum("dc,bchw->bdhw", root, field)).clamp(-1, 1)


def stroke_field(pixels: Tensor, noise: Tensor) -> Tensor:
    """`noise` smeared along the forms in `pixels`, each channel with mean 0 and deviation 1.

    Shapes: pixels [b, 3, h, w]; noise and result [b, c, h, w].
    Source: Cabral & Leedom, "Imaging Vector Fields Using Line Integral Convolution" (1993), with straight short steps.
    """
    along = form_directions(pixels)
    field = blurred(noise, _WIDTH_PX)
    total = field.clone()
    for sign in (1.0, -1.0):
        places, heading = _places(pixels), along * sign
        for _ in range(round(LENGTH_PX / 2 / _STEP_PX)):
            places = places + heading * _STEP_PX
            met = _sampled(along, places)
            heading = met * torch.where((met * heading).sum(1, keepdim=True) < 0, -1.0, 1.0)
            total = total + _sampled(field, places)
    std, mean = torch.std_mean(total, dim=(2, 3), keepdim=True)
    return (total - mean) / std.clamp_min(1e-6)


def form_directions(pixels: Tensor) -> Tensor:
    """Unit vectors (x, y) along the forms, [b, 2, h, w]: across the gradient of brightness, of a wider one where calm.

    Shapes: pixels [b, 3, h, w].
    Source: Kass & Witkin, "Analyzing Oriented Patterns" (1987): gradients averaged at twice their angle.
    """
    framed = F.pad(blurred(_brightness(pixels), 1.5), (1, 1, 1, 1), mode="replicate")
    across = framed[..., 1:-1, 2:] - framed[..., 1:-1, :-2]
    down = framed[..., 2:, 1:-1] - framed[..., :-2, 1:-1]
    doubled = torch.cat([across.square() - down.square(), 2 * across * down], dim=1)
    wide = blurred(F.avg_pool2d(doubled, 4, ceil_mode=True), _FORM_PX)
    wide = F.interpolate(wide, size=doubled.shape[-2:], mode="bilinear", align_corners=False)
    mixed = blurred(doubled, _FORM_PX) + 0.2 * wide
    angle = 0.5 * torch.atan2(mixed[:, 1:], mixed[:, :1]) + math.pi / 2
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def blurred(x: Tensor, sigma_px: float) -> Tensor:
    """`x` [b, c, h, w] under a Gaussian, its border values continued."""
    reach = max(1, round(2.5 * sigma_px))
    places = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-(places**2) / (2 * sigma_px**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    rows = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), kernel, groups=x.shape[1])
    return F.conv2d(F.pad(rows, (0, 0, reach, reach), mode="replicate"), kernel.mT, groups=x.shape[1])


def _brightness(pixels: Tensor) -> Tensor:
    """Luma [b, 1, h, w] of pixels [b, 3, h, w]. Source: ITU-R BT.601."""
    return (pixels * pixels.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def _places(pixels: Tensor) -> Tensor:
    """Each pixel's own (x, y), [b, 2, h, w]."""
    height, width = pixels.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y]).to(pixels).expand(len(pixels), -1, -1, -1)


def _sampled(x: Tensor, places: Tensor) -> Tensor:
    """`x` [b, c, h, w] at the places [b, 2, h, w], mirrored beyond its border."""
    height, width = x.shape[-2:]
    scaled = [(places[:, 0] + 0.5) / width * 2 - 1, (places[:, 1] + 0.5) / height * 2 - 1]
    return F.grid_sample(x, torch.stack(scaled, dim=-1), padding_mode="reflection", align_corners=False)

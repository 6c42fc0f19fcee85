"""Strokes: seeds of them that follow a photo's forms, as long and as directed as a style's own."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sigstyle.imaging.brushwork import Brushwork
from sigstyle.imaging.filters import blurred, brightness, doubled_gradients, pixel_places, sampled
from sigstyle.imaging.palette import Palette

SMOOTHING = 0.002  # variance of brightness below which a photo's own texture makes room for strokes
_STEP_PX = 2.0
_FORM_PX = 6.0  # deviation of the window in which a direction is found
_WIDE = 0.05  # how far a form directs the strokes around it
_CALM = 1e-3  # squared gradient below which a style's own direction outweighs the photo's


def seeded(pixels: Tensor, palette: Palette, strokes: Brushwork, generators: list[torch.Generator]) -> Tensor:
    """`pixels` with seeds of strokes laid along their forms, in the colours of `palette`; amount 0 changes nothing.

    What is painted over a photo makes strokes of them, also where the photo is flat and gives nothing to paint.

    Shapes: pixels [b, 3, h, w] in [-1, 1], a generator for each.
    """
    if strokes.amount == 0:
        return pixels
    drawn = [drawn_for(pixels, strokes, generator) for generator in generators]
    noise, turns = (torch.stack(each).to(pixels) for each in zip(*drawn, strict=True))
    return laid(pixels, palette, strokes, noise, turns)


def laid(pixels: Tensor, palette: Palette, strokes: Brushwork, noise: Tensor, turns: Tensor) -> Tensor:
    """As `seeded`, of what was drawn: noise [b, 3, h, w] and turns [b, 2, y, x], as `drawn_for` gives them."""
    field = stroke_field(pixels, noise, strokes, turns)
    return (pixels + strokes.amount * torch.einsum("dc,bchw->bdhw", palette.root.to(pixels), field)).clamp(-1, 1)


def drawn_for(pixels: Tensor, strokes: Brushwork, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What is random in the strokes of one image: noise to smear [3, h, w], and coarse directions [2, y, x]."""
    height, width = pixels.shape[-2:]
    coarse = [max(2, math.ceil(side / strokes.turn_px) + 1) for side in (height, width)]
    return torch.randn(3, height, width, generator=generator), torch.randn(2, *coarse, generator=generator)


def stroke_field(pixels: Tensor, noise: Tensor, strokes: Brushwork, turns: Tensor) -> Tensor:
    """`noise` smeared along the forms in `pixels`, each channel with mean 0 and deviation 1.

    Shapes: pixels [b, 3, h, w]; noise and result [b, c, h, w]; turns [b, 2, y, x] as `drawn_for` gives them.
    Source: Cabral & Leedom, "Imaging Vector Fields Using Line Integral Convolution" (1993), with straight short steps.
    """
    along = form_directions(pixels, strokes, turns)
    field = blurred(noise, strokes.width_px)
    total = field.clone()
    for sign in (1.0, -1.0):
        places, heading = pixel_places(pixels), along * sign
        for _ in range(round(strokes.length_px / 2 / _STEP_PX)):
            places = places + heading * _STEP_PX
            met = sampled(along, places)
            heading = met * torch.where((met * heading).sum(1, keepdim=True) < 0, -1.0, 1.0)
            total = total + sampled(field, places)
    std, mean = torch.std_mean(total, dim=(2, 3), keepdim=True)
    return (total - mean) / std.clamp_min(1e-6)


def form_directions(pixels: Tensor, strokes: Brushwork, turns: Tensor) -> Tensor:
    """Unit vectors (x, y) along the forms, [b, 2, h, w]: across the gradient of brightness, the style's own where calm.

    Shapes: pixels [b, 3, h, w], turns [b, 2, y, x].
    Source: Kass & Witkin, "Analyzing Oriented Patterns" (1987): gradients averaged at twice their angle.
    """
    doubled = doubled_gradients(blurred(brightness(pixels), 1.5))
    size = doubled.shape[-2:]
    wide = blurred(F.avg_pool2d(doubled, 4, ceil_mode=True), _FORM_PX)
    wide = F.interpolate(wide, size=size, mode="bilinear", align_corners=False)
    heading = pixels.new_tensor([strokes.heading_x, strokes.heading_y]).view(1, 2, 1, 1)
    free = math.sqrt(max(0.0, 1 - float(heading.square().sum())))
    wandering = F.normalize(F.interpolate(turns, size=size, mode="bicubic", align_corners=False), dim=1)
    mixed = blurred(doubled, _FORM_PX) + _WIDE * wide + _CALM * (heading + free * wandering)
    angle = 0.5 * torch.atan2(mixed[:, 1:], mixed[:, :1]) + math.pi / 2
    return torch.cat([angle.cos(), angle.sin()], dim=1)

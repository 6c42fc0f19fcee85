"""The painting loss of one style: how photos come to their noise, and what is compared once they are painted."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from sigstyle.base.autoencoder import decode_unclamped, encode_latents
from sigstyle.base.conditioning import Conditioning
from sigstyle.base.model import BaseModel
from sigstyle.diffusion.denoise import predict
from sigstyle.diffusion.implied_noise import FRESH, clean_and_noise, implied_noise, levels, with_fresh
from sigstyle.scoring.features import StyleFeatures
from sigstyle.scoring.style_loss import (
    LayerStatistics,
    gram_distance,
    locked_texture,
    moment_distance,
    statistics,
    structure_distance,
    total_variation,
)
from sigstyle.style.attach import unstyled

LOWEST, HIGHEST = 0.15, 0.5  # noise levels trained on, as shares of the schedule
LOCKED_WEIGHT, VARIATION_WEIGHT = 1000.0, 0.1
_GRAM, _MOMENTS = 0.3, 2.0  # weights within the style term


@dataclass(frozen=True, eq=False)
class PaintingTerms:
    """Scalars, with gradients: distance to the style, to the photos' structure, texture locked to the grid, variation.

    Source: Gatys et al. (1508.06576) for the statistics.
    """

    style: Tensor
    content: Tensor
    locked: Tensor
    variation: Tensor

    @classmethod
    def of(
        cls,
        network: StyleFeatures,
        pictures: Tensor,
        photos: Tensor,
        style: Sequence[LayerStatistics],
        period_px: int,
    ) -> "PaintingTerms":
        """The terms of pictures [b, 3, h, w] painted over photos of the same shape, all pictures taken together."""
        painted = network(pictures)
        with torch.no_grad():
            wanted = network(photos)[-1]
        found = [LayerStatistics.mean_of([layer]) for layer in statistics(painted)]
        return cls(
            style=_GRAM * gram_distance(found, style) + _MOMENTS * moment_distance(found, style),
            content=structure_distance(painted[-1], wanted),
            locked=locked_texture(painted[0], period_px),
            variation=total_variation(painted[0]),
        )


@torch.no_grad()
def at_noise(
    base: BaseModel,
    pixels: Tensor,
    timesteps: Tensor,
    plain: Conditioning,
    casting: Callable[[], AbstractContextManager[object]],
    draw_fresh: Callable[[torch.Size], Tensor],
) -> Tensor:
    """Latents [b, c, h, w] of `pixels` at the noise of `timesteps` [b]: what the plain UNet reads, and a little fresh.

    `plain` is the empty prompt; `draw_fresh` gives noise of a shape.
    """

    def plainly(noisy: Tensor, at: Tensor) -> Tensor:
        return predict(base.unet, noisy, at, plain.expand(len(noisy)))

    with unstyled(base.unet), casting():
        clean = encode_latents(base.vae, pixels.to(base.device))
        own = implied_noise(plainly, base.scheduler, clean, timesteps)
    kept, noise_level = levels(base.scheduler, timesteps, clean)
    return kept * clean + noise_level * with_fresh(own, draw_fresh(clean.shape).to(clean), FRESH)


def painted_over(
    base: BaseModel,
    noisy: Tensor,
    timesteps: Tensor,
    output: Tensor,
    casting: Callable[[], AbstractContextManager[object]],
) -> Tensor:
    """The pictures [b, 3, H, W], not clamped, that the UNet's `output` for noisy latents amounts to."""
    clean, _ = clean_and_noise(base.scheduler, noisy, output, timesteps)
    with casting():
        return decode_unclamped(base.vae, clean)

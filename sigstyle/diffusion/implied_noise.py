"""The noise a UNet reads in a clean image: an inversion of one evaluation, and the way from noisy latents to clean."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sigstyle.errors import ConfigError

FRESH = 0.05  # share of fresh noise, in learning and painting: hides what compression left, lets seeds vary
Predict = Callable[[Tensor, Tensor], Tensor]  # (noisy latents [b, c, h, w], timesteps [b]) -> the UNet's prediction


def levels(scheduler: Any, timesteps: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """How much of clean latents and of noise there is at `timesteps` [b]: two [b, 1, 1, 1], squares add to 1."""
    kept = kept_at(scheduler, timesteps, like)
    return kept.sqrt(), (1 - kept).sqrt()


def kept_at(scheduler: Any, timesteps: Tensor, like: Tensor) -> Tensor:
    """The variance [b, 1, 1, 1] of what is clean at `timesteps` [b], without waiting for the device."""
    table = scheduler.alphas_cumprod.to(like.device)
    return table[timesteps.to(like.device)].to(like).view(-1, 1, 1, 1)


def clean_and_noise(scheduler: Any, noisy: Tensor, output: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """`pred_x0` and the noise [b, c, h, w] that the UNet's `output` for noisy latents amounts to.

    Raises: ConfigError for a prediction type other than epsilon and v_prediction.
    """
    kept, noise_level = levels(scheduler, timesteps, noisy)
    kind = scheduler.config.prediction_type
    if kind == "v_prediction":
        return kept * noisy - noise_level * output, noise_level * noisy + kept * output
    if kind == "epsilon":
        return (noisy - noise_level * output) / kept, output
    raise ConfigError(f"The base predicts {kind!r}; expected epsilon or v_prediction.")


@torch.no_grad()
def implied_noise(predict: Predict, scheduler: Any, clean: Tensor, timesteps: Tensor, rounds: int = 1) -> Tensor:
    """The noise [b, c, h, w] that the plain UNet sees in clean latents once they are at the level of `timesteps` [b].

    The first evaluation is asked at the latents' mean there, which has no noise yet; each further round at the latents
    with the noise found so far. It is DDIM inversion's fixed-point iteration, begun at the level wanted.

    Source: Pan et al., "Effective Real Image Editing with Accelerated Iterative Diffusion Inversion" (2309.04907),
    section 3, for the iteration.
    """
    kept, noise_level = levels(scheduler, timesteps, clean)
    noise = torch.zeros_like(clean)
    for _ in range(rounds):
        noisy = kept * clean + noise_level * noise
        noise = clean_and_noise(scheduler, noisy, predict(noisy, timesteps), timesteps)[1]
    return noise


def with_fresh(noise: Tensor, fresh: Tensor, share: float) -> Tensor:
    """`noise` with a share of fresh noise in place of its own: the variance stays. Shapes: [b, c, h, w]."""
    return noise if share == 0 else (1 - share) ** 0.5 * noise + share**0.5 * fresh

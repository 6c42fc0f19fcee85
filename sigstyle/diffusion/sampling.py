"""Denoising by any scheduler of diffusers: for prompts, where nothing is inverted or swapped."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sigstyle.diffusion.denoise import OnStep, predict_guided
from sigstyle.errors import ConfigError


def own_sampler(scheduler: Any) -> Any:
    """A fresh scheduler like `scheduler`, for one run. Raises: ConfigError for one that evaluates twice in a step."""
    if getattr(scheduler, "order", 1) != 1:
        raise ConfigError(
            f"The scheduler is {type(scheduler).__name__}, which evaluates the UNet {scheduler.order} times in a step; "
            "expected one evaluation: DDIM, Euler, DPM++ multistep, UniPC, LCM."
        )
    return type(scheduler).from_config(scheduler.config)


@torch.no_grad()
def sample(
    unet: Any,
    scheduler: Any,
    initial_noise: Tensor,
    cond: Any,
    uncond: Any = None,
    *,
    steps: int,
    guidance_scale: float = 1.0,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    on_step: OnStep,
    should_stop: Callable[[], bool],
) -> Tensor:
    """As `denoise`, by a scheduler of any kind with one evaluation a step; what it draws comes from `generator`.

    Shapes: initial_noise and result [b, c, h, w] float32; cond and uncond of b rows.
    """
    scheduler.set_timesteps(steps, device=initial_noise.device)
    numbers = [int(timestep) for timestep in scheduler.timesteps.tolist()]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)  # else it is looked for on the device
    latents = initial_noise.float() * scheduler.init_noise_sigma
    guide = uncond if guidance_scale > 1 else None
    drawn = {"generator": generator} if "generator" in inspect.signature(scheduler.step).parameters else {}
    for step, timestep in enumerate(scheduler.timesteps):
        if should_stop():
            break
        scaled = scheduler.scale_model_input(latents, timestep)
        output = predict_guided(unet, scaled, timestep, cond, guide, guidance_scale)
        found = scheduler.step(output, timestep, latents, **drawn)
        latents, clean = found.prev_sample, getattr(found, "pred_original_sample", None)
        latents = on_step(step, numbers[step], latents, latents if clean is None else clean)
    return latents

"""The denoising loop, with guidance and attention swapping."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from sigstyle.attention import Features, SlotProcessor, fill, swapping

OnStep = Callable[[int, int, Tensor], Tensor]  # (step, timestep, latents) -> the latents to go on with
Attend = Callable[[Any, Iterable[str]], AbstractContextManager[Mapping[str, SlotProcessor]]]
FeaturesByTimestep = Mapping[int, Mapping[str, Features]]  # {timestep: {layer path: features}}


def predict(unet: UNet2DConditionModel, latents: Tensor, timestep: Tensor, embeds: Tensor) -> Tensor:
    """Evaluate the UNet in its own precision on float32 latents [b, c, h, w]; the answer is float32 again."""
    output = unet(latents.to(unet.dtype), timestep, encoder_hidden_states=embeds.to(unet.dtype), return_dict=False)
    return output[0].float()


def predict_guided(
    unet: UNet2DConditionModel, latents: Tensor, timestep: Tensor, cond: Tensor, uncond: Tensor | None, scale: float
) -> Tensor:
    """Prediction under classifier-free guidance: one batch [unconditional, conditional]; without `uncond`, one half.

    Source: Ho & Salimans, "Classifier-Free Diffusion Guidance", eq. 6, in the usual scale (1 is no guidance).
    """
    if uncond is None:
        return predict(unet, latents, timestep, cond)
    both = predict(unet, torch.cat([latents, latents]), timestep, torch.cat([uncond, cond]))
    without, with_prompt = both.chunk(2)
    return without + scale * (with_prompt - without)


@torch.no_grad()
def denoise(
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    start: Tensor,
    cond: Tensor,
    uncond: Tensor | None = None,
    *,
    steps: int,
    guidance_scale: float = 1.0,
    features: FeaturesByTimestep | None = None,
    attend: Attend = swapping,
    on_step: OnStep | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Tensor:
    """Denoise `start` in `steps` DDIM steps, swapping in the content's features at the timesteps that have some.

    `attend` says what the layers with features do with them.
    A guidance scale of 1 costs one evaluation a step and leaves `uncond` unused. When `should_stop` turns true the
    latents reached so far come back.

    Shapes: start and result [b, c, h, w] float32; cond and uncond [b, tokens, dim].
    Source: SigStyle, arXiv 2502.13997, section 3.3 (time-aware attention swapping).
    """
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps.to(start.device)
    features = features or {}
    guide = uncond if guidance_scale > 1 else None
    latents = start.float() * scheduler.init_noise_sigma
    with attend(unet, {path for layers in features.values() for path in layers}) as swappers:
        for step, timestep in enumerate(scheduler.timesteps.tolist()):
            if should_stop():
                break
            fill(swappers, features.get(timestep, {}), rows=len(latents))
            output = predict_guided(unet, latents, timesteps[step], cond, guide, guidance_scale)
            latents = scheduler.step(output, timestep, latents, return_dict=False)[0]
            if on_step is not None:
                latents = on_step(step, timestep, latents)
    return latents


def adain(latents: Tensor, mean: Tensor, std: Tensor, amount: float) -> Tensor:
    """Move each channel's mean and deviation towards the given ones; amount 0 changes nothing, 1 sets them.

    Shapes: latents [b, c, h, w]; mean and std [c].
    Source: Huang & Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", eq. 8.
    """
    if amount == 0:
        return latents
    own_std, own_mean = torch.std_mean(latents, dim=(2, 3), keepdim=True)
    mean, std = (x.to(latents).view(1, -1, 1, 1) for x in (mean, std))
    return torch.lerp(latents, (latents - own_mean) / own_std.clamp_min(1e-6) * std + mean, amount)

"""The denoising loop, with guidance, and with whatever steers the self-attention in it."""

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from sigstyle.base.conditioning import Conditioning, stacked_prompts
from sigstyle.diffusion.step_attention import StepAttention
from sigstyle.errors import ConfigError

OnStep = Callable[[int, int, Tensor, Tensor], Tensor]  # (step, timestep, latents, pred_x0) -> the latents to go on with
Draw = Callable[[float, Tensor], Tensor | None]  # (share of steps done, pred_x0) -> what to add to it


def predict(unet: UNet2DConditionModel, latents: Tensor, timestep: Tensor, cond: Conditioning) -> Tensor:
    """Evaluate the UNet in its own precision on float32 latents [b, c, h, w]; the answer is float32 again."""
    cond = cond.to(unet.dtype)
    output = unet(
        latents.to(unet.dtype),
        timestep,
        encoder_hidden_states=cond.embeds,
        added_cond_kwargs=cond.added(unet, latents),
        return_dict=False,
    )
    return output[0].float()


def predict_guided(
    unet: UNet2DConditionModel,
    latents: Tensor,
    timestep: Tensor,
    cond: Conditioning,
    uncond: Conditioning | None,
    scale: float,
) -> Tensor:
    """Prediction under classifier-free guidance: one batch [unconditional, conditional]; without `uncond`, one half.

    Source: Ho & Salimans, "Classifier-Free Diffusion Guidance", eq. 6, in the usual scale (1 is no guidance).
    """
    if uncond is None:
        return predict(unet, latents, timestep, cond)
    both = predict(unet, torch.cat([latents, latents]), timestep, stacked_prompts([uncond, cond]))
    without, with_prompt = both.chunk(2)
    return without + scale * (with_prompt - without)


@torch.no_grad()
def denoise(
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    initial_noise: Tensor,
    cond: Conditioning,
    uncond: Conditioning | None = None,
    *,
    steps: int,
    guidance_scale: float = 1.0,
    attention: StepAttention | None = None,
    eta: float = 0.0,
    eta_from: int = 0,
    generators: Sequence[torch.Generator] = (),
    draw: Draw | None = None,
    on_step: OnStep | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Tensor:
    """Denoise `initial_noise` in `steps` DDIM steps, asking `attention` before each to steer the UNet's layers.

    From step `eta_from` on, fresh noise of the share `eta` (1 is the most, as in DDPM) replaces some of the noise that
    the latents hold, drawn on the CPU from one generator for each image. `draw` moves the clean latents that each step
    predicts, its noise prediction staying as it is. A guidance scale of 1 costs one evaluation a step and leaves
    `uncond` unused. When `should_stop` turns true the latents reached so far come back.

    Shapes: initial_noise and result [b, c, h, w] float32; cond and uncond of b rows.
    Source: Song et al., "Denoising Diffusion Implicit Models", eq. 12 and 16 (eta).
    Raises: ConfigError for fresh noise without a generator for each image.
    """
    if eta and eta_from < steps and len(generators) != len(initial_noise):
        raise ConfigError(
            f"eta is {eta} with {len(generators)} generators for {len(initial_noise)} images; expected one for each, "
            "or an eta of 0, which adds no fresh noise."
        )
    scheduler.set_timesteps(steps)
    timesteps, numbers = scheduler.timesteps.to(initial_noise.device), scheduler.timesteps.tolist()
    kept_after = _kept_after(scheduler, numbers) if draw is not None else []
    guide = uncond if guidance_scale > 1 else None
    latents = initial_noise.float() * scheduler.init_noise_sigma
    with nullcontext() if attention is None else attention.installed(unet):
        for step, timestep in enumerate(numbers):
            if should_stop():
                break
            if attention is not None:
                attention.prepare(step, timestep, len(latents))
                if should_stop():  # what was prepared may have taken evaluations of its own
                    break
            output = predict_guided(unet, latents, timesteps[step], cond, guide, guidance_scale)
            fresh = eta if step >= eta_from else 0.0
            noise = _noise(latents, generators) if fresh else None
            latents, pred_x0 = scheduler.step(output, timestep, latents, fresh, variance_noise=noise, return_dict=False)
            moved = draw(step / steps, pred_x0) if draw is not None else None
            if moved is not None:
                latents = latents + kept_after[step] * moved
            if on_step is not None:
                latents = on_step(step, timestep, latents, pred_x0)
    return latents


def timesteps_of(scheduler: Any, steps: int) -> list[int]:
    """The timesteps of `steps` denoising steps, in their order; the scheduler stays as it is."""
    own = copy.copy(scheduler)
    own.set_timesteps(steps)
    return own.timesteps.tolist()


def _noise(latents: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Standard normal noise in the shape of latents [b, c, h, w]: row i from generator i, whatever the device."""
    rows = [torch.randn(latents.shape[1:], generator=generator) for generator in generators]
    return torch.stack(rows).to(latents)


def _kept_after(scheduler: DDIMScheduler, timesteps: Sequence[int]) -> list[float]:
    """How much of the clean latents is in the latents after the steps from these timesteps."""
    apart = scheduler.config["num_train_timesteps"] // (scheduler.num_inference_steps or 1)
    table, last = scheduler.alphas_cumprod.tolist(), float(scheduler.final_alpha_cumprod)
    return [(table[timestep - apart] if timestep >= apart else last) ** 0.5 for timestep in timesteps]


def adain(latents: Tensor, mean: Tensor, std: Tensor | None, amount: float) -> Tensor:
    """Move each channel's mean and deviation towards the given ones; amount 0 changes nothing, 1 sets them.

    Without `std` the deviation is 1, that of the noise which the UNet was trained to start from.

    Shapes: latents [b, c, h, w]; mean and std [c].
    Source: Huang & Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", eq. 8.
    """
    if amount == 0:
        return latents
    own_std, own_mean = torch.std_mean(latents, dim=(2, 3), keepdim=True)
    std = torch.ones_like(mean) if std is None else std
    mean, std = (x.to(latents).view(1, -1, 1, 1) for x in (mean, std))
    return torch.lerp(latents, (latents - own_mean) / own_std.clamp_min(1e-6) * std + mean, amount)

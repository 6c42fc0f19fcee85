"""The denoising loop, with guidance and attention swapping."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from sigstyle.diffusion.attention import Features, SlotProcessor, fill, self_attention_layers, swapping
from sigstyle.diffusion.attention_reference import Shown, referring, show

OnStep = Callable[[int, int, Tensor, Tensor], Tensor]  # (step, timestep, latents, clean) -> the latents to go on with
Draw = Callable[[float, Tensor], Tensor | None]  # (share of steps done, predicted clean latents) -> what to add to them
Attend = Callable[[Any, Iterable[str]], AbstractContextManager[Mapping[str, SlotProcessor]]]
Refer = Callable[[int, Tensor], Mapping[str, Sequence[Shown]]]  # (step, timestep) -> what each layer is shown
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
    refer: Refer | None = None,
    eta: float = 0.0,
    eta_from: int = 0,
    generators: Sequence[torch.Generator] = (),
    draw: Draw | None = None,
    on_step: OnStep | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Tensor:
    """Denoise `start` in `steps` DDIM steps, swapping in the content's features at the timesteps that have some.

    `attend` says what the layers with features do with them; with `refer` they are all self-attention layers, those
    it names see references too. From step `eta_from` on, fresh noise of the share `eta`
    (1 is the most, as in DDPM) replaces some of the noise that the start holds, drawn on the CPU from one generator for
    each image. `draw` moves the clean latents that each step predicts, its noise prediction staying as it is.
    A guidance scale of 1 costs one evaluation a step and leaves `uncond` unused. When `should_stop` turns true the
    latents reached so far come back.

    Shapes: start and result [b, c, h, w] float32; cond and uncond [b, tokens, dim].
    Source: SigStyle, arXiv 2502.13997, section 3.3 (time-aware attention swapping); Song et al., "Denoising Diffusion
    Implicit Models", eq. 12 and 16 (eta).
    """
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps.to(start.device)
    features = features or {}
    guide = uncond if guidance_scale > 1 else None
    latents = start.float() * scheduler.init_noise_sigma
    layers = {path for layers in features.values() for path in layers}
    context = attend(unet, layers) if refer is None else referring(unet, {*layers, *self_attention_layers(unet)})
    with context as swappers:
        for step, timestep in enumerate(scheduler.timesteps.tolist()):
            if should_stop():
                break
            if refer is not None:
                fill(swappers, {}, rows=len(latents))
                show(swappers, {})
                show(swappers, refer(step, timesteps[step]))
                if should_stop():
                    break
            fill(swappers, features.get(timestep, {}), rows=len(latents))
            output = predict_guided(unet, latents, timesteps[step], cond, guide, guidance_scale)
            fresh = eta if step >= eta_from else 0.0
            noise = _noise(latents, generators) if fresh else None
            latents, clean = scheduler.step(output, timestep, latents, fresh, variance_noise=noise, return_dict=False)
            moved = draw(step / steps, clean) if draw is not None else None
            if moved is not None:
                latents = latents + _kept_after(scheduler, timestep) * moved
            if on_step is not None:
                latents = on_step(step, timestep, latents, clean)
    return latents


def _noise(latents: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Standard normal noise in the shape of latents [b, c, h, w]: row i from generator i, whatever the device."""
    rows = [torch.randn(latents.shape[1:], generator=generator) for generator in generators]
    return torch.stack(rows).to(latents)


def _kept_after(scheduler: DDIMScheduler, timestep: int) -> float:
    """How much of the clean latents is in the latents after the step from `timestep`."""
    lower = timestep - scheduler.config["num_train_timesteps"] // (scheduler.num_inference_steps or 1)
    kept = scheduler.alphas_cumprod[lower] if lower >= 0 else scheduler.final_alpha_cumprod
    return float(kept) ** 0.5


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

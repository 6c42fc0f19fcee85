"""From a content latent back to the noise it would be denoised from, with what attention did on the way."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from sigstyle.base.conditioning import Conditioning
from sigstyle.diffusion.attention import Projections, moved, recorded, recording
from sigstyle.diffusion.denoise import predict


@dataclass(frozen=True, eq=False)
class ContentTrace:
    """What is known of one content image: made once, used for any number of styles.

    Shapes: path [steps + 1, b, c, h, w] float32, from the content's latent to the noise it comes from.
    `projections` holds {timestep: {layer path: Projections}} for the steps to be swapped only; `settings` says what
    the trace was made from and how, so that it is never used for something else.
    """

    path: Tensor
    projections: dict[int, dict[str, Projections]]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def initial_noise(self) -> Tensor:
        """The noise to denoise from, [b, c, h, w]."""
        return self.path[-1]

    def latents_after(self, step: int) -> Tensor:
        """The content's own latents where denoising is after `step` (0 is the first), [b, c, h, w]."""
        return self.path[len(self.path) - 2 - step]

    def projections_at(self, timesteps: Sequence[int], keys: bool) -> dict[int, dict[str, Projections]] | None:
        """The projections to swap in at `timesteps`, with or without keys; None when they were not recorded."""
        chosen: dict[int, dict[str, Projections]] = {}
        for timestep in timesteps:
            layers = self.projections.get(timestep)
            if layers is None or (keys and any(found.key is None for found in layers.values())):
                return None
            chosen[timestep] = layers if keys else {path: Projections(found.query) for path, found in layers.items()}
        return chosen


def swapped_steps(swap_until: float, steps: int) -> int:
    """How many of the first denoising steps are swapped: those with step < swap_until * steps."""
    return min(steps, max(0, math.ceil(round(swap_until * steps, 9))))


@torch.no_grad()
def invert(
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    latents: Tensor,
    cond: Conditioning,
    *,
    steps: int,
    iterations: int = 1,
    record_layers: Sequence[str] = (),
    record_steps: int = 0,
    record_keys: bool = False,
    record_values: bool = False,
    keep_on: torch.device | None = None,
    settings: Mapping[str, Any] | None = None,
    on_evaluation: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ContentTrace | None:
    """Find the noise from which `scheduler` denoises to `latents`; None when `should_stop` turned true on the way.

    Each step solves x_s = step(model(x_t, t), x_t) for x_t. The first guess follows from the last two model outputs,
    extrapolated; each of the `iterations` evaluates the model at the x_t found so far and solves for x_t again. With
    0 iterations it is the published plain DDIM inversion: one evaluation, at (x_s, t). The last evaluation of the
    steps that denoising reaches first (`record_steps` of them) is recorded in `record_layers`; what is recorded is kept
    on the device `keep_on`, None where it was computed.

    Shapes: latents [b, c, h, w]; cond of b rows.
    Source: Song et al., "Denoising Diffusion Implicit Models", section 4.3; Pan et al., "Effective Real Image Editing
    with Accelerated Iterative Diffusion Inversion" (fixed-point iteration).
    """
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps.to(latents.device)
    path = [latents.float()]
    outputs: list[Tensor] = []  # the model's last two, newest first
    projections: dict[int, dict[str, Projections]] = {}
    for step, timestep in reversed(list(enumerate(scheduler.timesteps.tolist()))):
        lower = path[-1]
        guess = lower
        if iterations and outputs:
            guess = _undone(scheduler, timestep, lower, 2 * outputs[0] - outputs[-1])
        for left in reversed(range(evaluations_per_step(iterations))):
            if should_stop():
                return None
            layers = record_layers if step < record_steps and left == 0 else ()
            with recording(unet, layers, record_keys, record_values) as recorders:
                output = predict(unet, guess, timesteps[step], cond)
            if recorders:
                projections[timestep] = moved(recorded(recorders), keep_on)
            guess = (_undone if iterations else _plain)(scheduler, timestep, lower, output)
            on_evaluation()
        outputs = [output, *outputs[:1]]
        path.append(guess)
    return ContentTrace(torch.stack(path), projections, settings or {})


def evaluations_per_step(iterations: int) -> int:
    """What one inversion step costs."""
    return max(1, iterations)


def _undone(scheduler: DDIMScheduler, timestep: int, lower: Tensor, output: Tensor) -> Tensor:
    """The latents from which one step with this model output leads to `lower`: exact, a DDIM step being affine."""
    slope = scheduler.step(torch.zeros(()), timestep, torch.ones(()), return_dict=False)[0]
    offset = scheduler.step(output, timestep, torch.zeros_like(lower), return_dict=False)[0]
    return (lower - offset) / slope.to(lower)


def _plain(scheduler: DDIMScheduler, timestep: int, lower: Tensor, output: Tensor) -> Tensor:
    """DDIM inversion's step up from `lower`, for the model's output there."""
    config = scheduler.config
    inverse = DDIMInverseScheduler(
        num_train_timesteps=config["num_train_timesteps"],
        trained_betas=scheduler.betas.numpy(),
        clip_sample=False,
        set_alpha_to_one=config["set_alpha_to_one"],
        prediction_type=config["prediction_type"],
    )
    inverse.set_timesteps(scheduler.num_inference_steps or 1)
    return inverse.step(output, timestep, lower, return_dict=False)[0]

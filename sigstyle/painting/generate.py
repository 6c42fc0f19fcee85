"""A prompt painted in a style, from random noise: no content, so nothing is inverted or swapped."""

import dataclasses
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import DDIMScheduler
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from sigstyle.base.autoencoder import pixels_per_latent
from sigstyle.base.conditioning import Conditioning
from sigstyle.base.finite import Finiteness
from sigstyle.base.model import BaseModel, default_size_px, side_multiple_px
from sigstyle.config import GenerateConfig
from sigstyle.diffusion.denoise import OnStep, denoise
from sigstyle.diffusion.sampling import sample
from sigstyle.errors import ConfigError
from sigstyle.painting.cost import generate_cost
from sigstyle.painting.evaluations import Evaluations, OnEvaluation, never, unwatched
from sigstyle.painting.notices import prompt_notices
from sigstyle.painting.run import unchanged
from sigstyle.painting.seeds import Generators, check_generators
from sigstyle.style.attach import styled
from sigstyle.style.blend import Blend

FEW_STEPS = {"steps": 4, "guidance_scale": 1.0}  # as SDXL-Turbo, Lightning and LCM are published
_MIN_SIDE_PX, _MAX_SIDE_PX = 8, 4096

Size = tuple[int | None, int | None]  # (height, width) in pixels; None is what the settings say


@dataclass(eq=False)
class Generation:
    """One prompt in a blend, and who watches; UNet weights are as they were afterwards, also after an exception."""

    base: BaseModel
    scheduler: Any
    config: GenerateConfig
    blend: Blend
    on_step: OnStep = unchanged
    on_evaluation: OnEvaluation = unwatched
    should_stop: Callable[[], bool] = never
    negative_embeds: Conditioning | None = None  # in place of the negative prompt's
    generator: Generators | None = None  # of what a scheduler draws that is not DDIM
    interrupted: bool = field(default=False, init=False)

    @property
    def notices(self) -> list[str]:
        """Lines about words of the prompts that the base does not read."""
        return prompt_notices(self.blend, self.base, self.config)

    @property
    def total(self) -> int:
        """UNet evaluations that will be announced."""
        return generate_cost(self.config).calls

    @torch.no_grad()
    def paint(self, noise: Tensor) -> Tensor:
        """Latents [images, c, h, w] denoised from `noise` by the styled UNet, with the base locked."""
        base, config = self.base, self.config
        finite = Finiteness(base.dtype)
        evaluations = Evaluations(self.total, self.on_evaluation, self.should_stop)

        def on_step(step: int, timestep: int, latents: Tensor, pred_x0: Tensor) -> Tensor:
            evaluations.count()
            latents = self.on_step(step, timestep, latents, pred_x0)
            finite.look(f"step {step + 1} of {config.steps}", latents)
            return latents

        with base.lock:
            cond = self.blend.embed(base.reader, config.prompt, config.strength)
            uncond = self.negative_embeds
            if uncond is None:
                uncond = base.reader.encode([config.negative_prompt])
            with styled(base.unet, self.blend.offsets(config.strength)):
                latents = self._by(
                    base.unet,
                    self.scheduler,
                    noise.to(base.device),
                    cond.expand(len(noise)),
                    uncond.expand(len(noise)),
                    steps=config.steps,
                    guidance_scale=config.guidance_scale,
                    on_step=on_step,
                    should_stop=evaluations.stopped,
                )
            finite.check()
        self.interrupted = evaluations.stopped()
        return latents

    def _by(self, *parts: Any, **how: Any) -> Tensor:
        """The loop that suits the scheduler."""
        if isinstance(self.scheduler, DDIMScheduler):
            return denoise(*parts, **how)
        return sample(*parts, **how, generator=self.generator)


def fitting(config: GenerateConfig, given: Collection[str], few_steps: bool) -> tuple[GenerateConfig, list[str]]:
    """`config` as it suits a base for few steps, and what was set, in words; what is among the `given` names stays."""
    changes = {name: value for name, value in FEW_STEPS.items() if few_steps and name not in given}
    said = [f"{name} {value:g}" for name, value in changes.items()]
    return dataclasses.replace(config, **changes), said


def random_noise(base: BaseModel, config: GenerateConfig, size: Size, images: int, generator: Generators) -> Tensor:
    """Random noise [images, c, h, w] for pictures of `size`. Raises: ConfigError for an unusable number or size."""
    check_generators(generator, images)
    size_px = config.size_px or default_size_px(base)
    height, width = (_latent_side(base, name, size_px if side is None else side) for name, side in _named(size))
    shape = (images, base.unet.config.in_channels, height, width)
    return randn_tensor(shape, generator=generator, device=base.device)  # type: ignore[arg-type]


def check_noise(base: BaseModel, noise: Tensor, size: Size, images: int) -> Tensor:
    """`noise`, when it is for this many images of that `size`; where a side is None, that of the noise counts.

    Raises: ConfigError.
    """
    sides = [None if side is None else _latent_side(base, name, side) for name, side in _named(size)]
    expected = (images, base.unet.config.in_channels, *sides)
    fits = noise.ndim == 4 and all(want in (None, have) for want, have in zip(expected, noise.shape, strict=True))
    multiple = side_multiple_px(base) // pixels_per_latent(base.vae)
    if not fits or any(side % multiple for side in noise.shape[2:]):
        shown = ", ".join("any" if side is None else str(side) for side in expected)
        raise ConfigError(
            f"latents have the shape {list(noise.shape)}; expected [{shown}], the sides multiples of {multiple}, for "
            f"num_images_per_prompt {images}."
        )
    return noise


def _named(size: Size) -> list[tuple[str, int | None]]:
    return list(zip(("height", "width"), size, strict=True))


def _latent_side(base: BaseModel, name: str, side_px: int) -> int:
    """A side in latents, rounded to what the base can paint. Raises: ConfigError for a side out of range."""
    if not _MIN_SIDE_PX <= side_px <= _MAX_SIDE_PX:
        raise ConfigError(f"{name} is {side_px}; expected {_MIN_SIDE_PX} to {_MAX_SIDE_PX} pixels.")
    multiple = side_multiple_px(base)
    return max(1, round(side_px / multiple)) * multiple // pixels_per_latent(base.vae)

"""A prompt painted in a style: the base's own picture, painted as a photo is; or random noise denoised in the style."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor

from sigstyle.base.autoencoder import pixels_per_latent
from sigstyle.base.finite import Finiteness
from sigstyle.base.headers import EMBEDDED
from sigstyle.base.model import BaseModel, default_size_px, side_multiple_px, trained_size_px
from sigstyle.config import GenerateConfig
from sigstyle.diffusion.denoise import OnStep, denoise
from sigstyle.errors import ConfigError
from sigstyle.painting.cost import generate_cost
from sigstyle.painting.evaluations import Evaluations, OnEvaluation, never, unwatched
from sigstyle.painting.notices import prompt_notices
from sigstyle.painting.painted import unchanged
from sigstyle.painting.repainting import Repainting
from sigstyle.painting.seeds import Generators, check_generators, fresh_generators
from sigstyle.style.attach import styled
from sigstyle.style.blend import Blend

_EMBEDDED_KNOWS = (
    "The embedded base hardly follows words: it makes rough ground, skies and water, by the seed more than the prompt. "
    "A Stable Diffusion checkpoint (--base, base) paints what you say."
)
_MIN_SIDE_PX, _MAX_SIDE_PX = 8, 4096

Size = tuple[int | None, int | None]  # (height, width) in pixels; None is what the settings say


@dataclass
class Generation:
    """One prompt in a blend, and who watches; UNet weights are as they were afterwards, also after an exception."""

    base: BaseModel
    scheduler: Any
    config: GenerateConfig
    blend: Blend
    on_step: OnStep = unchanged
    on_evaluation: OnEvaluation = unwatched
    should_stop: Callable[[], bool] = never
    images: int = 1
    interrupted: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Raises: ConfigError for a blend with a style that has not learned to paint, where that is asked for."""
        if self.config.method == "paint":
            self.blend.palette()
        self._evaluations = Evaluations(self.total, self.on_evaluation, self.should_stop)

    @property
    def notices(self) -> list[str]:
        """Lines about what the base can paint, and about words of the prompts that it does not read."""
        known = [_EMBEDDED_KNOWS] if self.base.name == EMBEDDED else []
        return known + prompt_notices(self.blend, self.base, self.config)

    @property
    def total(self) -> int:
        """UNet evaluations that will be announced."""
        return generate_cost(self.config, self.images).calls

    @torch.no_grad()
    def paint(
        self, noise: Tensor, generator: Generators, size: tuple[int, int] | None = None
    ) -> tuple[Tensor, list[Image.Image] | None]:
        """Latents [images, c, h, w] for `noise`, with the base locked, and their pictures where it makes those too.

        `generator` is that of the noise: the strokes follow from its seed. `size` is (width, height) in pixels to which
        the base's picture is enlarged before it is painted, None its own.
        """
        with self.base.lock:
            latents = self._denoised(noise)
            if self.config.method == "denoise" or not self.blend.amount(self.config.strength) or self.interrupted:
                return latents, None
            steps = self.config.steps
            repaint = Repainting(
                self.base,
                self.scheduler,
                self.config,
                self.blend,
                on_step=lambda step, *at: self.on_step(steps + step, *at),
                on_evaluation=self._evaluations.count,
                should_stop=self._evaluations.stopped,
            )
            painted, pictures = repaint(latents, fresh_generators(generator, len(noise)), size)
        self.interrupted = self._evaluations.stopped()
        return painted, pictures

    def _denoised(self, noise: Tensor) -> Tensor:
        """Latents denoised from `noise`: by the plain UNet where they are painted afterwards, else in the style."""
        base, config, evaluations = self.base, self.config, self._evaluations
        finite = Finiteness(base.dtype)
        strength = 0.0 if config.method == "paint" else config.strength

        def on_step(step: int, timestep: int, latents: Tensor, pred_x0: Tensor) -> Tensor:
            evaluations.count()
            latents = self.on_step(step, timestep, latents, pred_x0)
            finite.look(f"step {step + 1} of {config.steps}", latents)
            return latents

        with base.lock:
            cond = self.blend.embed(base.reader, config.prompt, strength)
            uncond = base.reader.encode([config.negative_prompt])
            with styled(base.unet, self.blend.offsets(strength)):
                latents = denoise(
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


def sizes_of(base: BaseModel, config: GenerateConfig, size: Size) -> tuple[Size, tuple[int, int] | None]:
    """(height, width) at which the base makes its picture, and (width, height) to enlarge it to, None for neither.

    Where it is painted afterwards the base makes it no larger than it was trained at: beyond that things fall apart or
    come twice. Raises: ConfigError for a size out of range.
    """
    wanted, least = config.size_px or default_size_px(base), trained_size_px(base)
    unit = pixels_per_latent(base.vae)
    height, width = (unit * _latent_side(base, name, wanted if side is None else side) for name, side in _named(size))
    scale = least / min(height, width)
    if config.method == "denoise" or scale >= 1:
        return size, None
    return (round(height * scale), round(width * scale)), (width, height)


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

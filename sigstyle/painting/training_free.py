"""Repainting after a style image that nothing was learned from: its attention is shown to the content's."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.model import BaseModel, ddim, decode
from sigstyle.base.prompts import encode_prompts
from sigstyle.config import InjectionConfig
from sigstyle.diffusion.attention_injection import crossed, injected_layers, injecting
from sigstyle.diffusion.denoise import adain, denoise
from sigstyle.diffusion.inversion import ContentTrace, evaluations_per_step, invert
from sigstyle.imaging.images import to_pil, unfit
from sigstyle.painting.content import Content


@dataclass
class Injection:
    """One run: invert content and style image, denoise with the style image's keys and values.

    Attention processors are as they were afterwards, also after an exception.
    Source: Chung et al., "Style Injection in Diffusion" (2312.09008, section 3).
    """

    base: BaseModel
    config: InjectionConfig
    on_evaluation: Callable[[int, int], None] = lambda done, total: None
    should_stop: Callable[[], bool] = lambda: False
    done: int = 0

    @property
    def total(self) -> int:
        """UNet evaluations it takes."""
        return self.config.steps * (2 * evaluations_per_step(self.config.inversion_iterations) + 1)

    @torch.no_grad()
    def repaint(self, content: Content, style: Content) -> Image.Image | None:
        """The content in the style image's manner, in the content's aspect; None when stopped."""
        with self.base.lock:
            self.done = 0
            ours = self._inverted(content, self.config.noise_sigma, self.config.prompt, foreign=False)
            theirs = self._inverted(style, 0, "", foreign=True) if ours is not None else None
            if ours is None or theirs is None:
                return None
            latents = self._denoised(ours, theirs)
            if self.should_stop():
                return None
            painted = to_pil(decode(self.base.vae, latents))
        return unfit(painted, content.result_size(self.config.size_px, self.base))

    def _inverted(self, image: Content, sigma: float, prompt: str, foreign: bool) -> ContentTrace | None:
        """The trace of one image with what injection needs of it: queries, or also keys and values."""
        base, config = self.base, self.config
        generator = torch.Generator().manual_seed(config.seed)
        return invert(
            base.unet,
            ddim(base.scheduler),
            image.latents(base, sigma, 1, generator),
            self._embedded(prompt),
            steps=config.steps,
            iterations=config.inversion_iterations,
            record_layers=injected_layers(base.unet),
            record_steps=config.steps,
            record_keys=foreign,
            record_values=foreign,
            on_evaluation=self._evaluated,
            should_stop=self.should_stop,
        )

    def _denoised(self, ours: ContentTrace, theirs: ContentTrace) -> Tensor:
        """Latents [1, c, h, w], from the content's noise with the statistics of the style image's."""
        base, config = self.base, self.config
        std, mean = torch.std_mean(theirs.start[0], dim=(1, 2))

        def on_step(step: int, timestep: int, latents: Tensor, clean: Tensor) -> Tensor:
            self._evaluated()
            return latents

        return denoise(
            base.unet,
            ddim(base.scheduler),
            adain(ours.start, mean, std, config.adain),
            self._embedded(config.prompt),
            steps=config.steps,
            features={timestep: crossed(found, theirs.features[timestep]) for timestep, found in ours.features.items()},
            attend=functools.partial(injecting, gamma=config.gamma, temperature=config.temperature),
            on_step=on_step,
            should_stop=self.should_stop,
        )

    def _embedded(self, prompt: str) -> Any:
        return encode_prompts(self.base.tokenizer, self.base.text_encoder, [prompt])

    def _evaluated(self) -> None:
        self.done += 1
        self.on_evaluation(self.done, self.total)

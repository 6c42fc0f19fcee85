"""Repainting after a style image that nothing was learned from: its attention is shown to the content's."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.conditioning import Conditioning
from sigstyle.base.finite import Finiteness
from sigstyle.base.model import BaseModel, ddim
from sigstyle.config import TrainingFreeConfig
from sigstyle.diffusion.attention_cross_image import CrossImage, crossed, fine_decoder_layers
from sigstyle.diffusion.denoise import adain, denoise
from sigstyle.diffusion.inversion import ContentTrace, invert
from sigstyle.painting.content import Content, decoded
from sigstyle.painting.cost import training_free_cost
from sigstyle.painting.evaluations import Evaluations, OnEvaluation, never, unwatched


@dataclass
class TrainingFreeRun:
    """One run: invert content and style image, denoise with the style image's keys and values.

    Attention processors are as they were afterwards, also after an exception.
    Source: Chung et al., "Style Injection in Diffusion" (2312.09008, section 3).
    """

    base: BaseModel
    config: TrainingFreeConfig
    on_evaluation: OnEvaluation = unwatched
    should_stop: Callable[[], bool] = never

    def __post_init__(self) -> None:
        self._finite = Finiteness(self.base.dtype)
        total = training_free_cost(self.config).calls
        self._evaluations = Evaluations(total, self.on_evaluation, self.should_stop)

    @torch.no_grad()
    def repaint(self, content: Content, style: Content) -> Image.Image | None:
        """The content in the style image's manner, in the content's aspect; None when stopped."""
        with self.base.lock:
            ours = self._inverted(content, self.config.noise_sigma, self.config.prompt, foreign=False)
            theirs = self._inverted(style, 0, "", foreign=True) if ours is not None else None
            if ours is None or theirs is None:
                return None
            for picture, trace in (("photo", ours), ("style picture", theirs)):
                self._finite.look_at_path(trace.path, f"encoding the {picture}", f"{picture}: inversion step")
            latents = self._denoised(ours, theirs)
            if self._evaluations.stopped():
                return None
            self._finite.check()
            (painted,) = decoded(self.base.vae, latents)
        return content.finished(painted, self.config.size_px, self.base)

    def _inverted(self, image: Content, sigma: float, prompt: str, foreign: bool) -> ContentTrace | None:
        """The trace of one image with what the other's attention needs of it: queries, or also keys and values."""
        base, config = self.base, self.config
        generator = torch.Generator().manual_seed(config.seed)
        return invert(
            base.unet,
            ddim(base.scheduler),
            image.latents(base, sigma, 1, generator),
            self._embedded(prompt),
            steps=config.steps,
            iterations=config.inversion_iterations,
            record_layers=fine_decoder_layers(base.unet),
            record_steps=config.steps,
            record_keys=foreign,
            record_values=foreign,
            on_evaluation=self._evaluations.count,
            should_stop=self._evaluations.stopped,
        )

    def _denoised(self, ours: ContentTrace, theirs: ContentTrace) -> Tensor:
        """Latents [1, c, h, w], from the content's noise with the statistics of the style image's."""
        base, config = self.base, self.config
        std, mean = torch.std_mean(theirs.initial_noise[0], dim=(1, 2))
        both = {at: crossed(found, theirs.projections[at]) for at, found in ours.projections.items()}

        def on_step(step: int, timestep: int, latents: Tensor, pred_x0: Tensor) -> Tensor:
            self._evaluations.count()
            self._finite.look(f"step {step + 1} of {config.steps}", latents)
            return latents

        return denoise(
            base.unet,
            ddim(base.scheduler),
            adain(ours.initial_noise, mean, std, config.adain),
            self._embedded(config.prompt),
            steps=config.steps,
            attention=CrossImage(both, config.gamma, config.temperature),
            on_step=on_step,
            should_stop=self._evaluations.stopped,
        )

    def _embedded(self, prompt: str) -> Conditioning:
        return self.base.reader.encode([prompt])

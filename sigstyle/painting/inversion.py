"""Turning a content image into a trace, or matching it with one made before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sigstyle.base.model import BaseModel
from sigstyle.config import TransferConfig
from sigstyle.diffusion.attention import ProjectionsByTimestep, self_attention_layers
from sigstyle.diffusion.denoise import timesteps_of
from sigstyle.diffusion.inversion import ContentTrace, invert, swapped_steps
from sigstyle.painting.content import Content
from sigstyle.painting.seeds import Generators


def trace_key(config: TransferConfig, style: str) -> tuple[Any, ...]:
    """What tells the traces of one photo on one base apart; `style` is a hash of the style, at weight 1.

    Of traces with equal keys the one with more recorded steps serves the others too.
    """
    amount = min(1.0, config.strength)
    if config.method == "paint":
        look = (config.freedom, config.palette, config.strokes, config.protect, amount, style)
        size = (config.size_px, config.margin_px, config.stroke, config.max_megapixels)
        return ("paint", *look, config.seed, *size)
    look = (config.palette * amount, style) if config.palette else ()
    inverted = (config.prompt, config.steps, config.inversion_iterations, config.noise_sigma)
    seed = config.seed if config.noise_sigma else 0
    return ("swap", *inverted, config.smoothing * amount, *look, seed, config.size_px, config.margin_px)


@dataclass(frozen=True)
class ContentInversion:
    """One wanted inversion: of which content, told apart from all others by `settings`."""

    base: BaseModel
    scheduler: Any
    content: Content
    prompt: str
    config: TransferConfig
    generator: Generators  # of the noise on the photo: one, or a list with one for each image
    images: int = 1
    amount: float = 1.0  # how far to go from the content to the style, 0 to 1

    @property
    def copies(self) -> int:
        """Inversions to make: images differ by the noise on the photo alone, so without noise one does for all."""
        return self.images if self.config.noise_sigma else 1

    @property
    def settings(self) -> dict[str, Any]:
        """What the trace depends on, as plain values."""
        config = self.config
        generators = self.generator if isinstance(self.generator, Sequence) else [self.generator]
        return {
            "base": self.base.fingerprint,
            "content": self.content.digest,
            "size": list(self.content.work.size),
            "prompt": self.prompt,
            "steps": config.steps,
            "inversion_iterations": config.inversion_iterations,
            "noise_sigma": config.noise_sigma,
            "smoothing": self.smoothing,
            "seeds": [generator.initial_seed() for generator in generators] if config.noise_sigma else [],
            "images": self.copies,
        }

    @property
    def smoothing(self) -> float:
        """How much the photo is smoothed: less for less style, so that strength 0 gives the photo back."""
        return self.config.smoothing * self.amount

    @property
    def swapped_timesteps(self) -> list[int]:
        """The timesteps at which the content's attention is swapped in."""
        count = 0 if self.config.swap == "none" else swapped_steps(self.config.swap_until, self.config.steps)
        return timesteps_of(self.scheduler, self.config.steps)[:count]

    def projections(self, trace: ContentTrace) -> ProjectionsByTimestep | None:
        """What of `trace` is to be swapped in; None when it lacks that."""
        return trace.projections_at(self.swapped_timesteps, keys=self.config.swap == "qk")

    def mismatch(self, trace: ContentTrace) -> str | None:
        """Why `trace` is not the one wanted, or None."""
        wanted = self.settings
        found = {key: trace.settings.get(key) for key in wanted}
        differing = [f"{key} {found[key]} instead of {wanted[key]}" for key in wanted if found[key] != wanted[key]]
        if self.projections(trace) is None:
            differing.append("fewer swapped steps or other features")
        return f"the trace was made with {', '.join(differing)}" if differing else None

    def run(self, on_evaluation: Callable[[], None], should_stop: Callable[[], bool]) -> ContentTrace | None:
        """Invert the content; None when stopped."""
        base, config = self.base, self.config
        latents = self.content.latents(base, config.noise_sigma, self.copies, self.generator, self.smoothing)
        cond = base.reader.encode([self.prompt])
        return invert(
            base.unet,
            self.scheduler,
            latents,
            cond.expand(len(latents)),
            steps=config.steps,
            iterations=config.inversion_iterations,
            record_layers=self_attention_layers(base.unet),
            record_steps=len(self.swapped_timesteps),
            record_keys=config.swap == "qk",
            keep_on=torch.device("cpu") if base.memory == "low" else None,
            settings=self.settings,
            on_evaluation=on_evaluation,
            should_stop=should_stop,
        )

"""The content image: brought to a size to work at, and turned into a trace or matched with one made before."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor

from sigstyle.base.model import BaseModel, default_size_px, encode, side_multiple_px
from sigstyle.base.prompts import encode_prompts
from sigstyle.config import TransferConfig
from sigstyle.diffusion.attention import self_attention_layers
from sigstyle.diffusion.denoise import FeaturesByTimestep
from sigstyle.diffusion.inversion import ContentTrace, evaluations_per_step, invert, swapped_steps
from sigstyle.imaging.images import Source, fit, load_image, mirrored_margin, to_tensor
from sigstyle.imaging.smoothing import guided_filter
from sigstyle.painting.anchor import EdgeAnchor, edge_map, half_grey


@dataclass(frozen=True)
class Content:
    """A content image and the copy of it, with sides the UNet can work at, that is inverted.

    The working copy has a mirrored margin of `margin_px` on each side, which is cut off the result: what convolutions
    make of a picture's border is never seen.
    """

    image: Image.Image
    work: Image.Image
    margin_px: int = 0

    @classmethod
    def load(cls, source: Source, base: BaseModel, size_px: int | None, margin_px: int = 0) -> "Content":
        """Load a content image.

        Units: size_px is the short side to work at, None the base's own; margin_px is rounded up to what the base can
        work at. Raises: ImageError for an image that cannot be used.
        """
        image, multiple = load_image(source), side_multiple_px(base)
        margin_px = math.ceil(2 * margin_px / multiple) * multiple // 2
        fitted = fit(image, size_px or default_size_px(base), multiple)
        return cls(image, mirrored_margin(fitted, margin_px), margin_px)

    def result_size(self, size_px: int | None, base: BaseModel) -> tuple[int, int]:
        """(width, height) of the result: the content's aspect with the short side that was asked for."""
        scale = (size_px or default_size_px(base)) / min(self.image.size)
        width, height = self.image.size
        return round(width * scale), round(height * scale)

    def pixels(self, smoothing: float = 0.0) -> Tensor:
        """The working copy, [1, 3, h, w] in [-1, 1], with its fine texture smoothed away."""
        return guided_filter(to_tensor(self.work), smoothing)

    def without_margin(self, image: Image.Image) -> Image.Image:
        """A painted working copy without its margin."""
        margin = self.margin_px
        return image.crop((margin, margin, image.width - margin, image.height - margin)) if margin else image

    def latents(self, base: BaseModel, sigma: float, copies: int, generator: Any, smoothing: float = 0.0) -> Tensor:
        """Latents [copies, c, h, w] of the smoothed working copy, each with noise of its own on the pixels.

        Units: sigma in steps of 0 to 255.
        """
        pixels = self.pixels(smoothing)
        if sigma:
            noise = randn_tensor((copies, *pixels.shape[1:]), generator=generator, device=base.device)
            pixels = pixels.to(noise) + noise * (sigma / 127.5)
        return encode(base.vae, pixels).to(base.device)

    def anchor(self, base: BaseModel, strength: float) -> EdgeAnchor:
        """What holds this content's edges while it is painted."""
        pixels = self.pixels()
        latents = encode(base.vae, half_grey(pixels)).to(base.device)
        return EdgeAnchor(latents, edge_map(pixels, (latents.shape[-2], latents.shape[-1])).to(latents), strength)


@dataclass(frozen=True)
class Inversion:
    """One wanted inversion: of which content, told apart from all others by `settings`."""

    base: BaseModel
    scheduler: Any
    content: Content
    prompt: str
    config: TransferConfig
    generator: Any  # of the noise on the photo: one, or a list with one for each image
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
            "content": hashlib.sha256(self.content.work.tobytes()).hexdigest()[:12],
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
    def evaluations(self) -> int:
        """UNet evaluations it takes."""
        return self.config.steps * evaluations_per_step(self.config.inversion_iterations)

    @property
    def swapped_timesteps(self) -> list[int]:
        """The timesteps at which the content's attention is swapped in."""
        self.scheduler.set_timesteps(self.config.steps)
        count = 0 if self.config.swap == "none" else swapped_steps(self.config.swap_until, self.config.steps)
        return self.scheduler.timesteps.tolist()[:count]

    def features(self, trace: ContentTrace) -> FeaturesByTimestep | None:
        """What of `trace` is to be swapped in; None when it lacks that."""
        return trace.swap(self.swapped_timesteps, keys=self.config.swap == "qk")

    def mismatch(self, trace: ContentTrace) -> str | None:
        """Why `trace` is not the one wanted, or None."""
        wanted = self.settings
        found = {key: trace.settings.get(key) for key in wanted}
        differing = [f"{key} {found[key]} instead of {wanted[key]}" for key in wanted if found[key] != wanted[key]]
        if self.features(trace) is None:
            differing.append("fewer swapped steps or other features")
        return f"the trace was made with {', '.join(differing)}" if differing else None

    def run(self, on_evaluation: Callable[[], None], should_stop: Callable[[], bool]) -> ContentTrace | None:
        """Invert the content; None when stopped."""
        base, config = self.base, self.config
        latents = self.content.latents(base, config.noise_sigma, self.copies, self.generator, self.smoothing)
        embeds = encode_prompts(base.tokenizer, base.text_encoder, [self.prompt])
        return invert(
            base.unet,
            self.scheduler,
            latents,
            embeds.expand(len(latents), -1, -1),
            steps=config.steps,
            iterations=config.inversion_iterations,
            record_layers=self_attention_layers(base.unet),
            record_steps=len(self.swapped_timesteps),
            record_keys=config.swap == "qk",
            settings=self.settings,
            on_evaluation=on_evaluation,
            should_stop=should_stop,
        )

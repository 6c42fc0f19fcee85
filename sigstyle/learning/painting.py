"""Painting photos while learning: what makes offsets act on photographs, and not only remember the painting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.autoencoder import decode_unclamped, encode_latents, pixels_per_latent
from sigstyle.base.model import BaseModel, side_multiple_px, trained_size_px
from sigstyle.base.prompts import encode_prompts
from sigstyle.diffusion.denoise import predict
from sigstyle.diffusion.implied_noise import FRESH, clean_and_noise, implied_noise, levels, with_fresh
from sigstyle.imaging.images import fit, to_pil, to_tensor
from sigstyle.imaging.palette import Palette, recoloured
from sigstyle.imaging.strokes import brushwork, seeded
from sigstyle.learning.bank import SIDE_PX, Bank
from sigstyle.learning.checkpointing import Kept, kept_by
from sigstyle.learning.learner import Learner
from sigstyle.scoring.features import StyleFeatures
from sigstyle.scoring.style_loss import (
    LayerStatistics,
    gram_distance,
    locked_texture,
    moment_distance,
    statistics,
    structure_distance,
    total_variation,
)
from sigstyle.style.attach import unstyled

LOWEST, HIGHEST = 0.15, 0.5  # noise levels trained on, as shares of the schedule
SMALLEST_WINDOW, LARGEST_WINDOW = 24, 32  # latents
_GRAM, _MOMENTS, _VARIATION, _LOCKED = 0.3, 2.0, 0.1, 1000.0  # weights of the terms
_LEAST, _MOST = 0.2, 3.0  # bounds of the content's multiplier
_RATE = 0.25  # how fast the multiplier follows


def window_px(base: BaseModel) -> int:
    """Side of the windows of photos that are painted: half of what the base was trained at, within 24 to 32 latents.

    Where the UNet does not take that, it is what it takes just below.
    """
    latent, multiple = pixels_per_latent(base.vae), side_multiple_px(base)
    side = min(max(trained_size_px(base) // 2, SMALLEST_WINDOW * latent), LARGEST_WINDOW * latent)
    return max(multiple, side // multiple * multiple)


@dataclass(frozen=True, eq=False)
class PhotoBatch:
    """Photos at the noise they are painted from.

    Shapes: photos [b, 3, H, W], noisy [b, c, h, w], timesteps [b].
    """

    photos: Tensor
    noisy: Tensor
    timesteps: Tensor

    def __len__(self) -> int:
        return len(self.photos)

    def split(self, chunks: int) -> list["PhotoBatch"]:
        """The same photos in `chunks` pieces, or as many as there are."""
        parts = (tensor.tensor_split(min(chunks, len(tensor))) for tensor in (self.photos, self.noisy, self.timesteps))
        return [PhotoBatch(*part) for part in zip(*parts, strict=True)]


@dataclass(frozen=True, eq=False)
class Painting:
    """Reconstructing photos with the styled UNet, in one evaluation: statistics as the style image's, structure theirs.

    The photo takes the style's colours and seeds of strokes, and the noise it is painted from is the one that the plain
    UNet reads in it. How far its structure may go is fixed, not its weight: the multiplier grows while it went too far.

    Source: the task of arXiv 2502.13997, section 3.3 (transfer as the reconstruction of a content image by the
    personalised model), learned for its own sake; Gatys et al. (1508.06576) for statistics; Platt & Barr, "Constrained
    Differential Optimization" (1987) for the multiplier.
    """

    learner: Learner
    bank: Bank
    network: StyleFeatures
    style: Sequence[LayerStatistics]
    palette: Palette
    brushwork: float
    plain: Tensor  # embeddings of the empty prompt

    @classmethod
    def of(
        cls, learner: Learner, images: Sequence[Image.Image], files: Sequence[Any], network: StyleFeatures
    ) -> "Painting":
        """The lesson of painting the photos in `files` like `images`. Raises: ConfigError, ImageError."""
        base, device = learner.base, learner.base.device
        pixels = [to_tensor(fit(image, SIDE_PX, 8)) for image in images]
        palette = Palette.of(torch.cat([image.flatten(2) for image in pixels], dim=2).unsqueeze(-1))
        with torch.no_grad():
            each = [statistics(network(image.to(device))) for image in pixels]
            plain = encode_prompts(base.tokenizer, base.text_encoder, [""])
        return cls(
            learner=learner,
            bank=Bank.of(files, palette, window_px(learner.base)),
            network=network,
            style=[LayerStatistics.mean_of(layer) for layer in zip(*each, strict=True)],
            palette=palette,
            brushwork=sum(brushwork(image) for image in pixels) / len(pixels),
            plain=plain,
        )

    @torch.no_grad()
    def draw(self, generator: torch.Generator, count: int | None = None, side_px: int | None = None) -> PhotoBatch:
        """Random windows of photos with the noise they are painted from."""
        learner, count = self.learner, count or self.learner.config.painting
        base, scheduler = learner.base, learner.base.scheduler
        photos = self.bank.crops(count, side_px or window_px(base), generator)
        seeds = torch.randint(2**62, (count,), generator=generator).tolist()
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        shares = LOWEST + (HIGHEST - LOWEST) * torch.rand(count, generator=generator)
        timesteps = (shares * scheduler.config.num_train_timesteps).long().to(base.device)
        with unstyled(base.unet), learner.casting():
            clean = encode_latents(base.vae, seeded(photos, self.palette, self.brushwork, generators).to(base.device))
            own = implied_noise(self._plainly, scheduler, clean, timesteps)
        fresh = torch.randn(clean.shape, generator=generator).to(clean)
        kept, noise_level = levels(scheduler, timesteps, clean)
        return PhotoBatch(photos.to(base.device), kept * clean + noise_level * with_fresh(own, fresh, FRESH), timesteps)

    @torch.no_grad()
    def preview(self) -> Image.Image:
        """One and the same photo of the bank, as it is painted by now."""
        side = window_px(self.learner.base)
        samples = self.draw(torch.Generator().manual_seed(self.learner.config.seed), count=1, side_px=2 * side)
        return to_pil(recoloured(self._painted(samples).clamp(-1, 1).cpu(), self.palette))

    def kept(self) -> Kept:
        """What painting one photo keeps for its gradients; called with offsets attached, it changes nothing."""
        learner, samples = self.learner, self.draw(torch.Generator().manual_seed(0), count=1)
        progression, weight = learner.state.progression, learner.state.progression.content_weight
        try:
            return kept_by(lambda: self.loss(samples), learner.decoders, [*learner.models, self.network])
        finally:
            progression.content_weight = weight

    def _plainly(self, noisy: Tensor, timesteps: Tensor) -> Tensor:
        return predict(self.learner.base.unet, noisy, timesteps, self.plain.expand(len(noisy), -1, -1))

    def loss(self, samples: PhotoBatch) -> Tensor:
        """Style, structure and smoothness of what is painted over `samples`."""
        config, progression = self.learner.config, self.learner.state.progression
        painted = self.network(self._painted(samples))
        with torch.no_grad():
            wanted = self.network(samples.photos)[-1]
        found = [LayerStatistics.mean_of([layer]) for layer in statistics(painted)]  # all photos together, as the style
        style = _GRAM * gram_distance(found, self.style) + _MOMENTS * moment_distance(found, self.style)
        content = structure_distance(painted[-1], wanted)
        total = config.style_weight * style + progression.content_weight * content
        if config.content_bound:
            excess = (content.item() - config.content_bound) / config.content_bound
            grown = progression.content_weight * float(torch.tensor(_RATE * excess).exp())
            progression.content_weight = min(_MOST, max(_LEAST, grown))
        total = total + _LOCKED * locked_texture(painted[0], pixels_per_latent(self.learner.base.vae))
        return total + _VARIATION * total_variation(painted[0])

    def _painted(self, samples: PhotoBatch) -> Tensor:
        """The pictures [b, 3, H, W], not clamped, with gradients to token and offsets."""
        output = self.learner.predict_at(samples.noisy, samples.timesteps)
        clean, _ = clean_and_noise(self.learner.base.scheduler, samples.noisy, output, samples.timesteps)
        with self.learner.casting():
            return decode_unclamped(self.learner.base.vae, clean)

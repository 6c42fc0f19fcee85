"""Painting photos while learning: what makes offsets act on photographs, and not only remember the painting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.autoencoder import pixels_per_latent
from sigstyle.base.conditioning import Conditioning
from sigstyle.imaging.brushwork import Brushwork
from sigstyle.imaging.images import to_pil
from sigstyle.imaging.palette import Palette, recoloured
from sigstyle.imaging.strokes import seeded
from sigstyle.learning.bank import Bank, window_px
from sigstyle.learning.checkpointing import Kept, kept_by
from sigstyle.learning.learner import Learner
from sigstyle.learning.measured import Measured
from sigstyle.learning.painting_terms import (
    HIGHEST,
    LOCKED_WEIGHT,
    LOWEST,
    VARIATION_WEIGHT,
    PaintingTerms,
    at_noise,
    painted_over,
)
from sigstyle.scoring.features import StyleFeatures
from sigstyle.scoring.style_loss import LayerStatistics

_LEAST, _MOST = 0.2, 3.0  # bounds of the content's multiplier
_RATE = 0.25  # how fast the multiplier follows


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
    brushwork: Brushwork
    plain: Conditioning  # the empty prompt

    @classmethod
    def of(cls, learner: Learner, measured: Measured, files: Sequence[Any], network: StyleFeatures) -> "Painting":
        """The lesson of painting the photos in `files` like what was measured. Raises: ConfigError, ImageError."""
        base = learner.base
        with torch.no_grad():
            plain = base.reader.encode([""])
        return cls(
            learner=learner,
            bank=Bank.of(files, measured.palette, window_px(base)),
            network=network,
            style=measured.statistics,
            palette=measured.palette,
            brushwork=measured.brushwork,
            plain=plain,
        )

    @property
    def measured(self) -> Measured:
        """What was measured on the style images."""
        return Measured(self.style, self.palette, self.brushwork)

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
        laid = seeded(photos, self.palette, self.brushwork, generators)

        def fresh(shape: torch.Size) -> Tensor:
            return torch.randn(shape, generator=generator)

        noisy = at_noise(base, laid, timesteps, self.plain, learner.casting, fresh)
        return PhotoBatch(photos.to(base.device), noisy, timesteps)

    @torch.no_grad()
    def preview(self, windows: int = 2) -> Image.Image:
        """One and the same photo of the bank, as it is painted by now, `windows` of what is learned on at a side."""
        side = windows * window_px(self.learner.base)
        samples = self.draw(torch.Generator().manual_seed(self.learner.config.seed), count=1, side_px=side)
        return to_pil(recoloured(self._painted(samples).clamp(-1, 1).cpu(), self.palette))

    def kept(self) -> Kept:
        """What painting one photo keeps for its gradients; called with offsets attached, it changes nothing."""
        learner, samples = self.learner, self.draw(torch.Generator().manual_seed(0), count=1)
        progression, weight = learner.state.progression, learner.state.progression.content_weight
        try:
            return kept_by(lambda: self.loss(samples), learner.decoders, [*learner.models, self.network])
        finally:
            progression.content_weight = weight

    def loss(self, samples: PhotoBatch) -> Tensor:
        """Style, structure and smoothness of what is painted over `samples`; nothing waits for the device."""
        progression, terms = self.learner.state.progression, self.terms(samples)
        weight, bound = progression.content_weight, self.learner.config.content_bound
        if bound:
            content = terms.content.detach()
            content = content if content.device.type == "mps" else content.double()
            grown = weight * (_RATE * ((content - bound) / bound)).float().exp().to(content)
            progression.content_weight = _between(grown, _LEAST, _MOST)
        return self.weighed(terms, weight.float() if isinstance(weight, Tensor) else weight)

    def terms(self, samples: PhotoBatch) -> PaintingTerms:
        """What is compared of the pictures painted over `samples`."""
        period_px = pixels_per_latent(self.learner.base.vae)
        return PaintingTerms.of(self.network, self._painted(samples), samples.photos, self.style, period_px)

    def weighed(self, terms: PaintingTerms, content_weight: float | Tensor) -> Tensor:
        """The loss that these terms amount to."""
        total = self.learner.config.style_weight * terms.style + content_weight * terms.content
        return total + LOCKED_WEIGHT * terms.locked + VARIATION_WEIGHT * terms.variation

    def _painted(self, samples: PhotoBatch) -> Tensor:
        """The pictures [b, 3, H, W], not clamped, with gradients to token and offsets."""
        learner, output = self.learner, self.learner.predict_at(samples.noisy, samples.timesteps)
        return painted_over(learner.base, samples.noisy, samples.timesteps, output, learner.casting)


def _between(value: Tensor, low: float, high: float) -> Tensor:
    """`value` within bounds; what is no number is `low`."""
    value = torch.where(value > low, value, low)
    return torch.where(value < high, value, high)

"""What a step of a capture learns from: samples drawn at random, and their loss. How a step is taken is elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sigstyle.learning.batches import Batch, cached_latents, draw_batch, noisy_batch
from sigstyle.learning.checkpointing import Kept, kept_by
from sigstyle.learning.learner import Learner


class Samples(Protocol):
    """Samples that can be cut into pieces when memory is short."""

    def __len__(self) -> int: ...

    def split(self, chunks: int) -> Sequence[Any]:
        """The same samples in `chunks` pieces, or as many as there are samples."""
        ...


S = TypeVar("S", bound=Samples)


class Lesson(Protocol[S]):
    """One of the things that are learned in every step; the losses of all of them are added up."""

    def draw(self, generator: torch.Generator) -> S:
        """The samples of one step; everything random comes from `generator`."""
        ...

    def loss(self, samples: S) -> Tensor:
        """The mean loss of `samples`, or of a piece of them, with gradients to the token and the offsets."""
        ...


@dataclass(frozen=True, eq=False)
class Remembering:
    """Predicting the noise on crops of the style images: the model learns to paint them again.

    Shapes: latents [crops, c, h, h].
    Source: arXiv 2502.13997, section 3.2.
    """

    learner: Learner
    latents: Tensor

    @classmethod
    def of(cls, learner: Learner, images: Sequence[Image.Image]) -> Self:
        """The lesson on random crops of `images`. Raises: ConfigError when the crop size does not suit the base."""
        return cls(learner, cached_latents(learner.base, images, learner.config))

    @property
    def window(self) -> int:
        """Side of a half-size window in latents, rounded down to what the UNet takes; 0 when that is nothing."""
        multiple = 2**self.learner.base.unet.num_upsamplers
        return self.latents.shape[-1] // 2 // multiple * multiple

    def draw(self, generator: torch.Generator) -> Batch:
        """A noisy batch of crops."""
        return draw_batch(self.latents, self.learner.base.scheduler, self.learner.config, self.window, generator)

    def kept(self) -> Kept:
        """What one whole crop keeps for its gradients; called with offsets attached, it changes nothing."""
        learner, clean = self.learner, self.latents[:1]
        middle = torch.full((1,), learner.base.scheduler.config.num_train_timesteps // 2, device=clean.device)
        samples = noisy_batch(clean, torch.zeros_like(clean), middle, learner.base.scheduler)
        return kept_by(lambda: self.loss(samples), learner.decoders, learner.models)

    def loss(self, samples: Batch) -> Tensor:
        """Mean squared error of the prediction, and what the token's length costs."""
        error = F.mse_loss(self.learner.predict(samples), samples.target)
        weight = self.learner.config.token_decay
        return error + weight * self.learner.state.token.square().sum() if weight else error

"""What a capture is held against while it learns: crops of the style image and photos that it never learns from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image

from sigstyle.config import CaptureConfig
from sigstyle.learning.batches import Batch, cached_latents, noisy_batch
from sigstyle.learning.learner import Learner
from sigstyle.learning.lessons import Lesson, Remembering
from sigstyle.learning.measured import Measured
from sigstyle.learning.painting import Painting, PhotoBatch
from sigstyle.learning.state import TrainingState
from sigstyle.scoring.features import StyleFeatures

CHECK_EVERY = 20  # steps
CROPS, PHOTOS = 4, 4  # held against at each check
_PATIENCE = 3  # checks without getting better
_BETTER = 0.005  # by how much of the score it must be, to count
_EVERY = 8  # photo of a bank, from the fourth, is held out


def held_out_files(files: Sequence[Path], config: CaptureConfig) -> tuple[list[Path], list[Path]]:
    """The photos to learn with, and those to be held against; where there is one photo alone, it is both."""
    if config.until == "steps" or len(files) < 2:
        return list(files), list(files)
    held = list(files[3::_EVERY]) or list(files[-1:])
    return [file for file in files if file not in held], held


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Fixed samples of what is remembered and of what is painted, and how the learner does on them."""

    learner: Learner
    crops: Batch
    painting: Painting | None
    photos: PhotoBatch | None

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        learner: Learner,
        images: Sequence[Image.Image],
        measured: Callable[[], Measured],
        files: Sequence[Path],
        network: Callable[[], StyleFeatures],
    ) -> Self:
        """Samples of `images` and of the photos in `files`, the same for the same settings; without files none."""
        config = replace(learner.config, seed=(learner.config.seed + 1) % 2**63, crops=CROPS)
        clean, generator = cached_latents(learner.base, images, config)[:CROPS], _generator(config)
        total = learner.base.scheduler.config.num_train_timesteps
        timesteps = ((torch.arange(len(clean)) + 0.5) / len(clean) * total).long().to(clean.device)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        crops = noisy_batch(clean, noise, timesteps, learner.base.scheduler)
        painting = Painting.of(learner, measured(), files, network()) if files else None
        return cls(learner, crops, painting, painting.draw(generator, count=PHOTOS) if painting else None)

    @torch.no_grad()
    def score(self, refresh: Callable[[], None]) -> float:
        """The loss on the samples, at the photos' full weight; called with offsets attached, it changes nothing."""
        refresh()
        total = self._mean(Remembering(self.learner, self.crops.noisy), self.crops)
        if self.painting is not None and self.photos is not None and self.learner.state.progression.painting:
            total += self._mean(_Judged(self.painting), self.photos)
        return total

    def _mean(self, lesson: Lesson[Any], samples: Any) -> float:
        parts = samples.split(self.learner.state.progression.chunks)
        return sum(float(lesson.loss(part)) * len(part) / len(samples) for part in parts)


@dataclass(frozen=True, eq=False)
class _Judged:
    """The lesson of painting, as it is judged: nothing of it follows the capture."""

    painting: Painting

    def draw(self, generator: torch.Generator) -> PhotoBatch:
        return self.painting.draw(generator)

    def loss(self, samples: PhotoBatch) -> torch.Tensor:
        return self.painting.weighed(self.painting.terms(samples), 1.0)


def _generator(config: CaptureConfig) -> torch.Generator:
    return torch.Generator().manual_seed(config.seed)


def judge(held: HeldOut, state: TrainingState, refresh: Callable[[], None]) -> None:
    """Note how the learner does, and keep a copy of what it knows when that is better than before."""
    score, progression = held.score(refresh), state.progression
    if progression.best_score is None or score < progression.best_score * (1 - _BETTER):
        progression.best_score, progression.best_step = score, progression.step
        state.keep_best()


def settled(state: TrainingState, config: CaptureConfig) -> bool:
    """Whether it has got no better for so long that learning ends."""
    progression = state.progression
    waited = progression.step - progression.best_step
    return config.until == "best" and progression.best_score is not None and waited >= _PATIENCE * CHECK_EVERY

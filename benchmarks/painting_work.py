"""What painting costs, whole: a default transfer from photo to pixels, and the steps of a default capture."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from PIL import Image

from benchmarks.random_base import random_style
from benchmarks.work import Work
from sigstyle.base.autoencoder import decode_latents
from sigstyle.base.finite import Finiteness
from sigstyle.base.model import BaseModel, trained_size_px
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.defaults import resolved
from sigstyle.learning.bank import SIDE_PX, bank_files
from sigstyle.learning.batches import cached_latents
from sigstyle.learning.checkpointing import checkpointing
from sigstyle.learning.learner import Learner
from sigstyle.learning.lessons import Lesson, Remembering
from sigstyle.learning.measured import Measured
from sigstyle.learning.painting import Painting
from sigstyle.painting.content import Content
from sigstyle.painting.direct import DirectRun
from sigstyle.painting.inversion import ContentInversion
from sigstyle.scoring.features import style_features
from sigstyle.style.attach import frozen
from sigstyle.style.blend import Blend


def default_transfer(base: BaseModel, size_px: int, margin_px: int) -> Work:
    """A default transfer of a plain square photo: encoded, read, painted and decoded."""
    config = TransferConfig(size_px=size_px, margin_px=margin_px)
    photo = Image.new("RGB", (size_px, size_px), "gray")
    content = Content.load(photo, base, size_px, margin_px)
    blend, generator = Blend.of([random_style(base)]), torch.Generator().manual_seed(config.seed)
    wanted = ContentInversion(base, base.scheduler, content, "", config, generator)

    @torch.no_grad()
    @patch.object(Finiteness, "look")  # it needs the numbers, which weightless tensors have not
    def work(_: Any) -> None:
        painted = DirectRun(wanted, blend).paint()
        assert painted.latents is not None
        decode_latents(base.vae, painted.latents)

    return work


@dataclass(frozen=True, eq=False)
class DefaultCapture:
    """What a default capture does with `base`, piece by piece.

    The content's multiplier stays as it is: following it needs the numbers, which a weightless base has not.
    """

    base: BaseModel
    config: CaptureConfig
    learner: Learner
    painting: Painting
    remembering: Remembering
    image: Image.Image

    @classmethod
    def of(cls, base: BaseModel) -> "DefaultCapture":
        """The capture of a plain image."""
        settings = {"autocast": "off", "content_bound": 0.0}
        config = resolved(CaptureConfig, None, None, settings, base.family)
        with frozen(*base.text_encoders):
            learner = Learner(base, config, "<style>")
        style = Image.linear_gradient("L").resize((SIDE_PX, SIDE_PX)).convert("RGB")
        network = style_features()
        painting = Painting.of(learner, Measured.on([style], network, base.device), bank_files()[:1], network)
        side = trained_size_px(base) // 8
        latents = torch.zeros(config.crops, base.unet.config.in_channels, side, side)
        return cls(base, config, learner, painting, Remembering(learner, latents), style)

    @contextmanager
    def attached(self, less: bool = False) -> Iterator[Callable[[], None]]:
        """Within the context steps can be taken, `refresh` before each; with `less`, blocks are computed once more."""
        saving = checkpointing(*self.learner.decoders) if less else nullcontext()
        with frozen(*self.base.text_encoders), self.learner.attached() as refresh, saving:
            yield refresh

    def step(self, half_size: bool, less: bool = False) -> Work:
        """A whole step without the optimiser: photos painted, and whole or half-size crops remembered."""
        return self._lessons([self.painting, self.remembering], half_size, less)

    def painted(self, less: bool = False) -> Work:
        """The photos of a step alone."""
        return self._lessons([self.painting], False, less)

    def remembered(self, half_size: bool, less: bool = False) -> Work:
        """The crops of a step alone."""
        return self._lessons([self.remembering], half_size, less)

    def _lessons(self, lessons: list[Lesson[Any]], half_size: bool, less: bool) -> Work:
        def work() -> None:
            with self.attached(less) as refresh:
                self.learner.config = CaptureConfig.from_dict(self.config.to_dict() | {"subcrop": float(half_size)})
                for lesson in lessons:
                    refresh()
                    lesson.loss(lesson.draw(torch.Generator().manual_seed(0))).backward()

        return work

    def prepared(self) -> None:
        """What is done before the first step: crops of the image are encoded."""
        cached_latents(self.base, [self.image], self.config)

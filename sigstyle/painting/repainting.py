"""A prompt's picture painted as a photo would be: the same strokes and palette as in a transfer."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.model import BaseModel, side_multiple_px
from sigstyle.config import GenerateConfig, TransferConfig
from sigstyle.diffusion.denoise import OnStep
from sigstyle.imaging.images import mirrored_margin
from sigstyle.painting.content import Content, decoded
from sigstyle.painting.direct import DirectRun
from sigstyle.painting.inversion import ContentInversion
from sigstyle.style.blend import Blend


def at_size(picture: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    """A picture at `size`, (width, height) in pixels; None leaves it as it is."""
    return picture if size is None else picture.resize(size, Image.Resampling.LANCZOS)


@dataclass
class Repainting:
    """Pictures of the base itself, painted one by one in a blend."""

    base: BaseModel
    scheduler: Any
    config: GenerateConfig
    blend: Blend
    on_step: OnStep
    on_evaluation: Callable[[], None]
    should_stop: Callable[[], bool]

    def __call__(
        self, latents: Tensor, generators: list[torch.Generator], size: tuple[int, int] | None = None
    ) -> tuple[Tensor, list[Image.Image]]:
        """The painted latents, and their pictures; when stopped, the base's own latents and no pictures.

        Shapes: latents [images, c, h, w], a generator for each. Units: size is (width, height) in pixels.
        """
        rows, images = [], []
        for row, generator in zip(latents.split(1), generators, strict=True):
            picture = at_size(decoded(self.base.vae, row)[0], size)
            made = None if self.should_stop() else self._painted(picture, generator)
            if made is None:
                return latents, []
            rows.append(made[0].to(latents))
            images.append(made[1])
        return torch.cat(rows), images

    def _painted(self, picture: Image.Image, generator: torch.Generator) -> tuple[Tensor, Image.Image] | None:
        """One picture, as latents [1, c, h, w] and decoded; None when stopped."""
        run = DirectRun(
            self._wanted(picture, generator),
            self.blend,
            on_step=self.on_step,
            on_evaluation=lambda _done, _total: self.on_evaluation(),
            should_stop=self.should_stop,
        )
        made, content = run.paint(), run.wanted.content
        if made.latents is None or made.interrupted:
            return None
        image = content.without_margin(run.decoded(made.latents)[0])
        return content.latents_without_margin(made.latents, self.base), image

    def _wanted(self, picture: Image.Image, generator: torch.Generator) -> ContentInversion:
        """The picture as the content of a transfer, which has its own size."""
        config = self.config
        shared = ("strength", "freedom", "palette", "strokes", "margin_px", "seed", "prompt")
        given = {name: getattr(config, name) for name in shared}
        chosen = TransferConfig.from_dict(given | {"size_px": min(picture.size)})
        multiple = side_multiple_px(self.base)
        margin_px = math.ceil(2 * chosen.margin_px / multiple) * multiple // 2
        return ContentInversion(
            base=self.base,
            scheduler=self.scheduler,
            content=Content(picture, mirrored_margin(picture, margin_px), margin_px),
            prompt=self.blend.source_prompt(config.prompt),
            config=chosen,
            generator=[generator],
            amount=self.blend.amount(config.strength),
        )

"""Several blends in one picture: regions of their own, and gradients from style to style."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import torch
from PIL import Image, ImageChops
from torch import Tensor

from sigstyle.diffusion.denoise import OnStep
from sigstyle.errors import ConfigError
from sigstyle.imaging.ramps import ramps
from sigstyle.painting.evaluations import OnEvaluation, never, unwatched
from sigstyle.painting.inversion import ContentInversion
from sigstyle.painting.painted import Painted, unchanged
from sigstyle.painting.run import Run, run_of
from sigstyle.places import direction
from sigstyle.style.blend import Blend


@dataclass(frozen=True)
class Layer:
    """A blend and where it is seen: a mask ('L') as large as the content, white is where."""

    blend: Blend
    mask: Image.Image


def gradient_layers(blend: Blend, gradient: str, area: Image.Image) -> list[Layer]:
    """The styles of a blend one after the other along a gradient, inside of `area`, each at full weight.

    Raises: ConfigError for fewer than two styles, or what is no direction.
    """
    if len(blend.styles) < 2:
        raise ConfigError(
            f"A gradient {gradient} leads from style to style; expected two styles or more, there is one."
        )
    reached = [*ramps(area.size, len(blend.styles), direction(gradient)), Image.new("L", area.size)]
    shares = [ImageChops.subtract(mask, further) for mask, further in pairwise(reached)]
    alone = [Blend.of([style], colours=blend.colours) for style in blend.styles]
    return [Layer(own, ImageChops.multiply(share, area)) for own, share in zip(alone, shares, strict=True)]


def visible(masks: Sequence[Image.Image]) -> list[Image.Image]:
    """Masks to lay pictures over each other by, one after the other, so that each mask covers as much as it says.

    Where a later mask covers a part of a pixel, an earlier one has the rest, and what is below shows through only
    where they leave something: edges that meet show no halo. The last mask stays as it is.
    """
    covered = np.zeros((masks[0].height, masks[0].width), np.float32)
    found = []
    for mask in reversed(masks):
        own = np.asarray(mask, np.float32) / 255
        share = np.minimum(own, 1 - covered)
        left = 1 - covered
        alpha = np.divide(share, left, out=np.zeros_like(share), where=left > 0)
        found.append(mask if not covered.any() else Image.fromarray((alpha * 255).round().astype(np.uint8)))
        covered = np.minimum(covered + own, 1)
    return found[::-1]


@dataclass
class LayeredRun:
    """One transfer in several layers: the photo is painted whole in each blend, and the masks decide what is seen.

    Where no mask is, it is the photo, pixel for pixel, and it has the photo's own size. Layers of one blend are painted
    once. `trace` is none: each blend reads the photo in its own colours.
    """

    wanted: ContentInversion
    layers: Sequence[Layer]
    on_step: OnStep = unchanged
    on_evaluation: OnEvaluation = unwatched
    should_stop: Callable[[], bool] = never
    notices: list[str] = field(default_factory=list, init=False)
    _runs: list[Run] = field(default_factory=list, init=False)
    _which: list[int] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        blends: list[Blend] = []
        areas: list[Image.Image] = []  # where each is seen
        for layer in self.layers:
            which = next((i for i, blend in enumerate(blends) if _same(layer.blend, blend)), len(blends))
            if which == len(blends):
                blends.append(layer.blend)
                areas.append(layer.mask)
            else:
                areas[which] = ImageChops.lighter(areas[which], layer.mask)
            self._which.append(which)
        for blend, area in zip(blends, areas, strict=True):
            self._runs.append(self._run(blend, area, len(self._runs)))
        told = [layer.mask.info["notice"] for layer in self.layers if "notice" in layer.mask.info]
        self.notices = list(dict.fromkeys(told))

    def _run(self, blend: Blend, area: Image.Image, number: int) -> Run:
        """The painting of the whole photo in one blend that is seen in an area, counted among the others."""
        amount = blend.amount(self.wanted.config.strength)
        wanted = replace(self.wanted, prompt=blend.source_prompt(self.wanted.config.prompt), amount=amount)

        def counted(done: int, total: int) -> None:
            self.on_evaluation(sum(run.total for run in self._runs[:number]) + done, self.total)

        whole = Image.new("L", area.size, 255)
        return run_of(wanted, blend, whole, None, self.on_step, counted, self.should_stop, area)

    @property
    def total(self) -> int:
        """UNet evaluations that will be announced."""
        return sum(run.total for run in self._runs)

    def paint(self) -> Painted:
        """The latents of all blends, one after the other along the first dimension, with the base locked."""
        made: list[Tensor] = []
        with self.wanted.base.lock:
            for run in self._runs:
                painted = run.paint()
                self.notices += [notice for notice in painted.notices if notice not in self.notices]
                if painted.latents is None or painted.interrupted:
                    return Painted(painted.latents, None, self.notices, interrupted=True)
                made.append(painted.latents)
        return Painted(torch.cat(made), None, self.notices, interrupted=False)

    def without_margin(self, latents: Tensor) -> Tensor:
        """Latents of all blends, without their margins."""
        parts = latents.split(self.wanted.images)
        return torch.cat([run.without_margin(part) for run, part in zip(self._runs, parts, strict=True)])

    def decoded(self, latents: Tensor) -> list[Image.Image]:
        """Working copies of all blends, one after the other."""
        parts = latents.split(self.wanted.images)
        return [image for run, part in zip(self._runs, parts, strict=True) for image in run.decoded(part)]

    def finished(self, images: list[Image.Image]) -> list[Image.Image]:
        """The photo with every layer laid over it."""
        count, masks = self.wanted.images, visible([layer.mask for layer in self.layers])
        whole = [run.finished(images[i * count : (i + 1) * count]) for i, run in enumerate(self._runs)]
        made = []
        for number in range(count):
            picture = self.wanted.content.image
            for which, mask in zip(self._which, masks, strict=True):
                picture = Image.composite(whole[which][number], picture, mask)
            made.append(picture)
        return made


def _same(one: Blend, other: Blend) -> bool:
    def key(blend: Blend) -> tuple:
        hashes = tuple(style.hash for style in blend.styles)
        return hashes, blend.weights, blend.colours.hash if blend.colours else None

    return key(one) == key(other)

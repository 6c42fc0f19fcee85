"""Painting a shot frame by frame so that it holds still: one palette, strokes carried along, the last frame kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sigstyle.base.autoencoder import pixels_per_latent
from sigstyle.base.model import BaseModel, ddim
from sigstyle.config import TransferConfig
from sigstyle.errors import Cancelled
from sigstyle.film.flow import flow_between
from sigstyle.film.mixing import KEPT, mixed
from sigstyle.film.places import Places
from sigstyle.film.shots import Shot
from sigstyle.imaging.palette import Palette, recoloured
from sigstyle.imaging.strokes import drawn_for, laid
from sigstyle.painting.content import Content
from sigstyle.painting.direct import DirectRun
from sigstyle.painting.evaluations import never
from sigstyle.painting.inversion import ContentInversion
from sigstyle.style.blend import Blend

_LEAST_SEEN = 0.1  # share of a frame below which nothing of the last one is carried: a cut that was not found


@dataclass(frozen=True, eq=False)
class Correction:
    """The map of a shot's painted frames to the style's colours: what one of them had, and what it was to have."""

    found: Palette
    wanted: Palette


@dataclass(frozen=True, eq=False)
class Carried:
    """What the next frame of a shot needs of this one.

    Shapes: `frame` and `painted` [h, w, 3], 8 bits, at the size that is painted, without a margin.
    """

    number: int
    frame: NDArray[np.uint8]
    painted: NDArray[np.uint8]
    places: Places
    correction: Correction


class FrameRun(DirectRun):
    """One frame: as a photo, but in the palette of its shot and with strokes and noise that are given."""

    own: Palette
    places: Places
    correction: Correction | None = None

    def _recoloured(self) -> Content:
        return self.wanted.content.recoloured(self._palette, self._colour, self.own)

    def _seeded(self, pixels: Tensor) -> Tensor:
        strokes = self._strokes
        if strokes.amount == 0:
            return pixels
        noise, turns = drawn_for(pixels, strokes, self._stroke_generators()[0])
        placed = self.places.widened(self.wanted.content.margin_px).read(noise)
        return laid(pixels, self._palette, strokes, placed[None].to(pixels), turns[None].to(pixels))

    def _fresh(self, clean: Tensor) -> Tensor:
        drawn = torch.randn(clean.shape[1:], generator=self._generators()[0])
        places = self.places.widened(self.wanted.content.margin_px)
        return places.coarse(pixels_per_latent(self.wanted.base.vae)).nearest(drawn)[None]

    def _in_palette(self, row: Tensor) -> Tensor:
        if self.correction is None:
            given = Palette.of(self.wanted.content.pixels())
            self.correction = Correction(Palette.of(row), given.through(self.own, self._palette))
        return recoloured(row, self.correction.wanted, self._colour, self.correction.found)


@dataclass
class ShotPainter:
    """Paints the frames of one shot in their order; `own` is the palette of all its frames."""

    base: BaseModel
    blend: Blend
    config: TransferConfig
    own: Palette
    correction: Correction | None = None
    should_stop: Callable[[], bool] = never
    kept: float = KEPT

    @classmethod
    def of_shot(
        cls,
        base: BaseModel,
        blend: Blend,
        config: TransferConfig,
        shot: Shot,
        usual: Image.Image,
        should_stop: Callable[[], bool] = never,
    ) -> "ShotPainter":
        """What paints a shot whose `usual` frame, at the size of the film, this is."""
        content = Content.load(usual, base, config.size_px, config.margin_px)
        own = shot.palette_at(Palette.of(content.pixels()))
        return cls(base, blend, config, own, should_stop=should_stop)

    def corrected_by(self, frame: Image.Image) -> Correction:
        """Find the correction of the shot's colours on its most usual frame."""
        run = self._run(frame)
        if run.wanted.amount == 0:
            return Correction(self.own, self.own)
        self._painted(run)
        assert run.correction is not None
        return run.correction

    def next(self, number: int, frame: Image.Image, last: Carried | None) -> Carried:
        """Paint a frame after the `last`, None for the first. Raises: Cancelled when stopped."""
        run = self._run(frame)
        pixels = np.asarray(run.wanted.content.without_margin(run.wanted.content.work))
        if last is not None and np.array_equal(pixels, last.frame):
            return replace(last, number=number)
        if run.wanted.amount == 0:
            self.correction = Correction(self.own, self.own)
            return Carried(number, pixels, pixels, run.places, self.correction)
        flow = flow_between(Image.fromarray(last.frame), Image.fromarray(pixels)) if last is not None else None
        if last is None or flow is None or flow.share < _LEAST_SEEN:
            run.places = Places.own(pixels.shape[:2], number)
            painted = self._painted(run)
        else:
            run.places = last.places.carried(flow, number)
            painted = mixed(self._painted(run), last.painted, flow, self.kept)
        assert run.correction is not None
        return Carried(number, pixels, painted, run.places, run.correction)

    def finished(self, painted: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
        """A painted frame at the clip's size."""
        image = Image.fromarray(painted)
        return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)

    def _run(self, frame: Image.Image) -> FrameRun:
        content = Content.load(frame, self.base, self.config.size_px, self.config.margin_px)
        wanted = ContentInversion(
            base=self.base,
            scheduler=ddim(self.base.scheduler),
            content=content,
            prompt=self.blend.source_prompt(self.config.prompt),
            config=self.config,
            generator=torch.Generator().manual_seed(self.config.seed),
            amount=self.blend.amount(self.config.strength),
        )
        run = FrameRun(wanted, self.blend, should_stop=self.should_stop)
        run.own, run.correction = self.own, self.correction
        inner = content.without_margin(content.work)
        run.places = Places.own((inner.height, inner.width), 0)
        return run

    def _painted(self, run: FrameRun) -> NDArray[np.uint8]:
        made = run.paint()
        if made.latents is None or made.interrupted:
            raise Cancelled("The film was stopped; the same call goes on with the rest.")
        return np.asarray(run.wanted.content.without_margin(run.decoded(made.latents)[0]))

"""One transfer by painting: the photo at the noise that the plain UNet reads in it, and one to eight styled steps."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import astuple, dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.autoencoder import decode_latents, encode_latents, pixels_per_latent
from sigstyle.base.conditioning import Conditioning
from sigstyle.base.finite import Finiteness
from sigstyle.diffusion.denoise import OnStep, predict
from sigstyle.diffusion.implied_noise import FRESH, clean_and_noise, implied_noise, levels, with_fresh
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.imaging.brushwork import Brushwork
from sigstyle.imaging.images import to_pil
from sigstyle.imaging.palette import recoloured
from sigstyle.imaging.strokes import SMOOTHING, seeded
from sigstyle.painting.content import Content
from sigstyle.painting.cost import transfer_cost
from sigstyle.painting.evaluations import Evaluations, OnEvaluation, never, unwatched
from sigstyle.painting.inversion import ContentInversion
from sigstyle.painting.notices import transfer_notices
from sigstyle.painting.painted import Painted, unchanged
from sigstyle.painting.protection import barer, kept_map, kept_more
from sigstyle.painting.refining import Refining
from sigstyle.painting.seeds import fresh_generators
from sigstyle.painting.sizes import work_tiling
from sigstyle.painting.tiles import Box
from sigstyle.style.attach import styled
from sigstyle.style.blend import Blend

LOWEST, HIGHEST = 0.05, 0.75  # noise levels of freedom 0 and 1, as shares of the schedule


def noise_share(freedom: float) -> float:
    """The noise level that a photo is painted from, as a share of the schedule."""
    return LOWEST + (HIGHEST - LOWEST) * freedom


@dataclass
class DirectRun:
    """One transfer by painting: what is wanted, in which blend, where, and who watches.

    The photo takes the style's palette and seeds of strokes, is encoded and brought to the noise level of `freedom`
    with the noise the plain UNet reads in it (one evaluation); the styled UNet and the styled decoder paint it.
    Weights are as they were afterwards, also after an exception. The trace holds the encoded photo and its noise.
    Raises: ConfigError, at once, for a blend with a style that has not learned to paint.
    """

    wanted: ContentInversion
    blend: Blend
    mask: Image.Image | None = None  # as large as the content
    trace: ContentTrace | None = None
    on_step: OnStep = unchanged
    on_evaluation: OnEvaluation = unwatched
    should_stop: Callable[[], bool] = never
    seen: Image.Image | None = None  # where it will be seen, if that is not the mask
    notices: list[str] = field(default_factory=list, init=False)
    _stages: list[Refining] = field(default_factory=list, init=False)
    _is_refined: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._finite = Finiteness(self.wanted.base.dtype)
        self._palette = self.blend.palette()
        problem = self._mismatch(self.trace) if self.trace is not None else None
        if problem:
            self.trace, self.notices = None, [f"The photo was encoded anew: {problem}."]
        self.notices += transfer_notices(self.wanted, self.blend, self.mask)
        self._tiling = work_tiling(self.wanted.content.work.size, self.wanted.base)
        self._stages = self._for_refining()
        fine_tiles = sum(stage.evaluations for stage in self._stages)
        cost = transfer_cost(self.wanted.config, tiles=self._tiling.count, fine_tiles=fine_tiles)
        total = cost.calls if self.trace is None else cost.calls - cost.reading
        self._evaluations = Evaluations(total, self.on_evaluation, self.should_stop)

    def _for_refining(self) -> list[Refining]:
        """What brings the painting to the picture's size, where that is much larger and there is a style."""
        wanted, content = self.wanted, self.wanted.content
        parts = (wanted.base, wanted.scheduler, self.blend, wanted.config)
        watch = (lambda: self._evaluations.count(), lambda: self._evaluations.stopped())
        stages = content.sizes.stages if content.sizes is not None and wanted.amount else []
        seen = self.mask if self.seen is None else self.seen
        return [Refining(*parts, stage, content.margin_px, wanted.amount, *watch, seen) for stage in stages]

    @property
    def total(self) -> int:
        """UNet evaluations that will be announced."""
        return self._evaluations.total

    @property
    def timestep(self) -> int:
        """The noise level the photo is painted from: that of `freedom`, less for less style."""
        config, schedule = self.wanted.config, self.wanted.scheduler.config["num_train_timesteps"]
        share = noise_share(config.freedom) * self.wanted.amount
        return min(schedule - 1, round(share * schedule))

    @property
    def settings(self) -> dict[str, Any]:
        """What the trace depends on, as plain values."""
        wanted = self.wanted
        return {
            "method": "paint",
            "base": wanted.base.identity,
            "content": wanted.content.digest,
            "size": list(wanted.content.work.size),
            "palette": self._palette.digest,
            "colour": self._colour,
            "strokes": list(astuple(self._strokes)),
            "protect": wanted.config.protect,
            "timestep": self.timestep,
            "seeds": [generator.initial_seed() for generator in self._generators()],
        }

    @property
    def _colour(self) -> float:
        return self.wanted.config.palette * self.wanted.amount

    @property
    def _strokes(self) -> Brushwork:
        return self.blend.brushwork().times(self.wanted.config.strokes * self.wanted.amount)

    def _stroke_generators(self) -> list[torch.Generator]:
        """Those of the strokes, one for each image: with one seed other palettes have other strokes."""
        own = int(self._palette.digest, 16)
        return [torch.Generator().manual_seed((each.initial_seed() ^ own) % 2**63) for each in self._generators()]

    def _generators(self) -> list[torch.Generator]:
        return fresh_generators(self.wanted.generator, self.wanted.images)

    def _mismatch(self, trace: ContentTrace) -> str | None:
        """Why `trace` is not the one wanted, or None."""
        wanted = self.settings
        differing = [key for key in wanted if trace.settings.get(key) != wanted[key]]
        return f"the trace was made with another {', '.join(differing)}" if differing else None

    @torch.no_grad()
    def paint(self) -> Painted:
        """Make the latents, with the base locked."""
        with self.wanted.base.lock:
            trace = self.trace or self._encoded()
            if self._evaluations.stopped():
                whole = self._evaluations.done in (0, self._tiling.count)
                return Painted(None, trace if whole else None, self.notices, interrupted=True)
            self._finite.look_at_path(trace.path, "encoding the photo", "reading its noise, evaluation")
            latents = self._painted(trace)
            self._finite.check()
            if self._stages and not self._evaluations.stopped():
                latents = self._refined(latents)
        return Painted(latents, trace, self.notices, self._evaluations.stopped())

    def _encoded(self) -> ContentTrace:
        """The photo's latents and its noise, one for each image."""
        wanted, base = self.wanted, self.wanted.base
        pixels = self._recoloured().pixels(SMOOTHING * wanted.amount).expand(wanted.images, -1, -1, -1)
        laid = barer(self._seeded(pixels), pixels, kept_map(wanted.content, wanted.config, pixels))
        scale = pixels_per_latent(base.vae)
        clean = self._tiling.blended(lambda box: encode_latents(base.vae, box.cut(laid, scale)).to(base.device))
        cond = base.reader.encode([""]).expand(len(clean))

        def plain(noisy: Tensor, timesteps: Tensor) -> Tensor:
            output = predict(base.unet, noisy, timesteps, cond)
            self._evaluations.count()
            return output

        def read(box: Box) -> Tensor:
            part = box.cut(clean)
            if self._evaluations.done and self._evaluations.stopped():
                return part
            return implied_noise(plain, wanted.scheduler, part, self._timesteps(part, self.timestep))

        own = self._tiling.blended(read)
        return ContentTrace(torch.stack([clean, with_fresh(own, self._fresh(clean).to(own), FRESH)]), {}, self.settings)

    def _recoloured(self) -> Content:
        """The photo in the style's palette."""
        return self.wanted.content.recoloured(self._palette, self._colour)

    def _seeded(self, pixels: Tensor) -> Tensor:
        """The photo's pixels [images, 3, h, w] with seeds of strokes on them."""
        return seeded(pixels, self._palette, self._strokes, self._stroke_generators())

    def _fresh(self, clean: Tensor) -> Tensor:
        """Fresh noise for latents [images, c, h, w]."""
        return torch.stack([torch.randn(clean.shape[1:], generator=generator) for generator in self._generators()])

    def _painted(self, trace: ContentTrace) -> Tensor:
        """Latents [images, c, h, w] painted in the style."""
        wanted, base, config = self.wanted, self.wanted.base, self.wanted.config
        photo, noise = trace.path.to(base.device)
        clean, held = photo, kept_map(wanted.content, config, photo)
        cond = self.blend.embed(base.reader, config.prompt, config.strength).expand(len(clean))
        with styled(base.unet, self.blend.offsets(config.strength)):
            for step in range(config.steps):
                timestep = round(self.timestep * (1 - step / config.steps))
                pred_x0 = kept_more(self._predicted(clean, noise, timestep, cond), photo, held)
                clean = self.on_step(step, timestep, pred_x0, pred_x0)
                self._finite.look(f"step {step + 1} of {config.steps}", clean)
                self._evaluations.count()
                if self._evaluations.stopped():
                    break
        return clean

    def _predicted(self, clean: Tensor, noise: Tensor, timestep: int, cond: Conditioning) -> Tensor:
        """The clean latents that the styled UNet sees; of its evaluations the last one is left to be counted."""
        scheduler, left = self.wanted.scheduler, self._tiling.count

        def of(box: Box) -> Tensor:
            nonlocal left
            part, own = box.cut(clean), box.cut(noise)
            if left < self._tiling.count:
                self._evaluations.count()
                if self._evaluations.stopped():
                    return part
            left -= 1
            timesteps = self._timesteps(part, timestep)
            kept, noise_level = levels(scheduler, timesteps, part)
            noisy = kept * part + noise_level * own
            output = predict(self.wanted.base.unet, noisy, timesteps, cond)
            return clean_and_noise(scheduler, noisy, output, timesteps)[0]

        return self._tiling.blended(of)

    def _refined(self, latents: Tensor) -> Tensor:
        """Latents of the pictures at their own size, or `latents` where it was stopped."""
        contents = self.wanted.content.each(len(latents))
        photos, made = [content.image for content in contents], latents
        small = [content.without_margin(image) for content, image in zip(contents, self._decoded(latents), strict=True)]
        for stage in self._stages:
            made = stage.latents(small, photos, self._generators())
            self._finite.look("refining", made)
            self._finite.check()
            if self._evaluations.stopped():
                return latents
            if stage is not self._stages[-1]:
                small = stage.pictures(made)
        self._is_refined = True
        return made

    def _timesteps(self, like: Tensor, timestep: int) -> Tensor:
        return torch.full((len(like),), timestep, device=like.device)

    def without_margin(self, latents: Tensor) -> Tensor:
        """Latents [b, c, h, w] of the pictures alone."""
        if self._is_refined:
            return self._stages[-1].without_margin(latents)
        return self.wanted.content.latents_without_margin(latents, self.wanted.base)

    def decoded(self, latents: Tensor) -> list[Image.Image]:
        """Pictures of what `paint` made: working copies, or refined ones without a margin."""
        if self._is_refined:
            return self._stages[-1].pictures(latents)
        return self._decoded(latents)

    @torch.no_grad()
    def _decoded(self, latents: Tensor) -> list[Image.Image]:
        """Working copies of latents [b, c, h, w], by the styled decoder, in the style's palette once more."""
        base, config = self.wanted.base, self.wanted.config
        offsets = self.blend.decoder_offsets(config.strength)
        with base.lock, ExitStack() as undo:
            if offsets:
                undo.enter_context(styled(base.vae.decoder, offsets))
            rows = [self._pixels(row.unsqueeze(0)) for row in latents]
        return [to_pil(self._in_palette(row)) for row in rows]

    def _in_palette(self, row: Tensor) -> Tensor:
        """A decoded picture [1, 3, h, w] in the style's palette."""
        return recoloured(row, self._palette, self._colour)

    def _pixels(self, latents: Tensor) -> Tensor:
        vae = self.wanted.base.vae
        return self._tiling.blended(lambda box: decode_latents(vae, box.cut(latents)).cpu(), pixels_per_latent(vae))

    def finished(self, images: list[Image.Image]) -> list[Image.Image]:
        """Decoded pictures, brought to the content's aspect and size; outside a mask they are the content."""
        wanted = self.wanted
        how = (wanted.config.size_px, wanted.base, self.mask, wanted.amount)
        return [wanted.content.finished(image, *how) for image in images]

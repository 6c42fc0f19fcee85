"""Textures: a surface painted in a style without a photo, of any size, without a seam where it is wanted."""

import dataclasses
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.autoencoder import decode_latents, encode_latents, pixels_per_latent
from sigstyle.base.conditioning import Conditioning
from sigstyle.base.finite import Finiteness
from sigstyle.base.model import BaseModel, default_size_px, side_multiple_px
from sigstyle.config import TextureConfig
from sigstyle.diffusion.denoise import predict
from sigstyle.diffusion.implied_noise import FRESH, clean_and_noise, implied_noise, levels, with_fresh
from sigstyle.errors import Cancelled
from sigstyle.imaging.brushwork import MOST
from sigstyle.imaging.images import to_pil
from sigstyle.imaging.palette import Palette, recoloured
from sigstyle.imaging.strokes import stroke_field
from sigstyle.imaging.wrapping import WrappedTiles, smooth_noise, wrapped
from sigstyle.painting.direct import noise_share
from sigstyle.painting.evaluations import Evaluations, OnEvaluation, never, unwatched
from sigstyle.style.attach import styled
from sigstyle.style.blend import Blend

_OVERLAP_PX = 96
_BEYOND_PX = 64  # of what need not be seamless, painted and cut off
_REACH_PX = 128  # how far strokes and their directions look
_CRISP = 1.5  # how sharply fields of colour meet, for a style of many strokes
_LEAST_STROKES = 0.06  # in units of the palette's spread: without any, a surface is a gradient
_OCTAVES = (1.0, 0.5, 0.25)  # sizes of the fields of colour, each half as strong as the one before


@dataclass
class TextureRun:
    """One surface: seeds of strokes along fields of colour in the style's palette, painted in overlapping tiles.

    The fields, the strokes and the fresh noise go round the edges, and so do the tiles: nothing knows where an edge is.
    Raises: ConfigError, at once, for a blend with a style that has not learned to paint.
    """

    base: BaseModel
    scheduler: Any
    config: TextureConfig
    blend: Blend
    on_evaluation: OnEvaluation = unwatched
    should_stop: Callable[[], bool] = never
    _palette: Palette = field(init=False)
    _tiles: WrappedTiles = field(init=False)
    _evaluations: Evaluations = field(init=False)

    def __post_init__(self) -> None:
        own, variety = self.blend.palette(), self.config.variety
        self._palette = Palette(own.mean, own.covariance * variety**2)
        grid = side_multiple_px(self.base)
        beyond = 0 if self.config.seamless == "on" else 2 * _BEYOND_PX
        side = -(-(self.config.size_px + beyond) // grid) * grid
        tile = -(-min(default_size_px(self.base), side + _OVERLAP_PX) // grid) * grid
        self._tiles = WrappedTiles(side, tile, min(_OVERLAP_PX, tile // 4), grid)
        self._evaluations = Evaluations(self.total, self.on_evaluation, self.should_stop)

    @property
    def total(self) -> int:
        """UNet evaluations that will be announced."""
        return len(self._tiles.starts) * (1 + self.config.steps)

    @torch.no_grad()
    def paint(self) -> Image.Image:
        """The surface. Raises: Cancelled when stopped, PaintingError for numbers that are not finite."""
        generator = torch.Generator().manual_seed(self.config.seed)
        pixels = self._seeds(generator)
        side = self._tiles.side_px // pixels_per_latent(self.base.vae)
        with self.base.lock:
            channels = self.base.unet.config["in_channels"]
            fresh = torch.randn((1, channels, side, side), generator=generator)
            plain = self.base.reader.encode([""])
            read = [self._read(pixels, fresh, start, plain) for start in self._tiles.starts]
            tiles = self._painted(read)
        made = recoloured(self._tiles.joined(tiles).clamp(-1, 1), self._palette)
        return self._finished(made)

    def _seeds(self, generator: torch.Generator) -> Tensor:
        """Fields of colour with seeds of strokes along them, [1, 3, side, side] in [-1, 1]."""
        side, config = self._tiles.side_px, self.config
        root, own = self._palette.root.float(), self.blend.brushwork()
        strokes = dataclasses.replace(own, amount=max(own.amount, _LEAST_STROKES)).times(config.strokes)
        crisp = _CRISP * (2 - min(1.0, own.amount / MOST))  # prints have flat colours, brushes mix them

        def drawn(channels: int) -> Tensor:
            return torch.randn((1, channels, side, side), generator=generator)

        octaves = [smooth_noise(drawn(3), config.grain_px * size / 4) * size for size in _OCTAVES]
        fields = torch.tanh(crisp * torch.stack(octaves).sum(0))
        colours = torch.einsum("dc,bchw->bdhw", root, fields) + self._palette.mean.view(1, 3, 1, 1)
        turns = smooth_noise(drawn(2), strokes.turn_px / 2)
        around, noise, turned = (wrapped(x, _REACH_PX) for x in (colours, drawn(3), turns))
        around = stroke_field(around, noise, strokes, turned)
        laid = around[..., _REACH_PX:-_REACH_PX, _REACH_PX:-_REACH_PX]
        return (colours + strokes.amount * torch.einsum("dc,bchw->bdhw", root, laid)).clamp(-1, 1)

    def _read(
        self, pixels: Tensor, fresh: Tensor, start: tuple[int, int], plain: Conditioning
    ) -> tuple[Tensor, Tensor]:
        """A tile's latents, and the noise that the plain UNet reads in them."""
        base, tiles = self.base, self._tiles
        self._check_stopped()
        clean = encode_latents(base.vae, tiles.tile(pixels, start)).to(base.device)
        own = implied_noise(
            lambda noisy, timesteps: predict(base.unet, noisy, timesteps, plain),
            self.scheduler,
            clean,
            self._timesteps(0),
        )
        self._evaluations.count()
        return clean, with_fresh(own, tiles.tile(fresh, start, pixels_per_latent(base.vae)).to(own), FRESH)

    def _painted(self, read: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """The tiles as pixels, painted and decoded in the style."""
        base, config, finite = self.base, self.config, Finiteness(self.base.dtype)
        cond = self.blend.embed(base.reader, "", config.strength)
        decoder, tiles = self.blend.decoder_offsets(config.strength), []
        with ExitStack() as undo:
            undo.enter_context(styled(base.unet, self.blend.offsets(config.strength)))
            if decoder:
                undo.enter_context(styled(base.vae.decoder, decoder))
            for clean, noise in read:
                for step in range(config.steps):
                    self._check_stopped()
                    timesteps = self._timesteps(step)
                    kept, level = levels(self.scheduler, timesteps, clean)
                    noisy = kept * clean + level * noise
                    output = predict(base.unet, noisy, timesteps, cond)
                    clean, _ = clean_and_noise(self.scheduler, noisy, output, timesteps)
                    self._evaluations.count()
                finite.look("painting a texture", clean)
                tiles.append(decode_latents(base.vae, clean).float().cpu())
        finite.check()
        return tiles

    def _timesteps(self, step: int) -> Tensor:
        schedule = self.scheduler.config["num_train_timesteps"]
        start = noise_share(self.config.freedom) * schedule
        return torch.full((1,), round(start * (1 - step / self.config.steps)), device=self.base.device)

    def _check_stopped(self) -> None:
        if self._evaluations.stopped():
            raise Cancelled("The texture was stopped.")

    def _finished(self, pixels: Tensor) -> Image.Image:
        """The picture at its size: cut out where it need not wrap, else resized as it wraps."""
        size, side = self.config.size_px, self._tiles.side_px
        if self.config.seamless == "off":
            return to_pil(pixels[..., _BEYOND_PX : _BEYOND_PX + size, _BEYOND_PX : _BEYOND_PX + size])
        if size == side:
            return to_pil(pixels)
        around = to_pil(wrapped(pixels, _BEYOND_PX))
        box = (_BEYOND_PX, _BEYOND_PX, _BEYOND_PX + side, _BEYOND_PX + side)
        return around.resize((size, size), Image.Resampling.LANCZOS, box=box)

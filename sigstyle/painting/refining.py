"""A painted picture at the size it is wanted in: enlarged, and painted over in tiles at a low noise level."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.autoencoder import decode_latents, encode_latents, pixels_per_latent
from sigstyle.base.model import BaseModel
from sigstyle.config import TransferConfig
from sigstyle.diffusion.denoise import predict
from sigstyle.diffusion.implied_noise import clean_and_noise, levels
from sigstyle.imaging.enlarging import enlarged
from sigstyle.imaging.filters import blurred
from sigstyle.imaging.images import to_tensor
from sigstyle.painting.sizes import Sizes, fine_tiling
from sigstyle.painting.tiles import Box, Tiling
from sigstyle.style.attach import styled
from sigstyle.style.blend import Blend

LEVEL = 0.24  # noise level, as a share of the schedule: below it what was enlarged stays blurred
_NEAR_PX = 8  # of what is seen: within the reach of resizing
_OTHER_NOISE = 0x51ED2701  # so that the noise is not the one that the photo was painted with


@dataclass
class Refining:
    """Pictures of one size, painted over in tiles by the styled UNet and the styled decoder, with one evaluation each.

    What is coarser than a pixel of the painting stays as it was painted, so tiles cannot differ in colour. `count` is
    called after each evaluation; once `stopped` says yes, no other is made. Where a mask says `seen`, tiles of which
    nothing will be seen are left as they were enlarged, at no evaluation.
    """

    base: BaseModel
    scheduler: Any
    blend: Blend
    config: TransferConfig
    sizes: Sizes
    margin_px: int
    amount: float
    count: Callable[[], None]
    stopped: Callable[[], bool]
    seen: Image.Image | None = None  # 'L', of the photo's aspect
    _canvases: list[np.ndarray] = field(default_factory=list, init=False)  # [h, w, 3]

    def __post_init__(self) -> None:
        self._canvas = self.sizes.canvas(self.base, self.margin_px)

    @property
    def tiling(self) -> Tiling:
        """The tiles, in latents."""
        return fine_tiling(self._canvas, self.base)

    @property
    def evaluations(self) -> int:
        """How many tiles are painted over."""
        return sum(self._is_seen(box) for box in self.tiling.boxes())

    def _is_seen(self, box: Box) -> bool:
        """Whether anything of a tile, or near enough to count where the picture is resized, will be seen."""
        if self.seen is None:
            return True
        scale, margin = pixels_per_latent(self.base.vae), self.margin_px
        ratios = [shown / side for shown, side in zip(self.seen.size, self.sizes.picture, strict=True)]
        edges = []
        for span, ratio in ((box.columns, ratios[0]), (box.rows, ratios[1])):
            first, last = span.start * scale - margin, (span.start + len(span.places)) * scale - margin
            edges.append((math.floor((first - _NEAR_PX) * ratio), math.ceil((last + _NEAR_PX) * ratio)))
        (left, right), (top, bottom) = ((max(0, low), max(0, high)) for low, high in edges)
        return self.seen.crop((left, top, max(left, right), max(top, bottom))).getbbox() is not None

    @torch.no_grad()
    def latents(
        self, painted: Sequence[Image.Image], photos: Sequence[Image.Image], generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Latents [images, c, h, w] of pictures painted after these photos, on a canvas with a margin."""
        pairs = zip(painted, photos, strict=True)
        self._canvases = [self._framed(enlarged(small, photo, self.sizes.picture)) for small, photo in pairs]
        base, config, tiling = self.base, self.config, self.tiling
        channels = base.unet.config.in_channels
        noise = torch.stack([self._noise(each, channels) for each in generators]).to(base.device)
        cond = self.blend.embed(base.reader, config.prompt, config.strength)
        cond = cond.expand(len(noise))
        step = round(LEVEL * self.amount * self.scheduler.config["num_train_timesteps"])
        timesteps = torch.full((len(noise),), step, device=base.device)

        def refined(box: Box) -> Tensor:
            own = box.cut(noise)
            if self.stopped():
                return own
            clean = encode_latents(base.vae, self._pixels(box)).to(base.device)
            if not self._is_seen(box):
                return clean
            kept, level = levels(self.scheduler, timesteps, clean)
            noisy = kept * clean + level * own
            pred_x0, _ = clean_and_noise(self.scheduler, noisy, predict(base.unet, noisy, timesteps, cond), timesteps)
            self.count()
            return pred_x0

        with styled(base.unet, self.blend.offsets(config.strength)):
            return tiling.blended(refined)

    @torch.no_grad()
    def pictures(self, latents: Tensor) -> list[Image.Image]:
        """The finished pictures of `latents`, without their margins."""
        offsets = self.blend.decoder_offsets(self.config.strength)
        with self.base.lock, ExitStack() as undo:
            if offsets:
                undo.enter_context(styled(self.base.vae.decoder, offsets))
            return [self._picture(row.unsqueeze(0), i) for i, row in enumerate(latents)]

    def without_margin(self, latents: Tensor) -> Tensor:
        """Latents [b, c, h, w] of the pictures alone."""
        each = pixels_per_latent(self.base.vae)
        margin, (width, height) = self.margin_px // each, self.sizes.picture
        return latents[:, :, margin : margin + -(-height // each), margin : margin + -(-width // each)]

    def _framed(self, image: Image.Image) -> np.ndarray:
        """A picture with its mirrored margin, [h, w, 3]."""
        margin = self.margin_px
        rest = [whole - side - margin for whole, side in zip(self._canvas, image.size, strict=True)]
        return np.pad(np.asarray(image), ((margin, rest[1]), (margin, rest[0]), (0, 0)), "symmetric")

    def _noise(self, generator: torch.Generator, channels: int) -> Tensor:
        own = torch.Generator().manual_seed((generator.initial_seed() ^ _OTHER_NOISE) % 2**63)
        return torch.randn(channels, self.tiling.height, self.tiling.width, generator=own)

    def _pixels(self, box: Box, image: int | None = None) -> Tensor:
        """What of the enlarged pictures, or of one of them, is in a tile: [b, 3, h, w]."""
        scale = pixels_per_latent(self.base.vae)
        top, left = box.rows.start * scale, box.columns.start * scale
        bottom, right = top + len(box.rows.places) * scale, left + len(box.columns.places) * scale
        chosen = self._canvases if image is None else self._canvases[image : image + 1]
        return torch.cat([to_tensor(Image.fromarray(canvas[top:bottom, left:right])) for canvas in chosen])

    def _decoded(self, latents: Tensor, box: Box, image: int) -> Tensor:
        """One tile [1, 3, h, w], its coarse colours those of the enlarged picture."""
        before = self._pixels(box, image)
        if not self._is_seen(box):
            return before
        made = decode_latents(self.base.vae, box.cut(latents)).cpu()
        return made + blurred(before - made, self._coarse_px)

    @property
    def _coarse_px(self) -> float:
        return min(16.0, max(1.0, min(self.sizes.picture) / self.sizes.work_px))

    def _picture(self, latents: Tensor, image: int) -> Image.Image:
        """One picture, decoded in tiles; a row of them at a time, as all in 32-bit numbers would take much memory."""
        small, large = self.tiling, self.tiling.scaled(pixels_per_latent(self.base.vae))
        done, kept = np.empty((large.height, large.width, 3), np.uint8), torch.zeros(3, 0, large.width)
        tops = [*(span.start for span in large.rows[1:]), large.height]
        for rows, place, following in zip(small.rows, large.rows, tops, strict=True):
            band = torch.zeros(3, len(place.places), large.width)
            band[:, : kept.shape[1]] = kept
            for columns, own in zip(small.columns, large.columns, strict=True):
                part = self._decoded(latents, Box(rows, columns), image)
                band[:, :, own.places] += Box(place, own).weighted(part)[0]
            ready = following - place.start
            done[place.start : following] = _bytes(band[:, :ready])
            kept = band[:, ready:]
        margin, (width, height) = self.margin_px, self.sizes.picture
        return Image.fromarray(np.ascontiguousarray(done[margin : margin + height, margin : margin + width]))


def _bytes(pixels: Tensor) -> np.ndarray:
    """[h, w, 3] of pixels [3, h, w] in [-1, 1]."""
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()

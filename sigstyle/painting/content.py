"""The content image: brought to a size to work at, and what was painted there brought back to the content's own."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor

from sigstyle.base.autoencoder import decode_latents, encode_latents, pixels_per_latent
from sigstyle.base.model import BaseModel, default_size_px, side_multiple_px
from sigstyle.config import TransferConfig
from sigstyle.imaging.faces import Face, find_faces
from sigstyle.imaging.images import Source, fit, load_image, mirrored_margin, to_pil, to_tensor, unfit
from sigstyle.imaging.masks import latent_mask
from sigstyle.imaging.palette import Palette, recoloured
from sigstyle.imaging.smoothing import guided_filter
from sigstyle.painting.anchor import EdgeAnchor, edge_map, half_grey
from sigstyle.painting.sizes import Sizes, rounded_margin_px


@dataclass(frozen=True)
class Content:
    """A content image and the copy of it, with sides the UNet can work at, that is inverted.

    The working copy has a mirrored margin of `margin_px` on each side, which is cut off the result: what convolutions
    make of a picture's border is never seen.
    """

    image: Image.Image
    work: Image.Image
    margin_px: int = 0
    sizes: Sizes | None = None  # of a photo to paint; what is inverted comes out as large as it is worked at

    @classmethod
    def load(cls, source: Source, base: BaseModel, size_px: int | None, margin_px: int = 0) -> "Content":
        """Load a content image.

        Units: size_px is the short side to work at, None the base's own; margin_px is rounded up to what the base can
        work at. Raises: ImageError for an image that cannot be used.
        """
        short_px = size_px or default_size_px(base)
        image = load_image(source, short_px)
        return cls(image, *_worked(image, base, short_px, margin_px))

    @classmethod
    def wanted(cls, source: Source, base: BaseModel, config: TransferConfig) -> "Content":
        """Load a content image for a transfer. Raises: ImageError for an image that cannot be used."""
        if config.method != "paint":
            return cls.load(source, base, config.size_px, config.margin_px)
        image = load_image(source, config.size_px)
        sizes = Sizes.of(image.size, base, config)
        return cls(image, *_worked(image, base, sizes.work_px, config.margin_px), sizes)

    def each(self, images: int) -> list["Content"]:
        """The content of each of so many images."""
        return [self] * images

    def result_size(self, size_px: int | None, base: BaseModel) -> tuple[int, int]:
        """(width, height) of the result: the content's aspect with the short side that was asked for."""
        if self.sizes is not None:
            return self.sizes.picture
        scale = (size_px or default_size_px(base)) / min(self.image.size)
        width, height = self.image.size
        return round(width * scale), round(height * scale)

    def pixels(self, smoothing: float = 0.0) -> Tensor:
        """The working copy, [1, 3, h, w] in [-1, 1], with its fine texture smoothed away."""
        return guided_filter(to_tensor(self.work), smoothing)

    def recoloured(self, palette: Palette, amount: float, own: Palette | None = None) -> "Content":
        """The same content, its working copy moved to a palette, as `own` would be; amount 0 changes nothing."""
        if amount == 0:
            return self
        return dataclasses.replace(self, work=to_pil(recoloured(to_tensor(self.work), palette, amount, own)))

    @cached_property
    def faces(self) -> Sequence[Sequence[Face]]:
        """The faces in the working copy, for each photo that is painted together. Raises: ConfigError."""
        return [find_faces(self.work)]

    @property
    def digest(self) -> str:
        """12 hex digits of the working copy's pixels."""
        return hashlib.sha256(self.work.tobytes()).hexdigest()[:12]

    def without_margin(self, image: Image.Image) -> Image.Image:
        """A painted working copy without its margin."""
        margin = self.margin_px
        return image.crop((margin, margin, image.width - margin, image.height - margin)) if margin else image

    def latents_without_margin(self, latents: Tensor, base: BaseModel) -> Tensor:
        """Latents [b, c, h, w] of a painted working copy without its margin."""
        cut = self.margin_px // pixels_per_latent(base.vae)
        return latents[:, :, cut : latents.shape[2] - cut, cut : latents.shape[3] - cut]

    def region(self, mask: Image.Image, latents: Tensor) -> Tensor:
        """How much of each latent [b, c, h, w] of the working copy a mask lets be painted: [1, 1, h, w]."""
        inner = mask.resize(self.without_margin(self.work).size, Image.Resampling.BOX)
        return latent_mask(mirrored_margin(inner, self.margin_px), latents)

    def finished(
        self,
        painted: Image.Image,
        size_px: int | None,
        base: BaseModel,
        mask: Image.Image | None = None,
        amount: float = 1.0,
    ) -> Image.Image:
        """A painted working copy, or a refined picture, in the content's aspect and as large as was asked for.

        With a `mask`, as large as the content, it has the content's own size, and outside it is the content, pixel for
        pixel. At `amount` 0 all of it is, without what encoding and decoding lose.
        """
        if amount == 0:
            return self.image if mask is not None else unfit(self.image, self.result_size(size_px, base))
        inner = self.without_margin(painted) if painted.size == self.work.size else painted
        if mask is None:
            return unfit(inner, self.result_size(size_px, base))
        return Image.composite(unfit(inner, self.image.size), self.image, mask)

    def latents(self, base: BaseModel, sigma: float, copies: int, generator: Any, smoothing: float = 0.0) -> Tensor:
        """Latents [copies, c, h, w] of the smoothed working copy, each with noise of its own on the pixels.

        Units: sigma in steps of 0 to 255.
        """
        pixels = self.pixels(smoothing)
        if sigma:
            noise = randn_tensor((copies, *pixels.shape[1:]), generator=generator, device=base.device)
            pixels = pixels.to(noise) + noise * (sigma / 127.5)
        return encode_latents(base.vae, pixels).to(base.device)

    def anchor(self, base: BaseModel, strength: float) -> EdgeAnchor:
        """What holds this content's edges while it is painted."""
        pixels = self.pixels()
        latents = encode_latents(base.vae, half_grey(pixels)).to(base.device)
        return EdgeAnchor(latents, edge_map(pixels, (latents.shape[-2], latents.shape[-1])).to(latents), strength)


def _worked(image: Image.Image, base: BaseModel, short_px: int, margin_px: int) -> tuple[Image.Image, int]:
    """The working copy of an image with its margin, and how wide that is."""
    margin_px = rounded_margin_px(margin_px, base)
    return mirrored_margin(fit(image, short_px, side_multiple_px(base)), margin_px), margin_px


def decoded(vae: Any, latents: Tensor) -> list[Image.Image]:
    """Images of latents [b, c, h, w], decoded one by one to save memory."""
    return [to_pil(decode_latents(vae, row.unsqueeze(0))) for row in latents]

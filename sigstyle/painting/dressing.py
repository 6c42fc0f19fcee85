"""Dressing: a texture laid on an object of a photo, so that its shading and its form stay."""

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sigstyle.imaging.filters import blurred, brightness, sampled
from sigstyle.imaging.images import to_pil, to_tensor
from sigstyle.imaging.smoothing import guided_filter
from sigstyle.painting.content import Content
from sigstyle.painting.inversion import ContentInversion

_REPEATS = 2.0  # of the texture along the photo's short side
_FORM = 0.004  # variance of brightness that is form, and not the object's own pattern
_FORM_RADIUS = 0.008  # of the window in which form is told from pattern, as a share of the short side
_BEND = 0.05  # how far the texture gives way to the form, as a share of the short side
_SHADE = (0.35, 1.7)  # the darkest and the brightest that shading makes it, in units of its own light
_FADE = 0.12  # share of a repeat that fades into the next where a texture is no tile


def dressed_content(wanted: ContentInversion, texture: Image.Image, area: Image.Image | None) -> ContentInversion:
    """The same transfer with the texture laid on the photo, which keeps the texture's own colours."""
    photo, base, config = wanted.content.image, wanted.base, wanted.config
    inside = area or Image.new("L", photo.size, 255)
    content = Content.wanted(dressed(photo, texture, inside), base, config)
    config = dataclasses.replace(config, palette=0.0, freedom=config.freedom * 0.5)
    return dataclasses.replace(wanted, content=dataclasses.replace(content, image=photo), config=config)


def dressed(photo: Image.Image, texture: Image.Image, area: Image.Image) -> Image.Image:
    """`photo` with `texture` on what `area` ('L', as large) shows: as light and dark as the object, bent by it."""
    pixels, mask = to_tensor(photo), torch.from_numpy(np.array(area)).float()[None, None] / 255
    short = min(photo.size)
    form = _form(pixels, short)
    sheet = _laid(_tile(texture, short), form, short)
    light = (form + 1) / 2
    usual = (light * mask).sum() / mask.sum().clamp_min(1e-6)
    shade = (light / usual.clamp_min(0.05)).clamp(*_SHADE)
    shaded = ((sheet + 1) / 2 * shade).clamp(0, 1) * 2 - 1
    whole = (mask > 0.02).float()  # the soft edge is laid over the photo once, after painting
    return to_pil(torch.lerp(pixels, shaded, whole))


def _form(pixels: Tensor, short_px: int) -> Tensor:
    """The brightness [1, 1, h, w] of an object without its fine pattern, its edges kept."""
    grey = brightness(pixels)
    return guided_filter(grey, _FORM, max(2, round(_FORM_RADIUS * short_px)))


def _tile(texture: Image.Image, short_px: int) -> Tensor:
    """The texture as a tile [1, 3, h, w] that repeats without a seam, at the size at which it is laid."""
    scale = short_px / _REPEATS / min(texture.size)
    size = (max(16, round(texture.width * scale)), max(16, round(texture.height * scale)))
    tile = to_tensor(texture.resize(size, Image.Resampling.LANCZOS))
    for dim in (-1, -2):
        tile = _closed(tile, dim)
    return tile


def _closed(tile: Tensor, dim: int) -> Tensor:
    """`tile` whose end fades into its beginning along a dimension; a little shorter for it."""
    fade = max(2, round(_FADE * tile.shape[dim]))
    end, rest = tile.narrow(dim, tile.shape[dim] - fade, fade), tile.narrow(dim, 0, tile.shape[dim] - fade)
    share = torch.linspace(0, 1, fade).view(*([1] * (3 if dim == -1 else 2)), -1, *([1] * (0 if dim == -1 else 1)))
    begun = torch.lerp(end, rest.narrow(dim, 0, fade), share)
    return torch.cat([begun, rest.narrow(dim, fade, rest.shape[dim] - fade)], dim)


def _laid(tile: Tensor, form: Tensor, short_px: int) -> Tensor:
    """The tile repeated over a picture as large as `form`, shifted along its slopes as cloth is."""
    height, width = form.shape[-2:]
    repeats = (1, 1, -(-height // tile.shape[-2]) + 1, -(-width // tile.shape[-1]) + 1)
    sheet = tile.repeat(*repeats)[..., :height, :width]
    soft = blurred(F.avg_pool2d(form, 4, ceil_mode=True), max(1.0, 0.01 * short_px / 4))
    soft = F.interpolate(soft, size=(height, width), mode="bilinear", align_corners=False)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    shift = soft * (_BEND * short_px / 2)
    places = torch.stack([x + shift[0, 0], y + shift[0, 0]]).unsqueeze(0).to(tile)
    return sampled(sheet, places)

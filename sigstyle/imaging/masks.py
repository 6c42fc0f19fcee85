"""Masks: where the style goes (white), for the pixels and for the latents."""

import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sigstyle.errors import ImageError
from sigstyle.imaging.images import to_tensor

_ASPECT_TOLERANCE = 0.02


def matching(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`mask` ('L') brought to (width, height) `size`.

    Raises: ImageError when its aspect is another one, so that it cannot be of that image.
    """
    found, wanted = mask.width / mask.height, size[0] / size[1]
    if abs(found / wanted - 1) > _ASPECT_TOLERANCE:
        raise ImageError(
            f"The mask is {mask.width}x{mask.height}, the content {size[0]}x{size[1]}; expected a mask of the same "
            "size or aspect. Draw it on the content image."
        )
    return mask if mask.size == size else mask.resize(size, Image.Resampling.BILINEAR)


def latent_mask(mask: Image.Image, latents: Tensor) -> Tensor:
    """How much of each latent is styled, 0 to 1: [1, 1, h, w] for latents [b, c, h, w]."""
    share = (to_tensor(mask)[:, :1] + 1) / 2
    return F.interpolate(share, size=latents.shape[-2:], mode="area").to(latents)

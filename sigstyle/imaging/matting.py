"""Matting: a cut made on a small copy of a photo, brought to the photo's own edges."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_RADIUS = 0.012  # of the window in which colours tell inside from outside, as a share of the long side
_FLAT = 1e-3  # variance of colour below which an edge is not trusted
_SURE = (0.15, 0.85)  # what the filter says of what is wholly outside, and wholly inside


def matte(photo: Image.Image, cut: NDArray[np.bool_]) -> Image.Image:
    """How much of each pixel of `photo` belongs to what was cut out of a smaller copy: 'L', as large as the photo.

    Away from the cut's edge it is 0 or 255. Along it the photo's own colours decide.

    Shapes: cut [h, w].
    Source: He, Sun & Tang, "Guided Image Filtering" (2013), eq. 14 to 16; He & Sun, "Fast Guided Filter" (2015).
    """
    import cv2

    height, width = cut.shape
    radius = max(2, round(_RADIUS * max(cut.shape)))
    guide = np.asarray(photo.convert("RGB").resize((width, height), Image.Resampling.BOX), np.float32)
    guide = (guide / 255).astype(np.float32)
    slope, offset = _lines(guide, cut.astype(np.float32), radius)
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    hard = cut.astype(np.uint8)
    sure_in, maybe = cv2.erode(hard, kernel), cv2.dilate(hard, kernel)
    alpha = cv2.resize(offset, photo.size, interpolation=cv2.INTER_LINEAR)
    own = np.asarray(photo.convert("RGB"))
    for channel in range(3):  # one after the other: a photo of 12 megapixels takes 48 MB for each
        line = cv2.resize(np.ascontiguousarray(slope[..., channel]), photo.size, interpolation=cv2.INTER_LINEAR)
        alpha += line * (own[..., channel].astype(np.float32) / 255)
    alpha = np.clip((alpha - _SURE[0]) / (_SURE[1] - _SURE[0]), 0, 1)
    alpha[cv2.resize(maybe, photo.size, interpolation=cv2.INTER_NEAREST) == 0] = 0
    alpha[cv2.resize(sure_in, photo.size, interpolation=cv2.INTER_NEAREST) == 1] = 1
    return Image.fromarray((alpha * 255).round().astype(np.uint8))


def _lines(
    guide: NDArray[np.float32], cut: NDArray[np.float32], radius: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slopes [h, w, 3] and offsets [h, w] of the lines by which colour tells the cut, in the window of each place."""
    import cv2

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        window = (2 * radius + 1, 2 * radius + 1)
        return np.asarray(cv2.blur(values, window, borderType=cv2.BORDER_REFLECT), np.float32)

    mean_guide, mean_cut = mean(guide), mean(cut)
    products = guide[..., :, None] * guide[..., None, :]
    second = mean(np.ascontiguousarray(products.reshape(*cut.shape, 9))).reshape(products.shape)
    spread = second - mean_guide[..., :, None] * mean_guide[..., None, :] + _FLAT * np.eye(3, dtype=np.float32)
    shared = mean(guide * cut[..., None]) - mean_guide * mean_cut[..., None]
    slope = np.linalg.solve(spread, shared[..., None])[..., 0].astype(np.float32)
    offset = mean_cut - (slope * mean_guide).sum(-1)
    return mean(slope), mean(offset)

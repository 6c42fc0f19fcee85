"""The last frame, carried along, over the one just painted: what averaging takes of their detail is given back."""

import numpy as np
from numpy.typing import NDArray

from sigstyle.film.flow import Floats, Flow

KEPT = 0.7  # share of the last frame where it is trusted (docs/video.md)
_DETAIL_PX = 2.5  # deviation below which structure is detail
_PLACE_PX = 8.0  # deviation of the window in which its strength is measured
_MOST_GAIN = 1.8


def mixed(painted: NDArray[np.uint8], last: NDArray[np.uint8], flow: Flow, kept: float = KEPT) -> NDArray[np.uint8]:
    """`painted` with a share of `last`, carried along, as far as each place can be trusted.

    Two paintings of one place do not have each stroke where the other has it, so that their mean is flatter than
    either: its detail is made as strong as the painted frame's. Shapes: [h, w, 3].
    """
    share = (kept * flow.trust)[..., None]
    mean = share * flow.carried(last, "lanczos").astype(np.float32) + (1 - share) * painted
    low = _blurred(mean, _DETAIL_PX)
    gain = _strength(painted.astype(np.float32)) / _strength(mean)
    sharp = low + (mean - low) * gain.clip(1, _MOST_GAIN)[..., None]
    return sharp.clip(0, 255).round().astype(np.uint8)


def _strength(pixels: Floats) -> Floats:
    """How strong the detail is around each place, in steps of 255."""
    detail = pixels - _blurred(pixels, _DETAIL_PX)
    return np.sqrt(_blurred(np.square(detail).mean(-1), _PLACE_PX) + 1)


def _blurred(pixels: Floats, sigma_px: float) -> Floats:
    import cv2

    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma_px), np.float32)

"""The last frame, carried along, over the one just painted: what averaging takes of their detail is given back."""

import numpy as np
from numpy.typing import NDArray

from sigstyle.film.flow import Floats, Flow

KEPT = 0.85  # share of the last frame where it is trusted (docs/video.md)
_BANDS_PX = (0.0, 0.8, 2.0, 5.0)  # deviations between which structure is detail of one size
_PLACE_PX = 8.0  # deviation of the window in which its strength is measured
_MOST_GAIN = 2.0


def mixed(painted: NDArray[np.uint8], last: NDArray[np.uint8], flow: Flow, kept: float = KEPT) -> NDArray[np.uint8]:
    """`painted` with a share of `last`, carried along, as far as each place can be trusted.

    Two paintings of one place do not have each stroke where the other has it, so that their mean is flatter than
    either: its detail of each size is made as strong as the painted frame's. Shapes: [h, w, 3].
    """
    share = (kept * flow.trust)[..., None]
    mean = share * flow.carried(last, "lanczos").astype(np.float32) + (1 - share) * painted
    ours, theirs = _levels(mean), _levels(painted.astype(np.float32))
    sharp = ours[-1]
    for fine, coarse, wanted, less in zip(ours, ours[1:], theirs, theirs[1:], strict=False):
        gain = _strength(wanted - less) / _strength(fine - coarse)
        sharp = sharp + (fine - coarse) * gain.clip(1, _MOST_GAIN)[..., None]
    return sharp.clip(0, 255).round().astype(np.uint8)


def _levels(pixels: Floats) -> list[Floats]:
    """The picture, and what is left of it without detail of more and more sizes."""
    return [_blurred(pixels, sigma_px) if sigma_px else pixels for sigma_px in _BANDS_PX]


def _strength(detail: Floats) -> Floats:
    """How strong detail [h, w, 3] is around each place, in steps of 255; never nothing."""
    return np.sqrt(_blurred(np.square(detail).mean(-1), _PLACE_PX) + 0.25)


def _blurred(pixels: Floats, sigma_px: float) -> Floats:
    import cv2

    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma_px), np.float32)

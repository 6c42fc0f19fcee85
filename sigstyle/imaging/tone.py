"""Tones of HDR film: what is brighter than paper is brought down into sRGB, its colour kept."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sigstyle.imaging.colour import Encoding, encoding_of, srgb_encoded

_TRANSFERS = (16, 18)  # PQ and HLG (ITU-T H.273)
_KNEE = 0.7  # as a share of paper white: what is darker stays as it is


@dataclass(frozen=True)
class Toned:
    """What the numbers of an HDR film mean."""

    encoding: Encoding


def tones_of(transfer: int) -> Toned | None:
    """How numbers of this transfer (ITU-T H.273), with the primaries of BT.2020, are toned; None for no HDR."""
    if transfer not in _TRANSFERS:
        return None
    encoding = encoding_of(Image.new("RGB", (1, 1)), bytes((9, transfer, 0, 1)))
    return Toned(encoding) if encoding is not None else None


def toned(pixels: NDArray[np.uint16], how: Toned) -> NDArray[np.uint8]:
    """sRGB [h, w, 3] of 16-bit HDR numbers; above the knee the brightest channel rolls off, the others with it."""
    table = how.encoding.linear(np.arange(65536) / 65535).astype(np.float32)
    linear = table[pixels]
    if how.encoding.matrix is not None:
        linear = (linear @ how.encoding.matrix.T.astype(np.float32)).clip(0)
    most = linear.max(-1, keepdims=True).clip(1e-6)
    bent = np.where(most > _KNEE, _KNEE + (1 - _KNEE) * (1 - np.exp((_KNEE - most) / (1 - _KNEE))), most)
    return (srgb_encoded(linear * (bent / most)) * 255).round().astype(np.uint8)

"""A decoded picture taken apart, strip by strip: its colour in sRGB, and how opaque it is."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from sigstyle.imaging.colour import converter, deep_table, encoding_of
from sigstyle.imaging.opening import Opened
from sigstyle.imaging.tiff import float_range, unsigned, white_is_zero

_STRIP_PIXELS = 2**20
_TOP = 65535

Strip = tuple[int, Image.Image, Image.Image | None]


def strips(opened: Opened, binary: bool = False) -> Iterator[Strip]:
    """Row of the top, sRGB colour and opacity (None where all is opaque) of one strip after the other.

    With `binary`, whole numbers that are nothing but 0 and 1 are black and white.
    """
    image, encoding = opened.image, encoding_of(opened.image, opened.cicp)
    convert = converter(image, encoding)
    if is_deep(image):
        table, numbers = deep_table(convert, encoding), _numbers(image, binary)
        for top, part in parts(image):
            values = np.asarray(part)
            yield top, Image.fromarray(table[numbers(values)]), _unlike(values, image.info.get("transparency"))
        return
    for top, part in parts(image):
        if image.has_transparency_data:
            clear = part.convert("RGBA")
            yield top, convert(clear), clear.getchannel("A")
        else:
            yield top, convert(part), None


def is_deep(image: Image.Image) -> bool:
    """Whether a pixel is one number of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def parts(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Strips of an image with the row each begins at."""
    rows = max(1, _STRIP_PIXELS // max(1, image.width))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(image.height, top + rows)))


def _unlike(values: np.ndarray, transparent: object) -> Image.Image | None:
    """Opaque wherever a grey is not the transparent one."""
    if not isinstance(transparent, int):
        return None
    return Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))


def _numbers(image: Image.Image, binary: bool) -> Callable[[np.ndarray], np.ndarray]:
    """What makes 16-bit greys of an image's numbers: 65535 is white, floats in 0..1 and 0..255 keep their meaning too,
    and other ranges are spread."""
    low, high = _range(image, binary)
    down, whole = white_is_zero(image), unsigned(image)

    def numbers(values: np.ndarray) -> np.ndarray:
        if (low, high) == (0, _TOP) and values.dtype.kind == "u":
            return _TOP - values if down else values
        values = values.view(np.uint32) if whole else values
        finite = np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)
        share = ((finite - low) / max(high - low, 1e-12)).clip(0, 1)
        return ((1 - share if down else share) * _TOP).round().astype(np.uint16)

    return numbers


def _range(image: Image.Image, binary: bool) -> tuple[float, float]:
    """The numbers that are black and white."""
    if image.mode == "F":
        return float_range(np.asarray(part) for _, part in parts(image))
    if image.mode != "I" and not binary:
        return 0, _TOP
    whole = np.uint32 if unsigned(image) else None
    arrays = (np.asarray(part) if whole is None else np.asarray(part).view(whole) for _, part in parts(image))
    extremes = [(int(values.min()), int(values.max())) for values in arrays]
    low, high = min(least for least, _ in extremes), max(most for _, most in extremes)
    if binary and low >= 0 and high == 1:
        return 0, 1
    if low >= 0 and high <= _TOP:
        return 0, _TOP
    return (0, 2**32 - 1) if whole else (low, high)

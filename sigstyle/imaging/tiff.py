"""TIFFs of numbers that Pillow does not read, such as float RGB, and what it leaves out of those it does."""

import io
import math
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS, _SAMPLES, _PHOTOMETRIC, _XMP, _ORIENTATION, _PROFILE = 258, 339, 262, 700, 274, 34675
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_STRIP_NUMBERS = 2**20


def is_tiff(data: bytes) -> bool:
    """Whether a file says that it is a TIFF."""
    return data.startswith(_MAGIC)


def sample_bytes(image: Image.Image) -> int:
    """Bytes of a pixel as it is written in the file of a TIFF that Pillow opened."""
    bits = image.tag_v2.get(_BITS, (8,)) if isinstance(image, TiffImageFile) else (8,)
    return -(-sum(bits) // 8)


def white_is_zero(image: Image.Image) -> bool:
    """Whether an image is of a TIFF whose grey counts down from white; Pillow knows that of 8 bits alone."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def unsigned(image: Image.Image) -> bool:
    """Whether an image is of a TIFF of unsigned 32-bit numbers, which Pillow shows as signed ones."""
    if not isinstance(image, TiffImageFile) or image.mode != "I":
        return False
    return image.tag_v2.get(_BITS) == (32,) and image.tag_v2.get(_SAMPLES, (1,)) == (1,)


def deep_tiff(data: bytes, check: Callable[[int, int], None]) -> Image.Image:
    """A TIFF of integers or floats as an 8-bit grey or RGB image, with its profile and orientation.

    `check(pixels, bytes of each)` is asked before anything is decoded. Raises: ValueError and others for what cannot
    be decoded.
    """
    import tifffile  # not needed for any other picture

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        tags = {code: page.tags[code].value for code in (_XMP, _ORIENTATION, _PROFILE) if code in page.tags}
        kind, shape = int(page.photometric), page.shape
        if kind not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) or page.ndim not in (2, 3) or page.dtype is None:
            raise ValueError(f"its photometric is {kind}, its shape {shape}")
        pixels = page.imagewidth * page.imagelength
        check(pixels, page.dtype.itemsize * math.prod(shape) // max(1, pixels) + 8)
        values = page.asarray()
    if values.ndim == 2:
        values = values[..., None]
    elif int(page.planarconfig) == 2:
        values = np.moveaxis(values, 0, -1)
    return _dressed(_eight_bits(values, kind), tags)


def _eight_bits(values: np.ndarray, kind: int) -> Image.Image:
    """Numbers [h, w, channels] as an image; integers as shares of their highest, floats as `float_range` says."""
    channels = 1 if kind != _RGB else 4 if values.shape[2] >= 4 else 3
    if values.shape[2] < channels:
        raise ValueError(f"it has {values.shape[2]} samples a pixel")
    whole = np.issubdtype(values.dtype, np.integer)
    rows = max(1, _STRIP_NUMBERS // values.shape[1])
    parts = [values[top : top + rows, :, :channels] for top in range(0, len(values), rows)]
    low, high = 0.0, float(np.iinfo(values.dtype).max) if whole else 1.0
    if not whole:
        low, high = float_range(parts)
    made = np.empty((*values.shape[:2], channels), np.uint8)
    for number, part in enumerate(parts):
        scaled = (np.nan_to_num(part.astype(np.float64), posinf=0, neginf=0) - low) / max(high - low, 1e-12)
        scaled = 1 - scaled if kind == _WHITE_IS_ZERO else scaled
        made[number * rows : number * rows + len(part)] = (scaled.clip(0, 1) * 255).round()
    return Image.fromarray(made[..., 0] if channels == 1 else made)


def float_range(parts: Iterable[np.ndarray]) -> tuple[float, float]:
    """The (black, white) that floats are meant by: 0 and 1, 255 or 65535, or else the lowest and the highest."""
    lowest, highest = 0.0, 0.0
    for number, part in enumerate(parts):
        finite = np.nan_to_num(part.astype(np.float64), posinf=0, neginf=0)
        low, high = float(finite.min()), float(finite.max())
        lowest, highest = (low, high) if number == 0 else (min(low, lowest), max(high, highest))
    top = next((top for top in (1.0, 255.0, 65535.0) if lowest >= 0 and highest <= top), None)
    return (0.0, top) if top else (lowest, highest)


def _dressed(image: Image.Image, tags: dict[int, object]) -> Image.Image:
    """`image` with what a TIFF's tags say of colour and orientation, where Pillow looks for it."""
    if isinstance(profile := tags.get(_PROFILE), bytes):
        image.info["icc_profile"] = profile
    if isinstance(packet := tags.get(_XMP), bytes):
        image.info["xmp"] = packet
    if isinstance(turned := tags.get(_ORIENTATION), int) and turned != 1:
        exif = Image.Exif()
        exif[_ORIENTATION] = int(turned)
        image.info["exif"] = exif.tobytes()
    return image

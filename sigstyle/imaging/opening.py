"""Opening pictures: what a file is, whether it is whole, and whether it can be read in bounded memory."""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from sigstyle.errors import ImageError
from sigstyle.files import read_regular, reason
from sigstyle.imaging.frames import frames_notice
from sigstyle.imaging.png_chunks import png_facts
from sigstyle.imaging.tiff import deep_tiff, is_tiff, sample_bytes
from sigstyle.text import shown

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")  # "MPO" is found through JPEG; naming it breaks open()
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, struct.error, zlib.error)
MAX_FILE_BYTES = 256 * 2**20
MAX_PIXELS = 80_000_000
MAX_REDUCED_PIXELS = 200_000_000
_MAX_BYTES = 2**30
_ORIENTATION, _LAST_UNTURNED = 0x0112, 4  # in EXIF; beyond, width and height change places
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}  # all others take four
_CANVASES = {"WEBP": 12, "AVIF": 12, "GIF": 4}  # bytes of a pixel that a decoder keeps besides the picture
_HEIC = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim", b"heis")

Source = str | Path | bytes | Image.Image


@dataclass
class Opened:
    """A picture, upright and decoded, its colours and depth as they came, and what is worth saying of it."""

    name: str
    image: Image.Image
    notices: list[str] = field(default_factory=list)
    cicp: bytes = b""

    @property
    def notice(self) -> str:
        return " ".join(self.notices)


def size_by_header(source: Source) -> tuple[int, int] | None:
    """(width, height) of a picture as it is seen, without decoding it; None where its header cannot be read."""
    try:
        if isinstance(source, Image.Image):
            return source.size
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else Path(source).expanduser()) as image:
            turned = image.getexif().get(_ORIENTATION, 1) > _LAST_UNTURNED
            return (image.height, image.width) if turned else image.size
    except Exception:  # whatever a damaged file makes of a decoder
        return None


def open_picture(source: Source, short_side_px: int | None = None) -> Opened:
    """Open, check and decode a picture's first frame, and turn it upright by EXIF or else by XMP.

    Units: a picture over MAX_PIXELS is read reduced where its format can, to twice `short_side_px` where that is given.
    Raises: ImageError for what is no picture, damaged or too large.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about what is dealt with here
        return _opened(source, short_side_px)


def _opened(source: Source, short_side_px: int | None) -> Opened:
    if isinstance(source, Image.Image):
        return _upright(Opened("the image", source, _said(source)), ours=False)
    name = "the image" if isinstance(source, bytes) else shown(Path(source).name)
    data = source if isinstance(source, bytes) else read_picture(Path(source))
    opened = Opened(name, identified(name, data))
    try:
        if isinstance(opened.image, JpegImageFile):
            _reduce(opened, short_side_px)
        _check_size(name, opened.image, len(data))
        if opened.image.format == "PNG":
            _read_chunks(opened, data)
        if notice := frames_notice(name, opened.image, data):
            opened.notices.append(notice)
    except DAMAGE as error:
        raise damaged(name, error) from error
    return _upright(opened, ours=True)


def _said(image: Image.Image) -> list[str]:
    notice = image.info.get("notice")
    return [notice] if isinstance(notice, str) else []


def read_picture(path: Path) -> bytes:
    """The bytes of a picture's file. Raises: ImageError."""
    try:
        return read_regular(path, MAX_FILE_BYTES)
    except OSError as error:
        raise ImageError(f"{shown(str(path))} cannot be read as an image: {reason(error)}.") from error


def identified(name: str, data: bytes) -> Image.Image:
    """The image in `data` with only its header read, decided by content, its checksums verified. Raises: ImageError."""
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return JpegImageFile(io.BytesIO(data))  # not through open(), which refuses what can be read reduced
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
        if opened.format == "PNG":
            Image.open(io.BytesIO(data), formats=("PNG",)).verify()
        return opened
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} is too large: {error} Shrink it.") from error
    except UnidentifiedImageError as error:
        if is_tiff(data):
            return _deep(name, data)
        raise ImageError(_unsupported(name, data)) from error
    except DAMAGE as error:
        raise damaged(name, error) from error


def damaged(name: str, error: Exception) -> ImageError:
    """What to raise for a picture that cannot be decoded."""
    return ImageError(f"{name} is damaged: {shown(str(error).rstrip('.'))}. Export it again.")


def _unsupported(name: str, data: bytes) -> str:
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC:
        return f"{name} is a HEIC photo, which is not read; expected {', '.join(FORMATS)}. Export it as JPEG."
    return f"{name} is not a supported image; expected {', '.join(FORMATS)}."


def _deep(name: str, data: bytes) -> Image.Image:
    """A TIFF of floats, or of other numbers that Pillow does not know. Raises: ImageError."""
    try:
        return deep_tiff(data, lambda pixels, each: _check_bytes(name, pixels, pixels * each + len(data)))
    except DAMAGE as error:
        expected = "expected 8 or 16 bits, or floats without LZW compression. Export it as PNG"
        raise ImageError(f"{name} is a TIFF that cannot be read ({shown(str(error))}); {expected}.") from error


def _reduce(opened: Opened, short_side_px: int | None) -> None:
    """Let a JPEG over MAX_PIXELS be decoded at a half, a quarter or an eighth."""
    image, size = opened.image, opened.image.size
    pixels = size[0] * size[1]
    if not MAX_PIXELS < pixels <= MAX_REDUCED_PIXELS:
        return
    factor = 2
    while factor < 8 and short_side_px and min(size) >= 4 * factor * short_side_px:
        factor *= 2
    image.draft(image.mode, (size[0] // factor, size[1] // factor))
    if image.size != size:
        opened.notices.append(f"{opened.name} has {_by(size)} pixels; it was read at {_by(image.size)}.")


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _check_size(name: str, image: Image.Image, file_bytes: int) -> None:
    """Raises: ImageError for a picture with too many pixels, or one that takes too much memory to decode."""
    pixels, own = image.size[0] * image.size[1], _PIXEL_BYTES.get(image.mode, 4)
    kept = _CANVASES.get(image.format or "", 0)
    if image.format == "TIFF":
        kept = sample_bytes(image)
    _check_bytes(name, pixels, file_bytes + pixels * max(own + 4, kept + own, kept + 4) + _coefficients(image))


def _check_bytes(name: str, pixels: int, needed: int) -> None:
    if pixels > MAX_PIXELS:
        raise ImageError(
            f"{name} has {pixels / 1e6:.0f} million pixels; at most {MAX_PIXELS // 10**6} million are read, of a JPEG "
            f"{MAX_REDUCED_PIXELS // 10**6}. Shrink it."
        )
    if needed > _MAX_BYTES:
        raise ImageError(f"{name} would take {needed / 2**30:.1f} GB to decode; at most 1 is used. Shrink it.")


def _coefficients(image: Image.Image) -> int:
    """Bytes that a progressive JPEG's coefficients take, which are all kept until its last scan."""
    if not isinstance(image, JpegImageFile) or not image.info.get("progressive"):
        return 0
    parts = [(h, v) for _, h, v, _ in image.layer]  # how finely each component is sampled
    highest = max(h for h, _ in parts) * max(v for _, v in parts)
    reduced_by = (image.decoderconfig or (1, 0))[0]
    pixels = image.size[0] * image.size[1] * reduced_by**2
    return round(2 * pixels * sum(h * v for h, v in parts) / highest)


def _read_chunks(opened: Opened, data: bytes) -> None:
    """Take over what Pillow leaves out of a PNG. Raises: ImageError when its pixel data end early."""
    facts, image = png_facts(data), opened.image
    if facts.missing > 0:
        raise ImageError(f"{opened.name} is damaged: its pixel data end early. Export it again.")
    opened.cicp = facts.cicp
    value = image.info.get("transparency")  # as written; Pillow scales the samples themselves
    if isinstance(value, int) and image.mode in ("1", "L"):
        image.info["transparency"] = value * 255 // (2**facts.depth - 1)
    elif isinstance(value, tuple) and facts.depth == 16:
        image.info["transparency"] = tuple(part >> 8 for part in value)


def _upright(opened: Opened, ours: bool) -> Opened:
    """Decode, and apply the orientation; in place where the image is `ours`, which saves a copy."""
    try:
        opened.image.load()
        if ours:
            ImageOps.exif_transpose(opened.image, in_place=True)
        elif opened.image.getexif().get(0x0112, 1) != 1:
            opened.image = ImageOps.exif_transpose(opened.image)
    except DAMAGE as error:
        raise damaged(opened.name, error) from error
    return opened

"""Pictures whose numbers are described by profiles and chunks: the same colours, written in many ways."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

SRGB = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
P3 = np.array(
    [[0.5151187, 0.2919778, 0.1571035], [0.2411892, 0.6922441, 0.0665668], [-0.0010505, 0.0418791, 0.7840713]]
)
WHITE = (0.9642, 1.0, 0.8249)  # D50, which profiles are relative to
XMP = '<x:xmpmeta><rdf:RDF><rdf:Description tiff:Orientation="{}"/></rdf:RDF></x:xmpmeta>'
_BACK = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def target() -> Image.Image:
    """64x48 pixels in 48 colours, none of them very dark, nowhere symmetric: what every file is to look like."""
    colours = np.random.default_rng(7).integers(70, 250, (6, 8, 3)).astype(np.uint8)
    return Image.fromarray(colours.repeat(8, 0).repeat(8, 1))


def linear(values: np.ndarray) -> np.ndarray:
    """Linear light of sRGB's numbers in 0..1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def in_space(image: Image.Image, primaries: np.ndarray, gamma: float) -> np.ndarray:
    """The numbers in 0..1, [h, w, 3], that mean `image` in a space of these primaries (to XYZ) and this gamma."""
    light = linear(np.asarray(image, float) / 255) @ (np.linalg.inv(primaries) @ SRGB).T
    return light.clip(0, 1) ** (1 / gamma)


def grey_of(image: Image.Image) -> Image.Image:
    return image.convert("L")


def eight(values: np.ndarray) -> Image.Image:
    """Numbers in 0..1 as an 8-bit image."""
    return Image.fromarray((values * 255).round().astype(np.uint8))


def profile(primaries: np.ndarray | None, gamma: float) -> bytes:
    """An ICC profile: RGB of these primaries, or greyscale."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {b"wtpt": _xyz(WHITE)}
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        tags |= {name + b"XYZ": _xyz(column) for name, column in zip((b"r", b"g", b"b"), primaries.T, strict=True)}
        tags |= {name + b"TRC": curve for name in (b"r", b"g", b"b")}
    return _icc(b"RGB " if primaries is not None else b"GRAY", b"mntr", b"XYZ ", tags)


def ink_profile() -> bytes:
    """A CMYK profile in which black ink alone is seen, L* falling with it from 100 to 0."""
    grid = struct.pack(">6H", 65280, 32768, 32768, 0, 32768, 32768) * 8
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    curves = struct.pack(">2H", 0, 65535)
    table = (
        b"mft2" + bytes(4) + bytes([4, 3, 2, 0]) + identity + struct.pack(">2H", 2, 2) + curves * 4 + grid + curves * 3
    )
    return _icc(b"CMYK", b"prtr", b"Lab ", {b"wtpt": _xyz(WHITE), b"A2B0": table})


def _xyz(values: Any) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _icc(space: bytes, kind: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", place + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", place + len(body), b"", 0x02400000, kind, space, connection)
    head += bytes(12) + b"acsp" + bytes(28) + _xyz(WHITE)[8:]
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + body


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def png16(values: np.ndarray, *chunks: bytes) -> bytes:
    """A 16-bit PNG of numbers in 0..1, [h, w] or [h, w, 3]."""
    deep = (values * 65535).round().astype(">u2")
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2 if values.ndim == 3 else 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    parts = [chunk(b"IHDR", head), *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def iccp(data: bytes) -> bytes:
    return chunk(b"iCCP", b"profile\0\0" + zlib.compress(data))


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """`image` as a camera stores it that says this orientation."""
    return image.transpose(_BACK[orientation]) if orientation in _BACK else image


def written(image: Image.Image, kind: str, orientation: int = 1, by: str = "exif", **options: Any) -> bytes:
    """`image` as a file of this kind, turned, with its orientation in EXIF or in XMP."""
    buffer, info = io.BytesIO(), PngInfo()
    if orientation != 1 and by == "exif":
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    elif orientation != 1 and kind == "PNG":
        info.add_itxt("XML:com.adobe.xmp", XMP.format(orientation))
    elif orientation != 1:
        options["xmp"] = XMP.format(orientation).encode()
    if kind == "PNG":
        options["pnginfo"] = info
    lossless = {
        "JPEG": {"quality": 97},
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    }.get(kind, {})
    if kind == "JPEG" and image.mode == "RGB":
        lossless["subsampling"] = 0
    turned(image, orientation).save(buffer, kind, **lossless, **options)
    return buffer.getvalue()

"""What Pillow does not say of a PNG: its bit depth, its cICP chunk, and whether its pixel data are all there."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_STEP = 2**20


@dataclass(frozen=True)
class PngFacts:
    """Of a PNG: bits of a sample, its cICP chunk or b'', and how many bytes of pixels are missing."""

    depth: int
    cicp: bytes
    missing: int


def png_facts(data: bytes) -> PngFacts:
    """Read a PNG's chunks. Raises: ValueError, struct.error or zlib.error for a damaged one."""
    depth, cicp, expected, found = 8, b"", 0, 0
    inflate = zlib.decompressobj()
    for kind, body in _chunks(data):
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            bits = depth * _SAMPLES[colour]
            expected = _interlaced_bytes(width, height, bits) if interlaced else _bytes(width, height, bits)
        elif kind == b"cICP":
            cicp = bytes(body)
        elif kind == b"IDAT" and found < expected:
            found += _inflated(inflate, body, expected - found)
    return PngFacts(depth, cicp, expected - found)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, place = memoryview(data), len(_SIGNATURE)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        yield data[place + 4 : place + 8], view[place + 8 : place + 8 + length]
        place += length + 12


def _inflated(inflate: Any, body: memoryview, wanted: int) -> int:
    """How many bytes a chunk inflates to, counted up to `wanted` in steps that take little memory."""
    count, rest = 0, bytes(body)
    while rest and not inflate.eof and count < wanted:
        count += len(inflate.decompress(rest, min(_STEP, wanted - count)))
        rest = inflate.unconsumed_tail
    return count


def _bytes(width: int, height: int, bits: int) -> int:
    """Of a pass of that size, each row with its filter byte."""
    return height * (1 + (width * bits + 7) // 8) if width else 0


def _interlaced_bytes(width: int, height: int, bits: int) -> int:
    sizes = ((-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in _PASSES)
    return sum(_bytes(max(0, w), max(0, h), bits) for w, h in sizes)

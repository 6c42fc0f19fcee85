"""Pictures that end early, are endless or too large: refused in one line or read reduced, in bounded memory."""

import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from colour_files import chunk, written
from PIL import Image

from sigstyle.errors import ImageError
from sigstyle.imaging.images import load_image

ROOT = Path(__file__).parent.parent
MEASURE = """
import json, os, resource, sys
from sigstyle.errors import ImageError
from sigstyle.imaging.images import load_image
first, *jobs = json.loads(sys.argv[1])
load_image(first[0])
for file, short in jobs:  # each in a process of its own, which begins with what this one holds
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        image = load_image(file, short)
        said = [str(image.size), image.info.get("notice", "")]
    except ImageError as error:
        said = ["refused", str(error)]
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(json.dumps([*said, taken]), flush=True)
    os._exit(0)
"""
Taken = tuple[str, str, int]


def measured(folder: Path, jobs: list[tuple[Path, int | None]]) -> list[Taken]:
    """What fresh processes say of loading files: the size or 'refused', the words, and MB taken for it."""
    warm = folder / "warm.png"
    Image.new("RGB", (40, 40)).save(warm)
    asked = json.dumps([(str(file), short) for file, short in [(warm, None), *jobs]])
    made = subprocess.run([sys.executable, "-c", MEASURE, asked], capture_output=True, text=True, cwd=ROOT, check=True)
    assert made.stderr == ""
    return [tuple(json.loads(line)) for line in made.stdout.splitlines()]


def large_png(path: Path, width: int, height: int, depth: int, colour: int, samples: int) -> Path:
    """A PNG of one colour, made row by row."""
    pack, row = zlib.compressobj(1), b"\0" + b"\x40\x20" * (width * samples * depth // 16)
    body = b"".join(pack.compress(row) for _ in range(height)) + pack.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    return path


def header_of_a_jpeg(path: Path, width: int, height: int) -> Path:
    """A progressive JPEG that promises this size."""
    made = io.BytesIO()
    Image.new("RGB", (64, 64)).save(made, "JPEG", progressive=True, subsampling=0)
    data = bytearray(made.getvalue())
    place = data.index(b"\xff\xc2")
    data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    path.write_bytes(data)
    return path


def test_reading_takes_at_most_a_gigabyte(tmp_path: Path) -> None:
    huge = tmp_path / "huge.jpg"
    Image.new("L", (16000, 12000), 90).save(huge)
    grey = large_png(tmp_path / "grey.png", 8900, 8900, 16, 0, 1)
    clear = large_png(tmp_path / "clear.png", 8900, 8900, 16, 6, 4)
    progressive = header_of_a_jpeg(tmp_path / "progressive.jpg", 15000, 13000)
    endless = header_of_a_jpeg(tmp_path / "endless.jpg", 20000, 20000)
    jobs = [(grey, None), (clear, None), (huge, None), (huge, 512), (progressive, None), (endless, None)]
    whole, opaque, half, small, refused, more = measured(tmp_path, jobs)
    assert whole[0] == opaque[0] == "(8900, 8900)"
    assert half[0] == "(8000, 6000)" and small[0] == "(2000, 1500)"
    assert half[1] == "huge.jpg has 16000x12000 pixels; it was read at 8000x6000."
    assert max(whole[2], opaque[2], half[2], small[2]) < 1000, "megabytes"
    assert refused[0] == more[0] == "refused" and max(refused[2], more[2]) < 50, "told before anything is decoded"
    assert "GB to decode" in refused[1] and "400 million pixels" in more[1]


def test_a_float_tiff_that_needs_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.tif"
    small = np.zeros((64, 64, 3), np.float64)
    tifffile.imwrite(path, small, photometric="rgb")
    with tifffile.TiffFile(path, mode="r+") as file:
        tags = file.pages.first.tags
        tags["ImageWidth"].overwrite(8000)
        tags["ImageLength"].overwrite(8000)
    with pytest.raises(ImageError, match="GB to decode"):
        load_image(path)


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize("rows", [0, 1, 47])
def test_pixel_data_that_end_early_are_refused(rows: int, interlaced: int) -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 48, 8, 2, 0, 0, interlaced))
    body = zlib.compress(b"".join(b"\0" + bytes([200]) * 120 for _ in range(rows)))
    with pytest.raises(ImageError, match="is damaged"):
        load_image(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", body) + chunk(b"IEND", b""))


def test_an_interlaced_png_and_one_in_many_chunks_are_whole(painting: Image.Image) -> None:
    raw = painting.tobytes()
    rows = b""
    for x, y, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        values = np.frombuffer(raw, np.uint8).reshape(80, 96, 3)[y::dy, x::dx]
        rows += b"".join(b"\0" + row.tobytes() for row in values)
    body = zlib.compress(rows)
    pieces = [chunk(b"IDAT", body[i : i + 1000]) for i in range(0, len(body), 1000)]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 96, 80, 8, 2, 0, 0, 1))
    data = b"\x89PNG\r\n\x1a\n" + head + b"".join(pieces) + chunk(b"IEND", b"")
    assert load_image(data).tobytes() == raw


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_files_that_end_early_are_refused(painting: Image.Image, kind: str) -> None:
    data = written(painting, kind)
    with pytest.raises(ImageError, match=r"is damaged|not a supported"):
        load_image(data[: len(data) * 2 // 3])


def two_pages(painting: Image.Image) -> bytes:
    buffer = io.BytesIO()
    painting.save(buffer, "TIFF", save_all=True, append_images=[painting])
    return buffer.getvalue()


def test_a_second_page_is_told_and_a_broken_one_refused(painting: Image.Image) -> None:
    data = two_pages(painting)
    assert load_image(data).info["notice"] == "the image has several pages; its first is used."
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        second = file.pages[1].offset  # type: ignore[union-attr]
    with pytest.raises(ImageError, match="is damaged"):
        load_image(data[:second] + struct.pack("<H", 1) + bytes(4))


def test_pages_that_lead_in_a_circle_end(painting: Image.Image) -> None:
    data = bytearray(written(painting, "TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    assert load_image(bytes(data)).size == painting.size


def test_frames_are_counted_up_to_a_limit() -> None:
    buffer = io.BytesIO()
    frames = [Image.new("L", (40, 40), i) for i in range(2)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    data = buffer.getvalue()
    start = data.rindex(b"\x2c")
    many = data[:start] + data[start:-1] * 1500 + b";"
    assert "first frame of at least 1000 is used" in load_image(many).info["notice"]
    assert "first frame of 2 is used" in load_image(data).info["notice"]


def test_a_heic_photo_has_a_way_out() -> None:
    with pytest.raises(ImageError, match=r"HEIC.*Export it as JPEG"):
        load_image(b"\0\0\0\x18ftypheic" + bytes(64))


@pytest.mark.parametrize("name", ["a\0b.png", "~nobody-of-this-name/x.png", "x\n\x1b[31m.png"])
def test_names_that_cannot_be_opened_are_one_line(name: str) -> None:
    with pytest.raises(ImageError, match="cannot be read as an image") as caught:
        load_image(name)
    assert str(caught.value).isprintable()

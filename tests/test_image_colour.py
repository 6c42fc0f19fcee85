"""The same picture in every mode, format, description of colour and orientation loads as the same sRGB pixels."""

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from colour_files import (
    P3,
    SRGB,
    chunk,
    eight,
    grey_of,
    iccp,
    in_space,
    ink_profile,
    linear,
    png16,
    profile,
    target,
    with_chunks,
    written,
)
from PIL import Image, ImageCms

from sigstyle.imaging.images import load_image

GAMA, LINEAR_GAMA = chunk(b"gAMA", (45455).to_bytes(4, "big")), chunk(b"gAMA", (100000).to_bytes(4, "big"))
P3_CHRM = chunk(
    b"cHRM", b"".join(n.to_bytes(4, "big") for n in (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
)
P3_CICP, BT2020_LINEAR = chunk(b"cICP", bytes([12, 13, 0, 1])), chunk(b"cICP", bytes([9, 8, 0, 1]))
SRGB_CHUNK, SRGB_CICP = chunk(b"sRGB", b"\0"), chunk(b"cICP", bytes([1, 13, 0, 1]))
ORIENTATIONS = [(1, "exif"), (6, "exif"), (8, "xmp")]


def error(data: bytes, wanted: Image.Image) -> float:
    """Mean error in steps of 255."""
    loaded = load_image(data)
    assert loaded.mode == "RGB" and loaded.size == wanted.size, "it lies on its side"
    return float(np.abs(np.asarray(loaded, float) - np.asarray(wanted.convert("RGB"), float)).mean())


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """The image in another mode, all of it opaque."""
    if mode == "P":
        return image.quantize(64, dither=Image.Dither.NONE)
    if mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        made = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
        assert made is not None
        return made
    return image.convert(mode)


@pytest.mark.parametrize(("orientation", "by"), ORIENTATIONS)
@pytest.mark.parametrize("space", ["plain", "p3", "linear", "gamma 1.8"])
@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *((mode, "PNG") for mode in ("RGB", "RGBA", "P", "P+A", "L", "LA")),
        *((mode, "TIFF") for mode in ("RGB", "RGBA", "P", "L", "LA")),
        *((mode, "JPEG") for mode in ("RGB", "L")),
        *((mode, "WEBP") for mode in ("RGB", "RGBA")),
        ("RGB", "AVIF"),
    ],
)
def test_mode_format_profile_and_orientation(mode: str, kind: str, space: str, orientation: int, by: str) -> None:
    if kind == "TIFF" and by == "xmp":
        pytest.skip("a TIFF has the orientation as a tag of its own")
    image, grey = target(), mode in ("L", "LA")
    if grey:
        image = grey_of(image)
    primaries, gamma = {"plain": (SRGB, 0), "p3": (P3, 2.2), "linear": (SRGB, 1.0), "gamma 1.8": (SRGB, 1.8)}[space]
    stored, options = image, {}
    if gamma and grey:
        stored, options = eight(linear(np.asarray(image) / 255) ** (1 / gamma)), {"icc_profile": profile(None, gamma)}
    elif gamma:
        stored, options = eight(in_space(image, primaries, gamma)), {"icc_profile": profile(primaries, gamma)}
    stored = in_mode(stored, mode.partition("+")[0])
    if mode == "P+A":
        options["transparency"] = bytes([255] * 200 + [0] * 56)
    assert error(written(stored, kind, orientation, by, **options), image) < 2


@pytest.mark.parametrize(("orientation", "by"), ORIENTATIONS[:2])
@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("LAB", "TIFF")])
def test_inks_and_lab(mode: str, kind: str, orientation: int, by: str) -> None:
    assert error(written(in_mode(target(), mode), kind, orientation, by), target()) < 2


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_a_profile_of_inks_is_used(kind: str) -> None:
    inks = Image.merge("CMYK", [*target().split(), Image.new("L", (64, 48), 128)])
    wanted = Image.new("RGB", (64, 48), (118, 118, 118))  # L* 50
    assert error(written(inks, kind, icc_profile=ink_profile()), wanted) < 2


@pytest.mark.parametrize(
    ("chunks", "primaries", "gamma"),
    [
        ([GAMA], SRGB, 0),
        ([LINEAR_GAMA], SRGB, 1.0),
        ([LINEAR_GAMA, P3_CHRM], P3, 1.0),
        ([P3_CICP], P3, 0),
        ([SRGB_CHUNK, LINEAR_GAMA], SRGB, 0),
        ([iccp(profile(P3, 2.2)), LINEAR_GAMA], P3, 2.2),
        ([P3_CICP, iccp(profile(SRGB, 1.0))], P3, 0),
        ([SRGB_CICP, iccp(profile(SRGB, 1.0)), LINEAR_GAMA], SRGB, 0),
    ],
    ids=["gAMA of sRGB", "gAMA", "gAMA+cHRM", "cICP", "sRGB>gAMA", "iCCP>gAMA", "cICP>iCCP", "cICP of sRGB"],
)
@pytest.mark.parametrize("deep", [False, True], ids=["8 bits", "16 bits"])
def test_chunks_of_a_png(chunks: list[bytes], primaries: np.ndarray, gamma: float, deep: bool) -> None:
    values = in_space(target(), primaries, gamma or 1)
    if not gamma:
        values = np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
    data = png16(values, *chunks) if deep else with_chunks(written(eight(values), "PNG"), *chunks)
    assert error(data, target()) < 2


def test_cicp_of_wide_linear_light() -> None:
    bt2020 = np.array([[0.6734, 0.1656, 0.1251], [0.2790, 0.6753, 0.0456], [-0.0019, 0.0299, 0.7969]])
    assert error(png16(in_space(target(), bt2020, 1.0), BT2020_LINEAR), target()) < 2


@pytest.mark.parametrize("chunks", [[LINEAR_GAMA], [iccp(profile(None, 1.0))]], ids=["gAMA", "iCCP"])
def test_deep_grey_with_a_description(chunks: list[bytes]) -> None:
    image = grey_of(target())
    assert error(png16(linear(np.asarray(image) / 255), *chunks), image) < 2


@pytest.mark.parametrize("kind", ["u2", "u4", "f2", "f4", "f8"])
@pytest.mark.parametrize("photometric", ["rgb", "minisblack", "miniswhite"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_deep_tiffs(kind: str, photometric: str, compression: str | None) -> None:
    image = target() if photometric == "rgb" else grey_of(target())
    values = np.asarray(image) / 255
    values = 1 - values if photometric == "miniswhite" else values
    buffer, top = io.BytesIO(), np.iinfo(kind).max if kind[0] == "u" else 1
    tifffile.imwrite(buffer, (values * top).astype(kind), photometric=photometric, compression=compression)
    assert error(buffer.getvalue(), image) < 1


def test_a_float_tiff_with_profile_and_orientation() -> None:
    buffer, stored = io.BytesIO(), target().transpose(Image.Transpose.ROTATE_90)
    values = in_space(stored, P3, 2.2).astype(np.float32)
    tifffile.imwrite(buffer, values, photometric="rgb", iccprofile=profile(P3, 2.2), extratags=[(274, 3, 1, 6, True)])
    assert error(buffer.getvalue(), target()) < 2


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_of_any_depth_is_white(depth: int) -> None:
    top = 2**depth - 1
    ramp = np.arange(64) % 2 if depth < 8 else np.repeat([0, 1], 32)
    samples = np.where(ramp == 1, top, 0)
    packed = bytes(np.packbits(((samples[:, None] >> np.arange(depth)[::-1]) & 1).astype(np.uint8)))
    head = chunk(b"IHDR", (64).to_bytes(4, "big") + (32).to_bytes(4, "big") + bytes([depth, 0, 0, 0, 0]))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"tRNS", (0).to_bytes(2, "big"))
    data += chunk(b"IDAT", zlib.compress((b"\0" + packed) * 32)) + chunk(b"IEND", b"")
    assert load_image(data).getextrema() == ((255, 255),) * 3, "black is transparent, so all is white"


def test_a_transparent_grey_of_deep_numbers_is_that_grey_alone() -> None:
    values = np.full((40, 40), 0.25)
    values[:, :20] = 0.75
    made = np.asarray(load_image(png16(values, chunk(b"tRNS", (16384).to_bytes(2, "big")))))
    assert made[0, 30].tolist() == [255] * 3 and made[0, 3].tolist() == [191] * 3


def test_ordinary_pictures_are_their_own_pixels(painting: Image.Image) -> None:
    """8-bit sRGB comes through bit for bit, whatever strips it is read in."""
    wide = painting.resize((1500, 1100))
    for kind in ("PNG", "TIFF", "BMP"):
        assert load_image(written(wide, kind)).tobytes() == wide.tobytes()


def test_nothing_else_opens_pictures() -> None:
    """Files of people come through the one loader; the others open what the program wrote itself, or a header."""
    root = Path(__file__).parent.parent / "sigstyle"
    own = {"batches/manifest.py", "batches/sheet.py", "batches/thumbs.py", "studio/paint.py", "ui/parts.py"}
    own |= {"cli/batch_estimate.py", "batches/present.py", "studio/history.py"}
    found = {str(p.relative_to(root)) for p in root.rglob("*.py") if "Image.open(" in p.read_text(encoding="utf-8")}
    assert found - own == {"imaging/opening.py"}

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from sigstyle.errors import ImageError
from sigstyle.imaging.images import (
    fit,
    load_image,
    load_mask,
    random_crops,
    read_recipe,
    save_png,
    thumbnail_uri,
    to_pil,
    to_tensor,
    unfit,
)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *extra: bytes) -> bytes:
    """A PNG whose header promises any size."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def mean(image: Image.Image) -> list[int]:
    return np.asarray(image, dtype=float).reshape(-1, 3).mean(0).round().astype(int).tolist()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG"])
def test_common_formats_load_as_rgb_whatever_their_name(painting: Image.Image, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "wrong.xyz"
    path.write_bytes(encoded(painting, kind))
    image = load_image(path)
    assert image.mode == "RGB" and image.size == painting.size
    assert np.abs(np.asarray(image, float) - np.asarray(painting, float)).mean() < 12


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I;16", "I", "F"]
)
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = load_image(Image.new(mode, (40, 40)))
    assert image.mode == "RGB" and image.size == (40, 40)


def test_a_file_a_path_bytes_and_an_image_are_the_same(painting: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "painting.png"
    path.write_bytes(encoded(painting))
    loaded = [load_image(source) for source in (path, str(path), path.read_bytes(), painting)]
    assert all(image.tobytes() == painting.tobytes() for image in loaded)


def test_16_bit_png_and_float_tiff_keep_their_brightness() -> None:
    ramp = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    eight = (ramp * 255).round()
    for data in (
        encoded(Image.fromarray((ramp * 65535).astype(np.uint16))),
        encoded(Image.fromarray(ramp.astype(np.float32)), "TIFF"),
        encoded(Image.fromarray((ramp * 255).astype(np.float32)), "TIFF"),
        encoded(Image.fromarray((ramp * 8 - 3).astype(np.float32)), "TIFF"),
    ):
        assert np.abs(np.asarray(load_image(data), float)[..., 0] - eight).max() <= 1


def test_floats_that_are_not_finite_are_survived() -> None:
    values = np.full((40, 40), 0.5, np.float32)
    values[0, 0], values[0, 1] = np.nan, np.inf
    assert mean(load_image(encoded(Image.fromarray(values), "TIFF")).crop((2, 2, 40, 40))) == [128] * 3


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGBA", (40, 40), (255, 0, 0, 0)),
        Image.new("LA", (40, 40), (0, 0)),
        Image.new("RGBA", (40, 40), (10, 20, 30, 0)).quantize(4),
    ],
)
def test_transparency_becomes_white_and_in_masks_black(image: Image.Image) -> None:
    assert mean(load_image(encoded(image))) == [255, 255, 255]
    assert load_mask(encoded(image)).getextrema() == (0, 0)


def test_half_transparent_red_is_pink() -> None:
    assert mean(load_image(encoded(Image.new("RGBA", (40, 40), (255, 0, 0, 128))))) == [255, 127, 127]


def test_a_palette_with_a_transparent_colour_is_composited() -> None:
    image = Image.new("P", (40, 40), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    assert mean(load_image(encoded(image, transparency=1))) == [255, 255, 255]


def test_lab_and_profiles_are_converted_and_bad_profiles_ignored() -> None:
    lab = Image.new("LAB", (40, 40), (255, 128, 128))
    assert min(mean(load_image(encoded(lab, "TIFF")))) > 240
    red = Image.new("RGB", (40, 40), (200, 30, 30))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.abs(np.subtract(mean(load_image(encoded(red, icc_profile=profile))), (200, 30, 30))).max() <= 1
    assert mean(load_image(encoded(red, icc_profile=b"no profile at all"))) == [200, 30, 30]


def test_cmyk_jpeg_keeps_its_colour() -> None:
    cmyk = Image.new("RGB", (40, 40), (200, 30, 30)).convert("CMYK")
    assert np.abs(np.subtract(mean(load_image(encoded(cmyk, "JPEG"))), (200, 30, 30))).max() < 8


def test_mpo_is_read_through_its_first_picture(painting: Image.Image) -> None:
    data = encoded(painting, "MPO", save_all=True, append_images=[painting])
    image = load_image(data)
    assert image.size == painting.size
    assert "notice" not in image.info


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_gives_its_first_frame_and_a_notice(kind: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime", "blue")]
    image = load_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert mean(image)[0] > 240 and mean(image)[2] < 15
    assert "first frame of 3" in image.info["notice"]


def test_the_exif_orientation_is_applied_and_nothing_else_kept(painting: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "some camera"
    for kind in ("JPEG", "PNG"):
        image = load_image(encoded(painting, kind, exif=exif))
        assert image.size == (painting.height, painting.width)
        assert not image.getexif() and not image.info
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert load_image(encoded(painting, exif=exif, icc_profile=profile)).size == (80, 96)
    sixteen = Image.fromarray(np.zeros((40, 64), np.uint16))
    assert load_image(encoded(sixteen, exif=exif)).size == (40, 64)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello, this is text",
        b"<html><body>404</body></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"PK\x03\x04" + bytes(100),
        b"8BPS\x00\x01" + bytes(100),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"%PDF-1.7\n",
        png(0, 0),
    ],
)
def test_what_is_no_image_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"not a supported image|damaged"):
        load_image(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_truncated_files_are_refused(painting: Image.Image, kind: str) -> None:
    data = encoded(painting, kind)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(ImageError, match=r"damaged|not a supported"):
            load_image(data[: int(len(data) * share)])


def test_a_bad_checksum_is_refused(painting: Image.Image) -> None:
    data = bytearray(encoded(painting))
    data[data.index(b"IDAT") + 40] ^= 1
    with pytest.raises(ImageError, match="damaged"):
        load_image(bytes(data))


def test_a_text_bomb_is_refused() -> None:
    bomb = chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(100 * 2**20)))
    with pytest.raises(ImageError, match="damaged"):
        load_image(png(40, 40, bomb))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [12_000, 60_000])
def test_too_many_pixels_are_refused_before_decoding(side: int) -> None:
    with pytest.raises(ImageError, match="Shrink it"):
        load_image(png(side, side))


@pytest.mark.parametrize(
    ("size", "message"), [((1, 1), "at least 32"), ((1, 3000), "at least 32"), ((40, 400), "6 to 1")]
)
def test_unusable_shapes_are_refused(size: tuple[int, int], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        load_image(encoded(Image.new("RGB", size)))


def test_a_polyglot_tail_is_not_kept(painting: Image.Image, tmp_path: Path) -> None:
    save_png(load_image(encoded(painting) + b"PK\x03\x04<script>"), tmp_path / "out.png", {})
    assert b"<script>" not in (tmp_path / "out.png").read_bytes()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("missing.png", "pipe", "loop", "."):
        with pytest.raises(ImageError, match="cannot be read"):
            load_image(tmp_path / name)


def test_pixels_survive_the_way_to_a_tensor_and_back(painting: Image.Image) -> None:
    pixels = to_tensor(painting)
    assert pixels.shape == (1, 3, 80, 96) and pixels.dtype == torch.float32
    assert -1 <= pixels.min() < pixels.max() <= 1
    assert to_pil(pixels).tobytes() == painting.tobytes()
    assert to_pil(pixels[0] * 9).getextrema() == ((0, 255),) * 3


@pytest.mark.parametrize(
    ("size", "expected"), [((1024, 683), (768, 512)), ((333, 500), (512, 768)), ((64, 64), (512, 512))]
)
def test_fit_gives_multiples_near_the_aspect_and_unfit_the_size_back(size: tuple, expected: tuple) -> None:
    image = Image.new("RGB", size)
    fitted = fit(image, 512, 64)
    assert fitted.size == expected
    assert unfit(fitted, size).size == size


def test_fit_never_drops_a_side_to_nothing() -> None:
    assert fit(Image.new("RGB", (32, 32)), 8, 32).size == (32, 32)


def test_unfit_of_the_same_size_is_the_same_image(painting: Image.Image) -> None:
    assert unfit(painting, painting.size) is painting


def test_crops_are_square_seeded_and_begin_with_the_whole_short_side(painting: Image.Image) -> None:
    crops, again = (random_crops([painting], 12, 32, 0.5, torch.Generator().manual_seed(1)) for _ in range(2))
    assert [crop.tobytes() for crop in crops] == [crop.tobytes() for crop in again]
    assert {crop.size for crop in crops} == {(32, 32)}
    whole = painting.resize((32, 32), Image.Resampling.LANCZOS, (8, 0, 88, 80))
    assert crops[0].tobytes() == whole.tobytes()
    assert len({crop.tobytes() for crop in crops}) == 12


def test_crops_come_from_every_image_and_some_are_mirrored() -> None:
    step = Image.fromarray(np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 64, 0).repeat(3, 2))
    dark = Image.new("RGB", (64, 64))
    crops = random_crops([step, dark], 24, 32, 0.5, torch.Generator().manual_seed(0))
    assert sum(mean(crop) == [0, 0, 0] for crop in crops) == 12
    rising = [np.asarray(crop)[0, -1, 0] > np.asarray(crop)[0, 0, 0] for crop in crops[::2]]
    assert rising[0] and 2 < sum(rising) < 10


def test_crops_are_not_enlarged_where_the_image_is_large_enough() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8))
    crops = random_crops([noise], 16, 32, 0.1, torch.Generator().manual_seed(0))
    assert all(np.asarray(crop, float).std() > 40 for crop in crops)


def test_a_recipe_travels_in_the_png(painting: Image.Image, tmp_path: Path) -> None:
    recipe = {"seed": 3, "prompt": "Größe <wave> 波", "nested": {"a": [1, None]}}
    save_png(painting, tmp_path / "out.png", recipe)
    assert read_recipe(tmp_path / "out.png") == recipe
    assert load_image(tmp_path / "out.png").tobytes() == painting.tobytes()


def test_a_png_without_a_recipe_says_so(painting: Image.Image, tmp_path: Path) -> None:
    for name, data in {"a.png": encoded(painting), "b.jpg": encoded(painting, "JPEG")}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match="no SigStyle recipe"):
            read_recipe(tmp_path / name)


def test_saving_into_nowhere_is_a_clear_error(painting: Image.Image, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="writable folder"):
        save_png(painting, tmp_path / "no" / "out.png", {})


def test_a_thumbnail_is_a_small_jpeg(painting: Image.Image) -> None:
    uri = thumbnail_uri(painting.resize((900, 750)))
    assert uri.startswith("data:image/jpeg;base64,") and len(uri) < 16_000

"""The one image loader, and the ways between files, PIL images and tensors."""

import base64
import io
import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile, PngInfo
from torch import Tensor

from sigstyle.errors import ImageError
from sigstyle.files import read_regular, reason, write_atomically

RECIPE_KEY = "sigstyle"
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")  # "MPO" is found through JPEG; naming it breaks open()
_MAX_FILE_BYTES = 256 * 2**20
_MAX_PIXELS = 80_000_000
_MIN_SIDE_PX = 32
_MAX_ASPECT = 6
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, struct.error, zlib.error)

Source = str | Path | bytes | Image.Image


def load_image(source: Source) -> Image.Image:
    """An upright 8-bit sRGB image from a file, its bytes or a PIL image; alpha is composited on white.

    The first frame of an animation is taken, and `info["notice"]` says so; nothing else of the file is kept.
    Raises: ImageError for what is not an image, damaged, too large, too small or too long.
    """
    name, opened = _open(source)
    upright, notice = _decoded(name, opened)
    image = _flattened(upright, "white")
    if notice:
        image.info["notice"] = notice
    _check_shape(name, image.size)
    return image


def load_mask(source: Source) -> Image.Image:
    """A greyscale mask ('L', white is where the style goes) by the same rules; transparent counts as black."""
    name, opened = _open(source)
    upright, _ = _decoded(name, opened)
    mask = _flattened(upright, "black")
    _check_shape(name, mask.size)
    return mask.convert("L")


def _open(source: Source) -> tuple[str, Image.Image]:
    """A name for messages and the image with only its header read. Raises: ImageError."""
    if isinstance(source, Image.Image):
        name, opened = "the image", source
    else:
        name = "the image" if isinstance(source, bytes) else Path(source).name
        opened = _identified(name, source if isinstance(source, bytes) else _bytes(Path(source)))
    width, height = opened.size
    if width * height > _MAX_PIXELS:
        raise ImageError(
            f"{name} has {width}x{height} pixels; at most {_MAX_PIXELS // 10**6} million are read. Shrink it."
        )
    return name, opened


def _bytes(path: Path) -> bytes:
    try:
        return read_regular(path, _MAX_FILE_BYTES)
    except OSError as error:
        raise ImageError(f"{path} cannot be read as an image: {reason(error)}.") from error


def _identified(name: str, data: bytes) -> Image.Image:
    """The image in `data`, decided by content, its checksums verified. Raises: ImageError."""
    try:
        opened = Image.open(io.BytesIO(data), formats=_FORMATS)
        if opened.format == "PNG":
            Image.open(io.BytesIO(data), formats=("PNG",)).verify()
        return opened
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} is too large: {error} Shrink it.") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a supported image; expected {', '.join(_FORMATS)}.") from error
    except _DAMAGE as error:
        raise ImageError(f"{name} is damaged: {error}. Export it again.") from error


def _decoded(name: str, opened: Image.Image) -> tuple[Image.Image, str]:
    """The first frame, upright, in sRGB or greyscale with or without alpha, and a notice. Raises: ImageError."""
    frames = getattr(opened, "n_frames", 1)
    animated = frames > 1 and opened.format in ("GIF", "PNG", "WEBP", "AVIF")
    try:
        opened.load()
        upright = ImageOps.exif_transpose(_in_srgb(opened))
    except _DAMAGE as error:
        raise ImageError(f"{name} is damaged: {error}. Export it again.") from error
    notice = f"{name} is animated; its first frame of {frames} is used." if animated else ""
    return upright, notice


def _in_srgb(image: Image.Image) -> Image.Image:
    """An image whose mode `convert` handles faithfully: 16-bit and float rescaled, Lab and ICC profiles applied."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _rescaled(image)
    srgb = ImageCms.createProfile("sRGB")
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return _or_plain(ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB"), image)
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "CMYK"):
        return image
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return _or_plain(ImageCms.profileToProfile(image, embedded, srgb, outputMode="RGB"), image)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # a broken profile: the plain numbers are the best guess


def _or_plain(converted: Image.Image | None, image: Image.Image) -> Image.Image:
    """`converted` with the orientation tag of `image`, or `image` where nothing was converted."""
    if converted is None:
        return image
    converted.info.setdefault("exif", image.info.get("exif", b""))
    return converted


def _rescaled(image: Image.Image) -> Image.Image:
    """A 16-bit, 32-bit or float greyscale image as 8-bit 'L'.

    16-bit values keep their meaning (65535 is white), floats in 0..1 and 0..255 too; other ranges are stretched.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    tops = (65535.0,) if image.mode != "F" else (1.0, 255.0, 65535.0)
    top = next((top for top in tops if low >= 0 and high <= top), None)
    scaled = values / top if top else (values - low) / max(high - low, 1e-12)
    rescaled = Image.fromarray((scaled * 255).round().astype(np.uint8))
    rescaled.info["exif"] = image.info.get("exif", b"")
    return rescaled


def _flattened(image: Image.Image, background: str) -> Image.Image:
    """A new RGB image of `image` over a plain background, without anything else the file carried."""
    flat = Image.new("RGB", image.size, background)
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        flat.paste(with_alpha.convert("RGB"), (0, 0), with_alpha.getchannel("A"))
    else:
        flat.paste(image.convert("RGB"))
    return flat


def _check_shape(name: str, size: tuple[int, int]) -> None:
    """Raises: ImageError for an image too small or too long to paint."""
    short, long = sorted(size)
    if short < _MIN_SIDE_PX:
        raise ImageError(f"{name} is {size[0]}x{size[1]}; its short side needs at least {_MIN_SIDE_PX} pixels.")
    if long > _MAX_ASPECT * short:
        raise ImageError(f"{name} is {size[0]}x{size[1]}; at most {_MAX_ASPECT} to 1 is supported. Crop it.")


def to_tensor(image: Image.Image) -> Tensor:
    """Pixels [1, 3, h, w] in [-1, 1] of an RGB image."""
    values = torch.from_numpy(np.array(image.convert("RGB")))
    return values.permute(2, 0, 1).unsqueeze(0).float() / 127.5 - 1


def to_pil(pixels: Tensor) -> Image.Image:
    """RGB image of pixels [1, 3, h, w] or [3, h, w] in [-1, 1]; values outside are clipped."""
    values = pixels.detach().float().cpu().reshape(-1, *pixels.shape[-2:]).clamp(-1, 1)
    return Image.fromarray(((values + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy())


def fit(image: Image.Image, short_side_px: int, multiple: int) -> Image.Image:
    """`image` resized so that its short side is about `short_side_px` and both sides are multiples of `multiple`.

    Nothing is cut off; sides are rounded to the nearest multiple. `unfit` is the way back.
    """
    scale = short_side_px / min(image.size)
    width, height = (max(multiple, round(side * scale / multiple) * multiple) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def unfit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`image` resized to (width, height) `size`, that of the image given to `fit`."""
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def mirrored_margin(image: Image.Image, margin_px: int) -> Image.Image:
    """`image` with a margin on each side in which it is mirrored."""
    if margin_px == 0:
        return image
    sides = [(margin_px, margin_px)] * 2
    return Image.fromarray(np.pad(np.asarray(image), sides + [(0, 0)] * (image.mode == "RGB"), "symmetric"))


def random_crops(
    images: Sequence[Image.Image], count: int, size_px: int, crop_min: float, generator: torch.Generator
) -> list[Image.Image]:
    """`count` square crops resized to `size_px`, dealt evenly over `images`; half of the later ones mirrored.

    The first crop of each image is its whole short side, centred. The others span `crop_min` to 1 of the short side,
    but at least `size_px` where the image has that: enlarging would teach blur.
    """

    def draw() -> float:
        return torch.rand((), generator=generator).item()

    crops = []
    for i in range(count):
        image = images[i % len(images)]
        short = min(image.size)
        first = i < len(images)
        least = max(crop_min * short, min(short, size_px))
        side = short if first else round(least + (short - least) * draw())
        left, top = (round((length - side) * (0.5 if first else draw())) for length in image.size)
        crop = image.resize((size_px, size_px), Image.Resampling.LANCZOS, (left, top, left + side, top + side))
        crops.append(ImageOps.mirror(crop) if not first and draw() < 0.5 else crop)
    return crops


def thumbnail_uri(image: Image.Image, side_px: int = 128) -> str:
    """A small JPEG of `image` as a data URI."""
    small = image.copy()
    small.thumbnail((side_px, side_px))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def save_png(image: Image.Image, path: str | Path, recipe: dict[str, Any]) -> None:
    """Write a PNG, whole or not at all, that carries `recipe` as JSON in an iTXt chunk.

    Raises: ImageError when it cannot be written; an older file stays as it was.
    """
    info = PngInfo()
    info.add_itxt(RECIPE_KEY, json.dumps(recipe, ensure_ascii=False, sort_keys=True))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    try:
        write_atomically(Path(path), buffer.getvalue())
    except OSError as error:
        raise ImageError(f"{path} cannot be written: {reason(error)}. Choose an existing, writable folder.") from error


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The recipe in a PNG that `save_png` wrote. Raises: ImageError when there is none."""
    opened = _identified(Path(path).name, _bytes(Path(path)))
    text = opened.text.get(RECIPE_KEY) if isinstance(opened, PngImageFile) else None
    try:
        recipe = json.loads(text or "")
    except ValueError:
        recipe = None
    if not isinstance(recipe, dict):
        raise ImageError(f"{Path(path).name} carries no SigStyle recipe; expected a PNG that SigStyle wrote.")
    return recipe

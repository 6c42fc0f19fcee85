"""The one image loader, and the ways between files, PIL images and tensors."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile, PngInfo
from torch import Tensor

from sigstyle.errors import ImageError
from sigstyle.files import reason, write_atomically
from sigstyle.imaging.layers import strips
from sigstyle.imaging.mask_layers import mask_of
from sigstyle.imaging.opening import Opened, Source, identified, open_picture, read_picture
from sigstyle.text import json_text, parsed_json, shown

RECIPE_KEY = "sigstyle"
_MIN_SIDE_PX = 32
_MAX_ASPECT = 6


def load_image(source: Source, short_side_px: int | None = None) -> Image.Image:
    """An upright 8-bit sRGB image from a file, its bytes or a PIL image; alpha is composited on white.

    What was left out (an animation's other frames, pixels of a huge photo) is said in `info["notice"]`; nothing else
    of the file is kept.
    Units: `short_side_px` is what the image is wanted for; a photo of more than 80 megapixels is then read so much
    smaller as its format can, down to twice that.
    Raises: ImageError for what is not an image, damaged, too large, too small or too long.
    """
    opened = open_picture(source, short_side_px)
    _check_shape(opened.name, opened.image.size)
    return _noticed(_on_white(opened), opened.notices)


def load_mask(source: Source) -> Image.Image:
    """A greyscale mask ('L', white is where the style goes) by the same rules; transparent counts as black.

    A layer painted in one colour on nothing is where it is opaque, a photo with a hole where it is transparent, and
    0/1 numbers are black and white: `info["notice"]` says what was read otherwise than by brightness, or to no effect.
    """
    opened = open_picture(source)
    _check_shape(opened.name, opened.image.size)
    mask, notice = mask_of(opened)
    return _noticed(mask, [*opened.notices, *([notice] if notice else [])])


def _noticed(image: Image.Image, notices: list[str]) -> Image.Image:
    if notices:
        image.info["notice"] = " ".join(notices)
    return image


def _on_white(opened: Opened) -> Image.Image:
    """A new RGB image over white, without anything else the file carried."""
    flat = Image.new("RGB", opened.image.size, "white")
    for top, colour, opacity in strips(opened):
        flat.paste(colour, (0, top), opacity)
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
    return image.resize(fitting_size(image.size, short_side_px, multiple), Image.Resampling.LANCZOS)


def fitting_size(size: tuple[int, int], short_side_px: int, multiple: int) -> tuple[int, int]:
    """(width, height) that `fit` makes of an image of `size`."""
    scale = short_side_px / min(size)
    width, height = (max(multiple, round(side * scale / multiple) * multiple) for side in size)
    return width, height


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
    info.add_itxt(RECIPE_KEY, json_text(recipe, sort_keys=True))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    try:
        write_atomically(Path(path), buffer.getvalue())
    except OSError as error:
        raise ImageError(f"{path} cannot be written: {reason(error)}. Choose an existing, writable folder.") from error


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The recipe in a PNG that `save_png` wrote. Raises: ImageError when there is none."""
    name = shown(Path(path).name)
    opened = identified(name, read_picture(Path(path)))
    text = opened.text.get(RECIPE_KEY) if isinstance(opened, PngImageFile) else None
    try:
        recipe = parsed_json(text or "null")
    except ValueError as error:
        raise ImageError(
            f"{name} carries a recipe that cannot be read: {error}. Use the picture as it came."
        ) from error
    if not isinstance(recipe, dict):
        raise ImageError(f"{name} carries no SigStyle recipe; expected a PNG that SigStyle wrote.")
    return recipe

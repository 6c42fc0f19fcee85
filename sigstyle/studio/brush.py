"""From strokes of a brush over a photo to a mask, and back."""

from collections.abc import Sequence

from PIL import Image, ImageChops

from sigstyle.errors import ConfigError


def brushed_mask(layers: Sequence[Image.Image]) -> Image.Image:
    """An RGB mask, white wherever one of the layers is opaque. Raises: ConfigError where none is."""
    mask: Image.Image | None = None
    for layer in layers:
        alpha = layer.convert("RGBA").getchannel("A")
        mask = alpha if mask is None else ImageChops.lighter(mask, alpha)
    if mask is None or mask.getbbox() is None:
        raise ConfigError("Nothing is painted over yet. Paint over what is to change, or choose All of it.")
    return Image.merge("RGB", (mask, mask, mask))


def strokes_of(mask: Image.Image, size: tuple[int, int], colour: str) -> Image.Image:
    """A layer (RGBA) of (width, height) that `brushed_mask` makes this mask ('L') of again, where it has that size."""
    layer = Image.new("RGBA", size, colour)
    layer.putalpha(mask if mask.size == size else mask.resize(size, Image.Resampling.BILINEAR))
    return layer

"""How a mask is meant: by its brightness, by its opacity or by its holes."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageChops

from sigstyle.imaging.layers import is_deep, strips
from sigstyle.imaging.opening import Opened

_ONE_COLOUR = 8  # steps of 255 that the opaque parts of a painted layer differ by
_COLOURFUL = 12  # mean steps of 255 between the channels of what is no greyscale picture


@dataclass
class _Seen:
    """What was met in the opaque parts of a mask."""

    low: np.ndarray = field(default_factory=lambda: np.full(3, 255))
    high: np.ndarray = field(default_factory=lambda: np.zeros(3, int))
    spread: float = 0.0
    count: int = 0

    def add(self, colour: Image.Image, opacity: Image.Image | None) -> None:
        values = np.asarray(colour)
        values = values.reshape(-1, 3) if opacity is None else values[np.asarray(opacity) > 127]
        if values.size:
            self.low, self.high = np.minimum(self.low, values.min(0)), np.maximum(self.high, values.max(0))
            self.spread += float((values.max(1).astype(int) - values.min(1)).sum())
            self.count += len(values)

    @property
    def one_colour(self) -> bool:
        return self.count > 0 and bool((self.high.astype(int) - self.low < _ONE_COLOUR).all())

    @property
    def colourful(self) -> bool:
        return self.spread / max(1, self.count) > _COLOURFUL


def mask_of(opened: Opened) -> tuple[Image.Image, str]:
    """A mask ('L') of a decoded picture, and a line about how it was read, or ''."""
    size, seen = opened.image.size, _Seen()
    bright, opaque = Image.new("L", size), Image.new("L", size, 255)
    see_through = False
    for top, colour, opacity in strips(opened, binary=True):
        seen.add(colour, opacity)
        flat = Image.new("RGB", colour.size)
        flat.paste(colour, (0, 0), opacity)
        bright.paste(flat.convert("L"), (0, top))
        if opacity is not None:
            opaque.paste(opacity, (0, top))
            see_through |= opacity.getextrema()[0] < 255  # type: ignore[operator]
    mask, how = _meant(bright, opaque, seen, see_through)
    if not is_deep(opened.image) and mask.getextrema()[1] == 1:
        mask, how = mask.point([0] + [255] * 255), "holds nothing but 0 and 1, read as black and white"
    if mask.getextrema() == (0, 0):
        return mask, f"Nothing is painted: the mask {opened.name} is black everywhere{f' ({how})' if how else ''}."
    return mask, f"The mask {opened.name} {how}." if how else ""


def _meant(bright: Image.Image, opaque: Image.Image, seen: _Seen, see_through: bool) -> tuple[Image.Image, str]:
    """The mask by brightness or by opacity, and how it was read where that is not plain."""
    if see_through and seen.one_colour:
        how = "is one colour on nothing and was read by its opacity: what is covered is painted"
        return opaque, "" if seen.low.min() > 255 - _ONE_COLOUR else how
    if see_through and seen.colourful:
        return ImageChops.invert(opaque), "is a picture with a hole: what is transparent in it is painted"
    if seen.colourful:
        return bright, "is a picture in colour and was read by its brightness: the brighter, the more is painted"
    return bright, "was read by its brightness, what is transparent as black" if see_through else ""

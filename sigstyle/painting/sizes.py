"""How large a photo is painted, and how large its picture comes out."""

import math
from dataclasses import dataclass

from sigstyle.base.autoencoder import pixels_per_latent
from sigstyle.base.model import BaseModel, default_size_px, side_multiple_px
from sigstyle.config import TransferConfig
from sigstyle.imaging.images import fitting_size
from sigstyle.painting.tiles import Tiling

PLAIN_UP_TO = 1.25  # times as large as it was painted, a picture is enlarged and not refined
_ONCE_UP_TO = 3.2  # and refined in one go: beyond it nothing would be painted between the strokes and their ridges
_WORK_TILE_PX, _WORK_OVERLAP_PX = 1280, 128  # of painting: common photos are painted in one piece
FINE_TILE_PX, _FINE_OVERLAP_PX = 512, 64  # of refining: what bases paint well, in little memory


@dataclass(frozen=True)
class Sizes:
    """The short side at which a photo is painted, and the (width, height) of its picture.

    Strokes have a size in pixels. So that they have one against the picture too, a photo is painted as small as they
    need it, and refined at its own size.
    """

    work_px: int
    picture: tuple[int, int]

    @classmethod
    def of(cls, photo: tuple[int, int], base: BaseModel, config: TransferConfig) -> "Sizes":
        """The sizes for a photo of (width, height)."""
        picture, usual = picture_size(photo, config.size_px, config.max_megapixels), default_size_px(base)
        short = min(picture)
        as_wished = short <= PLAIN_UP_TO * usual and (short >= usual or config.size_px is not None)
        return cls(max(1, round((short if as_wished else usual) / config.stroke)), picture)

    @property
    def stages(self) -> list["Sizes"]:
        """The sizes from which and to which it is refined, one after the other; none where enlarging is enough."""
        short = min(self.picture)
        growth = short / self.work_px
        if growth <= PLAIN_UP_TO:
            return []
        count = math.ceil(math.log(growth) / math.log(_ONCE_UP_TO))
        shorts = [round(self.work_px * growth ** (i / count)) for i in range(count)]
        between = [picture_size(self.picture, each, math.inf) for each in shorts[1:]]
        return [Sizes(*stage) for stage in zip(shorts, [*between, self.picture], strict=True)]

    def work(self, photo: tuple[int, int], base: BaseModel, margin_px: int) -> tuple[int, int]:
        """(width, height) of the working copy of a photo, with a margin on each side."""
        width, height = fitting_size(photo, self.work_px, side_multiple_px(base))
        return width + 2 * margin_px, height + 2 * margin_px

    def canvas(self, base: BaseModel, margin_px: int) -> tuple[int, int]:
        """(width, height) in which the picture is refined: with a margin, in sides that the base can work at."""
        multiple = side_multiple_px(base)
        width, height = (math.ceil((side + 2 * margin_px) / multiple) * multiple for side in self.picture)
        return width, height


def work_tiling(size: tuple[int, int], base: BaseModel) -> Tiling:
    """The tiles, in latents, in which a working copy of (width, height) is painted."""
    return _tiling(size, base, _WORK_TILE_PX, _WORK_OVERLAP_PX)


def fine_tiling(size: tuple[int, int], base: BaseModel) -> Tiling:
    """The tiles, in latents, in which a canvas of (width, height) is refined."""
    return _tiling(size, base, FINE_TILE_PX, _FINE_OVERLAP_PX)


def picture_size(photo: tuple[int, int], short_px: int | None, megapixels: float) -> tuple[int, int]:
    """(width, height) of a photo, with another short side where one is asked for, and with so many pixels at most."""
    scale = 1.0 if short_px is None else short_px / min(photo)
    most = math.sqrt(megapixels * 1e6 / (photo[0] * photo[1]))
    if scale <= most:
        return round(photo[0] * scale), round(photo[1] * scale)
    return max(1, math.floor(photo[0] * most)), max(1, math.floor(photo[1] * most))


def rounded_margin_px(margin_px: int, base: BaseModel) -> int:
    """A margin that leaves sides the base can work at, as wide as was asked for or wider."""
    multiple = side_multiple_px(base)
    return math.ceil(2 * margin_px / multiple) * multiple // 2


def _tiling(size: tuple[int, int], base: BaseModel, tile_px: int, overlap_px: int) -> Tiling:
    each = pixels_per_latent(base.vae)
    return Tiling(size[1] // each, size[0] // each, tile_px // each, overlap_px // each)

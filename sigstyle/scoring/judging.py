"""Judging a picture while it is made, by the feature network and the small style pictures that are always there."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sigstyle.errors import ImageError
from sigstyle.imaging.images import load_image, to_tensor
from sigstyle.scoring.features import StyleFeatures, style_features
from sigstyle.scoring.structure import LEAK_BLOCK, leak
from sigstyle.scoring.style_loss import LayerStatistics, moment_distance, statistics, structure_distance

_SIDE_PX = 256  # short side at which structures are compared


@cache
def _network() -> StyleFeatures:
    return style_features()


def _deepest(pixels: Tensor, blocks: tuple[int, ...]) -> Mapping[int, Tensor]:
    """The deepest maps that ship, at the places that the scores' own network has: 16 px of the image each."""
    with torch.no_grad():
        return {LEAK_BLOCK: F.avg_pool2d(_network()(pixels)[-1], 2, ceil_mode=True)}


@dataclass(frozen=True)
class Judgement:
    """Distances of a picture, each 0 at best: by the style's small picture, by the photo, and the leak between both.

    `style` and `leak` are None where the style holds no picture of its image.
    """

    content: float
    style: float | None = None
    leak: float | None = None

    @property
    def total(self) -> float:
        """What the best of several has least of."""
        return self.content + (self.style or 0.0) + (self.leak or 0.0)


@dataclass(frozen=True)
class Judge:
    """Compares pictures with what their styles hold of their images: `thumbnails` are data URIs, '' for none."""

    thumbnails: tuple[str, ...]

    @cached_property
    def pictures(self) -> Sequence[Image.Image]:
        """The styles' small pictures, of those that have one that can be read."""
        return [picture for uri in self.thumbnails if (picture := _opened(uri)) is not None]

    def __call__(self, result: Image.Image, photo: Image.Image) -> Judgement:
        """How `result`, which is `photo` repainted, stands."""
        content = _structure(result, photo)
        if not self.pictures:
            return Judgement(content)
        return Judgement(
            content,
            sum(_apart(result, picture) for picture in self.pictures) / len(self.pictures),
            max(leak(_deepest, result, photo, picture) for picture in self.pictures),
        )


def _opened(uri: str) -> Image.Image | None:
    try:
        return load_image(base64.b64decode(uri.partition(",")[2])) if uri else None
    except (ImageError, ValueError):
        return None


def _structure(result: Image.Image, photo: Image.Image) -> float:
    scale = _SIDE_PX / min(photo.size)
    size = (round(photo.width * scale), round(photo.height * scale))
    maps = [_maps(image.resize(size, Image.Resampling.BOX))[-1] for image in (result, photo)]
    return float(structure_distance(*maps)) / 2


def _apart(result: Image.Image, picture: Image.Image) -> float:
    """How far the features' means and deviations are, both pictures as small as the style's."""
    scale = min(picture.size) / min(result.size)
    small = result.resize((round(result.width * scale), round(result.height * scale)), Image.Resampling.BOX)
    ours, style = (_statistics(image) for image in (small, picture))
    return float(moment_distance(ours, style))


def _maps(image: Image.Image) -> list[Tensor]:
    with torch.no_grad():
        return _network()(to_tensor(image))


def _statistics(image: Image.Image) -> list[LayerStatistics]:
    return statistics(_maps(image))

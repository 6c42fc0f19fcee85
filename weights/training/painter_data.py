"""What the hypernetwork for all styles learns from: style images in many views, and photos to paint."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sigstyle.imaging.images import to_tensor
from sigstyle.imaging.palette import Palette, recoloured
from sigstyle.imaging.smoothing import guided_filter
from sigstyle.imaging.strokes import SMOOTHING
from sigstyle.learning.measured import Measured
from sigstyle.scoring.features import StyleFeatures
from weights.training.styles import SIDE_PX, Picture

SHARES = {"painting": 0.5, "filtered": 0.35, "art": 0.06, "texture": 0.05, "clipart": 0.03, "sky": 0.01}
"""How often a kind of style image is drawn."""
OWN_SHARE = 0.75  # of the paintings drawn, those of the examples: they are by painters
VIEWS = 12  # of each style image: itself, and others that are cropped, mirrored and recoloured
KEPT = 200  # views that stay in memory


@dataclass(frozen=True, eq=False)
class StyleView:
    """One view of a style image, and what is measured on it.

    Shapes: pixels [1, 3, h, w] as bytes.
    """

    pixels: Tensor
    measured: Measured


def opened(path: object) -> Tensor:
    """A picture as pixels [1, 3, h, w]."""
    with Image.open(str(path)) as image:
        return to_tensor(image.convert("RGB"))


def to_bytes(pixels: Tensor) -> Tensor:
    """Pixels in [-1, 1] as bytes, a quarter of their size."""
    return ((pixels + 1) * 127.5).round().byte()


def from_bytes(pixels: Tensor) -> Tensor:
    """Pixels in [-1, 1] of bytes."""
    return pixels.float() / 127.5 - 1


def random_window(pixels: Tensor, side_px: int, rng: np.random.Generator) -> Tensor:
    """A random square [b, c, side, side] of pixels [b, c, h, w]."""
    top, left = (int(rng.integers(length - side_px + 1)) for length in pixels.shape[2:])
    return pixels[:, :, top : top + side_px, left : left + side_px]


@dataclass
class Styles:
    """Style images, drawn by kind; views are kept once they were made."""

    pictures: Sequence[Picture]
    network: StyleFeatures
    _ready: dict[tuple[int, int], StyleView] = field(default_factory=dict)

    @cached_property
    def _by_kind(self) -> dict[str, tuple[list[int], list[int]]]:
        """Places of the pictures of each kind there is, and among them those of the examples."""
        found: dict[str, tuple[list[int], list[int]]] = {}
        for kind in SHARES:
            places = [i for i, picture in enumerate(self.pictures) if picture.kind == kind]
            own = [i for i in places if self.pictures[i].source.startswith("examples:")]
            if places:
                found[kind] = (places, own)
        return found

    def draw(self, rng: np.random.Generator) -> StyleView:
        """A random view of a random style image."""
        kinds = list(self._by_kind)
        shares = np.array([SHARES[kind] for kind in kinds])
        among, own = self._by_kind[kinds[rng.choice(len(kinds), p=shares / shares.sum())]]
        if own and rng.random() < OWN_SHARE:
            among = own
        return self.view(int(among[rng.integers(len(among))]), int(rng.integers(VIEWS)))

    def view(self, index: int, number: int) -> StyleView:
        """View `number` of picture `index`, the same each time; 0 is the picture itself."""
        if (index, number) not in self._ready:
            if len(self._ready) >= KEPT:
                del self._ready[next(iter(self._ready))]
            self._ready[index, number] = self._made(index, number)
        return self._ready[index, number]

    @torch.no_grad()
    def _made(self, index: int, number: int) -> StyleView:
        pixels = opened(self.pictures[index].path)
        if number:
            pixels = self._varied(pixels, np.random.default_rng([index, number]))
        device = next(self.network.buffers()).device
        return StyleView(to_bytes(pixels), Measured.of([pixels], self.network, device))

    def _varied(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        """A crop of at least half the picture, mirrored or not, often in the colours of another one."""
        side = int(rng.uniform(0.5, 1.0) * min(pixels.shape[2:]))
        crop = F.interpolate(
            random_window(pixels, side, rng), (SIDE_PX, SIDE_PX), mode="bicubic", antialias=True
        ).clamp(-1, 1)
        if rng.random() < 0.5:
            crop = crop.flip(3)
        if rng.random() < 0.6:
            other = opened(self.pictures[int(rng.integers(len(self.pictures)))].path)
            crop = recoloured(crop, Palette.of(other), float(rng.uniform(0.6, 1)))
        return crop


@dataclass
class Photos:
    """Photos to paint, kept as bytes."""

    pictures: Sequence[Picture]
    _ready: dict[int, Tensor] = field(default_factory=dict)

    def draw(self, count: int, side_px: int, palette: Palette, rng: np.random.Generator) -> Tensor:
        """Windows [count, 3, side, side] of random photos, recoloured and calmed as a transfer does it."""
        return torch.cat([self._window(side_px, palette, rng) for _ in range(count)])

    def _window(self, side_px: int, palette: Palette, rng: np.random.Generator) -> Tensor:
        index = int(rng.integers(len(self.pictures)))
        if index not in self._ready:
            self._ready[index] = to_bytes(opened(self.pictures[index].path))
        photo = recoloured(from_bytes(self._ready[index]), palette)
        crop = guided_filter(random_window(photo, side_px, rng), SMOOTHING)
        return crop.flip(3) if rng.random() < 0.5 else crop

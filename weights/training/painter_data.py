"""What the hypernetwork for all styles learns from: style images in many views, and photos to paint."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sigstyle.imaging.images import to_tensor
from sigstyle.imaging.palette import Palette, recoloured
from sigstyle.imaging.smoothing import guided_filter
from sigstyle.imaging.strokes import SMOOTHING, brushwork
from sigstyle.learning.measured import channel_moments
from sigstyle.scoring.features import StyleFeatures
from sigstyle.scoring.style_loss import LayerStatistics, statistics
from weights.training.styles import SIDE_PX, Picture

SHARES = {"painting": 0.5, "filtered": 0.35, "art": 0.06, "texture": 0.05, "clipart": 0.03, "sky": 0.01}
"""How often a kind of style image is drawn."""
OWN_SHARE = 0.75  # of the paintings drawn, those of the examples: they are by painters
VIEWS = 12  # of each style image: itself, and others that are cropped, mirrored and recoloured
KEPT = 200  # views that stay in memory


@dataclass(frozen=True, eq=False)
class StyleView:
    """One view of a style image, and what is measured on it.

    Shapes: pixels [1, 3, h, w] as bytes; measured [measures].
    """

    pixels: Tensor
    statistics: Sequence[LayerStatistics]
    measured: Tensor
    palette: Palette
    brushwork: float


def opened(path: object) -> Tensor:
    """A picture as pixels [1, 3, h, w]."""
    with Image.open(str(path)) as image:
        return to_tensor(image.convert("RGB"))


@dataclass
class Styles:
    """Style images, drawn by kind; views are kept once they were made."""

    pictures: Sequence[Picture]
    network: StyleFeatures
    _ready: dict[tuple[int, int], StyleView] = field(default_factory=dict)

    def draw(self, rng: np.random.Generator) -> StyleView:
        """A random view of a random style image."""
        kinds = [kind for kind in SHARES if any(picture.kind == kind for picture in self.pictures)]
        shares = np.array([SHARES[kind] for kind in kinds])
        kind = kinds[rng.choice(len(kinds), p=shares / shares.sum())]
        among = [i for i, picture in enumerate(self.pictures) if picture.kind == kind]
        own = [i for i in among if self.pictures[i].source.startswith("examples:")]
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
        found = statistics(self.network(pixels.to(device)))
        palette, strokes = Palette.of(pixels), brushwork(pixels)
        return StyleView((pixels + 1).mul(127.5).round().byte(), found, channel_moments(found), palette, strokes)

    def _varied(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        """A crop of at least half the picture, mirrored or not, often in the colours of another one."""
        side = int(rng.uniform(0.5, 1.0) * min(pixels.shape[2:]))
        top, left = (int(rng.integers(length - side + 1)) for length in pixels.shape[2:])
        crop = pixels[:, :, top : top + side, left : left + side]
        crop = F.interpolate(crop, (SIDE_PX, SIDE_PX), mode="bicubic", antialias=True).clamp(-1, 1)
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
            self._ready[index] = ((opened(self.pictures[index].path) + 1) * 127.5).round().byte()
        photo = recoloured(self._ready[index].float() / 127.5 - 1, palette)
        top, left = (int(rng.integers(length - side_px + 1)) for length in photo.shape[2:])
        crop = guided_filter(photo[:, :, top : top + side_px, left : left + side_px], SMOOTHING)
        return crop.flip(3) if rng.random() < 0.5 else crop

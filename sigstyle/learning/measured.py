"""What is measured on style images before anything is learned: feature statistics, palette and brushwork."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.content_hash import content_hash
from sigstyle.imaging.brushwork import Brushwork
from sigstyle.imaging.images import fit, to_tensor
from sigstyle.imaging.palette import Palette
from sigstyle.learning.bank import SIDE_PX
from sigstyle.learning.batches import images_hash
from sigstyle.learning.recent import Recent
from sigstyle.scoring.features import StyleFeatures
from sigstyle.scoring.style_loss import LayerStatistics, statistics


@dataclass(frozen=True, eq=False)
class Measured:
    """What style images have in common: statistics of a layer each, the palette, the strokes."""

    statistics: Sequence[LayerStatistics]
    palette: Palette
    brushwork: Brushwork

    @classmethod
    def on(cls, images: Sequence[Image.Image], network: StyleFeatures, device: torch.device) -> "Measured":
        """The means over `images`, each at a short side of 512 px; of the last few images they are remembered."""

        def find() -> Measured:
            return cls.of([to_tensor(fit(image, SIDE_PX, 8)) for image in images], network, device)

        return _MEASURED.get(content_hash(f"{SIDE_PX} {device} {images_hash(images)}", network.state_dict()), find)

    @classmethod
    @torch.no_grad()
    def of(cls, pixels: Sequence[Tensor], network: StyleFeatures, device: torch.device) -> "Measured":
        """The means over pixels [1, 3, h, w] of each image, in [-1, 1]."""
        each = [statistics(network(image.to(device))) for image in pixels]
        return cls(
            [LayerStatistics.mean_of(layer) for layer in zip(*each, strict=True)],
            Palette.of(torch.cat([image.flatten(2) for image in pixels], dim=2).unsqueeze(-1)),
            Brushwork.mean_of([Brushwork.of(image) for image in pixels]),
        )

    @property
    def vector(self) -> Tensor:
        """Channel means and deviations of all layers, one after the other, as the shared hypernetwork reads them."""
        return torch.cat([torch.cat([layer.mean[0], layer.deviation[0]]) for layer in self.statistics])


_MEASURED = Recent[Measured](4)

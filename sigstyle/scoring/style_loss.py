"""The terms of the painting loss: how far features are from a style image's and from a photo's, with gradients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

FLOOR = 1e-6  # of a variance: its root has a finite slope
Maps = Sequence[Tensor]


@dataclass(frozen=True, eq=False)
class LayerStatistics:
    """What one layer has wherever it is.

    Shapes: gram [b, c, c], mean and deviation [b, c], float32.
    """

    gram: Tensor
    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """The statistics of features [b, c, h, w] over their places."""
        with torch.autocast(features.device.type, enabled=False):
            rows = features.float().flatten(2)
            mean = rows.mean(dim=2)
            variance = (rows - mean[:, :, None]).square().mean(dim=2)
            return cls(rows @ rows.mT / rows.shape[2], mean, variance.clamp_min(FLOOR).sqrt())

    @classmethod
    def mean_of(cls, several: Sequence["LayerStatistics"]) -> Self:
        """The mean of the statistics of several images, with a batch of one."""
        parts = [(one.gram, one.mean, one.deviation) for one in several]
        return cls(*(torch.cat(part).mean(dim=0, keepdim=True) for part in zip(*parts, strict=True)))

    def detach(self) -> "LayerStatistics":
        """The same without gradients."""
        return LayerStatistics(self.gram.detach(), self.mean.detach(), self.deviation.detach())


def statistics(features: Maps) -> list[LayerStatistics]:
    """The statistics of each layer. Shapes: [b, c, h, w] each."""
    return [LayerStatistics.of(layer) for layer in features]


def gram_distance(ours: Sequence[LayerStatistics], style: Sequence[LayerStatistics]) -> Tensor:
    """Squared distance of the Gram matrices in units of the style's, averaged over layers and batch, a scalar.

    `style` has a batch of one or that of `ours`.
    Source: Gatys et al. (1508.06576, eq. 4), here relative, so that all layers count alike.
    """
    layers = [_relative(a.gram, b.gram) for a, b in zip(ours, style, strict=True)]
    return torch.stack(layers).mean()


def moment_distance(ours: Sequence[LayerStatistics], style: Sequence[LayerStatistics]) -> Tensor:
    """The same for channel means and deviations together. Source: Huang & Belongie, AdaIN (1703.06868, eq. 13)."""
    layers = [_relative(_moments(a), _moments(b)) for a, b in zip(ours, style, strict=True)]
    return torch.stack(layers).mean()


def _moments(layer: LayerStatistics) -> Tensor:
    """[b, 2, c]. Means and deviations share one scale, for a mean alone may be near 0."""
    return torch.stack([layer.mean, layer.deviation], dim=1)


def _relative(ours: Tensor, target: Tensor) -> Tensor:
    """||ours - target||² / ||target||², averaged over the batch."""
    gap = (ours - target).square().flatten(1).sum(dim=1)
    return (gap / target.square().flatten(1).sum(dim=1).clamp_min(FLOOR**2)).mean()


def instance_normalised(features: Tensor) -> Tensor:
    """Features [b, c, h, w] with mean 0 and deviation 1 in each channel of each image, float32."""
    values = features.float()
    values = values - values.mean(dim=(2, 3), keepdim=True)
    return values * values.square().mean(dim=(2, 3), keepdim=True).clamp_min(FLOOR).rsqrt()


def structure_distance(ours: Tensor, content: Tensor) -> Tensor:
    """Mean squared difference of instance-normalised features [b, c, h, w]: 0 the same, 2 unrelated; a scalar.

    What a channel's mean and deviation say, and with them much of the style, plays no part.
    """
    return (instance_normalised(ours) - instance_normalised(content)).square().mean()


def locked_texture(pixels: Tensor, period_px: int) -> Tensor:
    """Mean square of what a picture's fine detail shows at the same place of every cell of a grid; a scalar.

    A decoder left without anything to paint fills flat parts with a pattern locked to its latents' grid. Strokes
    fall anywhere, so that over many cells they cancel out.

    Shapes: pixels [b, c, h, w], sides of at least one period; what is left over of a cell is not looked at.
    """
    height, width = (side // period_px for side in pixels.shape[-2:])
    cells = pixels.float()[..., : height * period_px, : width * period_px]
    detail = (
        cells
        - F.avg_pool2d(cells, period_px, stride=1, padding=period_px // 2)[..., : cells.shape[2], : cells.shape[3]]
    )
    placed = detail.unflatten(3, (width, period_px)).unflatten(2, (height, period_px))
    return placed.mean(dim=(0, 2, 4)).square().mean()


def total_variation(pixels: Tensor) -> Tensor:
    """Mean absolute difference of neighbours across and down, added; pixels [b, c, h, w] to a scalar."""
    values = pixels.float()
    return values.diff(dim=3).abs().mean() + values.diff(dim=2).abs().mean()

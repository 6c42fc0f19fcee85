"""The network whose features the painting loss compares: the first blocks of EfficientNet-Lite0, which ship with us."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from sigstyle.data import shipped_path
from sigstyle.errors import ConfigError, first_line
from sigstyle.scoring.network import Block, Conv

FEATURES_FILE = shipped_path("weights/features/efficientnet-lite0.safetensors")
DEEPEST = 5  # the block whose expansion is the last feature
CHANNELS = (3, 32, 96, 144, 144, 240, 240)
STRIDES = (1, 2, 2, 4, 4, 8, 8)


class StyleFeatures(nn.Module):
    """Maps of an image from fine to deep: its pixels, the stem and the expansions of blocks 1 to 5.

    All are taken before their activation, where no channel is ever silent. Gradients flow to the pixels.
    Shapes: [b, 3, h, w] in [-1, 1] to [b, channels, h / stride, w / stride] each, by `CHANNELS` and `STRIDES`.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.stem = Conv(weights, "_conv_stem", "_bn0", stride=2)
        self.blocks = nn.ModuleList(Block(weights, index) for index in range(DEEPEST))
        self.deepest = Conv(weights, f"_blocks.{DEEPEST}._expand_conv", f"_blocks.{DEEPEST}._bn0")
        self.requires_grad_(False)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x = pixels.contiguous(memory_format=torch.channels_last)
        found = [x, self.stem.linear(x)]
        x = F.relu6(found[-1])
        for block in self.blocks:
            assert isinstance(block, Block)
            if block.expand is None:
                x = block(x)
                continue
            found.append(block.expand.linear(x))
            x = block.reduce(x, F.relu6(found[-1]))
        return [*found, self.deepest.linear(x)]


def style_features(path: Path = FEATURES_FILE) -> StyleFeatures:
    """The network with the weights that ship in `weights/features`. Raises: ConfigError."""
    try:
        return StyleFeatures(load_file(path)).eval()
    except Exception as error:  # a missing or damaged file may raise anything
        raise ConfigError(
            f"The feature network {path} cannot be read: {first_line(error)}. Expected the file that ships with "
            "SigStyle; get it anew, or make it with: python -m weights.features"
        ) from error

"""The network of ArtFID: Inception-v3 as trained on art, up to the features before its heads."""

from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sigstyle.errors import ConfigError
from sigstyle.scoring.weights import read_weights

FEATURES = 2048
Layers = tuple[tuple[str, int, tuple[int, int]], ...]


class _Conv(nn.Module):
    """A convolution without bias, a batch norm, and ReLU."""

    def __init__(self, given: int, made: int, kernel: tuple[int, int], stride: int = 1, pad: bool = True) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if pad else 0
        self.conv = nn.Conv2d(given, made, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(made, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class _Mixed(nn.Module):
    """Branches side by side, their channels joined; `halve` is for blocks that halve the sides.

    `branches` are chains of (name, channels, kernel); a name ending in 'a' starts a fork, whose 'b' has the same input.
    """

    def __init__(self, given: int, branches: tuple[Layers, ...], pooled: int = 0, halve: bool = False) -> None:
        super().__init__()
        self.halve, self.chains = halve, [[name for name, _, _ in branch] for branch in branches]
        for branch in branches:
            channels = given
            for index, (name, made, kernel) in enumerate(branch):
                last = halve and index == len(branch) - 1
                self.add_module(name, _Conv(channels, made, kernel, 2 if last else 1, not last))
                channels = channels if name.endswith("a") else made
        if pooled:
            self.branch_pool = _Conv(given, pooled, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        found = [part for chain in self.chains for part in self._chain(chain, x)]
        if self.halve:
            return torch.cat([*found, F.max_pool2d(x, kernel_size=3, stride=2)], dim=1)
        return torch.cat([*found, self.branch_pool(F.avg_pool2d(x, 3, stride=1, padding=1))], dim=1)

    def _chain(self, names: list[str], x: Tensor) -> list[Tensor]:
        ends: list[Tensor] = []
        for name in names:
            made = self.get_submodule(name)(x)
            if name.endswith("a"):
                ends.append(made)
            else:
                x = made
        return [*ends, x]


_ONE, _SQUARE, _ACROSS, _DOWN = (1, 1), (3, 3), (1, 7), (7, 1)


def _mixed_5(given: int, pooled: int) -> _Mixed:
    single = (("branch1x1", 64, _ONE),)
    five = (("branch5x5_1", 48, _ONE), ("branch5x5_2", 64, (5, 5)))
    double = (("branch3x3dbl_1", 64, _ONE), ("branch3x3dbl_2", 96, _SQUARE), ("branch3x3dbl_3", 96, _SQUARE))
    return _Mixed(given, (single, five, double), pooled)


def _mixed_6(narrow: int) -> _Mixed:
    single = (("branch1x1", 192, _ONE),)
    seven = (("branch7x7_1", narrow, _ONE), ("branch7x7_2", narrow, _ACROSS), ("branch7x7_3", 192, _DOWN))
    double = (
        ("branch7x7dbl_1", narrow, _ONE),
        ("branch7x7dbl_2", narrow, _DOWN),
        ("branch7x7dbl_3", narrow, _ACROSS),
        ("branch7x7dbl_4", narrow, _DOWN),
        ("branch7x7dbl_5", 192, _ACROSS),
    )
    return _Mixed(768, (single, seven, double), 192)


def _mixed_7(given: int) -> _Mixed:
    single = (("branch1x1", 320, _ONE),)
    fork = (("branch3x3_1", 384, _ONE), ("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1)))
    double = (
        ("branch3x3dbl_1", 448, _ONE),
        ("branch3x3dbl_2", 384, _SQUARE),
        ("branch3x3dbl_3a", 384, (1, 3)),
        ("branch3x3dbl_3b", 384, (3, 1)),
    )
    return _Mixed(given, (single, fork, double), 192)


class ArtInception(nn.Module):
    """Features [b, 2048] of pixels [b, 3, h, w] in [0, 1], sides of at least 75.

    Source: Szegedy et al. (1512.00567) for the network, Wright & Ommer (2207.12280) for its training on art.
    """

    num_features: ClassVar[int] = FEATURES

    def __init__(self) -> None:
        super().__init__()
        double = (("branch3x3dbl_1", 64, _ONE), ("branch3x3dbl_2", 96, _SQUARE), ("branch3x3dbl_3", 96, _SQUARE))
        three = (("branch3x3_1", 192, _ONE), ("branch3x3_2", 320, _SQUARE))
        seven = (
            ("branch7x7x3_1", 192, _ONE),
            ("branch7x7x3_2", 192, _ACROSS),
            ("branch7x7x3_3", 192, _DOWN),
            ("branch7x7x3_4", 192, _SQUARE),
        )
        self.Conv2d_1a_3x3 = _Conv(3, 32, _SQUARE, stride=2, pad=False)
        self.Conv2d_2a_3x3 = _Conv(32, 32, _SQUARE, pad=False)
        self.Conv2d_2b_3x3 = _Conv(32, 64, _SQUARE)
        self.maxpool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Conv2d_3b_1x1 = _Conv(64, 80, _ONE)
        self.Conv2d_4a_3x3 = _Conv(80, 192, _SQUARE, pad=False)
        self.maxpool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _mixed_5(192, 32), _mixed_5(256, 64), _mixed_5(288, 64)
        self.Mixed_6a = _Mixed(288, ((("branch3x3", 384, _SQUARE),), double), halve=True)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(_mixed_6, (128, 160, 160, 192))
        self.Mixed_7a = _Mixed(768, (three, seven), halve=True)
        self.Mixed_7b, self.Mixed_7c = _mixed_7(1280), _mixed_7(2048)
        self.requires_grad_(False)
        self.eval()

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> Tensor:
        for layer in self.children():
            pixels = layer(pixels)
        return pixels.mean(dim=(2, 3))


def art_inception(weights: str | Path, device: torch.device | str = "cpu") -> ArtInception:
    """The network with the published weights, a file that the user has. Raises: ConfigError."""
    found = read_weights("ArtFID", weights)
    if not {"fc1.weight", "fc2.weight"} <= set(found):
        raise ConfigError(
            f"{weights} is not the Inception of ArtFID, which has the heads fc1 and fc2; expected art_inception.pth "
            "from https://huggingface.co/matthias-wright/art_inception."
        )
    model = ArtInception()
    heads = ("fc1.", "fc2.", "AuxLogits")
    try:
        model.load_state_dict({name: value for name, value in found.items() if not name.startswith(heads)})
    except RuntimeError as error:
        raise ConfigError(f"{weights} is not the Inception of ArtFID: {' '.join(str(error).split())[:160]}") from error
    return model.to(device)

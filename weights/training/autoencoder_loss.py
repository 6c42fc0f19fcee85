"""What the autoencoder is trained to do."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LATENT_LIMIT = 3.0


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts; images are compared in [0, 1]."""

    l1: float = 1.0
    mse: float = 4.0
    ssim: float = 0.1
    perceptual: float = 0.05
    equivariance: float = 0.25
    latent: float = 0.02

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 0:
            raise ValueError(f"{self}: weights must not be negative")


def dissimilarity(image: Tensor, target: Tensor, window_px: int = 7) -> Tensor:
    """1 - SSIM with a box window, as skimage computes it, for images in [0, 1]."""

    def blur(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, window_px, stride=1)

    a, b = blur(image), blur(target)
    unbiased = window_px**2 / (window_px**2 - 1)
    variance_a = (blur(image * image) - a * a) * unbiased
    variance_b = (blur(target * target) - b * b) * unbiased
    covariance = (blur(image * target) - a * b) * unbiased
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * a * b + c1) / (a * a + b * b + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return 1 - (luminance * structure).mean()


def reconstruction_terms(image: Tensor, target: Tensor, distance: nn.Module) -> dict[str, Tensor]:
    """The unweighted terms for images in [-1, 1]."""
    a, b = image.float().add(1).div(2), target.add(1).div(2)
    return {
        "l1": F.l1_loss(a, b),
        "mse": F.mse_loss(a, b),
        "ssim": dissimilarity(a, b),
        "perceptual": distance(image, target),
    }


def latent_spread(z: Tensor) -> Tensor:
    """How far channels of [b, c, h, w] are from zero mean, unit variance and the limit."""
    z = z.float()
    variance, mean = torch.var_mean(z, dim=(0, 2, 3))
    beyond = F.relu(z.abs() - LATENT_LIMIT).square().mean()
    return mean.square().mean() + variance.clamp_min(1e-4).log().square().mean() + beyond


def equivariance(decoder: nn.Module, z: Tensor, target: Tensor) -> Tensor:
    """Half-size latents should decode to the half-size image."""
    half = decoder(F.avg_pool2d(z, 2)).float()
    return F.l1_loss(half, F.avg_pool2d(target, 2)) / 2

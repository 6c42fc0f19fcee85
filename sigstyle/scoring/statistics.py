"""Style distance: how far apart the texture statistics of two images are."""

import torch
from PIL import Image
from torch import Tensor

from sigstyle.imaging.images import to_tensor
from sigstyle.scoring.network import FeatureNetwork

BLOCKS = (2, 4, 7, 10)  # earlier ones see little but contrast and noise
CONTRAST = 0.45  # deviation of the luminance in [-1, 1] that all images are brought to
GAINS = (0.5, 2.5)  # as far as that goes
CROPS = 10
CROP_PX = 160
CROP_SHARES = (0.25, 0.6)  # of the short side

Moments = dict[int, tuple[Tensor, Tensor]]


def crops(image: Image.Image, seed: int = 0) -> list[Image.Image]:
    """Square crops of `CROP_PX`, `CROP_SHARES` of the short side, the same places for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    short, found = min(image.size), []
    for size, x, y in torch.rand(CROPS, 3, generator=generator).tolist():
        side = short * (CROP_SHARES[0] + (CROP_SHARES[1] - CROP_SHARES[0]) * size)
        left, top = x * (image.width - side), y * (image.height - side)
        box = (left, top, left + side, top + side)
        found.append(image.resize((CROP_PX, CROP_PX), Image.Resampling.LANCZOS, box))
    return found


def levelled(grey: Image.Image) -> Tensor:
    """The crops of a grey image as pixels [crops, 3, h, w], its mean taken off and its contrast made usual.

    Without that a photo with the tones of the painting would come close to it.
    """
    values = to_tensor(grey)
    gain = (CONTRAST / values.std().clamp_min(1e-3)).clamp(*GAINS)
    pixels = torch.cat([to_tensor(crop) for crop in crops(grey)])
    return ((pixels - values.mean()) * gain).clamp(-1.5, 1.5)


def moments(network: FeatureNetwork, image: Image.Image) -> Moments:
    """{block: mean [c] and covariance [c, c]}, float64, over all places of all crops of the image's luminance."""
    found = {}
    for block, features in network(levelled(image.convert("L")), BLOCKS).items():
        rows = features.movedim(1, -1).flatten(0, -2).double()
        found[block] = rows.mean(0), torch.cov(rows.T, correction=0)
    return found


def frechet(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> float:
    """Fréchet distance of two Gaussians, 0 (the same) to 1, each channel in units of the spread of both together.

    Shapes: (mean [c], covariance [c, c]) each.
    Source: Dowson & Landau (1982), as used by FID (1706.08500), here scaled by what unrelated Gaussians would have.
    """
    (mean, cov), (other_mean, other_cov) = one, other
    gap = mean - other_mean
    spread = (cov.diagonal() + other_cov.diagonal()) / 2 + gap.square() / 4
    scale = spread.clamp_min(1e-12).rsqrt()
    cov, other_cov = (c * scale * scale[:, None] for c in (cov, other_cov))
    values, vectors = torch.linalg.eigh(cov)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ other_cov @ root).clamp_min(0).sqrt().sum()
    apart = (gap * scale).square().sum()
    total = apart + cov.trace() + other_cov.trace()
    return float(((total - 2 * shared).clamp_min(0) / total.clamp_min(1e-12)).sqrt())


def style_distance(result: Moments, style: Moments) -> float:
    """Distance of the texture statistics, 0 (the same) to 1, averaged over the layers; colour plays no part.

    Source: Gatys et al. (1508.06576) for statistics of features as style; means, deviations and correlations of the
    channels enter through the Fréchet distance.
    """
    return sum(frechet(result[block], style[block]) for block in BLOCKS) / len(BLOCKS)

"""ArtFID: one number for how good a folder of results is, in style as a whole and in content one by one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from sigstyle.errors import ConfigError
from sigstyle.imaging.images import Source, load_image, to_tensor
from sigstyle.scoring.pairs import pair_of
from sigstyle.scoring.scores import Scores

SIDE_PX = 512
MEANINGS = {
    "fid": "Fréchet distance of the results' features from the style images' in an Inception trained on art",
    "artfid": "(1 + mean lpips) * (1 + fid), 1 at best",
}


def art_fid(fid: float, lpips: Sequence[float]) -> float:
    """(1 + mean LPIPS to the photos) * (1 + FID to the style images). Source: Wright & Ommer (2207.12280)."""
    return (1 + sum(lpips) / len(lpips)) * (1 + fid)


def evaluate_art_fid(
    scored: Mapping[Path, Scores], content: str | Path | None, style: str | Path | None, network: nn.Module
) -> dict[str, float]:
    """`fid` and `artfid` of the results that `evaluate_folder` scored, with LPIPS among their numbers.

    Raises: ConfigError, ImageError.
    """
    given = [None if path is None else Path(path) for path in (content, style)]
    styles = [pair_of(result, *given).style for result in scored]
    fid = frechet_inception_distance(list(scored), styles, network)
    return {"fid": fid, "artfid": art_fid(fid, [scores.extra["lpips"] for scores in scored.values()])}


def frechet_inception_distance(results: Sequence[Source], styles: Sequence[Source], network: nn.Module) -> float:
    """FID between results and style images, one style image for each result; by torchmetrics.

    `network` makes features [b, n] of pixels [b, 3, 512, 512] in [0, 1] and has n as `num_features`; images are cut
    to their centre.
    Raises: ConfigError for fewer than two results, ImageError.
    Source: Heusel et al. (1706.08500).
    """
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
    except ImportError as error:
        raise ConfigError(
            "ArtFID needs a package that is not installed; expected torchmetrics. Run: pip install 'torchmetrics>=1.9'"
        ) from error
    if len(results) < 2:
        raise ConfigError(f"ArtFID compares whole folders; {len(results)} result can be scored, expected 2 or more.")
    given = nn.Identity()  # the features go in as they are: the distance needs float64, which not every device has
    given.num_features = network.num_features
    metric = FrechetInceptionDistance(feature=given)
    device = next(network.parameters()).device
    for images, real in ((results, False), (styles, True)):
        for source in images:
            metric.update(network(_pixels(load_image(source)).to(device)).cpu(), real=real)
    return max(0.0, float(metric.compute()))


def _pixels(image: Image.Image) -> Tensor:
    """Pixels [1, 3, 512, 512] in [0, 1] of the centre."""
    square = ImageOps.fit(image, (SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    return (to_tensor(square) + 1).div(2).to(torch.float32)

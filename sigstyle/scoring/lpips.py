"""LPIPS: how far a result is from the photo as people see it, by a network taught on their judgements."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sigstyle.errors import ConfigError, first_line
from sigstyle.imaging.images import to_tensor
from sigstyle.scoring.extra import ExtraScorer

ALEXNET_URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
ALEXNET_SHA256 = "7be5be79"  # how it begins
CONVOLUTIONS = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))  # place in AlexNet's features, stride, padding
POOLED = (3, 6)  # places whose input is pooled
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # ImageNet's normalisation, for values in [-1, 1]


class LpipsScorer(ExtraScorer):
    """LPIPS of the result and the photo: weighted squared differences of unit features of AlexNet, version 0.1.

    The photo is brought to the size of the result. The learned weights of the channels are those that torchmetrics
    carries; AlexNet's own are torchvision's file, which torch fetches once.
    Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (1801.03924, eq. 1).
    """

    meanings = {"lpips": "LPIPS (AlexNet) of result and photo"}

    def __init__(self, device: torch.device | str = "cpu") -> None:
        """Raises: ConfigError when torchmetrics is missing, or AlexNet's weights are and cannot be fetched."""
        self.device = torch.device(device)
        self._linear = [weight.to(self.device) for weight in linear_weights()]
        self._alexnet = {name: weight.to(self.device) for name, weight in alexnet_weights().items()}

    @torch.no_grad()
    def score(self, result: Image.Image, content: Image.Image, style: Image.Image) -> dict[str, float]:
        photo = content if content.size == result.size else content.resize(result.size, Image.Resampling.LANCZOS)
        ours, theirs = (self._features(to_tensor(image).to(self.device)) for image in (result, photo))
        apart = zip(ours, theirs, self._linear, strict=True)
        return {"lpips": float(sum(F.conv2d((a - b).square(), weight).mean() for a, b, weight in apart))}

    def _features(self, pixels: Tensor) -> Sequence[Tensor]:
        """Features behind each convolution, [1, channels, h, w], of unit length at each place."""
        shift, scale = (torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in (SHIFT, SCALE))
        x, found = (pixels - shift) / scale, []
        for place, stride, padding in CONVOLUTIONS:
            weight, bias = (self._alexnet[f"features.{place}.{part}"] for part in ("weight", "bias"))
            x = F.max_pool2d(x, kernel_size=3, stride=2) if place in POOLED else x
            x = F.relu(F.conv2d(x, weight, bias, stride, padding))
            found.append(x / (x.square().sum(dim=1, keepdim=True) + 1e-8).sqrt())
        return found


def linear_weights() -> list[Tensor]:
    """The learned weights [1, channels, 1, 1] of the five layers. Raises: ConfigError."""
    try:
        import torchmetrics.functional.image.lpips as library
    except ImportError as error:
        raise ConfigError(
            "LPIPS needs a package that is not installed; expected torchmetrics. Run: pip install 'torchmetrics>=1.9'"
        ) from error
    path = Path(library.__file__).parent / "lpips_models" / "alex.pth"
    if not path.is_file():
        raise ConfigError(f"The installed torchmetrics carries no {path.name}. Run: pip install 'torchmetrics>=1.9'")
    weights = torch.load(path, map_location="cpu", weights_only=True)
    return [weights[f"lin{layer}.model.1.weight"] for layer in range(len(CONVOLUTIONS))]


def alexnet_weights() -> Mapping[str, Tensor]:
    """AlexNet's convolutions from torch's cache, fetched into it where they are not there. Raises: ConfigError."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET_URL.rpartition("/")[2]
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(ALEXNET_URL, str(path), hash_prefix=ALEXNET_SHA256, progress=False)
        weights = torch.load(path, map_location="cpu", weights_only=True)
        return {name: value for name, value in weights.items() if name.startswith("features.")}
    except Exception as error:  # the network, the disk or a damaged file, each in its own way
        problem = first_line(error)
        raise ConfigError(
            f"LPIPS needs AlexNet's weights, which are not to be had: {problem}. "
            f"Get {ALEXNET_URL} where there is a network and put it at {path}."
        ) from error

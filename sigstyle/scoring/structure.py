"""Content distance and leak: whose structure a result has, the photo's or the style image's."""

from collections.abc import Callable, Mapping
from functools import cache

import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor

from sigstyle.imaging.images import to_tensor

Features = Callable[[Tensor, tuple[int, ...]], Mapping[int, Tensor]]  # pixels and blocks to maps, as FeatureNetwork
CONTENT_SIDE_PX = 224
CONTENT_BLOCKS = (7, 10)
EDGE_BLURS_PX = (1.5, 3.0)
LEAK_SIDE_PX = 80  # brush strokes are gone, objects are not
LEAK_BLOCK = 10
WINDOW = 3  # places, 16 px of the enlarged image each


def _sized(image: Image.Image, short_side_px: int, like: Image.Image | None = None) -> Image.Image:
    """Luminance of `image` with this short side, in the aspect of `like`, its contrast stretched."""
    width, height = (like or image).size
    scale = short_side_px / min(width, height)
    grey = image.convert("L").resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)
    return ImageOps.autocontrast(grey, cutoff=1)


def _tokens(network: Features, grey: Image.Image, block: int) -> Tensor:
    """Features [c, h, w] without what all places share."""
    features = network(to_tensor(grey.convert("RGB")), (block,))[block][0]
    return features - features.mean(dim=(1, 2), keepdim=True)


def _self_similarity(network: Features, grey: Image.Image, block: int) -> Tensor:
    """Cosines [places, places] between the places of one image."""
    rows = F.normalize(_tokens(network, grey, block).flatten(1), dim=0)
    return rows.T @ rows


def _apart(one: Tensor, other: Tensor) -> float:
    """1 minus the correlation around zero of two tensors, within 0 and 1."""
    return float(1 - F.cosine_similarity(one.flatten(), other.flatten(), dim=0).clamp(0, 1))


def _edges(grey: Image.Image, blur_px: float) -> Tensor:
    """Edges [2, h, w] as doubled angles with the gradient's length: light to dark counts as dark to light."""
    values = to_tensor(grey.filter(ImageFilter.GaussianBlur(blur_px)))[0, 0]
    down, right = torch.gradient(values)
    length = torch.hypot(right, down).clamp_min(1e-6)
    return torch.stack([right.square() - down.square(), 2 * right * down]) / length


def content_distance(network: Features, result: Image.Image, content: Image.Image) -> float:
    """Distance of the structure, 0 (the same) to 1 (unrelated), half from edges, half from deep features.

    Deep features are compared by the similarities within each image, which forgets texture; colour plays no part.
    Source: Kolkin et al., STROTSS (1904.12785, section 2.2); Tumanyan et al. (2201.00424) for self-similarity.
    """
    ours, theirs = _sized(result, CONTENT_SIDE_PX, like=content), _sized(content, CONTENT_SIDE_PX)
    edges = [_apart(_edges(ours, blur), _edges(theirs, blur)) for blur in EDGE_BLURS_PX]
    deep = [
        _apart(_self_similarity(network, ours, block), _self_similarity(network, theirs, block))
        for block in CONTENT_BLOCKS
    ]
    return sum(edges) / len(edges) / 2 + sum(deep) / len(deep) / 2


def _windows(network: Features, image: Image.Image) -> Tensor:
    """Unit descriptors [places, c * window²] of what stands where in an image seen from afar."""
    far = _sized(image, LEAK_SIDE_PX)
    near = far.resize((far.width * 3, far.height * 3), Image.Resampling.BICUBIC)
    return F.normalize(F.unfold(_tokens(network, near, LEAK_BLOCK).unsqueeze(0), WINDOW)[0].T, dim=1)


def leak(network: Features, result: Image.Image, content: Image.Image, style: Image.Image) -> float:
    """How much of the style image's objects and layout is in the result, 0 (none) to 1 (all of it).

    For each window of the style image, seen from so far that strokes vanish, the closest window of the result against
    the closest one of the content: the share of the gap that the result has closed.
    """
    theirs = _windows(network, style)
    ours, before = ((theirs @ _windows(network, image).T).amax(dim=1) for image in (result, content))
    return float((ours - before).clamp_min(0).sum() / (1 - before).sum().clamp_min(1e-6))


@cache
def _directions() -> Tensor:
    """Fixed unit directions [32, 3] in colour space."""
    return F.normalize(torch.randn(32, 3, generator=torch.Generator().manual_seed(0)), dim=1)


def colour_distance(result: Image.Image, style: Image.Image) -> float:
    """Distance of the palettes: sliced Wasserstein distance in CIELAB, in units of 100, so black to white is below 1.

    Source: Bonneel et al., "Sliced and Radon Wasserstein Barycenters of Measures" (2015).
    """
    from skimage.color import rgb2lab

    lined = []
    for image in (result, style):
        small = image.resize((96, 96), Image.Resampling.BOX)
        lab = torch.from_numpy(rgb2lab(small)).float().reshape(-1, 3)
        lined.append((lab @ _directions().T).sort(dim=0).values)
    return float((lined[0] - lined[1]).abs().mean() / 100)

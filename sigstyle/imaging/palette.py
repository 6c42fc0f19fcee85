"""A palette: mean and covariance of an image's colours, and the map that gives them to another image."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_LEAST_VARIANCE = 1e-4  # of a colour direction, in units of [-1, 1]: a grey photo has directions without any
_MOST_GAIN = 4.0  # of contrast along a colour direction: more would make noise visible


@dataclass(frozen=True, eq=False)
class Palette:
    """The colours of an image as a Gaussian in RGB.

    Shapes: mean [3], covariance [3, 3], float32. Units: colours in [-1, 1].
    """

    mean: Tensor
    covariance: Tensor

    @property
    def digest(self) -> str:
        """12 hex digits of its numbers."""
        numbers = torch.cat([self.mean, self.covariance.flatten()]).float().cpu().numpy()
        return hashlib.sha256(numbers.tobytes()).hexdigest()[:12]

    @property
    def possible(self) -> bool:
        """Whether some image could have it: colours in their range, a symmetric covariance that is not negative."""
        symmetric = float((self.covariance - self.covariance.T).abs().max()) < 1e-5
        within = float(self.mean.abs().max()) <= 1 and float(self.covariance.abs().max()) <= 1
        return symmetric and within and float(torch.linalg.eigvalsh(self.covariance.double()).min()) > -_LEAST_VARIANCE

    @property
    def root(self) -> Tensor:
        """The symmetric square root [3, 3] of the covariance, in double: it gives plain noise these colours' spread."""
        return _root(self.covariance, least=0.0)

    @classmethod
    def mix(cls, palettes: Sequence["Palette"], weights: Sequence[float]) -> "Palette":
        """The weighted mean of means and covariances; the weights need not add to 1."""
        shares = torch.tensor(weights) / sum(weights)
        means, covariances = (torch.stack([getattr(p, key) for p in palettes]) for key in ("mean", "covariance"))
        return cls((means * shares.view(-1, 1)).sum(0), (covariances * shares.view(-1, 1, 1)).sum(0))

    @classmethod
    def of(cls, pixels: Tensor) -> "Palette":
        """The palette of pixels [b, 3, h, w] in [-1, 1], all images together."""
        colours = pixels.detach().double().movedim(1, 0).flatten(1)
        mean = colours.mean(1)
        centred = colours - mean[:, None]
        return cls(mean.float(), (centred @ centred.T / colours.shape[1]).float())

    def through(self, own: "Palette", wanted: "Palette") -> "Palette":
        """What the map that takes `own` to `wanted` makes of this palette."""
        matrix, centred = _map(own.covariance, wanted.covariance), (self.mean - own.mean).double()
        mean = matrix @ centred + wanted.mean.double()
        return Palette(mean.float(), (matrix @ self.covariance.double() @ matrix.T).float())


def recoloured(pixels: Tensor, palette: Palette, amount: float = 1.0, own: Palette | None = None) -> Tensor:
    """`pixels` with the mean and covariance of `palette`, each image by itself; 0 changes nothing.

    With `own` they are not what is brought there, but moved as pixels of that palette would be: one map for many.
    The map is affine and the least movement of colours that gets there, so hues keep their order.

    Shapes: pixels [b, 3, h, w] in [-1, 1], as the result.
    Source: Pitié & Kokaram, "The Linear Monge-Kantorovitch Linear Colour Mapping" (2007), equation 4.
    """
    if amount == 0:
        return pixels
    return torch.cat([_moved(image, palette, amount, own or Palette.of(image)) for image in pixels.split(1)])


def _moved(pixels: Tensor, palette: Palette, amount: float, own: Palette) -> Tensor:
    """One image [1, 3, h, w], part of the way from its `own` palette to the other."""
    matrix = torch.lerp(torch.eye(3, dtype=torch.double), _map(own.covariance, palette.covariance), amount)
    mean = torch.lerp(own.mean, palette.mean, amount)
    matrix, mean, centre = (tensor.to(pixels) for tensor in (matrix, mean, own.mean))
    moved = torch.einsum("dc,bchw->bdhw", matrix, pixels - centre.view(1, 3, 1, 1)) + mean.view(1, 3, 1, 1)
    return moved.clamp(-1, 1)


def _map(own: Tensor, wanted: Tensor) -> Tensor:
    """The matrix [3, 3], in double, that turns the covariance `own` into `wanted`."""
    root, inverse = _root(own), _root(own, inverse=True)
    matrix = inverse @ _root(root @ wanted.double() @ root, least=0.0) @ inverse
    values, axes = torch.linalg.eigh((matrix + matrix.T) / 2)
    return axes @ torch.diag(values.clamp(max=_MOST_GAIN)) @ axes.T


def _root(covariance: Tensor, inverse: bool = False, least: float = _LEAST_VARIANCE) -> Tensor:
    """The symmetric square root of a positive matrix, whose values are `least` at least, or of its inverse."""
    values, axes = torch.linalg.eigh(covariance.double())
    roots = values.clamp_min(least).sqrt()
    return axes @ torch.diag(1 / roots if inverse else roots) @ axes.T

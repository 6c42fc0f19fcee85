"""Brushwork: how strong, long, wide and directed the strokes are that an image shows where it is calm."""

import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from sigstyle.imaging.filters import blurred, brightness, doubled_gradients, pixel_places, sampled

LEAST = 0.03  # below it flat parts give the decoder nothing to paint on, and it makes patterns
MOST = 0.25  # above it the seeds stay visible in what is painted over them
LENGTHS_PX, WIDTHS_PX, TURNS_PX = (6.0, 48.0), (1.0, 2.5), (32.0, 128.0)
_BAND_PX = (1.0, 5.0)  # deviations between which detail counts as brushwork
_PLACE_PX = 8.0  # deviation of the window in which its energy is measured
_CALM = (0.1, 0.25)  # quantiles over the places: what the calm parts of an image show
_GRAIN = 0.03  # what paper and scans show anyway
_OF_SEEDS = 0.7  # what the same measure says of seeds at amount 1, once they are painted over
_SHAPE_BAND_PX = (0.7, 6.0)  # the same for their shape, which needs more than one octave
_SHAPE_CALM = (0.1, 0.5)
_SHIFTS_PX = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_TURN_AT_PX = 32
_LENGTH_FROM, _LENGTH_OF_HALF = 3.5, 6.0  # a seed's length, of where the correlation along it is one half
_WIDTH_OF_HALF = 0.75  # and its deviation, of where that across it is
_TURN_OF_SEEN = 3.0  # what is found of directions is noisy, so they seem to turn sooner than they do


@dataclass(frozen=True)
class Brushwork:
    """Strokes as seeds of them are laid.

    Units: `amount` in units of the palette's spread, 0 lays none; `length_px`, `width_px` (a deviation) and `turn_px`
    (how far a direction carries where no form gives one) for a short side of about 512 px. `heading_x` and `heading_y`
    are the mean gradient as a vector at twice its angle, of length 0 (strokes run in all directions alike) to 1.
    """

    amount: float = 0.0
    length_px: float = 24.0
    width_px: float = 1.5
    turn_px: float = 32.0
    heading_x: float = 0.0
    heading_y: float = 0.0

    @classmethod
    @torch.no_grad()
    def of(cls, pixels: Tensor) -> Self:
        """What an image shows. Shapes: pixels [1, 3, h, w] in [-1, 1]. Units: for a short side of about 512 px."""
        grey = brightness(pixels)
        return cls(_amount(grey), *_shape(grey))

    @classmethod
    def mean_of(cls, each: Sequence["Brushwork"], weights: Sequence[float] | None = None) -> Self:
        """The weighted mean of several."""
        weights = weights or [1.0] * len(each)
        columns = zip(*(astuple(one) for one in each), strict=True)
        return cls(*(sum(v * w for v, w in zip(c, weights, strict=True)) / sum(weights) for c in columns))

    def times(self, factor: float) -> Self:
        """The same strokes, laid `factor` times as strongly."""
        return type(self)(self.amount * factor, *astuple(self)[1:])

    def to_dict(self) -> dict[str, float]:
        """The numbers, rounded for people."""
        return {name: round(value, 3) for name, value in asdict(self).items()}

    def tensors(self) -> dict[str, Tensor]:
        """The numbers as a style file holds them: the amount, and the shape where it is not the usual one."""
        amount, *shape = astuple(self)
        own = {} if tuple(shape) == astuple(Brushwork())[1:] else {"strokes": torch.tensor(shape)}
        return {"brushwork": torch.tensor([amount]), **own}

    @classmethod
    def from_tensors(cls, amount: Tensor, shape: Tensor | None) -> Self:
        """What `tensors` gave. Raises: ValueError saying what is not possible."""
        if shape is not None and shape.shape != (5,):
            raise ValueError(f"strokes of shape {list(shape.shape)}; expected [5]")
        made = cls(float(amount), *(shape.tolist() if shape is not None else ()))
        bounds = {"amount": (0.0, 1.0), "length_px": LENGTHS_PX, "width_px": WIDTHS_PX, "turn_px": TURNS_PX}
        for name, (low, high) in bounds.items():
            if not low - 1e-3 <= getattr(made, name) <= high + 1e-3:
                what = "brushwork" if name == "amount" else f"strokes with a {name}"
                raise ValueError(f"a {what} of {getattr(made, name):g}; expected {low:g} to {high:g}")
        if not math.hypot(made.heading_x, made.heading_y) <= 1.001:
            raise ValueError("strokes with a heading longer than 1")
        return made


def _amount(grey: Tensor) -> float:
    """How strongly seeds must be laid for calm parts to be as lively as those of an image.

    It is the energy of detail between 1 and 5 px in the calmest quarter of the places, in units of the image's own
    contrast and less what the grain of paper gives; 0.03 to 0.25.
    """
    band = blurred(grey, _BAND_PX[0]) - blurred(grey, _BAND_PX[1])
    calm = _quantiles(_energy(band), _CALM).mean()
    return min(MOST, max(LEAST, (float(calm / grey.std().clamp_min(1e-3)) - _GRAIN) / _OF_SEEDS))


def _shape(grey: Tensor) -> tuple[float, float, float, float, float]:
    """Length, width and turn of the strokes in the calmer half of an image, and their heading.

    Detail there is correlated with itself along and across its own direction, and the direction with itself.
    """
    band = blurred(grey, _SHAPE_BAND_PX[0]) - blurred(grey, _SHAPE_BAND_PX[1])
    energy = _energy(band)
    low, high = _quantiles(energy, _SHAPE_CALM)
    gradients = doubled_gradients(blurred(grey, 1.0))
    doubled, strength = blurred(gradients, 4.0), blurred(gradients.norm(dim=1, keepdim=True), 4.0)
    calm = ((energy > low) & (energy < high)).to(grey)
    if not float((band.square() * calm).sum()) > 1e-6:
        return astuple(Brushwork())[1:]
    sure = calm * doubled.norm(dim=1, keepdim=True) / strength.clamp_min(1e-9)
    unit = F.normalize(doubled, dim=1)
    angle = 0.5 * torch.atan2(unit[:, 1:], unit[:, :1])
    across = torch.cat([angle.cos(), angle.sin()], dim=1)
    along = torch.cat([-across[:, 1:], across[:, :1]], dim=1)
    places = pixel_places(grey)

    def alike(direction: Tensor, shift: float) -> float:
        there = sampled(band, places + direction * shift)
        return float(
            (band * there * calm).sum() / ((band.square() * calm).sum() * (there.square() * calm).sum()).sqrt()
        )

    length = _LENGTH_OF_HALF * (_half([(shift, alike(along, shift)) for shift in _SHIFTS_PX]) - _LENGTH_FROM)
    width = _WIDTH_OF_HALF * _half([(shift, alike(across, shift)) for shift in _SHIFTS_PX])
    heading = (unit * sure).sum(dim=(0, 2, 3)) / sure.sum().clamp_min(1e-9)
    turn = _TURN_OF_SEEN * _turn(unit, sure, float(heading.square().sum()))
    x, y = heading.tolist()
    return _within(length, LENGTHS_PX), _within(width, WIDTHS_PX), _within(turn, TURNS_PX), x, y


def _turn(unit: Tensor, sure: Tensor, common: float) -> float:
    """The deviation in px of the Gaussian under which random directions would turn as slowly as those of an image."""
    if unit.shape[-1] <= _TURN_AT_PX:
        return TURNS_PX[0]
    here, there = slice(None, -_TURN_AT_PX), slice(_TURN_AT_PX, None)
    weight = sure[..., here] * sure[..., there]
    alike = float((unit[..., here] * unit[..., there] * weight).sum() / weight.sum().clamp_min(1e-9))
    own = _within((alike - common) / max(1 - common, 1e-3), (0.02, 0.9))
    return _TURN_AT_PX / (2 * math.sqrt(-math.log(own)))


def _energy(band: Tensor) -> Tensor:
    """The local deviation of detail."""
    return blurred(band.square(), _PLACE_PX).clamp_min(0).sqrt()


def _quantiles(values: Tensor, shares: tuple[float, float]) -> Tensor:
    """Two quantiles of some of the values: torch sorts no more than 16 million."""
    flat = values.flatten()
    return torch.quantile(flat[:: max(1, flat.numel() // 100_000)], flat.new_tensor(shares))


def _half(curve: list[tuple[int, float]]) -> float:
    """Where a falling curve that begins at (0, 1) passes one half, or its last place."""
    before, level = 0.0, 1.0
    for shift, value in curve:
        if value < 0.5:
            return before + (shift - before) * (level - 0.5) / (level - value)
        before, level = float(shift), value
    return before


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(bounds[1], max(bounds[0], value))

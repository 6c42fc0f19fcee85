"""Distances by networks that the user has, beside the four scores; each is loaded only where it is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch.nn.functional as F
from PIL import Image
from torch import Tensor


class ExtraScorer(ABC):
    """Scores a result with a network of its own.

    `meanings` names the numbers that `score` returns, all of them distances, 0 at best, and says what each one is.
    """

    meanings: ClassVar[Mapping[str, str]]

    @abstractmethod
    def score(self, result: Image.Image, content: Image.Image, style: Image.Image) -> dict[str, float]:
        """The numbers of a repainted `content`, in the style of `style`; images are as `load_image` gives them."""


def cosine_distance(one: Tensor, other: Tensor) -> float:
    """1 minus the cosine of two vectors [dim]: 0 for the same direction, 1 for unrelated ones, at most 2."""
    return float((1 - F.cosine_similarity(one.double(), other.double(), dim=0)).clamp_min(0))

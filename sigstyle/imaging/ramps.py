"""Ramps: masks that lead from one picture to the next along a direction."""

import math

import numpy as np
from PIL import Image

_EASE = 0.06  # share of the way at either end that is wholly of one picture


def ramps(size: tuple[int, int], count: int, angle_deg: float) -> list[Image.Image]:
    """Masks ('L') of (width, height) `size` for `count` pictures laid over each other, the first one all white.

    Each lets the one below through up to its own place along the direction, and nothing of it from there on; 0 degrees
    is from left to right, 90 from top to bottom.
    """
    width, height = size
    across, down = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    along = across * (np.arange(width) - (width - 1) / 2)[None] + down * (np.arange(height) - (height - 1) / 2)[:, None]
    reach = max(1e-9, abs(across) * (width - 1) / 2 + abs(down) * (height - 1) / 2)
    way = np.clip((along / reach + 1) / 2 * (1 + 2 * _EASE) - _EASE, 0, 1) * (count - 1)
    masks = [Image.new("L", size, 255)]
    for number in range(1, count):
        own = np.clip(way - (number - 1), 0, 1)
        masks.append(Image.fromarray((own * own * (3 - 2 * own) * 255).round().astype(np.uint8)))
    return masks

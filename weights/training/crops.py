"""Random crops of images held in memory."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def load_images(tiles: Sequence[Any]) -> list[np.ndarray]:
    """Decode tiles (anything with a `path`) to uint8 [h, w, 3] arrays."""

    def decode(tile: Any) -> np.ndarray:
        with Image.open(Path(tile.path)) as image:
            return np.asarray(image.convert("RGB"))

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(decode, tiles))


def to_tensor(images: np.ndarray, device: str) -> Tensor:
    """uint8 [b, h, w, 3] to float [b, 3, h, w] in [-1, 1], channels last in memory."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float().div(127.5).sub(1)


class CropSampler:
    """Draws crops: images by weight, places evenly, mirrored half of the time."""

    def __init__(
        self,
        images: Sequence[np.ndarray],
        weights: np.ndarray,
        rng: np.random.Generator,
        halved: float = 0.3,
    ):
        if len(images) != len(weights) or not len(images):
            raise ValueError(f"{len(images)} images and {len(weights)} weights: give one weight each")
        smallest = min(min(image.shape[:2]) for image in images)
        self.images, self.rng, self.halved = images, rng, halved
        self.smallest_px = smallest
        self.cumulative = np.cumsum(weights, dtype=np.float64) / np.sum(weights, dtype=np.float64)

    def crop(self, size_px: int) -> np.ndarray:
        """One uint8 [size, size, 3] crop, sometimes of the image at half its size."""
        index = int(np.searchsorted(self.cumulative, self.rng.random(), side="right"))
        image = self.images[min(index, len(self.images) - 1)]
        factor = 2 if self.rng.random() < self.halved and min(image.shape[:2]) >= 2 * size_px else 1
        side = size_px * factor
        top = self.rng.integers(image.shape[0] - side + 1)
        left = self.rng.integers(image.shape[1] - side + 1)
        patch = image[top : top + side, left : left + side]
        if factor == 2:
            blocks = patch.reshape(size_px, 2, size_px, 2, 3).astype(np.uint16)
            patch = ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)
        return patch[:, ::-1] if self.rng.random() < 0.5 else patch

    def batch(self, count: int, size_px: int) -> np.ndarray:
        """uint8 [count, size, size, 3]."""
        if size_px > self.smallest_px:
            raise ValueError(f"a {self.smallest_px} px image is smaller than the {size_px} px crop: drop it")
        return np.stack([self.crop(size_px) for _ in range(count)])

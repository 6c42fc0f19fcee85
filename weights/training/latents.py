"""Encode the tiles once: the UNet trains on latents, not on pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from torch import Tensor

from . import checkpoint
from .crops import to_tensor
from .dataset import SMALL_PX, TILE_PX, Tile


@dataclass(frozen=True)
class Latents:
    """Unscaled latents of tiles, float16.

    Shapes: small [tiles, 16, 32, 32] (at 256 px); large [n, 16, 64, 64] (at 512 px); large_tile [n] the tile of each.
    Every other tile is mirrored at 256 px, the others at 512 px.
    """

    small: Tensor
    large: Tensor
    large_tile: Tensor

    @property
    def scale(self) -> float:
        """What to multiply latents by to bring them to unit variance."""
        return 1 / float(self.small[::7].float().std())


def encode_tiles(vae: AutoencoderTiny, tiles: Sequence[Tile], path: Path, device: str = "cpu") -> Latents:
    """Encode ``tiles``, or read what was encoded before from ``path``."""
    if path.exists():
        tensors, _ = checkpoint.load(path)
        return Latents(**tensors)
    none = torch.zeros(0, vae.config["latent_channels"], 0, 0, dtype=torch.float16)
    small, large, large_tile = [], [], []
    for index, tile in enumerate(tiles):
        with Image.open(tile.path) as image:
            picture = image.convert("RGB")
        half = np.asarray(picture.resize((SMALL_PX, SMALL_PX), Image.Resampling.LANCZOS))
        small.append(encode(vae, mirrored(half, index % 2 == 0), device))
        if picture.width >= TILE_PX:
            large.append(encode(vae, mirrored(np.asarray(picture), index % 2 == 1), device))
            large_tile.append(index)
    found = Latents(torch.cat(small or [none]), torch.cat(large or [none]),
                    torch.tensor(large_tile, dtype=torch.int64))  # fmt: skip
    checkpoint.save(path, {"small": found.small, "large": found.large, "large_tile": found.large_tile}, {})
    return found


def mirrored(image: np.ndarray, flip: bool) -> np.ndarray:
    """A batch of one image [1, h, w, 3], mirrored if ``flip``."""
    return np.array(image[:, ::-1] if flip else image)[None]


@torch.no_grad()
def encode(vae: AutoencoderTiny, images: np.ndarray, device: str) -> Tensor:
    """Latents [b, 16, h/8, w/8] in float16 of uint8 images [b, h, w, 3]."""
    with torch.autocast(device.split(":")[0], torch.bfloat16):
        found = vae.encoder(to_tensor(images, device).contiguous(memory_format=torch.channels_last))
    return found.half().cpu().contiguous()

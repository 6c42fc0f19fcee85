"""What a capture trains on: cached latents of crops, and noisy batches drawn from them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.autoencoder import encode_latents
from sigstyle.base.model import BaseModel, side_multiple_px, trained_size_px
from sigstyle.config import CaptureConfig
from sigstyle.diffusion.implied_noise import kept_at
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import random_crops, to_tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """Noisy latents and what the UNet should say of them.

    Shapes: noisy and target [b, c, h, w] float32, timesteps [b].
    """

    noisy: Tensor
    timesteps: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.noisy)

    def split(self, chunks: int) -> list["Batch"]:
        """The same samples in `chunks` pieces, or as many as there are samples."""
        parts = (tensor.tensor_split(min(chunks, len(tensor))) for tensor in (self.noisy, self.timesteps, self.target))
        return [Batch(*part) for part in zip(*parts, strict=True)]


def images_hash(images: Sequence[Image.Image]) -> str:
    """12 hex digits over the pixels of `images`."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(repr((image.mode, image.size)).encode() + image.tobytes())
    return digest.hexdigest()[:12]


@torch.no_grad()
def cached_latents(base: BaseModel, images: Sequence[Image.Image], config: CaptureConfig) -> Tensor:
    """Latents [crops, c, h, h], float32, of random crops; the same for the same seed.

    Raises: ConfigError when the crop size does not suit the base.
    """
    size_px, multiple = config.size_px or trained_size_px(base), side_multiple_px(base)
    if size_px % multiple:
        raise ConfigError(f"size_px is {size_px}; this base needs a multiple of {multiple}.")
    generator = torch.Generator().manual_seed(config.seed)
    crops = random_crops(images, max(config.crops, len(images)), size_px, config.crop_min, generator)
    return torch.cat([encode_latents(base.vae, to_tensor(crop)) for crop in crops])


def draw_batch(
    latents: Tensor, scheduler: Any, config: CaptureConfig, window: int, generator: torch.Generator
) -> Batch:
    """A noisy batch from cached latents [n, c, h, h]; in a share of the calls from half-size windows of them.

    `window` is the half-size side in latents, 0 for none. All randomness comes from `generator` on the CPU, whatever
    the device.
    """
    count = config.batch_size
    rows = torch.randint(len(latents), (count,), generator=generator)
    if window and torch.rand((), generator=generator).item() < config.subcrop:
        corners = torch.randint(latents.shape[-1] - window + 1, (count, 2), generator=generator).tolist()
        clean = torch.stack(
            [
                latents[row, :, top : top + window, left : left + window]
                for row, (top, left) in zip(rows.tolist(), corners, strict=True)
            ]
        )
    else:
        clean = latents[rows.to(latents.device)]
    noise = torch.randn(clean.shape, generator=generator).to(clean.device)
    timesteps = _timesteps(count, scheduler.config.num_train_timesteps, config.timestep_bias, generator)
    return noisy_batch(clean, noise, timesteps.to(clean.device), scheduler)


def noisy_batch(clean: Tensor, noise: Tensor, timesteps: Tensor, scheduler: Any) -> Batch:
    """The batch of given noise and timesteps, with a target of the base's own prediction type.

    Raises: ConfigError for a prediction type other than epsilon and v_prediction.
    """
    kind = scheduler.config.prediction_type
    if kind not in ("epsilon", "v_prediction"):
        raise ConfigError(f"The base predicts {kind!r}; expected epsilon or v_prediction.")
    target = noise if kind == "epsilon" else scheduler.get_velocity(clean, noise, timesteps)
    return Batch(scheduler.add_noise(clean, noise, timesteps), timesteps, target)


def pred_x0_of(batch: Batch, output: Tensor, scheduler: Any) -> Tensor:
    """The clean latents [b, c, h, w] that the UNet's `output` for `batch` amounts to."""
    kept = kept_at(scheduler, batch.timesteps, output)
    if scheduler.config.prediction_type == "epsilon":
        return (batch.noisy - (1 - kept).sqrt() * output) / kept.sqrt()
    return kept.sqrt() * batch.noisy - (1 - kept).sqrt() * output


def _timesteps(count: int, total: int, bias: float, generator: torch.Generator) -> Tensor:
    """Timesteps [count], one from each of `count` equal shares of the distribution, which steadies the loss.

    Bias 0 is uniform; b > 0 draws like the largest, b < 0 like the smallest of |b| + 1 uniform draws.
    """
    even = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    share = even ** (1 / (1 + bias)) if bias >= 0 else 1 - (1 - even) ** (1 / (1 - bias))
    return (share * total).long().clamp(0, total - 1)

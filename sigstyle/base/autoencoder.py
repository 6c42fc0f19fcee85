"""The autoencoder of a base: pixels to latents and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sigstyle.base.finite import Finiteness
from sigstyle.base.locks import lock_of
from sigstyle.base.placement import execution_device


def pixels_per_latent(vae: Any) -> int:
    """How many pixels one latent spans, along each side (8 for Stable Diffusion)."""
    levels = vae.config.get("num_encoder_blocks") or vae.config.block_out_channels
    return 2 ** (len(levels) - 1)


def encode_latents(vae: Any, pixels: Tensor) -> Tensor:
    """Latents [b, c, h, w], float32 and scaled as the UNet expects, of pixels [b, 3, H, W] in [-1, 1].

    A variational autoencoder gives its posterior mean, so encoding is deterministic.
    """
    with _upcast(vae):
        encoded = vae.encode(pixels.to(execution_device(vae), vae.dtype))
    latents = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
    shift = vae.config.get("shift_factor") or 0.0
    return (latents.float() - shift) * vae.config.scaling_factor


def decode_latents(vae: Any, latents: Tensor) -> Tensor:
    """Pixels [b, 3, H, W], float32 in [-1, 1], of latents as `encode_latents` gives them.

    Raises: PaintingError for values that are not finite, of which clamping would make black or white.
    """
    pixels = decode_unclamped(vae, latents)
    found = Finiteness(vae.dtype)
    found.look("the autoencoder's decoder", pixels)
    found.check()
    return pixels.clamp(-1, 1)


def decode_unclamped(vae: Any, latents: Tensor) -> Tensor:
    """As `decode_latents`, but not clamped to [-1, 1], where a loss would have no slope."""
    shift = vae.config.get("shift_factor") or 0.0
    unscaled = latents / vae.config.scaling_factor + shift
    with _upcast(vae):
        return vae.decode(unscaled.to(execution_device(vae), vae.dtype)).sample.float()


@contextmanager
def _upcast(vae: Any) -> Iterator[None]:
    """Within the context an autoencoder that overflows in float16 (`force_upcast`, XL's) computes in float32.

    Its weights are the same bits afterwards. Under autocast it does not compute in float16 anyway.
    """
    device = execution_device(vae).type
    if vae.dtype != torch.float16 or not vae.config.get("force_upcast") or torch.is_autocast_enabled(device):
        yield
        return
    with lock_of(vae):
        try:
            vae.to(torch.float32)
            yield
        finally:
            vae.to(torch.float16)

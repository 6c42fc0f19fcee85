"""Memory that is short: how that is told from other errors, how memory is given back, and how less is needed."""

import errno
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TEXTS = (
    "out of memory",  # CUDA, MPS, XPU
    "invalid buffer size",  # MPS, of a tensor larger than it can ever hold
    "can't allocate memory",  # the CPU's allocator
    "not enough memory",  # the same on Windows
    "alloc_failed",  # cuBLAS and cuDNN
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was short, of whatever device: frameworks say it in errors of many kinds."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if not isinstance(error, RuntimeError):
        return isinstance(error, MemoryError)
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error).lower() for text in _TEXTS)


def give_back() -> None:
    """Give back what nothing holds any more, also to the device."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


TILE_PX = 512  # a side at which the autoencoder of Stable Diffusion takes some 1.5 GB in 16 bits


def tile(vae: Any) -> None:
    """Let an autoencoder work image by image and in tiles of 512 px from now on; a small one image by image alone."""
    from diffusers import AutoencoderKL

    vae.use_slicing = True
    if isinstance(vae, AutoencoderKL):
        per_latent = vae.tile_sample_min_size // vae.tile_latent_min_size
        vae.enable_tiling()
        vae.tile_sample_min_size, vae.tile_latent_min_size = TILE_PX, TILE_PX // per_latent


@contextmanager
def in_tiles(vae: Any) -> Iterator[None]:
    """Let an autoencoder work image by image and tile by tile; it is as it was afterwards, also after an exception.

    A small one (AutoencoderTiny) works image by image alone: its tiles are blended into memory that nobody has filled,
    NaN included (diffusers 0.42).
    """
    from diffusers import AutoencoderTiny

    kinds = ("use_slicing",) if isinstance(vae, AutoencoderTiny) else ("use_slicing", "use_tiling")
    before = {name: getattr(vae, name) for name in kinds if hasattr(vae, name)}
    try:
        for name in before:
            setattr(vae, name, True)
        yield
    finally:
        for name, value in before.items():
            setattr(vae, name, value)

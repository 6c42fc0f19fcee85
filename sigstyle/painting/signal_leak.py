"""Signal leak: what photographs are like at large, put into the noise that a prompt's picture starts from.

Stable Diffusion's schedules keep a little of the picture at their last step. A UNet reads brightness and colour there,
and in pure noise it reads middle grey. Source: Everaert et al., "Exploiting the Signal-Leak Bias in Diffusion Models"
(2309.15842), section 4.2: low frequencies of latents, drawn from the normal distribution of those of real pictures.
"""

import math
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from PIL import Image, ImageOps
from torch import Tensor

from sigstyle.base.autoencoder import encode_latents
from sigstyle.base.content_hash import content_hash
from sigstyle.base.finite import Finiteness
from sigstyle.base.locks import lock_of
from sigstyle.data import shipped_photos
from sigstyle.diffusion.denoise import timesteps_of
from sigstyle.imaging.images import load_image, to_tensor

FREQUENCIES = 3  # along each side, the mean counted
_SIDE_PX = 128  # at which photos are measured: their low frequencies are about the same at any size
_AT_ONCE = 8  # of them in the autoencoder
_LEAST, _MOST = 1e-6, 0.05  # of variance that is the picture's: less is none; few steps begin late, with more
_MEASURED: WeakKeyDictionary[Any, dict[torch.dtype, Tensor]] = WeakKeyDictionary()


def with_signal_leak(vae: Any, noise: Tensor, scheduler: Any, steps: int, amount: float) -> Tensor:
    """Noise [b, c, h, w] with the low frequencies that pictures have at the first of so many steps; `amount` 1 is all.

    What is drawn for an image follows from its noise alone. For amount 0, and where nothing of the picture is left at
    that step (zero terminal SNR), it is the noise. The autoencoder sees the photos that ship, once.
    Raises: PaintingError where it gives numbers that are not finite.
    """
    if not amount:
        return noise
    first = min(int(timesteps_of(scheduler, steps)[0]), len(scheduler.alphas_cumprod) - 1)
    kept = min(float(scheduler.alphas_cumprod[first]), _MOST)
    if kept < _LEAST:
        return noise
    photos = _measured(vae)
    shares = torch.stack([_normal(image, len(photos)) for image in noise.cpu()])
    leak = waves(drawn(photos, shares), (noise.shape[2], noise.shape[3])).to(noise)
    return math.sqrt(1 - kept) * noise + amount * math.sqrt(kept) * leak


def _normal(noise: Tensor, count: int) -> Tensor:
    """Normal numbers [count] that follow from an image's noise."""
    seed = int(content_hash("signal leak", {"noise": noise.float()})[:15], 16)
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


def drawn(examples: Tensor, shares: Tensor) -> Tensor:
    """Draws [b, ...] from the normal distribution with mean and covariance of examples [n, ...], for shares [b, n].

    With shares that are normal, so is a sum of the examples' departures from their mean, and has their covariance.
    """
    mean = examples.mean(dim=0)
    departures = (examples - mean).flatten(1) / math.sqrt(len(examples) - 1)
    return mean + (shares @ departures).view(-1, *examples.shape[1:])


def low_frequencies(latents: Tensor) -> Tensor:
    """The first coefficients [b, c, f, f] of a cosine transform (DCT-II), in units that no size changes."""
    rows, columns = (_cosines(side).to(latents) for side in latents.shape[2:])
    return rows @ latents @ columns.mT / math.sqrt(latents[0, 0].numel())


def waves(coefficients: Tensor, size: Sequence[int]) -> Tensor:
    """Latents [b, c, *size] that have these low frequencies and nothing else."""
    rows, columns = (_cosines(side).to(coefficients) for side in size)
    return rows.mT @ coefficients @ columns * math.sqrt(math.prod(size))


def _cosines(side: int) -> Tensor:
    """The first rows [f, side] of the orthonormal cosine transform."""
    order, place = torch.arange(FREQUENCIES)[:, None], torch.arange(side)[None]
    rows = torch.cos(math.pi * order * (place + 0.5) / side) * math.sqrt(2 / side)
    rows[0] /= math.sqrt(2)
    return rows


def _measured(vae: Any) -> Tensor:
    """Low frequencies [n, c, f, f] of the photos that ship, and of them mirrored; float32 on the CPU."""
    with lock_of(vae):
        known = _MEASURED.setdefault(vae, {})
        if vae.dtype not in known:
            known[vae.dtype] = _measure(vae)
        return known[vae.dtype]


@torch.no_grad()
def _measure(vae: Any) -> Tensor:
    side, finite = (_SIDE_PX, _SIDE_PX), Finiteness(vae.dtype)
    squares = [ImageOps.fit(load_image(file), side, Image.Resampling.LANCZOS) for file in shipped_photos()]
    pixels = torch.cat([to_tensor(square) for square in squares])
    once = torch.cat([low_frequencies(encode_latents(vae, some).cpu()) for some in pixels.split(_AT_ONCE)])
    finite.look("the autoencoder's encoder", once)
    finite.check()
    mirrored = (-1.0) ** torch.arange(FREQUENCIES)  # odd cosines along a row change their sign
    return torch.cat([once, once * mirrored])

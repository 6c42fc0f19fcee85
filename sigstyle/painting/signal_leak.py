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
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image, ImageOps
from torch import Tensor

from sigstyle.base.autoencoder import encode_latents
from sigstyle.base.model import BaseModel
from sigstyle.data import shipped_path
from sigstyle.imaging.images import load_image, to_tensor
from sigstyle.painting.seeds import Generators

FREQUENCIES = 3  # along each side, the mean counted
_SIDE_PX = 256  # at which photos are measured: their low frequencies are the same at any size
_MEASURED: WeakKeyDictionary[Any, Tensor] = WeakKeyDictionary()


def with_signal_leak(
    base: BaseModel, noise: Tensor, scheduler: Any, steps: int, amount: float, generator: Generators
) -> Tensor:
    """Noise [b, c, h, w] with the low frequencies that pictures have at the first of so many steps; `amount` 1 is all.

    What is drawn comes from `generator`; nothing is for amount 0, and nothing is added where nothing of the picture is
    left at that step (zero terminal SNR). The base's autoencoder sees the photos that ship once.
    """
    scheduler.set_timesteps(steps)
    kept = float(scheduler.alphas_cumprod[int(scheduler.timesteps[0])])
    if not amount or kept <= 0:
        return noise
    photos = _measured(base)
    shape = (len(noise), len(photos))
    shares = randn_tensor(shape, generator=generator, device=noise.device).cpu()  # type: ignore[arg-type]
    leak = waves(drawn(photos, shares), (noise.shape[2], noise.shape[3])).to(noise)
    return math.sqrt(1 - kept) * noise + amount * math.sqrt(kept) * leak


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


def _measured(base: BaseModel) -> Tensor:
    """Low frequencies [n, c, f, f] of the photos that ship, and of them mirrored; float32 on the CPU."""
    with base.lock:
        if base.vae not in _MEASURED:
            _MEASURED[base.vae] = _measure(base.vae)
        return _MEASURED[base.vae]


@torch.no_grad()
def _measure(vae: Any) -> Tensor:
    files = sorted(shipped_path("weights/content").glob("*.webp"))
    squares = [ImageOps.fit(load_image(file), (_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS) for file in files]
    once = torch.cat([low_frequencies(encode_latents(vae, to_tensor(square)).cpu()) for square in squares])
    mirrored = torch.tensor([1.0, -1.0, 1.0])  # odd cosines along a row change their sign
    return torch.cat([once, once * mirrored])

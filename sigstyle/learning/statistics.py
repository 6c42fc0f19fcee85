"""What a style's latents look like by channel, which AdaIN of the start latent needs."""

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.autoencoder import encode_latents
from sigstyle.base.model import BaseModel, ddim, side_multiple_px
from sigstyle.base.reference_latents import reference_latents
from sigstyle.diffusion.inversion import invert
from sigstyle.imaging.images import fit, to_tensor

STATISTICS_STEPS = 20


@torch.no_grad()
def style_statistics(
    base: BaseModel, images: Sequence[Image.Image], size_px: int, should_stop: Callable[[], bool]
) -> dict[str, Tensor] | None:
    """latent_mean, latent_std, start_mean and start_std, each [c], averaged over `images`; None when stopped.

    With them comes `reference` [c, h, w], the first image's latents as a transfer refers to them.

    The latents are the images' own; the starts are the noise their DDIM inversion ends in, inverted as content is:
    by the base itself, with an empty prompt. Units: size_px is the short side to work at.
    """
    prompt = base.reader.encode([""])
    scheduler = ddim(base.scheduler)  # inverting sets its timesteps, and the base is to stay as it is
    rows = []
    for image in images:
        latents = encode_latents(base.vae, to_tensor(fit(image, size_px, side_multiple_px(base))))
        trace = invert(base.unet, scheduler, latents, prompt, steps=STATISTICS_STEPS, should_stop=should_stop)
        if trace is None:
            return None
        rows.append(torch.stack([*_by_channel(latents), *_by_channel(trace.initial_noise)]))
    means = torch.stack(rows).mean(0)
    statistics = dict(zip(("latent_mean", "latent_std", "start_mean", "start_std"), means, strict=True))
    return statistics | {"reference": reference_latents(base, images[0])}


def _by_channel(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [c] of latents [1, c, h, w]."""
    std, mean = torch.std_mean(latents[0], dim=(1, 2))
    return mean, std

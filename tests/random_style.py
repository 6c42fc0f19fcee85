"""Styles of random numbers, strong enough to be seen on a tiny base."""

import torch

from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import StyleToken
from sigstyle.style.offsets import Offset
from sigstyle.style.style import Style
from sigstyle.style.targets import target_layers


def random_style(base: BaseModel, name: str = "wave", seed: int = 0, scale: float = 0.5) -> Style:
    """A style for `base`; the same for the same name, seed and scale."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    channels = base.unet.config.in_channels
    return Style(
        name=name,
        token=StyleToken(f"<{name}>", noise(1, base.unet.config.cross_attention_dim) * 0.1),
        offsets={
            path: Offset(noise(rows, 3) * scale, noise(3, columns) * scale)
            for path, (rows, columns) in target_layers(base.unet, "attention").items()
        },
        domain="painting",
        base_fingerprint=base.fingerprint,
        base_name=base.name,
        start_mean=noise(channels) * 0.2,
        start_std=1 + noise(channels).abs() * 0.2,
        latent_mean=noise(channels) * 0.2,
        latent_std=1 + noise(channels).abs() * 0.2,
        reference=noise(channels, 8, 8),
    )

"""Styles of random numbers, strong enough to be seen on a tiny base."""

import torch

from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import StyleToken
from sigstyle.imaging.brushwork import Brushwork
from sigstyle.imaging.palette import Palette
from sigstyle.style.offsets import Offset
from sigstyle.style.style import Style
from sigstyle.style.targets import decoder_layers, target_layers


def random_style(base: BaseModel, name: str = "wave", seed: int = 0, scale: float = 0.5) -> Style:
    """A style for `base`, good for every preset; the same for the same name, seed and scale."""
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
        palette=Palette(noise(3) * 0.2, random_covariance(noise(3, 3))),
        brushwork=Brushwork(0.1),
        decoder_offsets={
            path: Offset(noise(rows, 2) * 0.2, noise(2, columns) * 0.2)
            for path, (rows, columns) in decoder_layers(base.vae, 2).items()
        },
    )


def random_covariance(factor: torch.Tensor) -> torch.Tensor:
    """A covariance of colours [3, 3] without a direction that has none."""
    return 0.02 * factor @ factor.T + 0.02 * torch.eye(3)

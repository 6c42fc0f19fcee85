"""What a run of either method gives, and how it is made."""

from dataclasses import dataclass

from torch import Tensor

from sigstyle.diffusion.inversion import ContentTrace


def unchanged(step: int, timestep: int, latents: Tensor, pred_x0: Tensor) -> Tensor:
    """The `on_step` that goes on with the latents as they are."""
    return latents


@dataclass(frozen=True, eq=False)
class Painted:
    """What a run made.

    Shapes: latents [images, c, h, w] of the working copies or of refined pictures, margins and all; None when stopped
    before the denoising.
    """

    latents: Tensor | None
    trace: ContentTrace | None
    notices: list[str]
    interrupted: bool

"""The style image itself as a reference: what a capture cannot hold in a few factors, attention reads off the image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sigstyle.diffusion.attention import Features, recorded, recording
from sigstyle.diffusion.attention_injection import injected_layers
from sigstyle.diffusion.attention_reference import Shown
from sigstyle.diffusion.denoise import Refer, predict

_EVERY = 2  # steps that share what the reference showed in the first of them: it changes slowly with the noise
_NOISE_SEED = 0  # the same noise for every picture: the reference does not depend on what is painted


def reference_evaluations(reference: float, steps: int) -> int:
    """UNet evaluations that one reference takes beside `steps` of denoising, at its own size."""
    return -(-steps // _EVERY) if reference > 0 else 0


@dataclass(frozen=True)
class References:
    """Images to refer to, each with the share of the decoder's attention that it gets.

    The image is noised to the level of each step and goes through the UNet beside the picture; the keys and values of
    the decoder's self-attention are what the picture's queries meet.

    Shapes: `images` are pairs (latents [c, h, w], share), the shares 1 at most in all. `on_evaluation` is called after
    every UNet evaluation.
    Source: Cao et al., "MasaCtrl" (2304.08465, section 3.2) and Hertz et al., "Style Aligned Image Generation"
    (2312.02133, section 4) for keys and values of a reference; Chung et al. (2312.09008) for the layers.
    """

    images: Sequence[tuple[Tensor, float]]
    on_evaluation: Callable[[], None] = lambda: None

    def seen_by(self, unet: Any, scheduler: Any, embeds: Tensor) -> Refer:
        """What `denoise` asks for: {layer: what it is shown} at a step.

        Shapes: embeds [b, tokens, dim], of which the first row is the prompt that the references are seen with.
        """
        layers = injected_layers(unet)
        shown: dict[str, list[Shown]] = {}

        def seen(latents: Tensor, timestep: Tensor) -> dict[str, Features]:
            noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(_NOISE_SEED))
            noised = scheduler.add_noise(latents, noise, timestep.cpu().reshape(1)).unsqueeze(0)
            with recording(unet, layers, keys=True, values=True) as recorders:
                predict(unet, noised.to(embeds.device), timestep, embeds[:1])
            return recorded(recorders)

        def refer(step: int, timestep: Tensor) -> dict[str, list[Shown]]:
            if step % _EVERY == 0:
                shown.clear()
                for latents, share in self.images:
                    for path, found in seen(latents, timestep).items():
                        if found.key is not None and found.value is not None:
                            shown.setdefault(path, []).append(Shown(found.key, found.value, share))
                    self.on_evaluation()
            return shown

        return refer

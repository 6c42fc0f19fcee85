"""The style image itself as a reference: what a capture cannot hold in a few factors, attention reads off the image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sigstyle.base.conditioning import Conditioning
from sigstyle.diffusion.attention import (
    PlainProcessor,
    Projections,
    recorded,
    recording,
    self_attention_layers,
    with_processors,
)
from sigstyle.diffusion.attention_cross_image import fine_decoder_layers
from sigstyle.diffusion.attention_reference import Refer
from sigstyle.diffusion.denoise import predict
from sigstyle.diffusion.step_attention import Shown

REFERENCE_EVERY = 2  # steps that share what the reference showed in the first of them: it changes slowly with the noise
_NOISE_SEED = 0  # the same noise for every picture: the reference does not depend on what is painted


@dataclass(frozen=True, eq=False)
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

    def attention(self, unet: Any, scheduler: Any, cond: Conditioning) -> Refer:
        """What shows these images to a denoising run; they are seen with the first row's prompt."""
        layers = fine_decoder_layers(unet)
        others = [path for path in self_attention_layers(unet) if path not in layers]
        shown: dict[str, list[Shown]] = {}

        def seen(latents: Tensor, timestep: int) -> dict[str, Projections]:
            noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(_NOISE_SEED))
            noised = scheduler.add_noise(latents, noise, torch.tensor([timestep])).unsqueeze(0).to(cond.device)
            plain = {path: PlainProcessor() for path in others}  # whatever steers the picture is not for the reference
            with with_processors(unet, plain), recording(unet, layers, keys=True, values=True) as recorders:
                predict(unet, noised, torch.tensor(timestep, device=cond.device), cond[:1])
            return recorded(recorders)

        def look(step: int, timestep: int) -> dict[str, list[Shown]]:
            if step % REFERENCE_EVERY == 0:
                shown.clear()
                for latents, share in self.images:
                    for path, found in seen(latents, timestep).items():
                        if found.key is not None and found.value is not None:
                            shown.setdefault(path, []).append(Shown(found.key, found.value, share))
                    self.on_evaluation()
            return shown

        return Refer(layers, look)

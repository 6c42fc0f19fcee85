"""What a UNet is told of prompts, as one object for all families: every evaluation takes it whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

_LATENT_PX = 8  # of the one family that is told sizes, Stable Diffusion XL


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Prompts as a UNet reads them, one row each.

    Shapes: embeds [b, tokens, dim]; pooled [b, dim], which XL alone has.
    """

    embeds: Tensor
    pooled: Tensor | None = None

    def __len__(self) -> int:
        return len(self.embeds)

    def __getitem__(self, rows: slice) -> Self:
        return self.mapped(lambda part: part[rows])

    @property
    def device(self) -> torch.device:
        """Where the embeddings are."""
        return self.embeds.device

    def mapped(self, function: Callable[..., Tensor], *others: Self) -> Self:
        """What a function makes of the parts of this and others, each kind by itself."""
        pooled = [found.pooled for found in (self, *others)]
        some = [tensor for tensor in pooled if tensor is not None]
        embeds = function(*(found.embeds for found in (self, *others)))
        return type(self)(embeds, function(*some) if len(some) == len(pooled) else None)

    def expand(self, rows: int) -> Self:
        """One prompt for so many rows."""
        return self.mapped(lambda part: part.expand(rows, *(-1 for _ in part.shape[1:])))

    def to(self, dtype: torch.dtype) -> Self:
        """The same in another dtype."""
        return self.mapped(lambda part: part.to(dtype))

    def detach(self) -> Self:
        """The same without a way back."""
        return self.mapped(Tensor.detach)

    def added(self, unet: Any, latents: Tensor) -> dict[str, Tensor] | None:
        """What `unet` takes beside the embeddings for `latents`, its `added_cond_kwargs`; None for 1.x and 2.x.

        Raises: ValueError for a UNet of XL without a pooled embedding.
        """
        if unet.config.addition_embed_type is None:
            return None
        if self.pooled is None:
            raise ValueError("The UNet is of XL and there is no pooled embedding; read the prompt with its base.")
        return {"text_embeds": self.pooled, "time_ids": size_ids(unet, latents)}


def joined(parts: Sequence[Conditioning]) -> Conditioning:
    """The rows of all parts, one after the other."""
    first, *others = parts
    return first.mapped(lambda *tensors: torch.cat(tensors), *others)


def size_ids(unet: Any, latents: Tensor) -> Tensor:
    """What XL is told of a picture's size, [b, 6]: its height and width before it was scaled, the corner of the crop,
    and its height and width.

    Each picture is said to be whole, and a window smaller than the base was trained at to be a picture of that size:
    XL paints what it is told was small as blurred as small pictures are.
    Source: Podell et al., "SDXL" (2307.01952), section 2.2.
    """
    trained = unet.config.sample_size
    trained = trained if isinstance(trained, int) else min(trained)
    height, width = latents.shape[-2:]
    scale = _LATENT_PX * max(1.0, trained / min(height, width))
    size = [round(scale * height), round(scale * width)]
    return torch.tensor([[*size, 0, 0, *size]], dtype=torch.float32, device=latents.device).expand(len(latents), -1)

"""Show one image's self-attention to another: its keys and values, met by the content's queries."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sigstyle.diffusion.attention import Features, SlotProcessor, installed, self_attention_layers

BLOCKS = 2  # of the decoder, those with the most tokens: layers 6 to 11 of Stable Diffusion


class Injector(SlotProcessor):
    """Attends to the keys and values in its slot, with queries part the slot's, part its own.

    `gamma` is the slot's share of the queries; `temperature` above 1 sharpens the attention, which foreign keys blur.
    """

    def __init__(self, gamma: float, temperature: float) -> None:
        super().__init__()
        self.gamma, self.temperature = gamma, temperature

    def project(self, attn: Any, hidden: Tensor) -> tuple[Tensor, Tensor]:
        query, key = super().project(attn, hidden)
        if self.slot is None or self.slot.key is None:
            return query, key
        return torch.lerp(query, self.slot.query.to(query), self.gamma), self.slot.key.to(key)

    def attended(
        self, attn: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, sharpness: float = 1.0
    ) -> Tensor:
        foreign = self.slot is not None and self.slot.key is not None
        return super().attended(attn, query, key, value, mask, self.temperature if foreign else sharpness)

    def value(self, attn: Any, hidden: Tensor) -> Tensor:
        if self.slot is None or self.slot.value is None:
            return super().value(attn, hidden)
        return self.slot.value.to(hidden)


@contextmanager
def injecting(
    unet: nn.Module, layers: Iterable[str], gamma: float, temperature: float
) -> Iterator[dict[str, Injector]]:
    """Let these layers attend to what lies in their slots; the processors that were there come back afterwards."""
    with installed(unet, {path: Injector(gamma, temperature) for path in layers}) as injectors:
        yield injectors


def injected_layers(unet: nn.Module) -> list[str]:
    """The self-attention layers of the last decoder blocks that have any."""
    decoder = [path for path in self_attention_layers(unet) if path.startswith("up_blocks.")]
    blocks = sorted({int(path.split(".")[1]) for path in decoder})[-BLOCKS:]
    return [path for path in decoder if int(path.split(".")[1]) in blocks]


def crossed(content: Mapping[str, Features], style: Mapping[str, Features]) -> dict[str, Features]:
    """One step's features for `injecting`: the content's queries, the style image's keys and values."""
    return {path: Features(found.query, style[path].key, style[path].value) for path, found in content.items()}

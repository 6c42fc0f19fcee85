"""Self-attention's processors, and recording what they project: the only code that puts processors into a UNet."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from sigstyle.base.compiling import uncompiled, unet_blocks


class Projections(NamedTuple):
    """What one self-attention layer projected, before it is split into heads.

    Shapes: query [b, tokens, dim]; key and value the same, or None where they are not wanted.
    """

    query: Tensor
    key: Tensor | None = None
    value: Tensor | None = None


ProjectionsByTimestep = Mapping[int, Mapping[str, Projections]]  # {timestep: {layer path: projections}}


def self_attention_layers(unet: nn.Module) -> list[str]:
    """Name every self-attention layer of a UNet by its module path."""
    modules = _unwrapped(unet).named_modules()
    return [
        path
        for path, module in modules
        if isinstance(module, Attention) and path.endswith(".attn1") and not module.is_cross_attention
    ]


def _unwrapped(unet: nn.Module) -> nn.Module:
    """The UNet inside a compiled one."""
    return getattr(unet, "_orig_mod", unet)


def split_heads(attn: Any, x: Tensor) -> Tensor:
    """[b, tokens, dim] as [b, heads, tokens, dim of a head]."""
    return x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)


class PlainProcessor:
    """Self-attention of a transformer block, equal to AttnProcessor2_0 in every bit."""

    def project(self, attn: Any, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Query and key of the layer's input [b, tokens, dim]."""
        return attn.to_q(hidden), attn.to_k(hidden)

    def value(self, attn: Any, hidden: Tensor) -> Tensor:
        """Value of the layer's input; asked for after `project`."""
        return attn.to_v(hidden)

    def attended(
        self, attn: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, sharpness: float = 1.0
    ) -> Tensor:
        """What the queries [b, heads, tokens, dim] gather from key and value [b, tokens, dim], in their own shape.

        `sharpness` above 1 makes them gather from fewer places.
        """
        key, value = split_heads(attn, key), split_heads(attn, value)
        if attn.norm_k is not None:
            key = attn.norm_k(key)
        scale = None if sharpness == 1 else sharpness / math.sqrt(query.shape[-1])
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        batch, tokens, _ = hidden_states.shape
        mask = None
        if attention_mask is not None:
            mask = attn.prepare_attention_mask(attention_mask, tokens, batch).unflatten(0, (batch, attn.heads))
        query, key = self.project(attn, hidden_states)
        value = self.value(attn, hidden_states)
        query = split_heads(attn, query)
        if attn.norm_q is not None:
            query = attn.norm_q(query)
        mixed = self.attended(attn, query, key, value, mask)
        mixed = mixed.transpose(1, 2).reshape(batch, tokens, -1).to(query.dtype)
        return attn.to_out[1](attn.to_out[0](mixed)) / attn.rescale_output_factor


class Recorder(PlainProcessor):
    """Leaves in its slot what the layer projected at the last evaluation."""

    def __init__(self, keys: bool, values: bool = False) -> None:
        self.keys, self.values = keys, values
        self.slot: Projections | None = None

    def project(self, attn: Any, hidden: Tensor) -> tuple[Tensor, Tensor]:
        query, key = super().project(attn, hidden)
        self.slot = Projections(query, key if self.keys else None)
        return query, key

    def value(self, attn: Any, hidden: Tensor) -> Tensor:
        value = super().value(attn, hidden)
        if self.values and self.slot is not None:
            self.slot = self.slot._replace(value=value)
        return value


P = TypeVar("P", bound=PlainProcessor)


@contextmanager
def with_processors(unet: nn.Module, processors: dict[str, P]) -> Iterator[dict[str, P]]:
    """Within the context these layers have these processors; those that were there come back afterwards.

    Compiled blocks stand aside meanwhile: they would be compiled anew for whatever the processors hold.
    """
    layers: dict[str, Any] = {path: _unwrapped(unet).get_submodule(path) for path in processors}
    previous = {path: layer.processor for path, layer in layers.items()}
    try:
        for path, layer in layers.items():
            layer.set_processor(processors[path])
        with uncompiled(*(unet_blocks(unet) if processors else [])):
            yield processors
    finally:
        for path, layer in layers.items():
            layer.set_processor(previous[path])


@contextmanager
def recording(
    unet: nn.Module, layers: Iterable[str], keys: bool = False, values: bool = False
) -> Iterator[dict[str, Recorder]]:
    """Record queries (keys, values) of these layers; the processors that were there come back afterwards."""
    with with_processors(unet, {path: Recorder(keys, values) for path in layers}) as recorders:
        yield recorders


def recorded(recorders: Mapping[str, Recorder]) -> dict[str, Projections]:
    """Collect what the last evaluation left in the slots, and empty them."""
    found = {path: recorder.slot for path, recorder in recorders.items() if recorder.slot is not None}
    for recorder in recorders.values():
        recorder.slot = None
    return found


def moved(found: Mapping[str, Projections], device: torch.device | None) -> dict[str, Projections]:
    """What was recorded, on a device; None leaves it where it is."""
    if device is None:
        return dict(found)
    there = {}
    for path, each in found.items():
        key, value = (None if x is None else x.to(device) for x in (each.key, each.value))
        there[path] = Projections(each.query.to(device), key, value)
    return there

"""Layers as the base has them, also where adapters are wrapped around them."""

from collections.abc import Iterator

from torch import nn

_OF_ADAPTERS = (".base_layer", ".lora_", ".hada_", ".lokr_")


def bare(module: nn.Module) -> nn.Module:
    """The layer itself, out of the adapters that PEFT puts around it."""
    inner = getattr(module, "base_layer", None)
    return bare(inner) if isinstance(inner, nn.Module) else module


def bare_layers(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """A network's modules by the paths they have without adapters and compilation, and without what adapters add."""
    for path, module in getattr(network, "_orig_mod", network).named_modules():
        if not any(mark in path for mark in _OF_ADAPTERS):
            yield path, bare(module)

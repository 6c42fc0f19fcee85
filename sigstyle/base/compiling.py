"""Compiled UNets: blocks that torch.compile makes faster, and that stand aside where their attention is steered."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from sigstyle.errors import ConfigError, first_line

BACKEND = "inductor"
_SLOT = "_compiled_call_impl"  # where `nn.Module.compile` leaves what is called instead
_MOST_VARIANTS = 64  # of a kind of block: widths, sizes, dtypes and batches share their code
COMPILED_APART = (
    "The UNet is compiled, but not where attention is recorded, swapped or shown a reference, as the presets classic "
    "and paper do: there it runs as without --compile."
)


def unet_blocks(unet: Any, encoder_only: bool = False) -> list[nn.Module]:
    """A UNet's blocks; `encoder_only` leaves out those of its decoder, on which offsets are learned."""
    own = getattr(unet, "_orig_mod", unet)
    found = [*own.down_blocks, *([] if own.mid_block is None else [own.mid_block])]
    return found if encoder_only else [*found, *own.up_blocks]


def is_compiled(unet: Any) -> bool:
    """Whether a UNet, or any of its blocks, is compiled."""
    return hasattr(unet, "_orig_mod") or any(vars(part).get(_SLOT) for part in (unet, *unet_blocks(unet)))


def compile_blocks(unet: Any, encoder_only: bool = False) -> None:
    """Compile a UNet's blocks in place; each is translated when it is first called with a shape."""
    for block in unet_blocks(unet, encoder_only):
        block.compile(backend=BACKEND, recompile_limit=_MOST_VARIANTS)


@contextmanager
def compiled(base: Any, encoder_only: bool = False) -> Iterator[Any]:
    """Within the context a base's UNet has compiled blocks; afterwards they are as they were, also after an exception.

    It gives the BaseModel that says so. What was translated is remembered by torch for the next time. Weights, names
    and fingerprint stay as they are.
    Raises: ConfigError where there is no compiler.
    """
    check_compiler(base.device)
    with base.lock, _kept(unet_blocks(base.unet)):
        compile_blocks(base.unet, encoder_only)
        yield replace(base, compiled=True)


@contextmanager
def uncompiled(*modules: nn.Module) -> Iterator[None]:
    """Within the context modules run as they are written; afterwards those that were compiled are again."""
    with _kept(modules):
        for module in modules:
            vars(module).pop(_SLOT, None)
        yield


@contextmanager
def _kept(modules: Any) -> Iterator[None]:
    before = [(module, vars(module).get(_SLOT)) for module in modules]
    try:
        yield
    finally:
        for module, slot in before:
            vars(module).pop(_SLOT, None)
            if slot is not None:
                vars(module)[_SLOT] = slot


def check_compiler(device: torch.device) -> None:
    """Raises ConfigError where nothing can be compiled for a device."""
    problem = _problem(device.type, BACKEND)
    if problem:
        raise ConfigError(
            f"The UNet cannot be compiled for {device.type} here: {problem} Leave --compile (in Python compile=True) "
            "out, or install a C++ compiler (g++, clang or MSVC; for CUDA also triton)."
        )


@cache
def _problem(device: str, backend: str) -> str:
    """Why not even an addition can be compiled, as a sentence; '' where it can."""

    def added(x: Tensor) -> Tensor:
        return x + 1

    from torch._inductor import config

    try:
        with warnings.catch_warnings(), config.patch(force_disable_caches=True):
            warnings.simplefilter("ignore")
            torch.compile(added, backend=backend)(torch.ones(2, device=device))
    except Exception as error:  # of torch's own many kinds, none of them public
        return f"{first_line(getattr(error, 'inner_exception', error)).rstrip('.')}."
    return ""

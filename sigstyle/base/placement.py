"""Where a module computes, which is not where its weights are while they are offloaded; and the offloading itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch


def execution_device(module: Any) -> torch.device:
    """The device on which `module` computes: its hook's, where accelerate moves it there and back, else its own."""
    hook = getattr(module, "_hf_hook", None)
    moved_to = getattr(hook, "execution_device", None)
    return module.device if moved_to is None else torch.device(moved_to)


def offload(modules: Sequence[Any], device: torch.device) -> list[Any]:
    """Let each of these networks be on `device` only while it computes; gives the hooks that `rest` takes.

    One that begins sends the one before it back to main memory; the last stays until `rest`.
    """
    from accelerate import cpu_offload_with_hook

    hooks: list[Any] = []
    for module in modules:
        _, hook = cpu_offload_with_hook(module, device, prev_module_hook=hooks[-1] if hooks else None)
        hooks.append(hook)
    return hooks


def rest(hooks: Sequence[Any]) -> None:
    """Send offloaded networks back to main memory."""
    for hook in hooks:
        hook.offload()


@contextmanager
def resident(modules: Sequence[Any]) -> Iterator[None]:
    """Within the context offloaded networks stay where they compute, with their hooks off; back to rest afterwards."""
    from accelerate.hooks import add_hook_to_module, remove_hook_from_module

    hooked = [(module, module._hf_hook) for module in modules if hasattr(module, "_hf_hook")]
    try:
        for module, hook in hooked:
            remove_hook_from_module(module)
            module.to(hook.execution_device)
        yield
    finally:
        for module, hook in hooked:
            module.to("cpu")
            add_hook_to_module(module, hook)

"""Where a module computes, which is not where its weights are while they are offloaded."""

from typing import Any

import torch


def execution_device(module: Any) -> torch.device:
    """The device on which `module` computes: its hook's, where accelerate moves it there and back, else its own."""
    hook = getattr(module, "_hf_hook", None)
    moved_to = getattr(hook, "execution_device", None)
    return module.device if moved_to is None else torch.device(moved_to)

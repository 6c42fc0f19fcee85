"""One-file checkpoints: safetensors with JSON in the header, written atomically."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor
from torch.optim import Optimizer


def save(path: Path | str, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write tensors and JSON metadata to one file, or leave what was there untouched."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    payload = to_bytes(plain, metadata={"meta": json.dumps(meta)})
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save` wrote."""
    with safe_open(str(path), framework="pt") as file:
        meta = json.loads((file.metadata() or {}).get("meta", "{}"))
        return {name: file.get_tensor(name) for name in file.keys()}, meta  # noqa: SIM118


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put `prefix/` before every name."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo `prefixed`: the tensors stored below `prefix/`."""
    start = f"{prefix}/"
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def flatten_optimizer(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as `index.key` tensors; hyperparameters stay with the code."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{key}": torch.as_tensor(value) for index, entry in state.items() for key, value in entry.items()}


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put a flattened state back into an optimizer over the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def rng_meta(rng: np.random.Generator) -> dict[str, Any]:
    """The state of a numpy generator, as JSON allows it."""
    return dict(rng.bit_generator.state)


def restore_rng(rng: np.random.Generator, meta: dict[str, Any]) -> None:
    """Put a state from `rng_meta` back."""
    rng.bit_generator.state = meta

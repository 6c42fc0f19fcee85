"""Weights in files of the user's own, read without running anything that is in them."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from sigstyle.errors import ConfigError, first_line
from sigstyle.files import possible

_NAMES = ("model.safetensors", "pytorch_model.bin", "checkpoint.pth")
_PREFIXES = ("module.", "model.")  # of wrappers that a model was in when it was saved


def read_weights(kind: str, source: str | Path) -> dict[str, Tensor]:
    """The weights in a .safetensors file, a torch checkpoint or a folder with one, by their plain names.

    A torch checkpoint may hold tensors, plain values and the settings of its training, nothing that could run code.
    Raises: ConfigError, in which `kind` is the name of the model.
    """
    path = _file(kind, possible(source))
    try:
        found = load_file(path) if path.suffix.lower() == ".safetensors" else _checkpoint(path)
    except Exception as error:  # a damaged file may raise anything
        problem = first_line(error)
        raise ConfigError(
            f"The {kind} weights {path} cannot be read: {problem}. Expected .safetensors or a torch checkpoint "
            "with nothing but weights and settings in it."
        ) from error
    return {_plain(name): value for name, value in found.items() if isinstance(value, Tensor)}


def _file(kind: str, path: Path) -> Path:
    files = [path / name for name in _NAMES] if path.is_dir() else [path]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        expected = f"one of {', '.join(_NAMES)} in it" if path.is_dir() else "a file with them, or its folder"
        raise ConfigError(f"There are no {kind} weights at {path}; expected {expected}.")
    return found


def _checkpoint(path: Path) -> Mapping[str, Any]:
    scalar = np.float64(0).__reduce__()[0]  # training leaves numpy's numbers behind, under its old name and its new
    allowed: list[Any] = [argparse.Namespace, np.dtype, type(np.dtype(np.float64)), type(np.dtype(np.int64))]
    allowed += [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    with torch.serialization.safe_globals(allowed):
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    if not isinstance(found, Mapping):
        raise ValueError(f"it holds a {type(found).__name__}")
    return next((found[key] for key in ("model_state_dict", "state_dict") if key in found), found)


def _plain(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name

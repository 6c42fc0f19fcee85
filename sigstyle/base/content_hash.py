"""A digest of named tensors, by which values that hold tensors are compared and remembered."""

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor


def content_hash(title: str, tensors: Mapping[str, Tensor]) -> str:
    """Hex digits over `title` and every tensor's name, shape and bytes, wherever the tensors are."""
    digest = hashlib.sha256(title.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, list(tensor.shape)]).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

"""The forms of LoRAs: from a layer's factors in a file to what is added to its weight."""

from collections.abc import Mapping

import torch
from torch import Tensor

from sigstyle.style.offsets import Added

LOHA = {"w1_a", "w1_b", "w2_a", "w2_b"}
_MAGNITUDE = "magnitude"
_TINY = 1e-12


def all_there(kinds: set[str]) -> bool:
    """Whether factors of these kinds, apart from alpha and DoRA's magnitude, are all that a form needs."""
    first, second = ({kind for kind in kinds if kind.startswith(f"k{place}")} for place in (1, 2))
    lokr = bool(kinds) and kinds == first | second and _one(first, "k1") and _one(second, "k2")
    return lokr or kinds in ({"up", "down"}, LOHA)


def _one(kinds: set[str], name: str) -> bool:
    return kinds in ({name}, {f"{name}_a", f"{name}_b"})


def added_by(factors: Mapping[str, Tensor], weight: Tensor) -> Added:
    """What a layer's factors add to its `weight`, at strength 1.

    Raises: ConfigError for shapes that do not go together, RuntimeError for those that cannot be multiplied.
    Source: Hu et al. (2106.09685); for the others see below.
    """
    own = {kind: value.float() for kind, value in factors.items()}
    if "up" in own:
        rank, plain = own["down"].shape[0], Added(own["up"].flatten(1), own["down"].flatten(1))
    elif own.keys() >= LOHA:
        rank, plain = own["w1_b"].shape[0], _hadamard(own)
    else:
        rank, plain = _kronecker(own)
    scale = float(own["alpha"]) / rank if "alpha" in own and rank else 1.0
    added = Added(plain.up * scale, plain.down)
    return added if _MAGNITUDE not in own else _decomposed(added, own[_MAGNITUDE], weight)


def _hadamard(own: Mapping[str, Tensor]) -> Added:
    """Factors of the product, number by number, of two matrices given by theirs: all products of their columns.

    Source: Hyeon-Woo et al., "FedPara" (2108.06098), proposition 1.
    """
    up = own["w1_a"].unsqueeze(2) * own["w2_a"].unsqueeze(1)
    down = own["w1_b"].unsqueeze(1) * own["w2_b"].unsqueeze(0)
    return Added(up.flatten(1), down.flatten(0, 1))


def _kronecker(own: Mapping[str, Tensor]) -> tuple[int, Added]:
    """The Kronecker product of two matrices, each whole or given by its factors, and the rank that alpha is for.

    Source: Yeh et al., "Navigating Text-To-Image Customization: From LyCORIS Fine-Tuning to Model Evaluation"
    (2309.14859), section 3.
    """
    rank, sides = 0, []
    for name in ("k1", "k2"):
        if name in own:
            sides.append(own[name].flatten(1))
        else:
            sides.append(own[f"{name}_a"] @ own[f"{name}_b"].flatten(1))
            rank = own[f"{name}_b"].shape[0]
    whole = torch.kron(*sides)
    return rank, Added(torch.eye(len(whole)), whole)


def _decomposed(added: Added, magnitude: Tensor, weight: Tensor) -> Added:
    """What changes where rows (or columns) of the changed weight are given these lengths.

    Source: Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation" (2402.09353), eq. 5.
    """
    before = weight.detach().float().cpu()
    changed = before + added.delta().view(before.shape)
    by_rows = magnitude.numel() == len(before) and (magnitude.ndim == 1 or 1 not in magnitude.shape[:1])
    by_rows = by_rows or (magnitude.ndim > 2 and magnitude.shape[1] == len(before))  # PEFT's, of a convolution
    kept = 0 if by_rows else 1
    others = [axis for axis in range(changed.ndim) if axis != kept]
    lengths = torch.linalg.vector_norm(changed, dim=others, keepdim=True).clamp_min(_TINY)
    styled = changed * (magnitude.reshape(lengths.shape) / lengths)
    return Added(torch.eye(len(before)), (styled - before).flatten(1))

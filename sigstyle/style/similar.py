"""Which styles are alike: every style says where it lies among those that the hypernetwork measured."""

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor

from sigstyle.style.instant import Hypernetwork, hypernetwork_here
from sigstyle.style.shared_hypernet import EMBEDDING
from sigstyle.style.style import Style

LOOK = "look"  # the entry of a style's metadata
_DECIMALS = 3
_MOST = 1e3  # of a number in an entry that someone else may have written

T = TypeVar("T")


def look(measured: Tensor) -> dict[str, Any]:
    """The entry of a style's metadata for what was measured on its images; none where no hypernetwork is here.

    It has no part in what the style paints, nor in its hash. It holds for any base, for nothing of one was measured.
    """
    network = hypernetwork_here()
    if network is None:
        return {}
    embedding = network.embed(measured)
    return {LOOK: {"space": network.space, "embedding": [round(value, _DECIMALS) for value in embedding.tolist()]}}


def look_of(style: Style, network: Hypernetwork | None = None) -> Tensor | None:
    """The embedding [64] of what a style looks like; None for one that does not say, or in another network's terms."""
    network = network or hypernetwork_here()
    if network is None:
        return None
    if style.instant is not None and style.instant.network == network.hash:
        return style.instant.embedding
    entry = style.metadata.get(LOOK)
    if not isinstance(entry, dict) or entry.get("space") != network.space:
        return None
    return _embedding(entry.get("embedding"))


def _embedding(values: Any) -> Tensor | None:
    """Numbers of a header as an embedding; None when they cannot be one."""
    numbers = isinstance(values, list) and len(values) == EMBEDDING
    if not numbers or not all(type(value) in (int, float) and abs(value) < _MOST for value in values):
        return None
    found = torch.tensor(values, dtype=torch.float32)
    return found if bool(found.any()) else None


def by_likeness(embedding: Tensor, candidates: Iterable[tuple[T, Style]]) -> list[tuple[T, float]]:
    """Those candidates that say what they look like, with the cosine of their embedding and this one, likest first."""
    known = [(what, look_of(style)) for what, style in candidates]
    pairs = [(what, float(torch.cosine_similarity(embedding, own, dim=0))) for what, own in known if own is not None]
    return sorted(pairs, key=lambda pair: -pair[1])

"""Show a reference image to self-attention layers that paint another: its keys and values, next to their own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sigstyle.diffusion.attention import Swapper, installed

_SHARPNESS = 2.0  # attention to another image's keys is blurred otherwise
_NOTHING = 1e-6


class Shown(NamedTuple):
    """Key and value [1, tokens, dim] of a reference in one layer, and the share of the attention that it gets."""

    key: Tensor
    value: Tensor
    share: float


class Referrer(Swapper):
    """A swapper whose queries gather from references too; what the references leave is for its own keys and values.

    Unlike keys and values set side by side, the shares hold whatever the number of tokens.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shown: Sequence[Shown] = ()

    def attended(
        self, attn: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, sharpness: float = 1.0
    ) -> Tensor:
        rest = 1 - sum(shown.share for shown in self.shown)
        own = super().attended(attn, query, key, value, mask, sharpness) if rest > _NOTHING else torch.zeros_like(query)
        mixed = own * rest if self.shown else own
        for shown in self.shown:
            theirs = (x.to(query).expand(len(query), -1, -1) for x in (shown.key, shown.value))
            mixed = mixed + super().attended(attn, query, *theirs, sharpness=_SHARPNESS) * shown.share
        return mixed


@contextmanager
def referring(unet: nn.Module, layers: Iterable[str]) -> Iterator[dict[str, Referrer]]:
    """Let these layers swap and refer; the processors that were there come back afterwards."""
    with installed(unet, {path: Referrer() for path in layers}) as referrers:
        yield referrers


def show(referrers: Mapping[str, Any], shown: Mapping[str, Sequence[Shown]]) -> None:
    """Show each layer its references; layers without any attend to themselves alone."""
    for path, referrer in referrers.items():
        if isinstance(referrer, Referrer):
            referrer.shown = shown.get(path, ())

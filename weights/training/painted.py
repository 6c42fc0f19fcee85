"""The painting loss as a term of the decoder's training: it stays sharp on what styles make, not on photos alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigstyle.base.model import load_base
from weights.training.painter import Painter, PainterConfig
from weights.training.painter_data import Photos, Styles
from weights.training.styles import load_index


class PaintedTerm:
    """Photos painted in styles of a hypernetwork that stays as it is, decoded by the decoder that is trained.

    The offsets that a style has were learned for the decoder as it was; this term keeps what they do, so that neither
    the hypernetwork nor styles have to be learned again. Source: the loss of `PaintingTerms`.
    """

    def __init__(self, painter: Painter, styles: Styles, photos: Photos, decoder: nn.Module, share: float) -> None:
        self.painter, self.styles, self.photos, self.decoder, self.share = painter, styles, photos, decoder, share
        painter.net.requires_grad_(False)
        vae: Any = painter.base.vae
        vae.decoder = decoder

    @classmethod
    def of(cls, data: Path, base_name: str, network: Path, decoder: nn.Module, share: float) -> "PaintedTerm":
        """The term on pictures as `styles` collected them in `data`, for a decoder of that base.

        Raises: StyleFileError or RuntimeError for a file that holds no network, or one of another base.
        """
        device = str(next(decoder.parameters()).device)
        painter, pictures = Painter(load_base(base_name, device), PainterConfig(device=device)), load_index(data)
        painter.begin_with(network)
        styles = Styles([p for p in pictures if p.kind != "photo" and p.split == "train"], painter.network)
        photos = Photos([p for p in pictures if p.kind == "photo" and p.split == "train"])
        return cls(painter, styles, photos, decoder, share)

    def add_gradients(self, rng: np.random.Generator) -> dict[str, float]:
        """Add the gradients of one style's loss to the decoder's, at a share of the norm of what is there; its terms.

        Numbers in one network's gradients are not in the other's units, so a weight is worth nothing: a share is.
        """
        parameters = list(self.decoder.parameters())
        there = [None if p.grad is None else p.grad.clone() for p in parameters]
        for parameter in parameters:
            parameter.grad = None
        with self.painter.attached() as put, _asking(parameters):
            view = self.styles.draw(rng)
            terms = self.painter.losses(view, self.photos, put(view), rng)
            self.painter.total(terms).backward()
        own = [p.grad for p in parameters]
        scale = self.share * _norm(there) / _norm(own).clamp_min(1e-12)
        for parameter, before, added in zip(parameters, there, own, strict=True):
            parts = [grad for grad in (before, None if added is None else added * scale) if grad is not None]
            parameter.grad = sum(parts[1:], parts[0]) if parts and scale.isfinite() else before
        return {f"painted_{name}": float(terms[name].detach()) for name in ("style", "content")}


@contextmanager
def _asking(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Within the context these ask for gradients, whoever froze them."""
    asked = [parameter.requires_grad for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter, flag in zip(parameters, asked, strict=True):
            parameter.requires_grad_(flag)


def _norm(gradients: list[Tensor | None]) -> Tensor:
    """The norm of all gradients together."""
    return torch.stack([g.norm() for g in gradients if g is not None] or [torch.zeros(())]).norm()

"""A style being added to a collection: what of the hypernetwork is trained for it, and what is held meanwhile."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import StyleToken, starting_embedding
from sigstyle.config import CollectionConfig
from sigstyle.learning.instant import DOMAIN
from sigstyle.learning.learner import Learner
from sigstyle.learning.state import TrainingState
from sigstyle.style.drift import Held
from sigstyle.style.offsets import Offset
from sigstyle.style.shared_hypernet import Predicted, SharedHypernet

_SHARES = {"ups": 1.0, "shared": 1.0, "downs": 0.3}  # of the learning rate, as the network itself was trained
_OTHERS = 0.05
_SHIFT = 0.02  # of what is exactly a style's own: the token


class Newcomer(nn.Module):
    """A hypernetwork as one style makes it.

    Trained are network and embedding; or, where others are held `exactly`, what is to be added to what it says of this
    embedding alone.
    """

    def __init__(self, net: SharedHypernet, embedding: nn.Parameter, exactly: bool) -> None:
        super().__init__()
        self.net = net.requires_grad_(not exactly)
        self._embedding = [embedding]  # in a list, so that it counts once among what is trained
        self.exactly = exactly
        if exactly:
            device = embedding.device
            self.coefficients = nn.Parameter(torch.zeros(len(net.shapes), net.basis, device=device))
            self.shift = nn.Parameter(torch.zeros(net.token_shape, device=device))

    @property
    def change(self) -> Predicted:
        """What was learned of this style alone."""
        return Predicted(self.coefficients.detach().cpu(), self.shift.detach().cpu())

    def predicted(self) -> Predicted:
        """Coefficients and token of the embedding, at the norm that all have."""
        found = self.net.predict(self.net.normed(self._embedding[0]))
        if not self.exactly:
            return found
        return Predicted(found.coefficients + self.coefficients, found.token + self.shift)

    def forward(self) -> dict[str, Offset]:
        """The offsets by layer path."""
        return self.net.offsets(self.predicted().coefficients)


class CollectionLearner(Learner):
    """The learner of a capture, whose offsets and token the hypernetwork makes of one embedding."""

    def __init__(
        self, base: BaseModel, config: CollectionConfig, net: SharedHypernet, start: Tensor, token: str
    ) -> None:
        exactly = config.holding == "exact"
        embedding = nn.Parameter(start.to(base.device).clone(), requires_grad=not exactly)
        self.newcomer = Newcomer(net.to(base.device), embedding, exactly)
        self._start = starting_embedding(base.tokenizer, base.text_encoder, DOMAIN).to(base.device)
        super().__init__(base, config.capture, token, state=_state(self.newcomer, embedding, config))

    @property
    def token(self) -> StyleToken:
        """The style token that the embedding makes, in float32 also where it is asked for within autocast."""
        with torch.autocast(self.base.device.type, enabled=False):
            return StyleToken(self.token_name, self._start + self.newcomer.predicted().token)


def _state(newcomer: Newcomer, embedding: nn.Parameter, config: CollectionConfig) -> TrainingState:
    """What is trained of a network and an embedding, with the optimiser."""
    groups: list[dict[str, Any]]
    if newcomer.exactly:
        groups = [
            {"params": [newcomer.coefficients], "full_lr": config.own_lr},
            {"params": [newcomer.shift], "full_lr": config.own_lr * _SHIFT},
        ]
    else:
        groups = [
            {"params": [parameter], "full_lr": config.lr * _SHARES.get(name, _OTHERS)}
            for name, parameter in newcomer.net.named_parameters()
        ]
        groups.append({"params": [embedding], "full_lr": config.embedding_lr})
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.99), weight_decay=0.0)
    return TrainingState(newcomer, embedding, optimizer, torch.Generator().manual_seed(config.seed + 1))


class _Nothing:
    """The samples of a lesson that needs none."""

    def __len__(self) -> int:
        return 1

    def split(self, chunks: int) -> "list[_Nothing]":
        """Itself."""
        return [self]


@dataclass(frozen=True, eq=False)
class Holding:
    """What the network makes for earlier embeddings stays: the mean of their relative squared drift, weighted.

    Source: von Oswald et al. (1906.00695), equation 2, without its look-ahead.
    """

    held: Held
    net: SharedHypernet
    weight: float

    def draw(self, generator: torch.Generator) -> _Nothing:
        """Nothing: every earlier style is looked at in every step."""
        return _Nothing()

    def loss(self, samples: _Nothing) -> Tensor:
        """The weighted drift, with gradients to the network."""
        return self.weight * self.held.drift(self.net).mean()

"""One hypernetwork for every style: from what an image's features measure to the offsets and the token of its style."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sigstyle.style.hypernet import constant_norm
from sigstyle.style.offsets import Offset

EMBEDDING = 64
BASIS = 12  # rank-1 offsets that all styles share, for each layer
WIDTH = 256
_COMMON = 4  # of the basis: what every style has whole at the start
_TOKEN_SCALE = 0.1
ANGLE = 0.4  # of a value of the embedding, in units of a right angle: within -1 and 1 for nearly all of them
_MOST_DEVIATIONS = 4.0  # what a measured image may differ from those that were learned from
_APART = 1e-2  # of its squared length: what an embedding must have that others have not, to be changed alone
_FLOOR = 20  # the principal component whose deviation is added to all: what varies less is mostly noise


@dataclass(frozen=True, eq=False)
class Predicted:
    """What the hypernetwork says of one style.

    Shapes: coefficients [layers, basis]; token [n, dim], to be added to where a style token starts.
    """

    coefficients: Tensor
    token: Tensor


class SharedHypernet(nn.Module):
    """Maps what is measured on a style image to an embedding, and that to coefficients over a basis of offsets.

    The embedding is closed form: principal components of what was measured on many images, whitened, at a constant
    norm. (A learned one fell together into one point, as at first all styles want much the same.) Coefficients are what
    all styles share, a linear map of the embedding, and a small network's departure from what it says of embedding 0.
    The basis belongs to the network and not to a style: for each layer some rank-1 offsets, of which a style takes so
    much of each. The basis' first factors start at 0, so at the base model; coefficients start as a random projection
    of the embedding, so that styles differ from the first step on, and the basis learns what each direction is to do.

    Shapes: `shapes` holds (out, in) by layer path; measured values are [measures], embeddings [64] with
    mean 0 and deviation 1.
    Source: Ha et al., "HyperNetworks" (1609.09106) for one network for the weights of another; Ortiz et al.,
    "Magnitude Invariant Parametrizations" (2304.07645), section 4, for inputs of constant norm.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        measures: int,
        token_shape: tuple[int, int],
        basis: int = BASIS,
        width: int = WIDTH,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.shapes, self.basis, self.token_shape = dict(shapes), basis, token_shape
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("centre", torch.zeros(measures))
        self.register_buffer("spread", torch.ones(measures))
        self.register_buffer("components", torch.zeros(EMBEDDING, measures))
        self.trunk = nn.ModuleList([_linear(2 * EMBEDDING, width, generator), _linear(width, width, generator)])
        common = (torch.arange(basis) < min(_COMMON, basis)).float()
        self.shared = nn.Parameter(common.repeat(len(self.shapes)))
        self.head = _linear(EMBEDDING + width, len(self.shapes) * basis, generator, zero=True)
        with torch.no_grad():
            projection = torch.randn(len(self.shapes), basis, EMBEDDING, generator=generator) / EMBEDDING**0.5
            self.head.weight[:, :EMBEDDING] = (projection * (1 - 0.7 * common)[:, None]).flatten(0, 1)
        self.token_head = _linear(EMBEDDING + width, token_shape[0] * token_shape[1], generator, zero=True)
        total_out, total_in = (sum(shape[side] for shape in self.shapes.values()) for side in (0, 1))
        self.ups = nn.Parameter(torch.zeros(basis, total_out))
        self.downs = nn.Parameter(torch.randn(basis, total_in, generator=generator))

    @torch.no_grad()
    def fit(self, measured: Tensor) -> None:
        """Take centre, spread and components from measured images [n, measures], once, before training."""
        self.get_buffer("centre").copy_(measured.mean(0))
        self.get_buffer("spread").copy_(measured.std(0).clamp_min(1e-3))
        relative = self._relative(measured)
        _, values, axes = torch.linalg.svd(relative - relative.mean(0), full_matrices=False)
        deviations = values / len(measured) ** 0.5
        count = min(EMBEDDING, len(deviations))
        gains = (deviations[:count].square() + deviations[min(_FLOOR, count - 1)].square()).rsqrt()
        self.get_buffer("components")[:count] = axes[:count] * gains[:, None]

    @torch.no_grad()
    def grown(self, basis: int, seed: int = 0) -> "SharedHypernet":
        """The same network with a larger basis, which makes the same offsets until it is trained.

        What is new starts as all did: first factors at 0, coefficients as a random projection of the embedding.
        Raises: ValueError for a basis that is smaller.
        """
        if basis < self.basis:
            raise ValueError(f"The basis has {self.basis} offsets a layer and cannot shrink to {basis}.")
        known, layers = self.state_dict(), len(self.shapes)
        measures, width = known["centre"].shape[0], known["trunk.0.weight"].shape[0]
        larger = SharedHypernet(self.shapes, measures, self.token_shape, basis, width, seed)
        fresh = larger.state_dict()
        for name in ("shared", "head.weight", "head.bias"):
            rows = fresh[name].view(layers, basis, -1)
            rows[:, : self.basis] = known.pop(name).view(layers, self.basis, -1)
        for name in ("ups", "downs"):
            fresh[name][: self.basis] = known.pop(name)
        larger.load_state_dict(fresh | known)
        return larger

    def embed(self, measured: Tensor) -> Tensor:
        """The embedding of what was measured on a style image."""
        found = self.get_buffer("components") @ self._relative(measured)
        return self.normed(found)

    @staticmethod
    def normed(embedding: Tensor) -> Tensor:
        """Embeddings [..., 64] at the norm that all have: mean 0, deviation 1."""
        return nn.functional.layer_norm(embedding, (EMBEDDING,), eps=1e-9)

    def _relative(self, measured: Tensor) -> Tensor:
        relative = (measured - self.get_buffer("centre")) / self.get_buffer("spread")
        return relative.clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)

    def predict(self, embedding: Tensor) -> Predicted:
        """The coefficients and the token of an embedding."""
        known = self.known(embedding)
        coefficients = (self.shared + self.head(known)).view(len(self.shapes), self.basis)
        return Predicted(coefficients, _TOKEN_SCALE * self.token_head(known).view(self.token_shape))

    def known(self, embedding: Tensor) -> Tensor:
        """What the last layers read of an embedding: [320], itself and the small network's departure."""
        departure = self.hidden(embedding) - self.hidden(torch.zeros_like(embedding))
        return torch.cat([embedding, departure])

    @torch.no_grad()
    def apart(self, embedding: Tensor, others: Tensor) -> Tensor:
        """The direction [320] along which what is known of an embedding can be changed, and of `others` [t, 64] not.

        It is the part of what the last layers read of the embedding that is at a right angle to what they read of all
        others, as long as makes a product of 1 with the whole. Raises: ValueError where there is (nearly) no such part.
        """
        known = self.known(embedding).double()
        axes = known.new_zeros(len(known), 0)
        if len(others):
            axes = torch.linalg.qr(torch.stack([self.known(other) for other in others]).double().T).Q
        found = known
        for _ in range(2):  # the second time takes away what rounding left
            found = found - axes @ (axes.T @ found)
        along = found @ known
        if along < _APART * (known @ known):
            raise ValueError("The embedding is a mixture of others, so it cannot be changed alone.")
        return (found / along).float()

    @torch.no_grad()
    def remember(self, embedding: Tensor, change: Predicted, others: Tensor) -> None:
        """Add `change` to what is said of an embedding, and nothing to what is said of `others` [t, 64].

        The last layers get an update of rank 1. Raises: ValueError as `apart`.
        Source: Zeng et al., "Continual learning of context-dependent processing in neural networks" (1810.01256):
        weights are modified at a right angle to the inputs of earlier tasks; here in closed form, once for a task.
        """
        direction = self.apart(embedding, others)
        self.head.weight += torch.outer(change.coefficients.flatten(), direction)
        self.token_head.weight += torch.outer(change.token.flatten() / _TOKEN_SCALE, direction)

    def hidden(self, embedding: Tensor) -> Tensor:
        """What the small network has in its last layer for an embedding."""
        hidden = constant_norm(ANGLE * embedding)
        for layer in self.trunk:
            hidden = nn.functional.silu(layer(hidden))
        return hidden

    def offsets(self, coefficients: Tensor) -> dict[str, Offset]:
        """The offset of every layer, by path, from coefficients [layers, basis]."""
        outs, ins = zip(*self.shapes.values(), strict=True)
        parts = zip(self.shapes, self.ups.split(outs, dim=1), self.downs.split(ins, dim=1), coefficients, strict=True)
        return {path: Offset((up * own[:, None]).T, down) for path, up, down, own in parts}


def _linear(inputs: int, outputs: int, generator: torch.Generator, zero: bool = False) -> nn.Linear:
    """A layer drawn from `generator`, as PyTorch would from the caller's; or at 0."""
    with torch.device("meta"):
        layer = nn.Linear(inputs, outputs)
    layer = layer.to_empty(device="cpu")
    with torch.no_grad():
        layer.bias.zero_()
        if zero:
            layer.weight.zero_()
        else:
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    return layer

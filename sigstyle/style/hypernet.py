"""Hypernetworks of one style: networks that make every layer's offset from a style and a layer embedding."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sigstyle.style.offsets import Offset

_EMBEDDING = 64
WIDTH = 128


def constant_norm(values: Tensor) -> Tensor:
    """`[cos(pi x / 2), sin(pi x / 2)]` along the last axis: inputs of the same norm whatever their size.

    Source: Magnitude Invariant Parametrizations (arXiv 2304.07645), section 4.
    """
    angle = values * (math.pi / 2)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


class _Linear(nn.Linear):
    """A layer without values yet: PyTorch would draw them from the global generator, which is the caller's."""

    def reset_parameters(self) -> None:
        """Nothing: `StyleHypernet` gives the values."""


class StyleHypernet(nn.Module):
    """Maps (style embedding, layer embedding) to each layer's factors; it knows shapes, not layers.

    Its output is added to a default: 0 for `up`, a random matrix for `down`. The output starts at 0, so every offset
    starts as the identity and training starts at the base model.

    Shapes: `shapes` holds (out, in) by layer path; layers of one shape share an output head.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, int]], rank: int = 3, seed: int = 0, width: int = WIDTH) -> None:
        super().__init__()
        self.shapes = dict(shapes)
        self.rank = rank
        generator = torch.Generator().manual_seed(seed)
        self.style = nn.Parameter(torch.randn(_EMBEDDING, generator=generator))
        self.layers = nn.Parameter(torch.randn(len(shapes), _EMBEDDING, generator=generator))
        self.trunk = self._made_trunk(width)
        self.heads = nn.ModuleDict(
            {_key(shape): _Linear(width, sum(shape) * rank) for shape in sorted(set(self.shapes.values()))}
        )
        self._initialise(generator)
        for index, (_, fan_in) in enumerate(self.shapes.values()):
            self.register_buffer(f"down_{index}", torch.randn(rank, fan_in, generator=generator))

    def _made_trunk(self, width: int) -> nn.Module:
        """What makes the features of each layer, not yet with values."""
        return nn.Sequential(_Linear(4 * _EMBEDDING, width), nn.SiLU(), _Linear(width, width), nn.SiLU())

    def _initialise(self, generator: torch.Generator) -> None:
        """Trunk as PyTorch would, but from `generator`; heads at 0."""
        for layer in self.trunk.children():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
                nn.init.zeros_(layer.bias)
        for head in self.heads.values():
            nn.init.zeros_(head.weight)  # type: ignore[arg-type]
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def forward(self) -> dict[str, Offset]:
        """The offset of every layer, by path, in float32."""
        features = self._features()
        rows = enumerate(self.shapes.items())
        return {path: self._offset(shape, features[i], self.get_buffer(f"down_{i}")) for i, (path, shape) in rows}

    def _features(self) -> Tensor:
        """The features [layers, width] that the heads read."""
        return self.trunk(constant_norm(self._inputs()))

    def _inputs(self) -> Tensor:
        """The style's embedding beside each layer's."""
        return torch.cat([self.style.expand(len(self.layers), -1), self.layers], dim=-1)

    def _offset(self, shape: tuple[int, int], features: Tensor, default_down: Tensor) -> Offset:
        fan_out, fan_in = shape
        up, down = self.heads[_key(shape)](features).split([fan_out * self.rank, fan_in * self.rank])
        return Offset(up.view(fan_out, self.rank), default_down + down.view(self.rank, fan_in))


def _key(shape: tuple[int, int]) -> str:
    """The name of the head that serves a weight shape."""
    return f"{shape[0]}x{shape[1]}"


class PlainHypernet(StyleHypernet):
    """The same network without Magnitude Invariant Parametrizations: raw inputs, and nothing added to its outputs.

    `down` is what the heads say, at the start as large as the defaults of the others; `up` starts at 0.
    Source: Ha et al., "HyperNetworks" (1609.09106), section 3.1.
    """

    def _made_trunk(self, width: int) -> nn.Module:
        return nn.Sequential(_Linear(2 * _EMBEDDING, width), nn.SiLU(), _Linear(width, width), nn.SiLU())

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        super()._initialise(generator)
        size = float(self._features().square().sum(1).mean().sqrt())
        for (fan_out, fan_in), head in zip(sorted(set(self.shapes.values())), self.heads.values(), strict=True):
            assert isinstance(head, nn.Linear)
            own = torch.randn(fan_in * self.rank, head.in_features, generator=generator) / size
            head.weight[fan_out * self.rank :] = own

    def _features(self) -> Tensor:
        return self.trunk(self._inputs())

    def _offset(self, shape: tuple[int, int], features: Tensor, default_down: Tensor) -> Offset:
        return super()._offset(shape, features, torch.zeros_like(default_down))


class _GRUCell(nn.GRUCell):
    """A cell without values yet, as `_Linear`."""

    def reset_parameters(self) -> None:
        """Nothing: the hypernetwork gives the values."""


class _Chain(nn.Module):
    """Reads layer after layer, and knows at each what it made of those before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.begin = _Linear(2 * _EMBEDDING, width)
        self.cell = _GRUCell(2 * _EMBEDDING, width)

    def forward(self, style: Tensor, layers: Tensor) -> Tensor:
        """The states [layers, width]. Shapes: style [d], layers [layers, d]."""
        state, found = self.begin(style).tanh(), []
        for layer in layers:
            state = self.cell(layer, state)
            found.append(state)
        return torch.stack(found)


class RecurrentHypernet(StyleHypernet):
    """A recurrent generator: what a layer gets depends on what was made for the layers before it.

    The style is the state that it begins with, the layers are read in the UNet's own order. Inputs and outputs are
    parametrised as in `StyleHypernet`.
    Source: arXiv 2209.07712 for dependencies between layers; Cho et al. (1406.1078) for the cell.
    """

    def _made_trunk(self, width: int) -> nn.Module:
        return _Chain(width)

    def _initialise(self, generator: torch.Generator) -> None:
        super()._initialise(generator)
        assert isinstance(self.trunk, _Chain)
        bound = self.trunk.cell.hidden_size**-0.5
        for parameter in self.trunk.cell.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def _features(self) -> Tensor:
        return self.trunk(constant_norm(self.style), constant_norm(self.layers))


_KINDS = {"mip": StyleHypernet, "mlp": PlainHypernet, "recurrent": RecurrentHypernet}


def make_hypernet(kind: str, shapes: Mapping[str, tuple[int, int]], rank: int, seed: int, width: int) -> StyleHypernet:
    """The hypernetwork of a kind that `CaptureConfig.generator` names."""
    return _KINDS[kind](shapes, rank, seed, width)

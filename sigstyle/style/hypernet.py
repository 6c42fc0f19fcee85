"""The hypernetwork: one shared network that makes every layer's offset from a style and a layer embedding."""

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
        self.trunk = nn.Sequential(_Linear(4 * _EMBEDDING, width), nn.SiLU(), _Linear(width, width), nn.SiLU())
        self.heads = nn.ModuleDict(
            {_key(shape): _Linear(width, sum(shape) * rank) for shape in sorted(set(self.shapes.values()))}
        )
        self._initialise(generator)
        for index, (_, fan_in) in enumerate(self.shapes.values()):
            self.register_buffer(f"down_{index}", torch.randn(rank, fan_in, generator=generator))

    def _initialise(self, generator: torch.Generator) -> None:
        """Trunk as PyTorch would, but from `generator`; heads at 0."""
        for layer in self.trunk:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
                nn.init.zeros_(layer.bias)
        for head in self.heads.values():
            nn.init.zeros_(head.weight)  # type: ignore[arg-type]
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def forward(self) -> dict[str, Offset]:
        """The offset of every layer, by path, in float32."""
        style = self.style.expand(len(self.layers), -1)
        features = self.trunk(constant_norm(torch.cat([style, self.layers], dim=-1)))
        rows = enumerate(self.shapes.items())
        return {path: self._offset(shape, features[i], self.get_buffer(f"down_{i}")) for i, (path, shape) in rows}

    def _offset(self, shape: tuple[int, int], features: Tensor, default_down: Tensor) -> Offset:
        fan_out, fan_in = shape
        up, down = self.heads[_key(shape)](features).split([fan_out * self.rank, fan_in * self.rank])
        return Offset(up.view(fan_out, self.rank), default_down + down.view(self.rank, fan_in))


def _key(shape: tuple[int, int]) -> str:
    """The name of the head that serves a weight shape."""
    return f"{shape[0]}x{shape[1]}"

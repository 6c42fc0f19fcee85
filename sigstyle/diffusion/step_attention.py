"""What self-attention does beside its own work while latents are denoised, as one object that a loop asks each step."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sigstyle.diffusion.attention import PlainProcessor, Projections, with_processors

_SHARPNESS = 2.0  # attention to a reference's keys is blurred otherwise
_NOTHING = 1e-6


class Foreign(NamedTuple):
    """Keys and values that stand in for a layer's own, and queries that are mixed into its own.

    Shapes: query, key, value [b, tokens, dim]. `gamma` is the share of `query`; `temperature` above 1 sharpens the
    attention, which foreign keys blur.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    gamma: float
    temperature: float


class Shown(NamedTuple):
    """Key and value [1, tokens, dim] of a reference in one layer, and the share of the attention that it gets."""

    key: Tensor
    value: Tensor
    share: float


class SteeredProcessor(PlainProcessor):
    """Self-attention with three slots; with all of them empty it is plain.

    `swapped` takes the place of queries (and keys, where it has some) in the last rows of the batch: under guidance,
    the conditional half. `foreign` takes the place of keys and values in all rows. Queries gather from what is `shown`
    too; what that leaves is for the layer's own keys and values. Unlike keys and values set side by side, the shares
    hold whatever the number of tokens.
    """

    def __init__(self) -> None:
        self.swapped: Projections | None = None
        self.foreign: Foreign | None = None
        self.shown: Sequence[Shown] = ()

    def project(self, attn: Any, hidden: Tensor) -> tuple[Tensor, Tensor]:
        query, key = super().project(attn, hidden) if self.swapped is None else self._swap(attn, hidden, self.swapped)
        if self.foreign is not None:
            query = torch.lerp(query, self.foreign.query.to(query), self.foreign.gamma)
            key = self.foreign.key.to(key)
        return query, key

    def _swap(self, attn: Any, hidden: Tensor, swapped: Projections) -> tuple[Tensor, Tensor]:
        own = hidden.shape[0] - swapped.query.shape[0]
        key = attn.to_k(hidden)
        query = swapped.query.to(key)
        if own:
            query = torch.cat([attn.to_q(hidden[:own]), query])
        if swapped.key is not None:
            key = torch.cat([key[:own], swapped.key.to(key)])
        return query, key

    def value(self, attn: Any, hidden: Tensor) -> Tensor:
        return super().value(attn, hidden) if self.foreign is None else self.foreign.value.to(hidden)

    def attended(
        self, attn: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, sharpness: float = 1.0
    ) -> Tensor:
        sharpness = sharpness if self.foreign is None else self.foreign.temperature
        rest = 1 - sum(shown.share for shown in self.shown)
        own = super().attended(attn, query, key, value, mask, sharpness) if rest > _NOTHING else torch.zeros_like(query)
        mixed = own * rest if self.shown else own
        for shown in self.shown:
            theirs = (x.to(query).expand(len(query), -1, -1) for x in (shown.key, shown.value))
            mixed = mixed + super().attended(attn, query, *theirs, sharpness=_SHARPNESS) * shown.share
        return mixed


Processors = Mapping[str, SteeredProcessor]


class StepAttention(ABC):
    """Steers the self-attention layers it names: `installed` around a run, `prepare` before each step in it.

    `processors` are those of the UNet it is installed in, and none otherwise.
    """

    processors: Processors = {}

    @abstractmethod
    def layers(self, unet: nn.Module) -> Iterable[str]:
        """Module paths of the layers that it steers."""

    @abstractmethod
    def prepare(self, step: int, timestep: int, rows: int) -> None:
        """Make the layers ready for one evaluation of `rows` images (twice as many rows under guidance)."""

    def join(self, processors: Processors) -> None:
        """Work on these processors from now on."""
        self.processors = processors

    @contextmanager
    def installed(self, unet: nn.Module) -> Iterator[None]:
        """Within the context the layers are steered; the processors that were there come back afterwards."""
        with with_processors(unet, {path: SteeredProcessor() for path in self.layers(unet)}) as processors:
            self.join(processors)
            try:
                yield
            finally:
                self.join({})


class Combined(StepAttention):
    """Several at once, one of each kind, on one set of processors.

    Raises: ValueError for two of one kind, which would fill the same slots.
    """

    def __init__(self, *parts: StepAttention) -> None:
        if len({type(part) for part in parts}) < len(parts):
            kinds = [type(part).__name__ for part in parts]
            raise ValueError(f"There are two of one kind among {kinds}; expected one of each.")
        self.parts = parts

    def layers(self, unet: nn.Module) -> Iterable[str]:
        return dict.fromkeys(path for part in self.parts for path in part.layers(unet))

    def join(self, processors: Processors) -> None:
        super().join(processors)
        for part in self.parts:
            part.join(processors)

    def prepare(self, step: int, timestep: int, rows: int) -> None:
        for part in self.parts:
            part.prepare(step, timestep, rows)

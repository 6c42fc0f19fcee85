"""Time-aware attention swapping: in some steps, layers take their queries (and keys) from another image's recording."""

from collections.abc import Iterable

from torch import Tensor, nn

from sigstyle.diffusion.attention import Projections, ProjectionsByTimestep
from sigstyle.diffusion.step_attention import StepAttention


class Swap(StepAttention):
    """Swaps what was recorded at a timestep into the step of that timestep; other steps and layers keep their own.

    Source: SigStyle, arXiv 2502.13997, section 3.3.
    """

    def __init__(self, recorded: ProjectionsByTimestep) -> None:
        self.recorded = recorded

    def layers(self, unet: nn.Module) -> Iterable[str]:
        return dict.fromkeys(path for layers in self.recorded.values() for path in layers)

    def prepare(self, step: int, timestep: int, rows: int) -> None:
        now = self.recorded.get(timestep, {})
        for path, processor in self.processors.items():
            processor.swapped = _for_rows(now[path], rows) if path in now else None


def _for_rows(found: Projections, rows: int) -> Projections:
    """A recording of one image, or of as many as there are rows, for all rows; values are never swapped."""

    def expanded(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.expand(rows, -1, -1)

    return Projections(found.query.expand(rows, -1, -1), expanded(found.key))

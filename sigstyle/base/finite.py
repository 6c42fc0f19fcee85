"""Whether values are numbers: NaN and infinity are told with where they came up, and never shown as a picture."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sigstyle.errors import PaintingError


@dataclass(eq=False)
class Finiteness:
    """Remembers of tensors whether all their values are finite; the device is not waited for until `check`."""

    dtype: torch.dtype  # of what computes them
    _seen: list[tuple[str, Tensor]] = field(default_factory=list)

    def look(self, stage: str, values: Tensor) -> None:
        """Look at what a stage gave. Tensors without values, on the device 'meta', pass."""
        if not values.is_meta:
            self._seen.append((stage, values.isfinite().all()))

    def look_at_path(self, path: Tensor, first: str, step: str) -> None:
        """Look at what an inversion gave: its start [0], then each of its steps. Shapes: path [steps + 1, …]."""
        for index, values in enumerate(path):
            self.look(f"{step} {index} of {len(path) - 1}" if index else first, values)

    def check(self) -> None:
        """Raises PaintingError naming the first stage that gave a value which is not finite."""
        stage = None
        if self._seen:
            device = self._seen[-1][1].device
            flags = torch.stack([finite.to(device) for _, finite in self._seen]).tolist()  # one wait for all
            stage = next((stage for (stage, _), finite in zip(self._seen, flags, strict=True) if not finite), None)
        self._seen.clear()
        if stage is None:
            return
        advice = "Use --dtype float32 (in Python dtype=torch.float32)."
        if self.dtype == torch.float32:
            advice = "That is with --dtype float32 already: lower the strength, or check the base and the style."
        raise PaintingError(
            f"No picture was made: {stage} gave NaN or infinite values in {str(self.dtype).removeprefix('torch.')}. "
            f"{advice}"
        )

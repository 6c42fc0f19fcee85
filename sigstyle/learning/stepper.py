"""One optimiser step of a capture: gradients within the memory there is, and the way back from a step gone wrong."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sigstyle.base.memory import is_out_of_memory
from sigstyle.config import CaptureConfig
from sigstyle.errors import CaptureError
from sigstyle.learning.lessons import Lesson
from sigstyle.learning.state import Snapshot, TrainingState

_LOWERED_LR = 0.3


@dataclass(frozen=True, eq=False)
class Stepper:
    """Steps on `lessons`, whatever they are; all that it changes is in `state`."""

    state: TrainingState
    config: CaptureConfig
    lessons: Sequence[Lesson[Any]]

    def step(self, refresh: Callable[[], None]) -> float | None:
        """One optimiser step; its loss, or None (nothing changed but randomness) when it is not finite.

        `refresh` is called before every forward, see `attach.training`. Raises: CaptureError when memory is short.
        """
        state = self.state
        drawn = [(lesson, lesson.draw(state.generator)) for lesson in self.lessons]
        loss, finite = self._gradients(drawn, refresh)
        while not finite and math.isfinite(loss) and state.progression.loss_scale > 1:
            state.progression.loss_scale /= 2
            loss, finite = self._gradients(drawn, refresh)
        if not finite or not math.isfinite(loss):
            return None
        factor = _lr_factor(state.progression.step, self.config) * state.progression.lr_scale
        for group in state.optimizer.param_groups:
            group["lr"] = group["full_lr"] * factor
        state.optimizer.step()
        state.progression.step += 1
        state.losses.append(loss)
        return loss

    def _gradients(self, drawn: Sequence[tuple[Lesson[Any], Any]], refresh: Callable[[], None]) -> tuple[float, bool]:
        """The loss, with the parameters' clipped gradients left in place, and whether these are finite."""
        state, losses = self.state, self._backward(drawn, refresh)
        if state.progression.loss_scale != 1:
            for parameter in state.parameters().values():
                if parameter.grad is not None:
                    parameter.grad.div_(state.progression.loss_scale)
        norm = nn.utils.clip_grad_norm_(state.parameters().values(), 1.0)
        *parts, size = self._read([*losses, norm])
        return sum(parts), math.isfinite(size)

    def _read(self, scalars: list[Tensor]) -> list[float]:
        """The numbers of a step, and the multiplier: the one time in a step that the device is waited for."""
        progression, weight = self.state.progression, self.state.progression.content_weight
        given = [*scalars, *([weight] if isinstance(weight, Tensor) else [])]
        read = torch.stack([scalar.to(scalars[0].device) for scalar in given]).tolist()
        if isinstance(weight, Tensor):
            progression.content_weight = read.pop()
        return read

    def _backward(self, drawn: Sequence[tuple[Lesson[Any], Any]], refresh: Callable[[], None]) -> list[Tensor]:
        """Gradients of all samples' loss, and its parts; cut into ever smaller pieces while memory is short.

        Raises: CaptureError when even one sample does not fit.
        """
        progression = self.state.progression
        while True:
            self.state.optimizer.zero_grad(set_to_none=True)
            try:
                losses = []
                for lesson, samples in drawn:
                    for part in samples.split(progression.chunks):
                        refresh()
                        loss = lesson.loss(part) * (len(part) / len(samples))
                        (loss * progression.loss_scale if progression.loss_scale != 1 else loss).backward()
                        losses.append(loss.detach())
                return losses
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if progression.chunks >= max(len(samples) for _, samples in drawn):
                    raise CaptureError(
                        f"The device {self.state.token.device} has too little memory for one sample of this base. "
                        "Lower size_px, use float16, or choose a smaller base or the CPU."
                    ) from error
                progression.chunks *= 2

    def rolled_back(self, safe: Snapshot) -> Snapshot:
        """The state as it was last safe, with a lower learning rate. Raises: CaptureError the second time."""
        if self.state.progression.lr_scale < 1:
            raise CaptureError(
                f"The loss was not finite again at step {self.state.progression.step + 1}, at a lowered learning rate "
                f"too. Lower hypernet_lr ({self.config.hypernet_lr}) and token_lr ({self.config.token_lr}), or use "
                "float32 and autocast='off'."
            )
        self.state.restore(safe)
        self.state.progression.lr_scale = _LOWERED_LR
        return self.state.snapshot()


def _lr_factor(step: int, config: CaptureConfig) -> float:
    """Linear warm-up, then linear decay to nearly 0 at the last step, or none."""
    left = 1.0 if config.decay == "constant" else 1 - step / config.steps
    return min(1.0, (step + 1) / max(1, config.warmup)) * left

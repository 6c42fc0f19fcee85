"""Muon: momentum whose matrices are orthogonalised before they are applied."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Push the singular values of [n, rows, columns] towards one (rows <= columns)."""
    a, b, c = QUINTIC
    x = matrices.bfloat16()
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon(Optimizer):
    """Orthogonalised Nesterov momentum for convolution weights, flattened to [out, in*k*k].

    Units: `lr` is Adam's: the update has 0.2 lr root mean square. Source: Jordan 2024;
    the scale from 2502.16982, section 2.2.
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 3e-3, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append(parameter)
            for parameters in shapes.values():
                self._step_same_shape(parameters, group["lr"], group["momentum"])

    def _step_same_shape(self, parameters: list[Tensor], lr: float, momentum: float) -> None:
        updates = []
        for parameter in parameters:
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            gradient: Any = parameter.grad
            state["momentum"].lerp_(gradient, 1 - momentum)
            updates.append(gradient.lerp(state["momentum"], momentum).flatten(1))
        stacked = torch.stack(updates)
        wide = stacked.shape[1] <= stacked.shape[2]
        directions = orthogonalise(stacked if wide else stacked.mT)
        directions = directions if wide else directions.mT
        scale = 0.2 * max(stacked.shape[1:]) ** 0.5
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.add_(direction.reshape(parameter.shape).to(parameter.dtype), alpha=-lr * scale)

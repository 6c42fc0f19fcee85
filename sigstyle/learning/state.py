"""Everything a capture changes as it goes, held so that it can be rolled back, saved and resumed bit for bit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.style.tensor_file import read_tensors, write_tensors
from sigstyle.text import parsed_json

FORMAT = 1
_MAX_STATE_BYTES = 4 * 2**30
_ADAM = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class Progression:
    """Where a capture stands, apart from its tensors: plain values.

    `lr_scale` drops once after a loss that is not finite; `chunks` is into how many pieces a batch is cut so that it
    fits into memory; `content_weight` is the multiplier of the photos' structure, on the device while a step goes on;
    `autocast` is whether bfloat16 was chosen, once for all steps, and `autocast_reason` why; `painting` is whether
    photos are painted, None before the first step; `checkpointing` is whether blocks are computed once more on the way
    back, as it was last; `notice` says why, or ''; `best_step` and `best_score` are of what held-out samples show to be
    best, None before they were looked at; `loss_scale` is what losses are multiplied by, so that gradients do not
    vanish in float16, and halved where they overflow.
    """

    step: int = 0
    lr_scale: float = 1.0
    chunks: int = 1
    autocast: bool = False
    autocast_reason: str = ""
    content_weight: Any = 1.0  # a number, but in a step
    painting: bool | None = None
    checkpointing: bool = False
    notice: str = ""
    best_step: int = 0
    best_score: float | None = None
    loss_scale: float = 1.0


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A copy of a capture's state that later steps do not touch."""

    tensors: dict[str, Tensor]
    progression: Progression


@dataclass(eq=False)
class TrainingState:
    """What is learned, its optimiser, and the source of everything random.

    The hypernetwork, when called, gives the offsets by layer path. Shapes: token [n, dim], or the embedding that the
    hypernetwork makes the token from as well; losses has one float for each step done; best are the parameters' values
    that held-out samples show to be best.
    """

    hypernet: nn.Module
    token: nn.Parameter
    optimizer: torch.optim.AdamW
    generator: torch.Generator
    progression: Progression = field(default_factory=Progression)
    losses: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def parameters(self) -> dict[str, nn.Parameter]:
        """Everything trained, by name."""
        return {**{f"hypernet.{name}": p for name, p in self.hypernet.named_parameters()}, "token": self.token}

    def keep_best(self) -> None:
        """What is known now is the best so far."""
        self.best = {name: parameter.detach().clone() for name, parameter in self.parameters().items()}

    def adopt_best(self) -> None:
        """Go on with the best so far, if it was ever looked for."""
        with torch.no_grad():
            for name, value in self.best.items():
                self.parameters()[name].copy_(value)

    def snapshot(self) -> Snapshot:
        """A copy of the state as it is now."""
        tensors = {"rng": self.generator.get_state(), "losses": torch.tensor(self.losses, dtype=torch.float64)}
        for name, parameter in self.parameters().items():
            tensors[f"value.{name}"] = parameter.detach().clone()
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"adam.{name}.{key}"] = value.detach().clone()
        tensors |= {f"best.{name}": value for name, value in self.best.items()}  # never changed, so no copies
        return Snapshot(tensors, Progression(**vars(self.progression)))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to `snapshot`, which stays usable. Raises: KeyError or RuntimeError when it is of other shapes."""
        tensors = snapshot.tensors
        self.optimizer.state.clear()
        for name, parameter in self.parameters().items():
            with torch.no_grad():
                parameter.copy_(tensors[f"value.{name}"])
            if f"adam.{name}.step" in tensors:
                moments = {key: tensors[f"adam.{name}.{key}"].clone() for key in _ADAM}
                placed = {key: moments[key].to(parameter.device) for key in _ADAM[1:]}
                self.optimizer.state[parameter] = {"step": moments["step"], **placed}
        self.best = {
            name: tensors[f"best.{name}"].to(parameter.device)
            for name, parameter in self.parameters().items()
            if f"best.{name}" in tensors
        }
        self.generator.set_state(tensors["rng"])
        self.losses = tensors["losses"].tolist()
        self.progression = Progression(**vars(snapshot.progression))


def save_state(path: Path, snapshot: Snapshot, job: Mapping[str, Any]) -> None:
    """Write a snapshot atomically, with the `job` (plain values) it belongs to. Raises: StyleFileError."""
    header = {"format": FORMAT, "job": dict(job), "progression": vars(snapshot.progression)}
    write_tensors(path, snapshot.tensors, {"sigstyle_capture": json.dumps(header, sort_keys=True)})


def load_state(path: Path, job: Mapping[str, Any]) -> Snapshot:
    """Read the snapshot of the very same `job`.

    Raises: StyleFileError when the file is damaged or no capture state, ConfigError when it belongs to another job.
    """
    tensors, metadata = read_tensors(path, dtypes=("F32", "F64", "U8"), max_bytes=_MAX_STATE_BYTES)
    try:
        header = parsed_json(metadata["sigstyle_capture"])
        progression = Progression(**header["progression"])
        other = header["job"]
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']}")
    except (KeyError, ValueError, TypeError) as error:
        raise StyleFileError(f"{path.name} is not the state of a capture ({error}). Start without resuming.") from error
    differing = [key for key in sorted({*job, *other}) if job.get(key) != other.get(key)]
    if differing:
        raise ConfigError(
            f"{path.name} is the state of another capture: "
            + "; ".join(f"{key} was {other.get(key)!r} and is {job.get(key)!r}" for key in differing)
            + ". Resume with the same settings and images, or start without resuming."
        )
    return Snapshot(tensors, progression)

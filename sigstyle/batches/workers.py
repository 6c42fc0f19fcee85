"""This process among those that torchrun or accelerate started together."""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch

_PATIENCE = timedelta(hours=2)  # of the others, while the first process writes the gallery


@dataclass(frozen=True)
class Place:
    """Which process this is of how many, and the device that is its own."""

    rank: int = 0
    count: int = 1
    device: torch.device | None = None
    state: Any = None

    @property
    def first(self) -> bool:
        """Whether this process does what is done once."""
        return self.rank == 0

    @property
    def share(self) -> float:
        """Where among the others this process stands, 0 to 1."""
        return self.rank / self.count

    def meet(self) -> None:
        """Wait until all processes are here."""
        if self.state is not None:
            self.state.wait_for_everyone()


def join(device: str | torch.device | None) -> Place:
    """This process' place; on several GPUs each process gets its own, whichever CUDA `device` was asked for."""
    wanted = torch.device(device) if device is not None else None
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Place(device=wanted)
    from accelerate import PartialState

    on_cpu = wanted.type == "cpu" if wanted is not None else not torch.cuda.is_available()
    state = PartialState(cpu=on_cpu, timeout=_PATIENCE)
    return Place(state.process_index, state.num_processes, state.device, state)


def leave() -> None:
    """End the connection to the other processes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()

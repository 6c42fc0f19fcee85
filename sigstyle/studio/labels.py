"""What is said of jobs in a list: of those that are there, and of those that are over."""

from dataclasses import dataclass
from typing import Literal

State = Literal["waiting", "running", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Label:
    """What a job is called in a list: whose it is, its kind of work, what it makes.

    Units: counts pictures or steps, 0 where that says nothing about its time.
    """

    person: str = ""
    kind: str = ""
    title: str = ""
    units: int = 1


@dataclass(frozen=True)
class Ended:
    """A job that is over. Units: seconds it worked; at is of the monotonic clock."""

    id: str
    label: Label
    state: State
    seconds: float
    at: float

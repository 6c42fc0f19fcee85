"""Timing, logging and interrupting of a training loop."""

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


class Periods:
    """Says when something is due again, by training time."""

    def __init__(self, start_s: float):
        self.start_s, self.last_s = start_s, dict[str, float]()

    def due(self, name: str, period_s: float, now_s: float) -> bool:
        """Whether `period_s` has passed since it last was."""
        if now_s - self.last_s.get(name, self.start_s) < period_s:
            return False
        self.last_s[name] = now_s
        return True


def summarise(window: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean losses of the steps that had them, and images a second."""
    names = dict.fromkeys(name for entry in window for name in entry)
    means = {n: float(np.mean([entry[n] for entry in window if n in entry])) for n in names}
    rate = means.pop("images") / means.pop("seconds")
    return {name: round(mean, 5) for name, mean in means.items()} | {"images_per_s": round(rate, 1)}


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying, so that a step ends and a checkpoint is whole."""
    caught: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {s: signal.signal(s, lambda number, _: caught.append(number)) for s in signals}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def log_line(folder: Path, entry: dict[str, Any]) -> None:
    """Print an entry and append it to the folder's log, as JSON."""
    line = json.dumps(entry)
    with (folder / "log.jsonl").open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)

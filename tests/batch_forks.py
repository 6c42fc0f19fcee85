"""Processes that work on a batch and are killed, forked so that each starts at once: prints what happened as JSON.

Called as `python batch_forks.py FOLDER`, FOLDER holding base/, photos/ and styles.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import torch

import sigstyle
from sigstyle.base.model import BaseModel, load_base

SETTINGS: dict[str, Any] = {"steps": 2, "size_px": 64, "together": 2}
_PATIENCE_S = 600


def work(folder: Path, base: BaseModel, output: Path) -> int:
    """Start a process on the batch; its id. It writes how many pictures it made to OUTPUT.ID."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        styles = sorted(folder.glob("*.safetensors"))
        made = [r.error is None for r in sigstyle.batch(folder / "photos", styles, output, base=base, **SETTINGS)]
        output.with_suffix(f".{os.getpid()}").write_text(str(sum(made)))
        code = 0
    finally:
        os._exit(code)


def ended(process: int, wait: bool = True) -> int | None:
    """The exit code of a process, None while it runs."""
    found, status = os.waitpid(process, 0 if wait else os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def worked_s(process: int) -> float:
    """Processor time of a process: a busy machine then changes nothing."""
    try:
        times = psutil.Process(process).cpu_times()
        return times.user + times.system
    except psutil.Error:
        return 0.0


def pictures(output: Path) -> dict[str, int]:
    """When each finished picture was written."""
    return {path.name: path.stat().st_mtime_ns for path in output.glob("*--*.png")}


def kills(folder: Path, base: BaseModel) -> dict[str, Any]:
    """One process after the other, killed at random, until one comes to its end."""
    output, chance = folder / "killed", random.Random(0)
    killed, rewritten, before = 0, [], {}
    started = time.monotonic()
    while time.monotonic() - started < _PATIENCE_S:
        process = work(folder, base, output)
        allowed_s = chance.uniform(0.01, 0.4)
        while (code := ended(process, wait=False)) is None and worked_s(process) < allowed_s:
            time.sleep(0.001)
        if code is None:
            os.kill(process, signal.SIGKILL)
            ended(process)
            killed += 1
        now = pictures(output)
        rewritten += [name for name, when in before.items() if now.get(name) != when]
        before = now
        if code is not None:
            return {"killed": killed, "rewritten": rewritten, "code": code}
    raise SystemExit("it does not come to an end")


def takeover(folder: Path, base: BaseModel) -> dict[str, Any]:
    """Two at once: one is killed in the middle of its work, the other ends with everything done."""
    output = folder / "taken"
    one, other = work(folder, base, output), work(folder, base, output)
    while not pictures(output):
        time.sleep(0.001)
    os.kill(one, signal.SIGKILL)
    return {"codes": [ended(one), ended(other)]}


def three(folder: Path, base: BaseModel) -> dict[str, Any]:
    """Three at once; what each of them made."""
    output = folder / "shared"
    codes = [ended(process) for process in [work(folder, base, output) for _ in range(3)]]
    return {"codes": codes, "made": [int(path.read_text()) for path in folder.glob("shared.*")]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    place = Path(sys.argv[1])
    _ = sigstyle.batch  # what is imported once is not imported again in each process, so that each starts at once
    loaded = load_base(place / "base", "cpu")
    print(json.dumps({scenario.__name__: scenario(place, loaded) for scenario in (kills, takeover, three)}))

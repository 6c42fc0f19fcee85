"""Captures killed with SIGKILL at random moments and resumed, until each is done: prints what came of it as JSON.

Called as `python tests/capture_kills.py [KILLS] [SEED]`, from anywhere; exit code 1 when a style is another than that
of a capture nobody disturbed, or anything was left.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the code beside these tests

import torch
from batch_forks import ended, worked_s
from conftest import make_painting, make_parts

from sigstyle.base.model import BaseModel
from sigstyle.cli.main import app
from sigstyle.learning import loop
from sigstyle.scoring.features import style_features
from sigstyle.style import ingredients

QUICK = ("--steps", "6", "--crops", "2", "--size-px", "64", "--warmup", "2", "--autocast", "off", "--quiet")
WAYS = (("--preset", "classic", "--batch-size", "2", *QUICK), ("--painting", "1", "--batch-size", "1", *QUICK))
STYLE = "mine.safetensors"
_SAVE_EVERY = 2  # often enough that many are killed while they write
_PATIENCE_S = 2400


def shop(place: Path) -> None:
    """An image, and photos to paint while learning."""
    (place / "bank").mkdir()
    make_painting().save(place / "image.png")
    for number in range(2):
        make_painting().rotate(90 * number).resize((192, 144)).save(place / "bank" / f"{number}.png")


def capture(place: Path, output: Path, way: tuple[str, ...], resume: bool) -> int:
    """Start a process that captures into the folder `output`; its id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        bank = [] if "classic" in way else ["--bank", str(place / "bank")]
        words = ["capture", str(place / "image.png"), "-o", str(output / STYLE), *way, *bank]
        app([*words, *(["--resume"] if resume else [])], standalone_mode=False)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    finally:
        os._exit(code)


def killed_after(process: int, limit_s: float | None) -> bool:
    """Whether a process was killed, `limit_s` of its own time after its start. Raises: SystemExit when it failed."""
    while (code := ended(process, wait=False)) is None:
        if limit_s is not None and worked_s(process) >= limit_s:
            os.kill(process, signal.SIGKILL)
            ended(process)
            return True
        time.sleep(0.001)
    if code:
        raise SystemExit(f"a process ended with {code}")
    return False


def alone(place: Path, number: int) -> tuple[bytes, float]:
    """The style of a capture that nobody disturbs, and how long it works. Units: seconds."""
    output = place / f"alone-{number}"
    output.mkdir()
    before = os.times()
    ended(capture(place, output, WAYS[number], resume=False))
    after = os.times()
    worked = after.children_user + after.children_system - before.children_user - before.children_system
    return (output / STYLE).read_bytes(), worked


def kills(place: Path, count: int, seed: int = 0) -> dict[str, Any]:
    """Captures, each resumed until it is done, until `count` processes were killed."""
    chance, killed, rounds, told, held = random.Random(seed), 0, 0, list[str](), 0
    started, expected = time.monotonic(), [alone(place, number) for number in range(len(WAYS))]
    while killed < count:
        number, output = rounds % len(WAYS), place / f"round-{rounds}"
        style, whole_s = expected[number]
        output.mkdir()
        rounds, dead, resumed = rounds + 1, True, False
        while dead:
            limit_s = chance.uniform(0.0, whole_s) if killed < count else None
            dead = killed_after(capture(place, output, WAYS[number], resumed), limit_s)
            killed, resumed = killed + dead, True
            held += dead and (output / "mine.state.safetensors").exists()
            if time.monotonic() - started > _PATIENCE_S:
                raise SystemExit("it does not come to an end")
        told += [] if (output / STYLE).read_bytes() == style else [f"round {rounds}: the style differs"]
        told += [f"round {rounds}: {path.name} was left" for path in output.iterdir() if path.name != STYLE]
    return {"killed": killed, "with_a_state": held, "rounds": rounds, "faults": told}


if __name__ == "__main__":
    torch.set_num_threads(1)
    tiny = BaseModel.from_pipeline(make_parts(), name="tiny")
    setattr(ingredients, "load_base", lambda *_, **__: tiny)  # noqa: B010 - each process is forked with it
    setattr(loop, "_SAVE_EVERY", _SAVE_EVERY)  # noqa: B010
    style_features()  # read once, and not by each
    arguments = [int(word) for word in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        shop(Path(folder))
        result = kills(Path(folder), *(arguments or [50]))
    print(json.dumps(result))
    sys.exit(1 if result["faults"] else 0)

"""Batches killed with SIGKILL at random moments, from the first to the last: prints what came of it as JSON.

Called as `python tests/batch_kills.py [KILLS] [SEED]`, from anywhere; exit code 1 when anything was lost.
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
from batch_forks import SETTINGS, ended, pictures, work, worked_s
from conftest import make_painting, make_parts
from random_style import random_style

import sigstyle
from sigstyle.base.model import BaseModel

PHOTOS, STYLES = 4, ("ink", "wave")
_PATIENCE_S = 1200


def shop(place: Path, base: BaseModel) -> None:
    """Photos of two sizes, one in a subfolder, and styles."""
    (place / "photos" / "sub").mkdir(parents=True)
    for number in range(PHOTOS):
        photo = make_painting().rotate(20 * number)
        name = "sub/last.png" if number == PHOTOS - 1 else f"p{number}.png"
        (photo if number % 2 else photo.resize((80, 80))).save(place / "photos" / name)
    for seed, name in enumerate(STYLES):
        random_style(base, name, seed=seed).save(place / f"{name}.safetensors")


def made_in(output: Path) -> dict[str, bytes]:
    """All pictures of a folder and its subfolders."""
    paths = sorted(output.rglob("*--*.png"))
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in paths if path.parent.name != "after"}


def lines(output: Path) -> list[dict[str, Any]]:
    """The manifest, without how long each picture took."""
    texts = (output / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [{**json.loads(text), "seconds": 0} for text in texts]


def faults(place: Path, output: Path) -> list[str]:
    """What differs between a batch that was killed and the one that was not."""
    alone, found = made_in(place / "alone"), made_in(output)
    told = [f"{name} is lost" for name in alone.keys() - found.keys()]
    told += [f"{name} is one too many" for name in found.keys() - alone.keys()]
    told += [f"{name} differs" for name in alone.keys() & found.keys() if alone[name] != found[name]]
    told += [f"{path.name} was left" for path in output.rglob(".*") if path.name != ".sigstyle-batch"]
    told += [] if lines(output) == lines(place / "alone") else ["the manifest differs"]
    pages = ("index.html", "contact-sheet.png")
    return told + [f"{name} differs" for name in pages if not (output / name).exists()]


def attempt(place: Path, base: BaseModel, output: Path, limit_s: float | None, beside: bool) -> tuple[bool, bool]:
    """One process, killed after `limit_s` of its own time, with another `beside` it: (was it killed, is all done)."""
    process = work(place, base, output)
    other = work(place, base, output) if beside else None
    while (code := ended(process, wait=False)) is None and (limit_s is None or worked_s(process) < limit_s):
        time.sleep(0.001)
    if code is None:
        os.kill(process, signal.SIGKILL)
        ended(process)
    finished = code == 0
    if other is not None:
        finished = ended(other) == 0 or finished
    if code not in (None, 0):
        raise SystemExit(f"a process ended with {code}")
    return code is None, finished


def kills(place: Path, base: BaseModel, count: int, seed: int = 0) -> dict[str, Any]:
    """Batches, each begun anew until it is done, until `count` processes were killed."""
    chance, killed, rounds, told = random.Random(seed), 0, 0, list[str]()
    started = time.monotonic()
    list(sigstyle.batch(place / "photos", sorted(place.glob("*.safetensors")), place / "alone", base=base, **SETTINGS))
    before = worked_s(os.getpid())
    list(sigstyle.batch(place / "photos", sorted(place.glob("*.safetensors")), place / "again", base=base, **SETTINGS))
    whole_s = worked_s(os.getpid()) - before
    while killed < count:
        output, finished, seen = place / f"round-{rounds}", False, dict[str, int]()
        rounds += 1
        while not finished:
            limit_s = chance.uniform(0.0, whole_s) if killed < count else None
            dead, finished = attempt(place, base, output, limit_s, beside=chance.random() < 0.2)
            killed += dead
            now = pictures(output)
            told += [f"{name} was made twice" for name, when in seen.items() if now.get(name) != when]
            seen = now
            if time.monotonic() - started > _PATIENCE_S:
                raise SystemExit("it does not come to an end")
        told += faults(place, output)
    return {"killed": killed, "rounds": rounds, "whole_s": round(whole_s, 2), "faults": told}


if __name__ == "__main__":
    torch.set_num_threads(1)
    words = [int(word) for word in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        tiny = BaseModel.from_pipeline(make_parts(), name="tiny")
        shop(Path(folder), tiny)
        result = kills(Path(folder), tiny, *(words or [50]))
    print(json.dumps(result))
    sys.exit(1 if result["faults"] else 0)

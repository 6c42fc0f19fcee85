"""Batches and captures killed at random moments; `SIGSTYLE_KILLS=50` kills as often."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
KILLS = os.environ.get("SIGSTYLE_KILLS", "3")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


def killed_by(script: str) -> dict[str, Any]:
    """What a script of kills tells."""
    command = [sys.executable, str(ROOT / "tests" / script), KILLS]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert run.stdout, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["killed"] == int(KILLS) and run.returncode == (told["faults"] != [])
    return told


def test_killed_at_random_moments_nothing_is_lost_nothing_made_twice_nothing_left() -> None:
    assert killed_by("batch_kills.py")["faults"] == []


def test_captures_killed_at_random_moments_end_in_the_very_same_style_and_nothing_is_left() -> None:
    assert killed_by("capture_kills.py")["faults"] == []

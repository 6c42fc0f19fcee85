"""Batches killed at random moments; `SIGSTYLE_KILLS=50` kills as often."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
KILLS = os.environ.get("SIGSTYLE_KILLS", "3")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_killed_at_random_moments_nothing_is_lost_nothing_made_twice_nothing_left() -> None:
    path = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [sys.executable, str(ROOT / "tests" / "batch_kills.py"), KILLS]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert run.stdout, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["killed"] == int(KILLS) and told["faults"] == [] and run.returncode == 0

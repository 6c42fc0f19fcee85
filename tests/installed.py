"""The package as users get it: built into a wheel, installed away from the checkout, used from another folder."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SMALL = ("--size-px", "128", "--steps", "2", "--margin-px", "0", "--device", "cpu")


@dataclass(frozen=True)
class Installed:
    """An installation: its commands, the Python that sees it, and what both need in the environment."""

    commands: Path
    python: Path
    environment: dict[str, str]
    folder: Path

    def says(self, *words: str | Path) -> str:
        """What a command of it prints, run in `folder`. Raises: AssertionError with its errors when it fails."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | self.environment
        done = subprocess.run([*map(str, words)], cwd=self.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{words} failed in {self.folder}:\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def tells(self, code: str) -> str:
        """What Python code prints there."""
        return self.says(self.python, "-c", code)

    def restyles(self, photo: Path) -> dict[str, Any]:
        """A photo in a shipped style, small and in two steps; what the command says about it."""
        style = ("-s", "great-wave", "-o", self.folder / "restyled.png")
        return json.loads(self.says(self.commands / "sigstyle", "transfer", photo, *style, *SMALL, "--json"))


def build(python: Path, folder: Path, *formats: str) -> Path:
    """The wheel, built into `folder` without a network; `formats` are flags of `python -m build`."""
    command = [python, "-m", "build", "--no-isolation", *formats, "--outdir", folder, ROOT]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = folder.glob("*.whl")
    return wheel

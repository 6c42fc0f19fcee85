"""The manifest: one line of JSON for each picture, with its recipe, or for each failure, with its reason."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from PIL import Image, UnidentifiedImageError

from sigstyle.batches.claims import HIDDEN
from sigstyle.batches.jobs import Output
from sigstyle.files import write_atomically
from sigstyle.imaging.images import RECIPE_KEY

MANIFEST = "manifest.jsonl"
Line = dict[str, Any]


def peek_recipe(path: Path) -> dict[str, Any] | None:
    """The recipe in a PNG's header, which is all that is read; None when there is none."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            recipe = json.loads(image.info.get(RECIPE_KEY, ""))
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError):
        return None
    return recipe if isinstance(recipe, dict) else None


def line_of(output: Output, recipe: dict[str, Any] | None, error: str | None = None, **more: Any) -> Line:
    """The line of a picture that was made, or that failed with `error`."""
    return {
        "output": output.name,
        "content": output.photo.origin,
        "photo": output.photo.label,
        "style": output.look.style.name,
        "look": output.look.label,
        "status": "failed" if error else "done",
        **({"error": error} if error else {"recipe": recipe}),
        **more,
    }


class Manifest:
    """The manifest of an output folder, shared by all processes and machines that work there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / MANIFEST
        self._lock = FileLock(folder / HIDDEN / "manifest.lock", thread_local=False)

    def append(self, line: Line) -> None:
        """Add a line. Raises: OSError."""
        text = json.dumps(line, sort_keys=True)
        with self._lock, self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                text = text if file.read(1) == b"\n" else "\n" + text  # a line cut short by a kill stays alone
            file.write(f"{text}\n".encode())
            file.flush()

    def lines(self) -> dict[str, Line]:
        """The latest line of each output; lines cut short are left out."""
        try:
            texts = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return {}
        return {line["output"]: line for line in map(_parsed, texts) if line is not None}

    def settle(self, outputs: Sequence[Output]) -> dict[str, Line]:
        """Make the manifest say what is there: one line for each picture, sorted, rebuilt from its recipe if missing.

        Lines of pictures that are gone are dropped; failures stay until the picture is made.
        Raises: OSError.
        """
        with self._lock:
            lines = self.lines()
            before = list(lines.items())
            lines = {name: line for name, line in lines.items() if self._holds(line)}
            for output in outputs:
                known = lines.get(output.name, {}).get("status") == "done"
                if not known and (recipe := peek_recipe(self.folder / output.name)) is not None:
                    lines[output.name] = line_of(output, recipe)
            lines = dict(sorted(lines.items()))
            if list(lines.items()) != before or not self._whole(lines.values()):
                write_atomically(self.path, _text(lines.values()).encode())
        return lines

    def _holds(self, line: Mapping[str, Any]) -> bool:
        return (self.folder / line["output"]).exists() == (line.get("status") == "done")

    def _whole(self, lines: Iterable[Line]) -> bool:
        return self.path.exists() and self.path.read_bytes() == _text(lines).encode()


def _text(lines: Iterable[Line]) -> str:
    return "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)


def _parsed(text: str) -> Line | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    usable = isinstance(line, dict) and all(isinstance(line.get(key), str) for key in ("output", "status"))
    return line if usable else None

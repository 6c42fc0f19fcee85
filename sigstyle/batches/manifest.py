"""The manifest: one line of JSON for each picture, with its recipe, or for each failure, with its reason."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from sigstyle.batches.claims import HIDDEN
from sigstyle.batches.jobs import Output
from sigstyle.batches.present import Found, found_at, left_alone, there
from sigstyle.errors import ConfigError
from sigstyle.files import write_atomically
from sigstyle.text import parsed_json

MANIFEST = "manifest.jsonl"
Line = dict[str, Any]
_MAX_LINE_BYTES = 4 * 2**20
_MAX_SECONDS = 1e7


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
    """The manifest of an output folder, shared by all processes and machines that work there.

    A line that was read is trusted for how long its own picture took, what was worth saying of it, or why it failed:
    all else is told by the job and by the picture.
    """

    def __init__(self, folder: Path) -> None:
        """Raises: ConfigError when something that is no file has the manifest's name."""
        self.folder, self.path = folder, folder / MANIFEST
        self._lock = FileLock(folder / HIDDEN / "manifest.lock", thread_local=False)
        if there(self.path) and not self.path.is_file():
            raise ConfigError(
                f"{self.path} is no file, and the manifest goes there. Move it, or choose another folder."
            )

    def append(self, line: Line) -> None:
        """Add a line. Raises: OSError."""
        text = json.dumps(line, sort_keys=True)
        with self._lock, self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                text = text if file.read(1) == b"\n" else "\n" + text  # a line cut short by a kill stays alone
            file.write(f"{text}\n".encode())
            file.flush()

    def lines(self, outputs: Sequence[Output]) -> dict[str, Line]:
        """The latest line of each of the job's outputs; what is no line of this job is left out. Raises: OSError."""
        wanted = {output.name: output for output in outputs}
        lines: dict[str, Line] = {}
        for raw in self._raw():
            line = _parsed(raw)
            output = wanted.get(line["output"]) if line is not None else None
            if line is not None and output is not None:
                lines[output.name] = _trusted(line, output)
        return lines

    def settle(self, outputs: Sequence[Output]) -> dict[str, Line]:
        """Make the manifest say what is there: one line for each of the job's pictures, sorted, with its own recipe.

        Failures stay until the picture is made. A file that was never a manifest is kept under another name.
        Raises: OSError.
        """
        with self._lock:
            self._keep_foreign()
            before, lines = self.lines(outputs), {}
            for output in outputs:
                line, path = before.get(output.name), self.folder / output.name
                found = found_at(path) if there(path) else Found()
                recipe = found.recipe
                if recipe is not None:
                    kept = {} if line is None or line["status"] != "done" else line
                    more = {key: kept[key] for key in ("seconds", "notice") if key in kept}
                    lines[output.name] = line_of(output, recipe, **more)
                elif line is not None and line["status"] == "failed":
                    lines[output.name] = line
                elif there(path):
                    lines[output.name] = line_of(output, None, left_alone(path, found))
            lines = dict(sorted(lines.items()))
            text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines.values()).encode()
            if not self._is(text):
                write_atomically(self.path, text)
        return lines

    def _raw(self) -> Iterator[bytes]:
        """The file's lines; of a line that is far too long nothing is kept."""
        if not there(self.path):
            return
        with self.path.open("rb") as file:
            whole = True
            while piece := file.readline(_MAX_LINE_BYTES):
                ends = piece.endswith(b"\n")
                if whole and (ends or len(piece) < _MAX_LINE_BYTES):
                    yield piece
                whole = ends

    def _keep_foreign(self) -> None:
        """Moves a file away that has lines, and none of them a manifest's. Raises: OSError."""
        ends = False
        for raw in self._raw():
            if _parsed(raw) is not None:
                return
            ends = ends or raw.endswith(b"\n")
        if ends:
            number = 1
            while there(place := self.path.with_name(f"manifest-before-{number}.jsonl")):
                number += 1
            self.path.rename(place)

    def _is(self, text: bytes) -> bool:
        return there(self.path) and self.path.stat().st_size == len(text) and self.path.read_bytes() == text


def _parsed(raw: bytes) -> Line | None:
    """A line with a picture's name and status, or None; nothing else about it is known."""
    try:
        line = parsed_json(raw)
    except ValueError:
        return None
    usable = isinstance(line, dict) and isinstance(line.get("output"), str)
    return line if usable and line.get("status") in ("done", "failed") else None


def _trusted(line: Line, output: Output) -> Line:
    """The job's own line for `output`, with what can only be known from the line that was read."""
    if line["status"] == "failed":
        error = line.get("error")
        return line_of(output, None, error if isinstance(error, str) and error else "it was not made")
    seconds, notice = line.get("seconds"), line.get("notice")
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < _MAX_SECONDS
    more = {"seconds": seconds} if number else {}
    return line_of(output, None, **more, **({"notice": notice} if isinstance(notice, str) and notice else {}))


def finished(lines: Iterable[Line]) -> list[Line]:
    """The lines of pictures that are there."""
    return [line for line in lines if line["status"] == "done"]

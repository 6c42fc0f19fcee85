"""What the commands print: results on standard output, progress and failures on standard error."""

import json
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup

from sigstyle.base.memory import is_out_of_memory
from sigstyle.errors import SigStyleError, first_line

DONE, FAILED, BAD_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
Update = Callable[..., None]


@dataclass(frozen=True)
class Report:
    """Where a command's words go: `quiet` leaves errors only, `as_json` makes the result one JSON object."""

    quiet: bool = False
    as_json: bool = False

    def notice(self, text: str) -> None:
        """A line on standard error, unless quiet."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def result(self, lines: Sequence[str], data: Mapping[str, Any]) -> None:
        """The result: `data` as JSON, or `lines`, unless quiet."""
        if self.as_json:
            print(json.dumps(data, ensure_ascii=False, indent=2, default=str), flush=True)
        elif not self.quiet:
            print("\n".join(lines), flush=True)

    @contextmanager
    def bar(self, description: str) -> Iterator[Update]:
        """A progress bar on a terminal's standard error; call `update(done, total, note)` as the work goes on."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda done, total, note="": None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as progress:
            task = progress.add_task(description, total=None, note="")

            def update(done: int, total: int, note: str = "") -> None:
                progress.update(task, completed=done, total=total, note=note)

            yield update


def fail(message: str, code: int) -> typer.Exit:
    """Says what went wrong in one line; raise what comes back."""
    print(f"sigstyle: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return typer.Exit(code)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, with the same clean-up; the exit code alone is another."""
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    told: list[int] = []

    def stop(number: int, frame: object) -> None:
        told.append(number)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # whoever says it twice shall not disturb the clean-up
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except typer.Exit as leaving:
        if told and leaving.exit_code == INTERRUPTED:
            raise typer.Exit(TERMINATED) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


@contextmanager
def failures_reported(debug: bool) -> Iterator[None]:
    """Turns whatever is raised in the block into one line and an exit code; with `debug` the traceback comes first."""
    with _terminable(), _failures_in_one_line(debug):
        yield


@contextmanager
def _failures_in_one_line(debug: bool) -> Iterator[None]:
    """As `failures_reported`, but for signals."""
    try:
        yield
    except (typer.Exit, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        raise fail("stopped; nothing was left half written.", INTERRUPTED) from None
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, SigStyleError):
            raise fail(str(error), BAD_INPUT) from None
        if is_out_of_memory(error):
            raise fail(
                f"there is too little memory for this ({first_line(error)}). Close other programs, or choose a smaller "
                "size.",
                FAILED,
            ) from None
        hint = "" if debug else " Add --debug for the traceback."
        raise fail(f"{type(error).__name__}: {error}.{hint}", FAILED) from None


class OneLineUsage(TyperGroup):
    """A group of commands that reports bad usage in one line."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Runs the command line; leaves with its exit code."""
        try:
            code = super().main(args, *rest, standalone_mode=False, **extra)
        except Exception as error:
            if not hasattr(error, "format_message"):  # the parser's errors, whichever click they come from
                raise
            context = getattr(error, "ctx", None)
            path = context.command_path if context else "python -m sigstyle"
            message = error.format_message().rstrip(".")  # type: ignore[attr-defined]
            fail(f"{message}. '{path} --help' lists what it takes.", BAD_INPUT)
            code = BAD_INPUT
        code = code if isinstance(code, int) else DONE
        if standalone_mode:
            sys.exit(code)
        return code


def as_lines(data: Any, indent: str = "") -> list[str]:
    """Nested plain values as indented lines."""
    pairs = data.items() if isinstance(data, dict) else [("-", value) for value in data]
    lines = []
    for key, value in pairs:
        label = key if key == "-" else f"{key}:"
        if isinstance(value, dict | list) and value:
            lines += [f"{indent}{label}", *as_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{label} {'none' if value in (None, [], {}) else value}")
    return lines

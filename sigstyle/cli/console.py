"""What the commands print: results on standard output, progress and failures on standard error."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from sigstyle.base.memory import is_out_of_memory
from sigstyle.errors import SigStyleError, first_line
from sigstyle.text import json_text, shown

DONE, FAILED, BAD_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
Update = Callable[..., None]
_LONGEST = 1000  # letters of a failure: what it quotes may be of any length


@dataclass(frozen=True)
class Report:
    """Where a command's words go: `quiet` leaves errors only, `as_json` makes the result one JSON object."""

    quiet: bool = False
    as_json: bool = False

    def notice(self, text: str) -> None:
        """A line on standard error, unless quiet."""
        if not self.quiet:
            say(shown(text), sys.stderr)

    def result(self, lines: Sequence[str], data: Mapping[str, Any], written: bool = True) -> None:
        """The result: `data` as JSON, or `lines`, unless quiet.

        Raises: typer.Exit when it cannot be printed and nothing was `written` that it tells of.
        """
        said = True
        if self.as_json:
            plain = not _can_show(text := json_text(data, indent=2, default=str), sys.stdout)
            said = say(json_text(data, indent=2, default=str, ensure_ascii=True) if plain else text, sys.stdout)
        elif not self.quiet:
            said = say("\n".join(map(shown, lines)), sys.stdout)
        if not said and not written:
            raise fail("the result cannot be printed: standard output takes nothing.", FAILED)

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


def say(text: str, stream: TextIO) -> bool:
    """Print, whatever becomes of it: work that was done stays done where a console cannot show it or takes nothing.

    False says that it was lost; a reader who has enough and closes the pipe lost nothing.
    """
    try:
        try:
            print(text, file=stream, flush=True)
        except UnicodeError:
            print(text.encode("ascii", "backslashreplace").decode(), file=stream, flush=True)
        return True
    except (OSError, ValueError) as error:  # a closed pipe, a full disk behind it, a closed stream
        _silence(stream)
        return isinstance(error, BrokenPipeError)


def _silence(stream: TextIO) -> None:
    """Send what is left in a broken stream's buffer nowhere: Python would fail on it at its end, with code 120."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return


def _can_show(text: str, stream: TextIO) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
        return True
    except (UnicodeError, LookupError, TypeError):
        return False


def show_anything() -> None:
    """From here on both streams, and whatever prints through them, show what they cannot encode as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def fail(message: str, code: int) -> typer.Exit:
    """Says what went wrong in one line; raise what comes back."""
    line = shown(" ".join(message.split()))
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST // 2]}…{line[-_LONGEST // 2 :]}"  # what to do comes last
    say(f"sigstyle: {line}", sys.stderr)
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
        show_anything()
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

"""Who does what: processes and machines that share the output folder take units one by one.

A claim is an operating system's file lock, so it ends with the process that held it, however that ended. Losing a
claim early (on a file system without locks between machines) costs work, never a picture: pictures are written whole,
and two writers of one picture write the same.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from sigstyle.batches.jobs import Unit
from sigstyle.batches.present import there
from sigstyle.errors import ConfigError
from sigstyle.files import reason

HIDDEN = ".sigstyle-batch"
_WAIT_S = 0.3


@dataclass(frozen=True)
class Claim:
    """A unit that is this process's alone until it is released; `upcoming` is likely to be the next."""

    unit: Unit
    lock: FileLock
    upcoming: Unit | None

    def release(self) -> None:
        """Give the unit up; called from any thread."""
        self.lock.release()


class Claims:
    """The units of a job as one process sees them."""

    def __init__(self, folder: Path, units: Sequence[Unit], first: float = 0.0) -> None:
        """`first`, 0 to 1, is where in the list this process begins, so that processes rarely want the same unit.

        Raises: ConfigError when the folder cannot be written.
        """
        start = int(first * len(units))
        self.folder, self.units = folder, [*units[start:], *units[:start]]
        self._locks, self._failed = folder / HIDDEN / "units", folder / HIDDEN / "failed"
        try:
            for place in (self._locks, self._failed):
                place.mkdir(parents=True, exist_ok=True)
            self._started_ns = self._now_ns()
        except OSError as error:
            raise ConfigError(f"{folder} cannot be written: {reason(error)}. Choose another folder.") from error

    def take(self, should_stop: Callable[[], bool], on_wait: Callable[[], None]) -> Iterator[Claim]:
        """Claims on all units that need work, until every unit is done by somebody or has failed.

        Units that others hold are waited for, and taken over when their process ends without finishing them.
        """
        waiting = self.units
        while waiting:
            held: list[Unit] = []
            for index, unit in enumerate(waiting):
                if should_stop():
                    return
                if self._settled(unit):
                    continue
                lock = self._locked(unit)
                if lock is None:
                    held.append(unit)
                elif self._settled(unit):  # finished by another between the two looks
                    lock.release()
                else:
                    yield Claim(unit, lock, next((u for u in waiting[index + 1 :] if not self._settled(u)), None))
            waiting = [unit for unit in held if not self._settled(unit)]
            if waiting:
                on_wait()
                time.sleep(_WAIT_S)

    def failed(self, unit: Unit) -> None:
        """Remember that some picture of `unit` cannot be made, so that nobody at work now tries it again."""
        self._failed.mkdir(parents=True, exist_ok=True)
        (self._failed / unit.id).touch()

    def tidy(self) -> None:
        """Remove the claims of finished units."""
        for unit in self.units:
            if self._done(unit):
                (self._locks / f"{unit.id}.lock").unlink(missing_ok=True)
                (self._failed / unit.id).unlink(missing_ok=True)

    def _done(self, unit: Unit) -> bool:
        return all(there(self.folder / output.name) for output in unit.outputs)

    def _settled(self, unit: Unit) -> bool:
        """Whether nothing is left to do for `unit`: done, or failed since this process started."""
        if self._done(unit):
            return True
        try:
            return (self._failed / unit.id).stat().st_mtime_ns >= self._started_ns
        except OSError:
            return False

    def _locked(self, unit: Unit) -> FileLock | None:
        """The unit's lock, or None while another process has it."""
        lock = FileLock(self._locks / f"{unit.id}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def _now_ns(self) -> int:
        """The time by the clock of the folder's file system, the same for every machine."""
        stamp = self.folder / HIDDEN / f"start-{uuid4().hex}"
        stamp.touch()
        try:
            return stamp.stat().st_mtime_ns
        finally:
            stamp.unlink()

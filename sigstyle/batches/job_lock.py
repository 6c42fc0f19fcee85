"""One job at a time in a folder: a lock that each of its processes holds, and that ends with the process."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from sigstyle.batches.claims import HIDDEN
from sigstyle.batches.jobs import Output
from sigstyle.errors import ConfigError
from sigstyle.files import reason
from sigstyle.parts import without_paths
from sigstyle.style.lora_file import LoraFile

_ENTRY_S = 60.0  # how long others may take to enter


def job_id(outputs: Sequence[Output], base: str, together: int) -> str:
    """The same for the same pictures of the same photos, wherever these are mounted; `base` is a fingerprint."""
    hashes = {id(look.style): look.style.hash for look in {id(o.look.style): o.look for o in outputs}.values()}
    settings = {config: json.dumps(config.to_dict(), sort_keys=True) for config in {o.config for o in outputs}}
    content = hashlib.sha256(f"{base} {together}".encode())
    for output in outputs:
        size = _size(output.photo.source)
        told: tuple[object, ...] = (output.name, size, hashes[id(output.look.style)], settings[output.config])
        told += (without_paths(output.look.parts.entries),) if output.look.parts.entries else ()
        told += tuple((lora.hash, weight) for lora, weight in output.look.loras if isinstance(lora, LoraFile))
        content.update(repr(told).encode())
    return content.hexdigest()[:16]


def _size(source: object) -> int | None:
    """Bytes of a photo's file; None for one in memory or one that cannot be looked at."""
    if not isinstance(source, str | Path):
        return None
    try:
        return os.stat(Path(source).expanduser()).st_size
    except (OSError, RuntimeError, ValueError):
        return None


class JobLock:
    """This process' right to work on a job in a folder."""

    def __init__(self, folder: Path, job: str) -> None:
        self.folder, self.job = folder, job
        self._places = folder / HIDDEN / "jobs"
        self._own = FileLock(self._places / f"{job}-{uuid4().hex}.lock", thread_local=False)

    def enter(self, when_alone: Callable[[], object]) -> None:
        """Take the lock; `when_alone` is done before anybody else can enter, where nobody is at work in the folder.

        Raises: ConfigError when another job is at work here, or when the folder cannot be written.
        """
        try:
            self._places.mkdir(parents=True, exist_ok=True)
            with FileLock(self._places.with_name("jobs.lock"), timeout=_ENTRY_S):
                others = self._others()
                if any(other != self.job for other in others):
                    raise ConfigError(
                        f"Another job is at work in {self.folder}, with other photos, styles, settings or --together. "
                        "Choose another output folder, or start again when it has ended."
                    )
                self._own.acquire(timeout=0)
                if not others:
                    when_alone()
        except Timeout as error:
            raise ConfigError(f"{self.folder} is locked by another process; start again in a minute.") from error
        except OSError as error:
            raise ConfigError(f"{self.folder} cannot be written: {reason(error)}. Choose another folder.") from error

    def leave(self, when_alone: Callable[[], object] = lambda: None) -> None:
        """Give the lock up; `when_alone` is done where nobody else is at work."""
        try:
            with FileLock(self._places.with_name("jobs.lock"), timeout=_ENTRY_S):
                self._own.release()
                _remove(Path(self._own.lock_file))
                if not self._others():
                    when_alone()
        except (Timeout, OSError):
            return  # the next start sweeps
        finally:
            self._own.release()

    def _others(self) -> list[str]:
        """The jobs of the processes at work here; what dead ones left behind is removed. Raises: OSError."""
        alive = []
        for path in sorted(self._places.glob("*.lock")):
            lock = FileLock(path, thread_local=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                alive.append(path.stem.partition("-")[0])
                continue
            lock.release()
            _remove(path)
        return alive


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # Windows keeps a file that somebody has just opened; the next start removes it

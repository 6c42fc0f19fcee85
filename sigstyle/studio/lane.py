"""One lane per device: work waits in line, one piece runs at a time, and can be followed and stopped.

Long work may give way: between two of its steps it lets the short work pass that has come meanwhile.
"""

import atexit
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from PIL import Image

from sigstyle.errors import BusyError, Cancelled
from sigstyle.studio.labels import Ended, Label, State

T = TypeVar("T")
ENDED = ("done", "stopped", "failed")
_HEARTBEAT_S = 1.0
_REMEMBERED = 200  # of the jobs that are over


@dataclass(frozen=True)
class Update:
    """Where a job stands. Units: before counts jobs ahead in the line; eta_s is seconds, None while unknown."""

    state: State = "waiting"
    before: int = 0
    done: int = 0
    total: int = 0
    eta_s: float | None = None
    note: str = ""
    preview: Image.Image | None = None
    detail: Any = None


@dataclass(eq=False)
class Job(Generic[T]):
    """A piece of work in a lane; one that `gives_way` is passed by work that does not."""

    lane: "Lane"
    work: Callable[["Job[T]"], T]
    gives_way: bool = False
    label: Label = field(default_factory=Label)
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    since: float = field(default_factory=time.monotonic)
    latest: Update = field(default_factory=Update)
    version: int = 0
    outcome: T | None = None
    error: BaseException | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _finish: threading.Event = field(default_factory=threading.Event)
    _started: float = 0.0
    _followers: int = 0
    _until: float | None = None  # when nobody follows it any more: how long it goes on

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.latest.state in ENDED

    @property
    def stopping(self) -> bool:
        """Whether somebody has stopped it."""
        return self._stop.is_set()

    def should_stop(self) -> bool:
        """Whether the work is to end without a result: it was stopped, or nobody has followed it for too long."""
        until = self._until
        return self._stop.is_set() or (until is not None and time.monotonic() > until)

    def should_finish(self) -> bool:
        """Whether the work is to end with what it has."""
        return self._finish.is_set()

    def stop(self) -> None:
        """Ask the work to end without a result; while it still waits it ends at once."""
        self._stop.set()
        self.lane.drop(self)

    def finish(self) -> None:
        """Ask the work to end with what it has."""
        self._finish.set()

    def report(self, **changes: Any) -> None:
        """Called by the work: what changed. From done and total follows the time left, unless eta_s is given."""
        with self.lane.changed:
            latest = replace(self.latest, **changes)
            if "eta_s" not in changes and 0 < latest.done <= latest.total:
                elapsed = time.monotonic() - self._started
                latest = replace(latest, eta_s=elapsed / latest.done * (latest.total - latest.done))
            self._set(latest)

    def restart_clock(self) -> None:
        """Called by the work when what went before says nothing about the time left."""
        self._started = time.monotonic()

    def make_way(self) -> None:
        """Called by work that gives way, between two steps: what passes is done now, and is not counted as its time."""
        begun = time.monotonic()
        self.lane.let_pass()
        self._started += time.monotonic() - begun

    def follow(self, every_s: float = 0.2, patience_s: float = 0.0) -> Generator[Update, None, None]:
        """Where the job stands, again and again until it has ended.

        Giving up on this iterator stops the job, unless somebody else follows it or does so within `patience_s`.
        """
        seen = -1
        with self.lane.changed:
            self._followers, self._until = self._followers + 1, None
        try:
            while True:
                with self.lane.changed:
                    self.lane.changed.wait_for(lambda seen=seen: self.version != seen, timeout=_HEARTBEAT_S)
                    seen, update = self.version, replace(self.latest, before=self.lane.before(self))
                yield update
                if update.state in ENDED:
                    return
                time.sleep(every_s)
        finally:
            self._left(patience_s)

    def wait_longer(self, patience_s: float) -> None:
        """Where nobody follows it, but somebody still looks: it goes on for `patience_s` from now."""
        with self.lane.changed:
            self._until = None if self._until is None else time.monotonic() + patience_s

    def _left(self, patience_s: float) -> None:
        """One who followed has gone."""
        with self.lane.changed:
            self._followers -= 1
            alone = not self.ended and self._followers == 0
            self._until = time.monotonic() + patience_s if alone and patience_s else None
        if alone and not patience_s:
            self.stop()

    def result(self) -> T:
        """What the ended work gave. Raises: what the work raised; Cancelled when it was stopped."""
        if self.error is not None:
            raise self.error
        return self.outcome  # type: ignore[return-value]

    def wait(self) -> T:
        """Wait for the end; the result. Raises: as `result`."""
        with self.lane.changed:
            self.lane.changed.wait_for(lambda: self.ended)
        return self.result()

    def run(self) -> None:
        """Called by the lane: do the work."""
        self._started = time.monotonic()
        self.report(state="running")
        try:
            self.outcome = self.work(self)
            self.end("done")
        except Cancelled as error:
            self.end("stopped", error)
        except BaseException as error:
            self.end("failed", error)

    def end(self, state: State, error: BaseException | None = None) -> None:
        """Called by the lane: nothing more will happen."""
        with self.lane.changed:
            self.error, now = error, time.monotonic()
            self.lane.ended.append(Ended(self.id, self.label, state, now - (self._started or now), now))
            self._set(replace(self.latest, state=state, eta_s=None))

    def _set(self, latest: Update) -> None:
        self.latest = latest
        self.version += 1
        self.lane.changed.notify_all()


class Lane:
    """Work for one device, one after the other in the order it came, what gives way last. Units: room counts jobs."""

    def __init__(self, name: str, room: int = 20) -> None:
        self.name, self.room = name, room
        self.changed = threading.Condition(threading.RLock())
        self.ended: deque[Ended] = deque(maxlen=_REMEMBERED)
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []  # the last one works; those before it give way to it
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[Job[T]], T], gives_way: bool = False, label: Label | None = None) -> Job[T]:
        """Put work in the line. Raises: BusyError when the line is full."""
        with self.changed:
            if len(self._waiting) >= self.room:
                raise BusyError(
                    f"{len(self._waiting)} jobs are waiting for {self.name} already, which is as many as may. Try "
                    "again in a few minutes."
                )
            job: Job[T] = Job(self, work, gives_way, label or Label())
            self._waiting.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"lane {self.name}", daemon=True)
                self._thread.start()
                atexit.register(self.settle)
            self._moved()
            return job

    def settle(self, wait_s: float = 20.0) -> bool:
        """Stop everything and wait until nothing runs; whether that was so in time.

        A program that ends with work in progress would tear down what the work stands on.
        """
        with self.changed:
            for job in [*self._waiting, *self._running]:
                job.stop()
            return self.changed.wait_for(lambda: not self._running and not self._waiting, wait_s)

    def before(self, job: Job) -> int:
        """How many jobs come before this one, the running one included."""
        with self.changed:
            if job not in self._waiting:
                return 0
            ahead = [*self._running, *list(self._waiting)[: self._waiting.index(job)]]
            return sum(job.gives_way or not other.gives_way for other in ahead)

    def standing(self) -> list[Job]:
        """Every job, in the order in which they come to their end: what works, what waits, and last what gives way."""
        with self.changed:
            waiting = sorted(self._waiting, key=lambda job: job.gives_way)
            working = self._running[-1:]
            paused = self._running[-2::-1]
            urgent = [job for job in waiting if not job.gives_way]
            return [*working, *urgent, *paused, *waiting[len(urgent) :]]

    def is_wanted(self) -> bool:
        """Whether work waits that what gives way has to let pass."""
        return any(not job.gives_way for job in list(self._waiting))

    def let_pass(self) -> None:
        """Called from running work: do what waits and does not give way itself."""
        while (job := self._next(passing=True)) is not None:
            self._do(job)

    def forget(self, person: str) -> None:
        """Let go of what is told of a person's jobs that are over."""
        with self.changed:
            kept = [ended for ended in self.ended if ended.label.person != person]
            self.ended.clear()
            self.ended.extend(kept)

    def drop(self, job: Job) -> None:
        """Take a job that still waits out of the line; one that runs ends by itself."""
        with self.changed:
            if job in self._waiting:
                self._waiting.remove(job)
                job.end("stopped", Cancelled("Stopped before it began."))
                self._moved()

    def _moved(self) -> None:
        """Everyone who waits has another place now."""
        for job in self._waiting:
            job.version += 1
        self.changed.notify_all()

    def _work(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self._waiting)
            job = self._next()
            if job is not None:
                self._do(job)

    def _next(self, passing: bool = False) -> Job | None:
        """Takes the next job out of the line, which works now; None when there is none, or none that may pass."""
        with self.changed:
            urgent = [job for job in self._waiting if not job.gives_way]
            found = next(iter(urgent if urgent or passing else self._waiting), None)
            if found is not None:
                self._waiting.remove(found)
                self._running.append(found)
                self._moved()
            return found

    def _do(self, job: Job) -> None:
        job.run()
        with self.changed:
            self._running.remove(job)
            self._moved()

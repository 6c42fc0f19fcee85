"""The queue as one person sees it: their own jobs by name, with times; of those of others only how many there are."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sigstyle.errors import ConfigError
from sigstyle.studio.labels import Ended, State
from sigstyle.studio.lane import Job, Lane
from sigstyle.studio.studio import Studio, Who
from sigstyle.studio.words import counted, duration

_MOMENT_S = 3
_TOLD_S = 600  # how long it is told that a job has ended
_WHOLE = ("load", "export")  # kinds that are not stopped halfway


@dataclass(frozen=True)
class QueuedJob:
    """Where an own job stands.

    Units: before counts jobs ahead; left_s and starts_in_s are seconds, None while unknown; age_s since it was asked.
    """

    id: str
    title: str
    state: State
    before: int
    done: int
    total: int
    left_s: float | None
    starts_in_s: float | None
    can_stop: bool
    age_s: float
    stopping: bool = False

    @property
    def words(self) -> str:
        """For people to read."""
        if self.state == "waiting":
            start = "" if self.starts_in_s is None else f" · starts in about {duration(self.starts_in_s)}"
            return f"waiting behind {self.before}{start}" if self.before else "starting"
        if self.stopping:
            return "stopping"
        share = f"{self.percent} % done" if self.total else "running"
        return share if self.left_s is None else f"{share} · about {duration(self.left_s)} left"

    @property
    def percent(self) -> int:
        """How much of it is done."""
        return 100 * self.done // self.total if self.total and self.state == "running" else 0


@dataclass(frozen=True)
class Queue:
    """A person's jobs in the order of their turns, how many others have, and which of the person's ended lately."""

    own: tuple[QueuedJob, ...]
    others: int
    ended: tuple[Ended, ...]

    @property
    def words(self) -> str:
        """In a few words, for where there is little room."""
        if not self.own:
            return ""
        first = self.own[0]
        where = first.words if first.state == "waiting" or not first.total else f"{first.percent} %"
        left = "" if first.left_s is None else f" · {duration(first.left_s)}"
        return f"{counted(len(self.own), 'job')} · {where}{left}"

    @property
    def worth_a_look(self) -> bool:
        """Whether there is more than a moment's work."""
        return len(self.own) > 1 or any(job.age_s >= _MOMENT_S or job.before for job in self.own)


def queue_of(studio: Studio, who: Who) -> Queue:
    """What a person has running and waiting, and what ended in the last minutes."""
    lane = studio.lane
    with lane.changed:
        jobs = [job for job in lane.standing() if not job.ended]
        own = [job for job in jobs if job.label.person == who.person and job.label.title]
        others = sum(job.label.person != who.person and bool(job.label.title) for job in jobs)
        oldest = time.monotonic() - _TOLD_S
        ended = [e for e in lane.ended if e.label.person == who.person and e.label.title and e.at > oldest]
        return Queue(tuple(_standing(lane, job, jobs) for job in own), others, tuple(ended))


def cancel(studio: Studio, who: Who, id_: str) -> str:
    """Stop one job of a person; what it was. Raises: ConfigError when there is none, or it ends by itself."""
    for job in studio.lane.standing():
        if job.id == id_ and job.label.person == who.person and not job.ended:
            if not _can_stop(job):
                raise ConfigError(f"{job.label.title} ends by itself in a moment.")
            job.stop()
            return job.label.title
    raise ConfigError("There is no such work of yours in the queue: it has ended.")


def attend(studio: Studio, who: Who, patience_s: float) -> None:
    """Somebody looks at a person's queue: work whose own page is gone goes on for `patience_s` from now."""
    for job in studio.lane.standing():
        if job.label.person == who.person:
            job.wait_longer(patience_s)


def _standing(lane: Lane, job: Job, jobs: Sequence[Job]) -> QueuedJob:
    latest, waits = job.latest, job.latest.state == "waiting"
    ahead = [other for other in jobs[: jobs.index(job)] if job.gives_way or not other.gives_way]
    return QueuedJob(
        id=job.id,
        title=job.label.title,
        state=latest.state,
        before=lane.before(job),
        done=latest.done,
        total=latest.total,
        left_s=None if waits else latest.eta_s,
        starts_in_s=_seconds(lane, ahead) if waits else None,
        can_stop=_can_stop(job),
        age_s=time.monotonic() - job.since,
        stopping=job.stopping,
    )


def _can_stop(job: Job) -> bool:
    return not job.stopping and (job.latest.state == "waiting" or job.label.kind not in _WHOLE)


def _seconds(lane: Lane, ahead: Iterable[Job]) -> float | None:
    """How long jobs take together: as they say, or as the last of their kind did; None where neither is known."""
    total = 0.0
    for job in ahead:
        known = job.latest.eta_s if job.latest.eta_s is not None else _usual(lane, job)
        if known is None:
            return None
        total += known
    return total


def _usual(lane: Lane, job: Job) -> float | None:
    """Seconds that a job would take if it were as quick, for each thing it makes, as the last of its kind."""
    kind, units = job.label.kind, job.label.units
    alike = [e for e in lane.ended if e.label.kind == kind and e.state == "done" and e.label.units]
    return alike[-1].seconds / alike[-1].label.units * units if alike and units else None

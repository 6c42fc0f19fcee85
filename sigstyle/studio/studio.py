"""The studio: what the app does, without the page. Work goes through one lane; each person has a workspace."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from sigstyle.base.devices import check_memory
from sigstyle.base.model import EMBEDDED, BaseModel
from sigstyle.doctor import ESTIMATE_SIZE_PX, measured_speed
from sigstyle.errors import ConfigError
from sigstyle.studio.bases import Bases
from sigstyle.studio.folder import DataFolder, Workspace
from sigstyle.studio.keeping import Keeping, Usage, delete_all, visited
from sigstyle.studio.labels import Label
from sigstyle.studio.lane import Job, Lane
from sigstyle.studio.library import Library
from sigstyle.studio.loras import LoraShelf
from sigstyle.studio.traces import PictureCache, TraceCache

T = TypeVar("T")
log = logging.getLogger("sigstyle.app")
_SWEPT_EVERY_S = 3600
_ENDING_S = 60


@dataclass(frozen=True)
class Who:
    """Who asks: a person, who owns files, on one open page or connection, which owns running work."""

    person: str
    page: str


class Studio:
    """Everything the app keeps: the folder, the bases, the lane with its jobs, the inversions of photos."""

    def __init__(
        self,
        data: Path,
        base: str = EMBEDDED,
        device: str | torch.device | None = None,
        may_download: bool = True,
        room: int = 20,
        keeping: Keeping | None = None,
        memory: str = "auto",
    ) -> None:
        self.folder = DataFolder(data)
        self.bases = Bases(self.folder, base, device, may_download, memory)
        self.lane = Lane(str(self.bases.device), room)
        self.traces, self.drafts = TraceCache(), PictureCache()
        self.learning: set[Path] = set()
        self.keeping = keeping or Keeping()
        self._jobs: dict[tuple[Who, str], Job] = {}
        self._swept = float("-inf")

    def workspace(self, who: Who) -> Workspace:
        """Where a person's files are."""
        return self.folder.workspace(who.person)

    def admitted(self, who: Who) -> Workspace:
        """Where the files of a person go who begins something; what is too old there goes first.

        Raises: ConfigError when the person keeps as much as one may.
        """
        workspace = self.workspace(who)
        visited(workspace)
        if time.monotonic() - self._swept > _SWEPT_EVERY_S:
            self._swept = time.monotonic()
            gone = self.keeping.sweep(self.folder.root / "people")
            log.info("%d files were too old and are deleted", gone)
        self.keeping.check_room(workspace)
        return workspace

    def delete_all(self, who: Who) -> Usage:
        """End all work of a person, and delete everything that is kept of them; what that was. Raises: ConfigError."""
        jobs = list(self._jobs.items())  # of which loading a base keeps nothing
        own = [job for (o, kind), job in jobs if o.person == who.person and kind != "load" and not job.ended]
        for job in own:
            job.stop()
        with self.lane.changed:
            if not self.lane.changed.wait_for(lambda: all(job.ended for job in own), _ENDING_S):
                raise ConfigError("Your work is still ending. Wait a minute and delete again.")
        self.lane.forget(who.person)
        self.traces.forget(who.person)
        self.drafts.forget(who.person)
        return delete_all(self.workspace(who))

    def library(self, who: Who) -> Library:
        """The styles a person can choose from."""
        return Library(self.folder, self.workspace(who), self.keeping)

    def loras(self, who: Who) -> LoraShelf:
        """A person's LoRAs."""
        return LoraShelf(self.workspace(who), self.keeping)

    def submit(
        self,
        who: Who,
        kind: str,
        work: Callable[[Job[T]], T],
        gives_way: bool = False,
        title: str = "",
        units: int = 1,
    ) -> Job[T]:
        """Put work in the lane; an earlier job of this kind on the same page is stopped.

        `title` is what its owner reads in the queue, '' for what is not listed there; `units` counts what it makes.
        Raises: BusyError.
        """
        self.stop(who, kind)
        self._jobs = {key: job for key, job in self._jobs.items() if not job.ended}
        job = self.lane.submit(work, gives_way, Label(who.person, kind, title, units))
        self._jobs[who, kind] = job
        return job

    def under_way(self, who: Who, kind: str) -> Job | None:
        """The latest work of this kind that a person has under way on any page, from now on this page's too."""
        own = [j for (o, k), j in list(self._jobs.items()) if (o.person, k) == (who.person, kind) and not j.ended]
        if not own:
            return None
        self._jobs[who, kind] = own[-1]
        return own[-1]

    def stop(self, who: Who, kind: str | None = None) -> bool:
        """Stop this page's job of a kind, or all of its jobs; whether there was one."""
        return self._each(who, kind, Job.stop)

    def finish(self, who: Who, kind: str) -> bool:
        """Let this page's job end with what it has; whether there was one."""
        return self._each(who, kind, Job.finish)

    def _each(self, who: Who, kind: str | None, do: Callable[[Job], None]) -> bool:
        jobs = [(owner, k, job) for (owner, k), job in list(self._jobs.items()) if not job.ended]
        own = [job for owner, k, job in jobs if owner.page == who.page and kind in (None, k)]
        for job in own:
            do(job)
        return bool(own)

    def warm_up(self) -> Job[BaseModel]:
        """Load the first base while the page is being built."""
        first = self.bases.check(self.bases.first)
        return self.submit(Who("app", "app"), "load", lambda job: self.bases.get(first))

    def load(self, who: Who, key: str) -> Job[BaseModel]:
        """Load a base, in the lane. Raises: ConfigError for one that is not allowed, BusyError."""
        checked = self.bases.check(key)
        return self.submit(who, "load", lambda job: self.bases.get(checked), title=f"Loading {_named(checked)}")

    def measured(self, who: Who, key: str, memory: str | None = None) -> Job[str]:
        """Load a base and say what using it takes, by its measured speed; with `memory`, use it so from now on.

        Raises: as `load`; ConfigError for what is no way to use memory.
        """
        checked = self.bases.check(key)
        check_memory(memory or self.bases.memory_use)

        def work(job: Job[str]) -> str:
            self.bases.use_memory(memory or self.bases.memory_use)
            base = self.bases.get(checked)
            if checked not in self.bases.speeds:
                self.bases.speeds[checked] = measured_speed(base, ESTIMATE_SIZE_PX)
            return self.bases.words(checked)

        return self.submit(who, "load", work, title=f"Loading and measuring {_named(checked)}")


def _named(base: str) -> str:
    """A base without its place on this computer."""
    return Path(base).name if Path(base).exists() else base

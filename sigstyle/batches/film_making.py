"""One process at work on a film: it paints the shots that nobody else does, and writes the film once all are there."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from sigstyle.base.model import BaseModel
from sigstyle.batches.film_plan import FilmPlan
from sigstyle.batches.film_work import FilmWork
from sigstyle.errors import Cancelled, ImageError
from sigstyle.files import reason, written_whole
from sigstyle.film.encoding import write_film
from sigstyle.film.shots import Shot
from sigstyle.style.ingredients import PLAIN, Loading


@dataclass(frozen=True)
class FilmProgress:
    """A film as it stands: frames painted now and before, of how many, and the seconds that are left, once known."""

    done: int
    total: int
    there_before: int
    eta_s: float | None


@dataclass
class FilmMaking:
    """One process at work on a film; the base carries the LoRAs of `loading` while a frame is painted."""

    plan: FilmPlan
    base: BaseModel
    recipe: dict[str, Any]
    output: Path
    on_progress: Callable[[FilmProgress], object]
    should_stop: Callable[[], bool]
    loading: Loading = PLAIN

    def __post_init__(self) -> None:
        told = {**self.recipe, "content": self.recipe["content"]["sha256"], "versions": None}
        job = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:12]
        self.work = FilmWork(self.output, job)

    def run(self) -> list[str]:
        """Paint what is missing and write the film; lines worth showing."""
        self.work.enter()
        self._before = self.work.painted(self.plan.frames)
        self._made, self._began = 0, time.monotonic()
        self._tell()
        for wait in (False, True):  # first what nobody does, then what others began and did not finish
            for shot in self.plan.shots:
                with self.work.claimed(f"shot-{shot.first:06d}", wait) as mine:
                    if mine:
                        self._shot(shot)
        with self.work.claimed("film", wait=True):
            return self._written()

    def _shot(self, shot: Shot) -> None:
        """Paint what is missing of a shot."""
        last = self.work.carried(shot)
        first = shot.first if last is None else last.number + 1
        if first >= shot.end or not self.work.folder.exists():
            return
        size = self.plan.size(self.base)
        painter = self.plan.painter(self.base, shot, self.should_stop)
        if last is not None:
            painter.correction = last.correction
        elif shot.usual != shot.first:
            usual = next(self.plan.clip.frames(size, shot.usual))
            with self.loading.carrying(self.base):
                painter.correction = painter.corrected_by(usual)
        for number, frame in zip(range(first, shot.end), self.plan.clip.frames(size, first), strict=False):
            if self.should_stop():
                raise Cancelled("The film was stopped; the same call goes on with the rest.")
            with self.loading.carrying(self.base):
                last = painter.next(number, frame, last)
            painter.correction = last.correction
            self.work.keep(shot, last, painter.finished(last.painted, size))
            self._made += 1
            self._tell()

    def _tell(self) -> None:
        left = self.plan.frames - self._before - self._made
        eta = (time.monotonic() - self._began) / self._made * left if self._made else None
        self.on_progress(FilmProgress(self._before + self._made, self.plan.frames, self._before, eta))

    def _written(self) -> list[str]:
        """Make the film of the painted frames, unless another process did meanwhile. Raises: ImageError."""
        if not self.work.folder.exists() and self.output.exists():
            return []
        frames = [self.work.frame(number) for number in range(self.plan.frames)]
        try:
            told = self._folder(frames) if not self.output.suffix else self._film(frames)
        except OSError as error:
            raise ImageError(
                f"{self.output} cannot be written: {reason(error)}. Its painted frames wait in {self.work.folder}."
            ) from error
        self.work.clear()
        return told

    def _film(self, frames: list[Path]) -> list[str]:
        clip, length = self.plan.clip, Fraction(len(frames)) / self.plan.clip.fps
        sound = clip.footage.sound(clip.start_s, clip.start_s + float(length))
        with written_whole(self.output) as temporary:
            return write_film(temporary, self.output.suffix.lower(), frames, clip.fps, self.recipe, sound)

    def _folder(self, frames: list[Path]) -> list[str]:
        """A folder of the pictures, whole or not there."""
        for path in self.work.folder.iterdir():
            if path not in set(frames):
                path.unlink(missing_ok=True)
        self.work.folder.rename(self.output)
        return [f"The sound is left out: {self.output.name} is a folder."] if self.plan.clip.footage.has_sound else []

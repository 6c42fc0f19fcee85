"""One process at work on a job: it enters the folder, makes what is missing, and shows what is there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sigstyle.batches.check import Standing, check_existing
from sigstyle.batches.claims import Claims
from sigstyle.batches.gallery import write_gallery
from sigstyle.batches.job_lock import JobLock
from sigstyle.batches.jobs import Output, Unit
from sigstyle.batches.manifest import Line, Manifest, finished
from sigstyle.batches.paint import Painter
from sigstyle.batches.present import is_whole, there
from sigstyle.batches.progress import OnProgress, Tally
from sigstyle.batches.run import Worker
from sigstyle.batches.sheet import write_sheets
from sigstyle.batches.thumbs import restore_thumbs, sweep
from sigstyle.batches.trouble import check_still_writable, in_one_line
from sigstyle.batches.workers import Place
from sigstyle.batches.write import BatchResult, failed_result
from sigstyle.errors import ImageError
from sigstyle.files import reason


@dataclass
class Work:
    """A job's pictures in `folder` and this process' part in making them; `tell` gets lines worth showing."""

    folder: Path
    outputs: Sequence[Output]
    units: Sequence[Unit]
    place: Place
    painter: Painter
    gallery: bool
    tell: Callable[[str], object]
    _lock: JobLock = field(init=False)
    _standing: Standing = field(init=False)
    _manifest: Manifest = field(init=False)
    _claims: Claims = field(init=False)

    def enter(self, job: str) -> None:
        """Take the folder for this job, and look at what is there. Raises: ConfigError."""
        self._lock = JobLock(self.folder, job)
        self._lock.enter(lambda: sweep(self.folder, self.outputs))
        try:
            self._standing = check_existing(self.folder, self.outputs, self.painter.base, self.painter.loading)
            self._manifest = Manifest(self.folder)
            self._claims = Claims(self.folder, self.units, self.place.share)
        except BaseException:
            self._lock.leave()
            raise

    def results(self, on_progress: OnProgress | None, should_stop: Callable[[], bool]) -> Iterator[BatchResult]:
        """What this process makes, each when it is on the disk; then the pages that show what is there.

        Raises: Cancelled when stopped, ImageError when the folder cannot be written any more.
        """
        blocked = self._standing.blocked
        try:
            self._clear_damaged()
            self._settled()
            tally = Tally(self.folder, self.outputs, on_progress, len(blocked))
            told = [(output, blocked[output.name]) for output in self.outputs if output.name in blocked]
            told = told if self.place.first else []
            worker = Worker(self.folder, self._claims, self.painter, tally, should_stop, self._manifest, told)
            yield from worker.run()
            self.place.meet()  # so that every line is written before the manifest is brought in order
            if self.place.first:
                yield from self._appeared(self._finish(), worker.lost)
                self._claims.tidy()
            self.place.meet()
        finally:
            self._lock.leave(lambda: sweep(self.folder, self.outputs))

    def _clear_damaged(self) -> None:
        """Make room for pictures of this job that are to be made again. Raises: ImageError."""
        for name, why in self._standing.damaged.items():
            path = self.folder / name
            try:
                if there(path) and not is_whole(path):  # unless another process has made it again meanwhile
                    path.unlink(missing_ok=True)
                    self.tell(f"{path} {why}: it is made again.")
            except OSError as error:
                check_still_writable(self.folder, error)
                self.tell(f"{path} {why} and cannot be removed: {reason(error)}.")

    def _settled(self) -> dict[str, Line]:
        """The manifest's lines, brought in order. Raises: ImageError."""
        try:
            return self._manifest.settle(self.outputs)
        except OSError as error:
            path = self._manifest.path
            raise ImageError(f"{path} cannot be written: {reason(error)}. The rest waits for a restart.") from error

    def _appeared(self, lines: dict[str, Line], known: set[str]) -> Iterator[BatchResult]:
        """Failures because of files of others that appeared meanwhile, and that nobody has told yet."""
        for output in self.outputs:
            line = lines.get(output.name, {})
            new = line.get("status") == "failed" and output.name not in {*known, *self._standing.blocked}
            if new and there(self.folder / output.name):
                yield failed_result(output, line["error"])

    def _finish(self) -> dict[str, Line]:
        """Bring the manifest in order and show what is there: contact sheets, and the gallery if wanted; the lines.

        Raises: ImageError when the folder cannot be written any more.
        """
        lines = self._settled()
        made = finished(lines.values())
        restore_thumbs(self.folder, self.outputs)
        for write in (write_sheets, *([write_gallery] if self.gallery else [])):
            try:
                write(self.folder, made)
            except Exception as error:  # the pictures are there, whatever becomes of the page that shows them
                check_still_writable(self.folder, error)
                self.tell(in_one_line(error))
        return lines

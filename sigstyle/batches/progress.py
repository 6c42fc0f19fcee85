"""How far a batch is: counts of pictures, speed and the time that is left."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sigstyle.batches.jobs import Output
from sigstyle.batches.present import there

_RECOUNT_S = 10.0


@dataclass(frozen=True)
class BatchProgress:
    """A batch as it stands, over all processes that work on it.

    `done` counts the pictures made since this process started, `skipped` those that were there already, `failed`
    those that cannot be made, `painting` the share of those in work here (0.4 of a picture, by UNet evaluations).
    """

    done: int
    total: int
    skipped: int
    failed: int
    painting: float
    images_per_s: float | None
    eta_s: float | None

    @property
    def position(self) -> float:
        """Pictures that need nothing more, and the painted share of those in work: `total` at the end."""
        return min(self.total, self.done + self.skipped + self.failed + self.painting)


OnProgress = Callable[[BatchProgress], None]


class Tally:
    """Counts what this process does, and looks now and then at what the others have made."""

    def __init__(
        self, folder: Path, outputs: Sequence[Output], on_progress: OnProgress | None, blocked: int = 0
    ) -> None:
        """`blocked` pictures cannot be made, as something else lies in their place."""
        self.folder, self.total, self.on_progress = folder, len(outputs), on_progress
        self.open = {output.name for output in outputs}
        self.failed = blocked
        self._recount()
        self.skipped = self.total - len(self.open) - blocked
        self.started = time.monotonic()

    def painting(self, share: float) -> None:
        """Report that `share` pictures are painted but not written."""
        if self.on_progress is not None:
            self.on_progress(self._progress(share))

    def finished(self, names: Sequence[str], failed: bool) -> None:
        """Count pictures that were made, or that failed, here."""
        self.failed += len(names) if failed else 0
        self.open.difference_update(names)
        self.painting(0.0)

    def lost(self, count: int) -> None:
        """Count pictures as failed that had been counted as made."""
        self.failed += count
        self.painting(0.0)

    def look(self) -> None:
        """Count what others have made meanwhile, if the last look is a while ago."""
        if time.monotonic() - self._looked > _RECOUNT_S:
            self._recount()
        self.painting(0.0)

    def _recount(self) -> None:
        self.open = {name for name in self.open if not there(self.folder / name)}
        self._looked = time.monotonic()

    def _progress(self, share: float) -> BatchProgress:
        done = self.total - len(self.open) - self.skipped - self.failed
        elapsed = time.monotonic() - self.started
        speed = (done + share) / elapsed if done + share and elapsed else None
        left = max(0.0, len(self.open) - share)
        return BatchProgress(done, self.total, self.skipped, self.failed, share, speed, left / speed if speed else None)

"""Learning styles, as jobs that can be watched, stopped, finished early, and resumed after a crash."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigstyle import api
from sigstyle.config import CaptureConfig
from sigstyle.errors import Cancelled, ConfigError
from sigstyle.imaging.images import Source
from sigstyle.learning.loop import Progress
from sigstyle.studio.folder import Workspace, read_json, safe_name, write_json
from sigstyle.studio.lane import Job
from sigstyle.studio.library import Entry, Library
from sigstyle.studio.limits import check_counts, check_settings
from sigstyle.studio.paint import take_photos
from sigstyle.studio.studio import Studio, Who

STATE = ".state.safetensors"
_NOTE_EVERY = 20


@dataclass(frozen=True)
class Unfinished:
    """A capture that was begun and not ended: `path` is its note, beside which its state is kept."""

    path: Path
    name: str
    base: str
    photos: list[Path]
    config: CaptureConfig
    step: int

    @property
    def id(self) -> str:
        """What it is told apart by."""
        return self.path.stem

    @property
    def state(self) -> Path:
        """Where the capture keeps its state."""
        return self.path.with_name(self.path.stem + STATE)

    @property
    def label(self) -> str:
        """For people to read."""
        return f"{self.name} · step {self.step} of {self.config.steps}"

    def write(self, step: int) -> None:
        """Put the note on the disk. Raises: ConfigError."""
        photos = [photo.stem for photo in self.photos]
        values = {"name": self.name, "base": self.base, "photos": photos, "step": step}
        write_json(self.path, values | {"config": self.config.to_dict()})

    def discard(self) -> None:
        """Forget it."""
        for path in (self.state, self.path):
            path.unlink(missing_ok=True)


def unfinished(workspace: Workspace) -> list[Unfinished]:
    """Captures of this workspace that can be resumed, those whose notes can be read."""
    found = [_read(workspace, path) for path in sorted((workspace.root / "captures").glob("*.json"))]
    return [capture for capture in found if capture is not None]


def _read(workspace: Workspace, path: Path) -> Unfinished | None:
    values = read_json(path) or {}
    try:
        photos = [workspace.photo(sha256) for sha256 in values["photos"]]
        config = CaptureConfig.from_dict(values["config"])
        kept = [photo for photo in photos if photo is not None]
        capture = Unfinished(path, str(values["name"]), str(values["base"]), kept, config, int(values["step"]))
    except (KeyError, TypeError, ValueError, ConfigError):
        return None
    return capture if kept and len(kept) == len(photos) else None


def learn(
    studio: Studio, who: Who, paintings: Sequence[Source], name: str, base: str, settings: dict[str, Any]
) -> Job[Entry]:
    """Learn a style and put it into the library; `detail` of the updates holds (step, loss) pairs.

    Raises: SigStyleError for anything that can be known to be wrong before the work begins.
    """
    config = CaptureConfig.from_dict(settings)
    check_settings(config)
    check_counts(len(paintings))
    workspace, name = studio.admitted(who), studio.library(who).check_free(name)
    if not paintings:
        raise ConfigError("There is no painting yet. Drop one, or click an example.")
    photos = [photo.path for photo in take_photos(workspace, paintings)]
    folder = workspace.folder("captures")
    path = folder / f"{safe_name(name, 'style')}-{secrets.token_hex(4)}.json"  # nothing else is ever called so
    capture = Unfinished(path, name, studio.bases.check(base), photos, config, 0)
    return _submit(studio, who, capture)


def resume(studio: Studio, who: Who, capture_id: str) -> Job[Entry]:
    """Go on with an unfinished capture. Raises: as `learn`; ConfigError when there is none or it runs already."""
    studio.admitted(who)
    return _submit(studio, who, find(studio, who, capture_id))


def discard(studio: Studio, who: Who, capture_id: str) -> None:
    """Forget an unfinished capture. Raises: ConfigError when there is none or it is running."""
    find(studio, who, capture_id).discard()


def find(studio: Studio, who: Who, capture_id: str) -> Unfinished:
    """An unfinished capture that does not run. Raises: ConfigError."""
    for capture in unfinished(studio.workspace(who)):
        if capture.id == capture_id:
            if capture.path in studio.learning:
                raise ConfigError(f"{capture.name} is being learned right now. Stop it there first.")
            return capture
    raise ConfigError(f"There is no unfinished style {capture_id!r}. Choose one from the list, or learn anew.")


def resumable(studio: Studio, who: Who) -> list[Unfinished]:
    """Unfinished captures that do not run."""
    return [capture for capture in unfinished(studio.workspace(who)) if capture.path not in studio.learning]


def _submit(studio: Studio, who: Who, capture: Unfinished) -> Job[Entry]:
    library = studio.library(who)

    def work(job: Job[Entry]) -> Entry:
        studio.learning.add(capture.path)
        try:
            return _learned(studio, library, capture, job)
        finally:
            studio.learning.discard(capture.path)

    return studio.submit(who, "learn", work)


def _learned(studio: Studio, library: Library, capture: Unfinished, job: Job[Entry]) -> Entry:
    """The capture carried to its end, and its style put into the library."""
    losses: list[tuple[int, float]] = []
    base = studio.bases.get(capture.base)
    capture.write(capture.step)
    if capture.step:
        job.report(note="from where it stopped")

    def on_progress(progress: Progress) -> None:
        losses.append((progress.step, progress.loss))
        changes: dict[str, Any] = {"done": progress.step, "total": progress.steps, "eta_s": progress.eta_s}
        if progress.preview is not None:
            changes["preview"] = progress.preview
        if progress.notices:
            changes["note"] = " ".join(progress.notices)
        job.report(detail=tuple(losses), **changes)
        if progress.step % _NOTE_EVERY == 0:
            capture.write(progress.step)

    try:
        style = api.capture(
            capture.photos,
            base=base,
            name=capture.name,
            config=capture.config,
            state_path=capture.state,
            resume=True,
            on_progress=on_progress,
            should_stop=job.should_stop,
            should_finish=job.should_finish,
        )
    except Cancelled:
        if losses:
            capture.write(losses[-1][0])
        elif not capture.step:
            capture.discard()
        raise
    entry = library.add_under_free_name(style)
    capture.discard()
    return entry

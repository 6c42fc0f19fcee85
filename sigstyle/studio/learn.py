"""Learning styles, as jobs that can be watched, stopped, finished early, and resumed after a crash.

A capture lets shorter work pass, and shows what it knows on a person's own photo: for both it is stopped between two
steps and resumed, which changes no bit of the style.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from sigstyle import api
from sigstyle.base.model import BaseModel
from sigstyle.config import CaptureConfig
from sigstyle.errors import Cancelled, ConfigError
from sigstyle.imaging.images import Source, load_image
from sigstyle.learning.loop import Progress
from sigstyle.studio.folder import Workspace, read_json, safe_name, write_json
from sigstyle.studio.lane import Job
from sigstyle.studio.library import Entry, Library
from sigstyle.studio.limits import check_counts, check_settings
from sigstyle.studio.loras import Note, Underlay
from sigstyle.studio.paint import take_photos
from sigstyle.studio.studio import Studio, Who
from sigstyle.style.instant import hypernetwork_of
from sigstyle.style.style import Style
from sigstyle.style.under import Loras

STATE = ".state.safetensors"
_NOTE_EVERY = 20
_LOOKS = (0.3, 0.6)  # of the steps, after which a photo is shown again
_SHOWN_PX = 256


@dataclass(frozen=True)
class Unfinished:
    """A capture that was begun and not ended: `path` is its note, beside which its state is kept."""

    path: Path
    name: str
    base: str
    photos: list[Path]
    config: CaptureConfig
    step: int
    shown: Path | None = None  # the photo that what was learned is shown on
    loras: tuple[Note, ...] = ()  # that lie under the style

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
        values |= {} if self.shown is None else {"shown": self.shown.stem}
        values |= {"loras": self.loras} if self.loras else {}
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
        shown = workspace.photo(str(values.get("shown", "")))
        loras = tuple((str(name), str(hash_), float(weight)) for name, hash_, weight in values.get("loras", []))
        told = (str(values["name"]), str(values["base"]), kept, config, int(values["step"]), shown)
        capture = Unfinished(path, *told, loras)
    except (KeyError, TypeError, ValueError, ConfigError):
        return None
    return capture if kept and len(kept) == len(photos) else None


def learn(
    studio: Studio,
    who: Who,
    paintings: Sequence[Source],
    name: str,
    base: str,
    settings: dict[str, Any],
    shown: Source | None = None,
    loras: Underlay | None = None,
) -> Job[Entry]:
    """Learn a style and put it into the library; `detail` of the updates holds (step, loss) pairs.

    `loras` lie under the style, unless given those that the person has on.

    With a photo `shown`, the previews are that photo, painted: at once where the base has a hypernetwork, and again as
    the style is refined.
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
    own = None if shown is None else workspace.keep_photo(shown)
    under = studio.loras(who).given(loras).notes
    capture = Unfinished(path, name, studio.bases.check(base), photos, config, 0, own, under)
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
    library, under = studio.library(who), studio.loras(who).noted(capture.loras)

    def work(job: Job[Entry]) -> Entry:
        studio.learning.add(capture.path)
        try:
            return _learned(studio, library, capture, under, job)
        finally:
            studio.learning.discard(capture.path)

    title, units = f"Learning '{capture.name}'", max(1, capture.config.steps - capture.step)
    return studio.submit(who, "learn", work, gives_way=True, title=title, units=units)


def _learned(studio: Studio, library: Library, capture: Unfinished, under: Underlay, job: Job[Entry]) -> Entry:
    """The capture carried to its end, and its style put into the library."""
    base = studio.bases.get(capture.base)
    loras = under.opened(base)
    if capture.config.start == "instant" and hypernetwork_of(base.fingerprint) is None:
        capture = replace(capture, config=replace(capture.config, start="zero"))
    capture.write(capture.step)
    if capture.step:
        job.report(note="from where it stopped")
    elif capture.config.start == "instant" and capture.shown is not None:
        told: list[str] = []
        known = api.capture(capture.photos, base=base, name=capture.name, instant=True, on_notice=told.append)
        note = "little like it is known, so it begins from less" if told else "as it is known at once"
        job.report(preview=_on_photo(base, known, capture, loras, job), note=note)
    style = _Learning(base, capture, loras, job).to_the_end()
    if capture.shown is not None:
        job.report(preview=_on_photo(base, style, capture, loras, job))
    entry = library.add_under_free_name(style)
    capture.discard()
    return entry


def _on_photo(base: BaseModel, style: Style, capture: Unfinished, loras: Loras, job: Job) -> Image.Image | None:
    """The capture's photo in a style as far as it is known; None without one, or for a style that does not paint."""
    if capture.shown is None or "default" not in style.abilities:
        return None
    image = load_image(capture.shown)
    image.thumbnail((8 * _SHOWN_PX, 2 * _SHOWN_PX), Image.Resampling.LANCZOS)
    how: dict[str, Any] = {"base": base, "loras": loras, "should_stop": job.should_stop}
    return api.transfer(image, style, size_px=_SHOWN_PX, margin_px=16, **how).images[0]


class _Learning:
    """A capture in pieces: it ends a piece where somebody waits, or where a photo is to be shown, and goes on."""

    def __init__(self, base: BaseModel, capture: Unfinished, loras: Loras, job: Job[Entry]) -> None:
        self.base, self.capture, self.job, self._loras = base, capture, job, loras
        self.losses: list[tuple[int, float]] = []
        seen = capture.shown is not None and not capture.config.classic
        self._looks = [round(share * capture.config.steps) for share in _LOOKS] if seen else []
        self._begun, self._passed = 0, False  # losses when the piece began; whether it ended to let others pass

    def to_the_end(self) -> Style:
        """All pieces. Raises: Cancelled when stopped; what a capture raises."""
        while True:
            self._begun, self._passed = len(self.losses), False
            try:
                style = self._piece()
            except Cancelled:
                if self.job.should_stop() or not self._passed:
                    self._left()
                    raise
                self.job.make_way()
                continue
            if self.job.should_finish() or not self._look_due():
                return style
            self._looks = [look for look in self._looks if look > self._step]
            self.job.report(preview=_on_photo(self.base, style, self.capture, self._loras, self.job))

    def _piece(self) -> Style:
        return api.capture(
            self.capture.photos,
            base=self.base,
            name=self.capture.name,
            config=self.capture.config,
            loras=self._loras,
            state_path=self.capture.state,
            resume=True,
            on_progress=self._on_progress,
            should_stop=lambda: self.job.should_stop() or self._passing(),
            should_finish=lambda: self.job.should_finish() or self._look_due(),
        )

    @property
    def _step(self) -> int:
        return self.losses[-1][0] if self.losses else self.capture.step

    def _passing(self) -> bool:
        """Whether others are let pass now: each piece makes a step at least, so that it gets on."""
        self._passed = len(self.losses) > self._begun and self.job.lane.is_wanted()
        return self._passed

    def _look_due(self) -> bool:
        return any(look <= self._step < self.capture.config.steps for look in self._looks)

    def _on_progress(self, progress: Progress) -> None:
        self.losses.append((progress.step, progress.loss))
        changes: dict[str, Any] = {"done": progress.step, "total": progress.steps, "eta_s": progress.eta_s}
        if progress.preview is not None:
            changes["preview"] = progress.preview
        if progress.notices:
            changes["note"] = " ".join(progress.notices)
        elif len(self.losses) == 1 and not self.capture.step:
            changes["note"] = ""
        self.job.report(detail=tuple(self.losses), **changes)
        if progress.step % _NOTE_EVERY == 0:
            self.capture.write(progress.step)

    def _left(self) -> None:
        """It was stopped: what there is stays, for resuming."""
        if self.losses:
            self.capture.write(self._step)
        elif not self.capture.step:
            self.capture.discard()

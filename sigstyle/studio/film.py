"""A short clip in a style, as two jobs: its first frame with what the whole will take, and then the whole."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sigstyle.batches.film import FilmProgress, video
from sigstyle.batches.film_plan import FilmPlan, film_plan
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.studio.folder import Workspace, safe_name
from sigstyle.studio.lane import Job
from sigstyle.studio.limits import check_settings
from sigstyle.studio.loras import Underlay
from sigstyle.studio.studio import Studio, Who
from sigstyle.style.style import Style
from sigstyle.style.under import under

MOST_FRAMES = 1500


@dataclass(frozen=True)
class FirstFrame:
    """The first frame of a clip, painted, and what painting all of it takes."""

    path: Path
    frames: int
    shots: int
    seconds: float
    notices: tuple[str, ...]


@dataclass(frozen=True)
class Film:
    """A finished film, and what was worth saying on the way."""

    path: Path
    frames: int
    seconds: float
    notices: tuple[str, ...]


def first_frame(
    studio: Studio, who: Who, clip: Path | None, style: str, base: str, config: TransferConfig,
    loras: Underlay | None = None,
) -> Job[FirstFrame]:  # fmt: skip
    """Paint a clip's first frame, and measure what the whole takes.

    `loras` lie under the style, unless given those that the person has on.
    Raises: SigStyleError for anything that can be known to be wrong before the work begins.
    """
    chosen, key, workspace, look = _checked(studio, who, clip, style, base, config)
    laid = studio.loras(who).given(loras)

    def work(job: Job[FirstFrame]) -> FirstFrame:
        plan, loaded = _planned(chosen, look, config), studio.bases.get(key)
        size, began = plan.size(loaded), time.monotonic()
        with under(loaded, laid.opened(loaded)) as carrying:
            painter = plan.painter(carrying, plan.shots[0], job.should_stop)
            image = next(plan.clip.frames(size))
            painted = painter.finished(painter.next(0, image, None).painted, size)
        path = workspace.new_result(f"first frame in {style}")
        painted.save(path)
        seconds = (time.monotonic() - began) * (plan.frames + len(plan.shots))
        notices = (*plan.clip.notices(size, config.size_px is not None), *plan.notices, *laid.notices(loaded))
        return FirstFrame(path, plan.frames, len(plan.shots), seconds, notices)

    return studio.submit(who, "film", work, title=f"First frame of {chosen.stem} in {look.name}", units=0)


def paint_film(
    studio: Studio, who: Who, clip: Path | None, style: str, base: str, config: TransferConfig,
    loras: Underlay | None = None,
) -> Job[Film]:  # fmt: skip
    """Paint a clip, over LoRAs as `first_frame`. Raises: as `first_frame`."""
    chosen, key, workspace, look = _checked(studio, who, clip, style, base, config)
    laid = studio.loras(who).given(loras)
    path = _place(workspace, chosen, look, config, laid)

    def work(job: Job[Film]) -> Film:
        _planned(chosen, look, config)
        loaded, notices = studio.bases.get(key), list[str]()
        made = video(
            chosen,
            look,
            path,
            base=loaded,
            config=config,
            loras=laid.opened(loaded),
            overwrite=True,
            on_progress=_reporting(job),
            on_notice=notices.append,
            should_stop=job.should_stop,
        )
        return Film(made.path, made.frames, made.seconds, (*notices, *laid.notices(loaded)))

    return studio.submit(who, "film", work, title=f"Film: {chosen.stem} in {look.name}", units=0)


def _checked(
    studio: Studio, who: Who, clip: Path | None, style: str, base: str, config: TransferConfig
) -> tuple[Path, str, Workspace, Style]:
    """What both jobs need. Raises: SigStyleError."""
    if clip is None:
        raise ConfigError("There is no clip yet. Drop one.")
    check_settings(config)
    workspace, entry = studio.admitted(who), studio.library(who).get(style)
    return clip, studio.bases.check(base), workspace, entry.style


def _place(workspace: Workspace, clip: Path, style: Style, config: TransferConfig, laid: Underlay) -> Path:
    """Where a film goes: the same for the same wishes, so that one that was stopped goes on."""
    told = json.dumps([clip.name, clip.stat().st_size, style.hash, config.to_dict(), laid.notes], sort_keys=True)
    digest = hashlib.sha256(told.encode()).hexdigest()[:12]
    return workspace.folder("results") / f"{safe_name(f'{clip.stem} in {style.name}')}-{digest}.mp4"


def _planned(clip: Path, style: Style, config: TransferConfig) -> FilmPlan:
    """What is painted. Raises: ConfigError for a clip that is too long for one person at once."""
    plan = film_plan(clip, style, config=config)
    if plan.frames > MOST_FRAMES:
        raise ConfigError(
            f"The clip has {plan.frames} frames; at most {MOST_FRAMES} here. The command line paints more."
        )
    return plan


def _reporting(job: Job[Film]) -> Callable[[FilmProgress], None]:
    def report(progress: FilmProgress) -> None:
        job.report(done=progress.done, total=progress.total, eta_s=progress.eta_s)

    return report

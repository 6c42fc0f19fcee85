"""Surfaces in a style without a photo, as jobs: tiles without a seam, and sheets."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sigstyle.config import TextureConfig
from sigstyle.studio.lane import Job
from sigstyle.studio.limits import MOST_COUNT, check_settings, whole_number
from sigstyle.studio.loras import Underlay
from sigstyle.studio.paint import Picture, one_by_one, saved_picture
from sigstyle.studio.studio import Studio, Who
from sigstyle.textures import texture


def surface(
    studio: Studio,
    who: Who,
    style: str,
    base: str,
    settings: dict[str, Any],
    count: int = 1,
    loras: Underlay | None = None,
) -> Job[list[Picture]]:
    """Paint a surface in a style, `count` times with seeds that follow each other; `settings` are of TextureConfig.

    `loras` lie under the style, unless given those that the person has on.
    Raises: SigStyleError for anything that can be known to be wrong before the work begins.
    """
    config = TextureConfig.from_dict(settings)
    check_settings(config)
    count, entry = whole_number("count", count, 1, MOST_COUNT), studio.library(who).get(style)
    workspace, key, laid = studio.admitted(who), studio.bases.check(base), studio.loras(who).given(loras)

    def paint(job: Job, seed: int, on_progress: Callable[[int, int], None]) -> Picture:
        started, loaded = time.monotonic(), studio.bases.get(key)
        made = texture(
            entry.style,
            base=loaded,
            config=replace(config, seed=seed),
            loras=laid.opened(loaded),
            on_progress=on_progress,
            should_stop=job.should_stop,
        )
        kind = "tile" if config.seamless == "on" else "sheet"
        saved = saved_picture(workspace, made, f"{kind} in {entry.name}", started, None)
        return replace(saved, notices=saved.notices + laid.notices(loaded))

    seeds = [config.seed + i for i in range(count)]
    title = f"{'Tile' if config.seamless == 'on' else 'Sheet'} in {entry.name}" + (f" x {count}" if count > 1 else "")
    work = lambda job: one_by_one(job, "picture", seeds, paint)  # noqa: E731
    return studio.submit(who, "imagine", work, title=title, units=0)

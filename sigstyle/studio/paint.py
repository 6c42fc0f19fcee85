"""Restyling photos and painting prompts, as jobs."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from sigstyle import api
from sigstyle.config import GenerateConfig, TransferConfig
from sigstyle.defaults import resolved
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import Source, load_image
from sigstyle.parts import Parts, RegionLike
from sigstyle.result import TransferResult
from sigstyle.studio.folder import Workspace
from sigstyle.studio.lane import Job
from sigstyle.studio.library import Entry, Library
from sigstyle.studio.limits import (
    MOST_COUNT,
    MOST_MEGAPIXELS,
    SIZES_PX,
    check_counts,
    check_own_size,
    check_settings,
    in_time,
    whole_number,
)
from sigstyle.studio.loras import Underlay
from sigstyle.studio.regions import WantedRegion, check_regions, styles_of
from sigstyle.studio.studio import Studio, Who
from sigstyle.studio.traces import kept_under
from sigstyle.studio.words import counted
from sigstyle.style.blend import Blend
from sigstyle.style.style import Style


@dataclass(frozen=True)
class Picture:
    """A finished picture, the kept photo it was made from, if any, and what was worth saying on the way."""

    path: Path
    photo: Path | None
    name: str
    seconds: float
    reused: bool = False
    notices: tuple[str, ...] = ()

    def before(self) -> Image.Image | None:
        """The photo at the picture's size."""
        if self.photo is None:
            return None
        return load_image(self.photo).resize(self.size, Image.Resampling.LANCZOS)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return size_of(self.path)


def size_of(picture: Path) -> tuple[int, int]:
    """(width, height) of a picture that the app wrote. Raises: OSError."""
    with Image.open(picture) as opened:
        return opened.size


@dataclass(frozen=True)
class KeptPhoto:
    """A photo to restyle: what to call it, where it is kept, and what is worth saying of how it was read."""

    name: str
    path: Path
    notices: tuple[str, ...] = ()


def take_photos(workspace: Workspace, sources: Sequence[Source]) -> list[KeptPhoto]:
    """Keep these photos. Raises: ConfigError when there are none or too many, ImageError for an unusable one."""
    if not sources:
        raise ConfigError("There is no photo yet. Drop one, or click an example.")
    check_counts(len(sources))
    kept = [_kept(workspace, source) for source in sources]
    for photo in kept:
        os.utime(photo.path)  # it is used now, so its age begins anew
    return kept


def _kept(workspace: Workspace, source: Source) -> KeptPhoto:
    image, name = load_image(source), Path(source).stem if isinstance(source, str | Path) else "photo"
    notices = (image.info["notice"],) if "notice" in image.info else ()
    return KeptPhoto(name, workspace.keep_photo(image), notices)


Wanted = str | Sequence[tuple[str, float]]  # a style by its name, or several with their weights


def looked_up(library: Library, wanted: Wanted) -> tuple[list[Entry], list[float]]:
    """The styles of a blend with their weights, those at 0 left out; none at all where none is wanted.

    Raises: ConfigError for unknown ones, and for a blend in which every weight is 0.
    """
    pairs = [(wanted, 1.0)] if isinstance(wanted, str) else [(name, weight) for name, weight in wanted if weight > 0]
    if wanted != () and not pairs:
        raise ConfigError("Every style of the blend is at 0. Give one of them more.")
    return [library.get(name) for name, _ in pairs], [float(weight) for _, weight in pairs]


def _check_able(
    config: TransferConfig,
    styles: Sequence[Style],
    weights: Sequence[float],
    parts: Sequence[RegionLike],
    photo: Path,
    area: Path | None,
) -> None:
    """Raises: SigStyleError for styles that cannot do it, for none at all, and for parts that are not in the photo."""
    blend = Blend.of(styles, weights) if styles else None
    if blend is not None:
        blend.check_able(config)
    elif not parts:
        raise ConfigError("No style is chosen yet. Choose one.")
    if area is not None:
        os.utime(area)  # it is used now, so its age begins anew
    if parts or area is not None:
        Parts.opened(parts).check(load_image(photo), area and load_image(area), config, blend)


def restyle(
    studio: Studio, who: Who, photos: Sequence[Source], style: Wanted, base: str, config: TransferConfig,
    mask: Source | None = None, regions: Sequence[WantedRegion] = (), own_size: bool = False,
    loras: Underlay | None = None,
) -> Job[list[Picture]]:  # fmt: skip
    """Repaint photos in a style or a blend, one by one; `detail` of the updates holds the pictures made so far.

    `mask`, as large as the one photo, is white where it is painted. `regions` are painted over that in styles of their
    own; where `style` is (), all else stays the photo. With `own_size` a picture gets the size of its photo where the
    settings name none. `loras` lie under the style, unless given those that the person has on.
    Raises: SigStyleError for anything that can be known to be wrong before the work begins.
    """
    check_settings(config)
    check_counts(len(photos))
    check_regions(len(photos), mask, regions)
    if own_size:
        check_own_size(config)
    workspace, library = studio.admitted(who), studio.library(who)
    entries, weights = looked_up(library, style)
    kept, opened = take_photos(workspace, photos), [entry.style for entry in entries]
    area = None if mask is None else workspace.keep_photo(mask)
    parts = [region.opened(library, workspace) for region in regions]
    key, look = studio.bases.check(base), "+".join(f"{s.hash}:{w:g}" for s, w in zip(opened, weights, strict=True))
    _check_able(config, opened, weights, parts, kept[0].path, area)
    names = " + ".join(dict.fromkeys([e.name for e in entries] + [r.style for r in regions]))
    under = studio.loras(who).given(loras)

    def paint(job: Job, photo: KeptPhoto, on_progress: Callable[[int, int], None]) -> Picture:
        loaded = studio.bases.get(key)
        meant, image = in_time(config, loaded, own_size), load_image(photo.path)
        identity = f"{loaded.fingerprint}+{under.told_apart(loaded)}"
        wanted = kept_under(who.person, identity, photo.path.stem, meant, look)
        trace, started = None if parts else studio.traces.get(wanted), time.monotonic()
        result = api.transfer(
            image,
            opened,
            weights=weights if opened else None,
            mask=None if area is None else load_image(area),
            regions=parts,
            base=loaded,
            config=meant,
            trace=trace,
            loras=under.opened(loaded),
            on_progress=on_progress,
            on_preview=lambda preview: job.report(preview=preview),
            should_stop=job.should_stop,
        )
        if result.trace is not None:
            studio.traces.put(wanted, result.trace)
        known = trace is not None and result.trace is trace
        saved = saved_picture(workspace, result, f"{photo.name} in {names}", started, photo.path, reused=known)
        if not known and image.width * image.height <= MOST_MEGAPIXELS * 1e6:  # else reading it takes longest
            studio.bases.took(key, meant, image.size, styles_of(opened, parts), saved.seconds)
        return replace(saved, notices=photo.notices + saved.notices + under.notices(loaded))

    title = f"{kept[0].name if len(kept) == 1 else counted(len(kept), 'photo')} in {names}"
    work = lambda job: one_by_one(job, "photo", kept, paint)  # noqa: E731
    return studio.submit(who, "restyle", work, title=title, units=len(kept))


def imagine(
    studio: Studio, who: Who, prompt: str, style: str, base: str, settings: dict[str, Any], count: int = 1,
    loras: Underlay | None = None,
) -> Job[list[Picture]]:  # fmt: skip
    """Paint a prompt in a style, `count` times with seeds that follow each other.

    `settings` are those of `api.generate`, `loras` as in `restyle`. Raises: as `restyle`.
    """
    if not prompt.strip():
        raise ConfigError("There is no prompt yet. Say what the picture shows, such as 'a castle by the sea'.")
    sizes = {name: settings.get(name) for name in ("width", "height")}
    sizes = {k: None if size is None else whole_number(k, size, *SIZES_PX) for k, size in sizes.items()}
    count = whole_number("count", count, 1, MOST_COUNT)
    given = {name: value for name, value in settings.items() if name not in sizes}
    entry = studio.library(who).get(style)
    config = _of_prompt(entry.style, {**given, "prompt": prompt})
    check_settings(config)
    workspace, key = studio.admitted(who), studio.bases.check(base)

    kept = {name: value for name, value in config.to_dict().items() if name != "prompt"}
    under = studio.loras(who).given(loras)

    def paint(job: Job, seed: int, on_progress: Callable[[int, int], None]) -> Picture:
        started, loaded = time.monotonic(), studio.bases.get(key)
        result = api.generate(
            prompt,
            entry.style,
            base=loaded,
            loras=under.opened(loaded),
            on_progress=on_progress,
            on_preview=lambda preview: job.report(preview=preview),
            should_stop=job.should_stop,
            **sizes,
            **{**kept, "seed": seed},
        )
        saved = saved_picture(workspace, result, f"{prompt[:40]} in {entry.name}", started, None)
        return replace(saved, notices=saved.notices + under.notices(loaded))

    seeds = [config.seed + i for i in range(count)]
    title = f"'{prompt[:40]}' in {entry.name}" + (f" x {count}" if count > 1 else "")
    work = lambda job: one_by_one(job, "picture", seeds, paint)  # noqa: E731
    return studio.submit(who, "imagine", work, title=title, units=count)


def _of_prompt(style: Style, settings: dict[str, Any]) -> GenerateConfig:
    """The settings of a prompt; a style that has not learned to paint is denoised in, unless a preset says otherwise.

    What is not said is as the base's family has it. Raises: ConfigError.
    """
    given = dict(settings)
    preset = str(given.pop("preset", "classic" if style.palette is None and "method" not in given else "default"))
    return resolved(GenerateConfig, preset, None, given, style.family)


def one_by_one(job: Job, noun: str, items: Sequence[Any], paint: Callable[..., Picture]) -> list[Picture]:
    """Paint each item, reporting over all of them."""
    pictures: list[Picture] = []
    for number, item in enumerate(items):
        note = f"{noun} {number + 1} of {len(items)}" if len(items) > 1 else ""
        job.report(note=note, preview=None)

        def on_progress(done: int, total: int, number: int = number) -> None:
            job.report(done=number * total + done, total=len(items) * total)

        pictures.append(paint(job, item, on_progress))
        job.report(detail=tuple(pictures))
    return pictures


def saved_picture(
    workspace: Workspace, result: TransferResult, name: str, started: float, photo: Path | None, reused: bool = False
) -> Picture:
    """The one picture of a result, written with its recipe."""
    path = workspace.new_result(name)
    replace(result, images=result.images[:1]).save(path)
    seconds = time.monotonic() - started
    return Picture(path, photo, name, seconds, reused, tuple(result.notices))

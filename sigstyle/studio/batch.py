"""Many photos in many styles, as a job: a folder of pictures, a contact sheet and a zip of it all."""

import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sigstyle.batches.batch import BatchProgress, batch
from sigstyle.batches.write import BatchResult
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError, ImageError
from sigstyle.imaging.images import Source, load_image, read_recipe, save_png
from sigstyle.studio.folder import Workspace, safe_name
from sigstyle.studio.lane import Job
from sigstyle.studio.limits import check_counts, check_own_size, check_settings, in_time
from sigstyle.studio.loras import Underlay
from sigstyle.studio.paint import KeptPhoto, take_photos
from sigstyle.studio.studio import Studio, Who
from sigstyle.studio.words import counted
from sigstyle.style.blend import Blend


@dataclass(frozen=True)
class BatchOutcome:
    """What a batch made: pictures, sheets, a zip of both, and sentences on what could not be made."""

    pictures: tuple[Path, ...]
    sheets: tuple[Path, ...]
    archive: Path | None
    problems: tuple[str, ...]


def paint_all(
    studio: Studio, who: Who, photos: Sequence[Source], styles: Sequence[str], base: str, config: TransferConfig,
    own_size: bool = False, loras: Underlay | None = None,
) -> Job[BatchOutcome]:  # fmt: skip
    """Repaint every photo in every style; `detail` of the updates holds the paths of the pictures made so far.

    With `own_size`, pictures get the size of their photos where the settings name none. `loras` lie under the styles,
    unless given those that the person has on.
    Raises: SigStyleError for anything that can be known to be wrong before the work begins.
    """
    if not styles:
        raise ConfigError("No style is chosen yet. Tick one or more.")
    check_settings(config)
    if own_size:
        check_own_size(config)
    check_counts(len(photos), len(styles))
    workspace, library = studio.admitted(who), studio.library(who)
    opened = [library.get(style).style for style in styles]
    (kept, unread), key = _usable(workspace, photos), studio.bases.check(base)
    for style in opened:
        Blend.of([style]).check_able(config)
    folder, laid = workspace.new_result("folder", ""), studio.loras(who).given(loras)

    def work(job: Job[BatchOutcome]) -> BatchOutcome:
        contents = _named(kept, folder / "photos")
        made: list[Path] = []
        problems, notices = [*unread], list[str]()

        def on_progress(progress: BatchProgress) -> None:
            job.report(done=round(10 * progress.position), total=10 * progress.total, eta_s=progress.eta_s)

        loaded = studio.bases.get(key)
        results = batch(
            contents,
            opened,
            folder / "pictures",
            base=loaded,
            config=in_time(config, loaded, own_size),
            loras=laid.opened(loaded),
            on_progress=on_progress,
            on_notice=lambda text: notices.append(text.replace(f"{folder}{os.sep}", "")),
            should_stop=job.should_stop,
        )
        for result in results:
            if result.path is not None:
                made.append(_placeless(result))
            else:
                why = str(result.error).replace(f"{folder}{os.sep}", "")
                problems.append(f"{Path(result.content).name} in {result.style}: {why}")
            note = f"{len(made) + len(problems) - len(unread)} of {len(kept) * len(opened)} pictures"
            job.report(note=note, detail=tuple(made))
        notices += laid.notices(loaded)
        return _packed(folder, made, [*problems, *notices])

    counts = f"{counted(len(kept), 'photo')} x {counted(len(opened), 'style')}"
    return studio.submit(who, "batch", work, title=f"Folder: {counts}", units=len(kept) * len(opened))


def _placeless(result: BatchResult) -> Path:
    """The finished picture, in whose recipe the photo is called by its name alone and not by its place here."""
    path, recipe = Path(result.path or ""), result.recipe or read_recipe(Path(result.path or ""))
    content = recipe["content"]
    save_png(load_image(path), path, {**recipe, "content": {**content, "path": Path(content["path"]).name}})
    return path


def _named(photos: Sequence[KeptPhoto], folder: Path) -> list[Path]:
    """Copies of kept photos under their own names."""
    folder.mkdir(parents=True, exist_ok=True)
    copies: list[Path] = []
    for photo in photos:
        name, number = safe_name(photo.name, "photo"), 1
        while (path := folder / f"{name}{f'-{number}' if number > 1 else ''}.png") in copies:
            number += 1
        shutil.copyfile(photo.path, path)
        copies.append(path)
    return copies


def _usable(workspace: Workspace, photos: Sequence[Source]) -> tuple[list[KeptPhoto], list[str]]:
    """The photos that can be read, kept, and sentences on the others. Raises: SigStyleError when none can be."""
    try:
        return take_photos(workspace, photos), []
    except ImageError:  # now each by itself
        kept: list[KeptPhoto] = []
        problems: list[ImageError] = []
    for photo in photos:
        try:
            kept += take_photos(workspace, [photo])
        except ImageError as error:
            problems.append(error)
    if problems and not kept:
        raise problems[0]
    return kept, [str(problem) for problem in problems]


def _packed(folder: Path, made: Sequence[Path], problems: Sequence[str]) -> BatchOutcome:
    """The finished batch with its contact sheets in a zip."""
    sheets = tuple(sorted((folder / "pictures").glob("contact-sheet*.png")))
    if not made:
        return BatchOutcome((), sheets, None, tuple(problems))
    archive = folder / f"{folder.name}.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in (*made, *sheets):
            zipped.write(path, path.name)
    return BatchOutcome(tuple(made), sheets, archive, tuple(problems))

"""Many photos in many styles: shared inversions, restartable, by as many processes and machines as there are."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sigstyle.base.model import BaseLike
from sigstyle.batches.job_file import file_beside, outputs_of, read_jobs
from sigstyle.batches.job_lock import job_id
from sigstyle.batches.jobs import Output, Unit, cross, looks_of, named, units_of, with_loras_read, with_parts
from sigstyle.batches.manifest import Manifest
from sigstyle.batches.paint import Painter
from sigstyle.batches.photos import find_photos
from sigstyle.batches.present import is_whole, there
from sigstyle.batches.progress import BatchProgress, OnProgress
from sigstyle.batches.work import Work
from sigstyle.batches.workers import join
from sigstyle.batches.write import BatchResult
from sigstyle.config import TransferConfig
from sigstyle.defaults import resolved
from sigstyle.errors import ConfigError
from sigstyle.files import expanded, reason
from sigstyle.imaging.images import Source
from sigstyle.painting.evaluations import never
from sigstyle.parts import NO_PARTS, Parts, RegionLike
from sigstyle.recipe import asked_for
from sigstyle.settings import resolve
from sigstyle.style.blend import Blend
from sigstyle.style.ingredients import Loading
from sigstyle.style.lora_file import LoraLike, weighted
from sigstyle.style.shipped import StyleLike, open_style
from sigstyle.style.style import Style

__all__ = ["BatchProgress", "BatchResult", "Plan", "batch", "plan"]

TOGETHER_ON_CUDA = 4


@dataclass(frozen=True)
class Plan:
    """What a batch will make, in which folder, and what is worth saying of it."""

    folder: Path
    outputs: list[Output]
    notices: list[str]

    def units(self, together: int) -> list[Unit]:
        """What one process takes at a time."""
        return units_of(self.outputs, together)

    def missing(self) -> list[Output]:
        """Pictures that are not there yet, or not whole."""
        return [output for output in self.outputs if not is_whole(self.folder / output.name)]


def plan(
    contents: Source | Sequence[Source] | None,
    styles: StyleLike | Sequence[StyleLike],
    output: str | Path,
    *,
    jobs: str | Path | None = None,
    parts: Parts = NO_PARTS,
    loras: Sequence[LoraLike] = (),
    preset: str | None = None,
    config: TransferConfig | None = None,
    **settings: Any,
) -> Plan:
    """What `batch` makes with the same arguments; nothing is painted or written.

    Raises: ConfigError and StyleFileError for unusable arguments or an unusable job file.
    """
    resolve(TransferConfig, preset, config, settings)
    wanted, over = [styles] if isinstance(styles, StyleLike) else list(styles), weighted(loras)
    opened = [(open_style(style), None if isinstance(style, Style) else str(style)) for style in wanted]
    family = opened[0][0].family if opened else ""
    chosen = resolved(TransferConfig, preset, config, settings, family)
    folder = _folder(output)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"The output {folder} is a file; expected a folder.")
    if (jobs is None) == (contents is None):
        raise ConfigError("Give either photos or a job file: expected one of contents and jobs.")
    if jobs is not None:
        path = Path(jobs)

        def open_beside(name: str) -> tuple[Style, str]:
            found = file_beside(path.parent, name)
            return open_style(found), found

        outputs = with_parts(outputs_of(read_jobs(path), opened, chosen, open_beside, path.parent, over), parts)
        _check_able(outputs)
        return Plan(folder, named(outputs), _about(outputs))
    if not opened:
        raise ConfigError("There is no style; give a style file or the name of a shipped style.")
    photos, notices = find_photos(contents, folder)  # type: ignore[arg-type]
    outputs = cross(photos, looks_of(opened, parts, over), chosen)
    _check_able(outputs)
    return Plan(folder, named(outputs), [*notices, *_about(outputs)])


def _about(outputs: Sequence[Output]) -> list[str]:
    """Lines about what styles were made for and is not given."""
    looks = {output.look.label: output.look for output in outputs}.values()
    return list(dict.fromkeys(line for look in looks for line in Loading(loras=look.loras).notices([look.style])))


def _folder(output: str | Path) -> Path:
    """The output folder, which need not exist. Raises: ConfigError for what cannot be one."""
    try:
        folder = expanded(output)
        os.stat(folder)
    except FileNotFoundError:
        return folder
    except NotADirectoryError as error:
        raise ConfigError(f"{output} cannot be written: it leads through a file. Choose another folder.") from error
    except OSError as error:
        raise ConfigError(f"The output {output} cannot be a folder: {reason(error)}. Choose another one.") from error
    return folder


def _check_able(outputs: Sequence[Output]) -> None:
    """Raises: ConfigError for a style that lacks what its settings need, once for all that ask for the same."""
    for output in {(output.look.label, output.config): output for output in outputs}.values():
        try:
            for blend in (output.look.blend, *(Blend.of([style]) for style in output.look.parts.styles)):
                blend.check_able(output.config)
        except ConfigError as error:
            raise ConfigError(f"{output.row}: {error}") from error


def batch(
    contents: Source | Sequence[Source] | None,
    styles: StyleLike | Sequence[StyleLike],
    output: str | Path,
    *,
    jobs: str | Path | None = None,
    base: BaseLike | None = None,
    preset: str | None = None,
    config: TransferConfig | None = None,
    together: int | None = None,
    regions: Sequence[RegionLike] = (),
    palette_from: StyleLike | None = None,
    texture: Source | None = None,
    gallery: bool = True,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    memory: str = "auto",
    prediction_type: str | None = None,
    loras: Sequence[LoraLike] = (),
    compile: bool = False,
    on_progress: OnProgress | None = None,
    on_notice: Callable[[str], object] | None = None,
    should_stop: Callable[[], bool] = never,
    **settings: Any,
) -> Iterator[BatchResult]:
    """Repaint every photo in every style into a folder, yielding each picture when it is on the disk.

    `contents` is a folder with its subfolders, or photos; `jobs` instead is a .csv or .jsonl file with a row for each
    photo. Pictures that are there are not made again, so a stopped or killed batch goes on when called again. Started
    in several processes (torchrun, accelerate) or on several machines with one folder, each process takes what is
    left and yields what it made itself. `together` photos go through the UNet at once: 1 by default, where a picture
    is the one `transfer` makes, and 4 on CUDA. In the end a contact sheet and, with `gallery`, index.html are there.
    `regions` and `texture` are for every photo and look, `loras` for rows that name none, all else is as in `transfer`.
    Pictures that were damaged since are made again; a file that is not of this job is never written over. `on_notice`
    gets lines on what was left out, made again or could not be written.
    Raises: ConfigError, StyleFileError for unusable arguments, at the call; while iterating ImageError when the folder
    cannot be written, Cancelled when stopped. What fails for one picture is in its result, and the rest goes on.
    """
    parts = Parts.opened(regions, None, palette_from, texture)
    how: dict[str, Any] = {"preset": preset, "config": config, **settings}
    planned = plan(contents, styles, output, jobs=jobs, parts=parts, loras=loras, **how)
    if together is not None and not 1 <= together <= 256:
        raise ConfigError(f"together is {together}; expected a whole number from 1 to 256.")
    place = join(device)
    loading = Loading(place.device, dtype, prediction_type, memory=memory, compile=compile)
    loaded = loading.base(base, planned.outputs[0].look.style)
    planned = replace(planned, outputs=with_loras_read(planned.outputs, loaded))
    count = together or (TOGETHER_ON_CUDA if loaded.device.type == "cuda" else 1)
    count = 1 if parts.layered else count
    tell = on_notice or (lambda text: None)
    painter, units = Painter(loaded, asked_for(base), loading), planned.units(count)
    work = Work(planned.folder, planned.outputs, units, place, painter, gallery, tell)
    work.enter(job_id(planned.outputs, f"{loaded.fingerprint} {prediction_type or ''}".strip(), count))
    for notice in planned.notices:
        tell(notice)
    return work.results(on_progress, should_stop)


def failures(folder: Path, outputs: Sequence[Output]) -> dict[str, str]:
    """Pictures of this job that could not be made, each with the reason; those missing without one count too."""
    lines = Manifest(folder).lines(outputs)
    failed = {name: line["error"] for name, line in lines.items() if line["status"] == "failed"}
    missing = {output.name: "it was not made" for output in outputs if not there(folder / output.name)}
    return {output.name: (missing | failed)[output.name] for output in outputs if output.name in missing | failed}

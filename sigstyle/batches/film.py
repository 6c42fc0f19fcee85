"""A film in a style: its shots found, their frames painted one after the other, restartable, its sound kept."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from sigstyle.base.model import BaseLike, BaseModel
from sigstyle.batches.film_making import FilmMaking, FilmProgress
from sigstyle.batches.film_plan import FilmPlan, film_plan
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.files import check_destination, expanded, reason
from sigstyle.film.encoding import check_container, film_recipe
from sigstyle.painting.evaluations import never
from sigstyle.painting.notices import prompt_notices
from sigstyle.recipe import asked_for, recipe
from sigstyle.style.ingredients import Loading
from sigstyle.style.lora_file import LoraLike, weighted
from sigstyle.style.shipped import StyleLike, style_file
from sigstyle.style.style import Style

__all__ = ["FilmPlan", "FilmProgress", "FilmResult", "film_plan", "video"]

_KIND = "video"


@dataclass(frozen=True)
class FilmResult:
    """A film that was made, at `path`; `recipe` says how, and is in it where its container has a place for it."""

    path: Path
    frames: int
    shots: int
    fps: float
    seconds: float
    recipe: dict[str, Any]
    notices: list[str] = field(default_factory=list)


def video(
    clip: str | Path,
    styles: StyleLike | Sequence[StyleLike],
    output: str | Path,
    *,
    weights: Sequence[float] | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    fps: float | None = None,
    base: BaseLike | None = None,
    preset: str | None = None,
    config: TransferConfig | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    memory: str = "auto",
    prediction_type: str | None = None,
    loras: Sequence[LoraLike] = (),
    compile: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[FilmProgress], object] = lambda progress: None,
    on_notice: Callable[[str], object] = lambda text: None,
    should_stop: Callable[[], bool] = never,
    **settings: Any,
) -> FilmResult:
    """Repaint a film, or a folder of pictures as one, so that it holds still; its sound is kept.

    `output` ends in .mp4, .mov, .mkv, .webm or .gif, or is a folder to be. `fps` is the film's own unless given. A
    stopped or killed call goes on when called again; called in several processes at once, each takes other shots.
    Everything else is as in `transfer`, with the default preset alone.
    Raises: ConfigError, ImageError, StyleFileError, BaseMismatchError for unusable input; Cancelled when stopped.
    """
    loading = Loading(device, dtype, prediction_type, weighted(loras), memory, compile)
    began, place = time.monotonic(), _place(output, [clip, *_files(styles), *loading.files], overwrite)
    plan = film_plan(
        clip, styles, weights=weights, start_s=start_s, end_s=end_s, fps=fps, preset=preset, config=config, **settings
    )
    loaded = loading.base(base, plan.blend.styles[0])
    for style in plan.blend.styles:
        style.check_base(loaded)
    loading = loading.opened(loaded)
    notices = prompt_notices(plan.blend, loaded, plan.config, guided=False) + loading.notices(plan.blend.styles)
    told = replace(loaded, compiled=loaded.compiled or compile)
    made = _recipe(plan, told, asked_for(base)) | loading.entries(loaded)
    making = FilmMaking(plan, loaded, made, place, on_progress, should_stop, loading)
    notices += [*plan.clip.notices(plan.size(loaded), plan.config.size_px is not None), *plan.notices]
    for notice in notices:
        on_notice(notice)
    told = making.run()
    for notice in told:
        on_notice(notice)
    seconds = time.monotonic() - began
    return FilmResult(place, plan.frames, len(plan.shots), float(plan.clip.fps), seconds, making.recipe, notices + told)


def _files(styles: StyleLike | Sequence[StyleLike]) -> list[Path]:
    wanted = [styles] if isinstance(styles, StyleLike) else list(styles)
    return [style_file(style) for style in wanted if not isinstance(style, Style)]


def _place(output: str | Path, inputs: Sequence[str | Path], overwrite: bool) -> Path:
    """Where the film goes. Raises: ConfigError for no place of a film, or one where something else is."""
    try:
        path = expanded(output)
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {reason(error)}. Expected the name of a film.") from error
    check_container(path)
    if path.suffix:
        return check_destination(path, inputs, overwrite, is_film_of_ours)
    if path.exists():
        raise ConfigError(f"{output} is there already; expected the name of a folder that is not. Choose another.")
    check_destination(path.with_suffix(".png"), inputs, overwrite=True)  # whether its folder can be written
    return path


def is_film_of_ours(path: Path) -> bool:
    """Whether a film carries a recipe of a film painted here."""
    return (film_recipe(path) or {}).get("kind") == _KIND


def _recipe(plan: FilmPlan, base: BaseModel, base_path: str | None) -> dict[str, Any]:
    part = {"start_s": plan.clip.start_s, "end_s": plan.clip.end_s, "fps": float(plan.clip.fps)}
    made = recipe(_KIND, plan.config.to_dict(), base, base_path, plan.blend, plan.styles)
    return made | {"content": {"path": plan.source.name, "sha256": _digest(plan.source)}, **part}


def _digest(path: Path) -> str:
    """A hash of a film's file, or of the names and contents of a folder's files."""
    content = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            content.update(file.name.encode() if path.is_dir() else b"")
            with file.open("rb") as opened:
                content.update(hashlib.file_digest(opened, "sha256").digest())
    return content.hexdigest()

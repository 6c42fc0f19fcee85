"""What of a film is painted: which part, in which shots, in which look."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigstyle.base.model import BaseModel, default_size_px
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError, ImageError
from sigstyle.files import expanded
from sigstyle.film.clip import Clip
from sigstyle.film.shots import SIDE_PX, Shot, shots_of
from sigstyle.painting.evaluations import never
from sigstyle.painting.film import ShotPainter
from sigstyle.settings import resolve
from sigstyle.style.blend import Blend
from sigstyle.style.shipped import StyleLike, open_style
from sigstyle.style.style import Style


@dataclass(frozen=True, eq=False)
class FilmPlan:
    """What of a film is painted, how, and in which shots; `blend` and `config` are its look."""

    source: Path
    clip: Clip
    shots: list[Shot]
    blend: Blend
    config: TransferConfig
    styles: list[str | None]
    notices: list[str]

    @property
    def frames(self) -> int:
        """How many there are."""
        return self.shots[-1].end

    def size(self, base: BaseModel) -> tuple[int, int]:
        """(width, height) of the film that is made."""
        return self.clip.size(self.config.size_px or default_size_px(base))

    def painter(self, base: BaseModel, shot: Shot, should_stop: Callable[[], bool] = never) -> ShotPainter:
        """What paints a shot."""
        usual = next(self.clip.frames(self.size(base), shot.usual))
        return ShotPainter.of_shot(base, self.blend, self.config, shot, usual, should_stop)


def film_plan(
    clip: str | Path,
    styles: StyleLike | Sequence[StyleLike],
    *,
    weights: Sequence[float] | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    fps: float | None = None,
    preset: str | None = None,
    config: TransferConfig | None = None,
    on_frame: Callable[[int], object] = lambda count: None,
    **settings: Any,
) -> FilmPlan:
    """What `video` paints with the same arguments: the whole part is looked at once, nothing is painted or written.

    Raises: ConfigError, ImageError, StyleFileError for unusable input.
    """
    chosen = resolve(TransferConfig, preset, config, settings)
    if chosen.method != "paint":
        raise ConfigError("Films are painted with the preset default; classic and paper are for single photos.")
    wanted = [styles] if isinstance(styles, StyleLike) else list(styles)
    if not wanted:
        raise ConfigError("There is no style; give a style file or the name of a shipped style.")
    blend = Blend.of([open_style(style) for style in wanted], weights)
    blend.check_able(chosen)
    opened = Clip.open(clip, fps, start_s, end_s)
    shots = shots_of(opened.frames(opened.size(SIDE_PX)), on_frame)
    if not shots:
        raise ImageError(f"{opened.footage.name} has no frames in the part that is wanted; choose other seconds.")
    ended = opened.footage.ended(opened.start_s + float(shots[-1].end / opened.fps)) if end_s is None else []
    names = [None if isinstance(style, Style) else str(style) for style in wanted]
    return FilmPlan(expanded(clip), opened, shots, blend, chosen, names, ended)

"""Surfaces in a style, with everything that is written beside them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from sigstyle.base.model import BaseLike, ddim, load_base
from sigstyle.config import TextureConfig
from sigstyle.errors import ConfigError
from sigstyle.painting.evaluations import never, unwatched
from sigstyle.painting.texture import TextureRun
from sigstyle.recipe import asked_for, base_entry, input_files, recipe_with, style_entries
from sigstyle.result import TransferResult
from sigstyle.settings import resolve
from sigstyle.style.blend import Blend
from sigstyle.style.shipped import StyleLike, load_own_base, open_style
from sigstyle.style.style import Style


def texture(
    styles: StyleLike | Sequence[StyleLike],
    *,
    weights: Sequence[float] | None = None,
    base: BaseLike | None = None,
    config: TextureConfig | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] = never,
    **settings: Any,
) -> TransferResult:
    """Paint a surface in one style or a blend; `settings` are those of TextureConfig (size_px, seamless, seed, …).

    With seamless='on' it is a tile: its right edge goes on at its left one, and its lower edge at its upper one.
    `styles`, `weights`, `base`, `on_progress` and `should_stop` as in `transfer`.
    Raises: ConfigError, StyleFileError, BaseMismatchError for unusable input; Cancelled when stopped.
    """
    chosen = resolve(TextureConfig, None, config, settings)
    wanted = [styles] if isinstance(styles, StyleLike) else list(styles)
    if not wanted:
        raise ConfigError("There is no style; give a style file or the name of a shipped style.")
    opened = [open_style(style) for style in wanted]
    paths = [None if isinstance(style, Style) else str(style) for style in wanted]
    blend = Blend.of(opened, weights)
    blend.palette()
    loaded = load_base(base, device, dtype) if base else load_own_base(opened[0], device, dtype)
    for style in opened:
        style.check_base(loaded)
    run = TextureRun(loaded, ddim(loaded.scheduler), chosen, blend, on_progress or unwatched, should_stop)
    image = run.paint()
    named = [path for style, path in zip(opened, paths, strict=True) if any(style is one for one in blend.styles)]
    entries = recipe_with("texture", chosen.to_dict(), base_entry(loaded, asked_for(base)), style_entries(blend, named))
    return TransferResult([image], {**entries, "images": 1}, inputs=input_files(*paths))

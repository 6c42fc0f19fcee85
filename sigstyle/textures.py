"""Surfaces in a style, with everything that is written beside them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from sigstyle.base.model import BaseLike, ddim
from sigstyle.config import TextureConfig
from sigstyle.painting.evaluations import never, unwatched
from sigstyle.painting.texture import TextureRun
from sigstyle.recipe import asked_for, base_entry, input_files, recipe_with, style_entries
from sigstyle.result import TransferResult
from sigstyle.settings import resolve
from sigstyle.style.blend import Blend
from sigstyle.style.ingredients import Ingredients, Loading
from sigstyle.style.lora_file import LoraLike, weighted
from sigstyle.style.shipped import StyleLike


def texture(
    styles: StyleLike | Sequence[StyleLike],
    *,
    weights: Sequence[float] | None = None,
    base: BaseLike | None = None,
    config: TextureConfig | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    memory: str = "auto",
    prediction_type: str | None = None,
    loras: Sequence[LoraLike] = (),
    compile: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] = never,
    **settings: Any,
) -> TransferResult:
    """Paint a surface in one style or a blend; `settings` are those of TextureConfig (size_px, seamless, seed, …).

    With seamless='on' it is a tile: its right edge goes on at its left one, and its lower edge at its upper one.
    All else is as in `transfer`.
    Raises: ConfigError, StyleFileError, BaseMismatchError for unusable input; Cancelled when stopped.
    """
    chosen = resolve(TextureConfig, None, config, settings)
    wanted = Ingredients.of(styles, base, Loading(device, dtype, prediction_type, weighted(loras), memory, compile))
    blend = Blend.of(wanted.styles, weights)
    blend.palette()
    with wanted.ready() as ready:
        for style in wanted.styles:
            style.check_base(ready.base)
        scheduler = ddim(ready.base.scheduler)
        image = TextureRun(ready.base, scheduler, chosen, blend, on_progress or unwatched, should_stop).paint()
        made = base_entry(ready.base, asked_for(base))
    pairs = zip(wanted.styles, wanted.paths, strict=True)
    named = [path for style, path in pairs if any(style is one for one in blend.styles)]
    entries = recipe_with("texture", chosen.to_dict(), made, style_entries(blend, named))
    entries |= {"images": 1, **ready.entries}
    return TransferResult([image], entries, notices=wanted.notices, inputs=input_files(*wanted.files))

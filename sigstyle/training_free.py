"""Repainting after a style image that nothing is learned from, with everything that is written beside it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from PIL import Image

from sigstyle.base.model import EMBEDDED, BaseLike, load_base
from sigstyle.config import TrainingFreeConfig
from sigstyle.errors import Cancelled
from sigstyle.imaging.images import Source, load_image
from sigstyle.painting.content import Content
from sigstyle.painting.evaluations import never, unwatched
from sigstyle.painting.notices import training_free_notices
from sigstyle.painting.sparing import sparing
from sigstyle.painting.training_free import TrainingFreeRun
from sigstyle.recipe import asked_for, base_entry, file_entry, input_files, recipe_with
from sigstyle.result import TransferResult
from sigstyle.settings import resolve


def transfer_training_free(
    content: Source,
    style: Source,
    *,
    base: BaseLike = EMBEDDED,
    preset: str | None = None,
    config: TrainingFreeConfig | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] = never,
    **settings: Any,
) -> TransferResult:
    """Repaint `content` after the image `style` with nothing learned; `settings` are those of TrainingFreeConfig.

    Quicker than a capture and a transfer, and less of a likeness. `base`, `on_progress` and `should_stop` as in
    `transfer`.
    Raises: ImageError, ConfigError for unusable input; Cancelled when stopped.
    """
    chosen = resolve(TrainingFreeConfig, preset, config, settings)
    read = [load_image(source) for source in (content, style)]
    loaded = load_base(base, device, dtype)

    photo, painting = (Content.load(source, loaded, chosen.size_px) for source in read)

    def make(size_px: int | None) -> Image.Image | None:
        run = TrainingFreeRun(loaded, replace(chosen, size_px=size_px), on_progress or unwatched, should_stop)
        if size_px == chosen.size_px:
            return run.repaint(photo, painting)
        return run.repaint(*(Content.load(source, loaded, size_px) for source in read))

    spared = sparing(loaded, chosen.size_px, make)
    if spared.made is None:
        raise Cancelled("The transfer was stopped.")
    config = replace(chosen, size_px=spared.size_px)
    entries = recipe_with("training-free", config.to_dict(), base_entry(loaded, asked_for(base)), [file_entry(style)])
    entries |= {"content": file_entry(content), "images": 1} | spared.entries
    notices = [*training_free_notices(photo, painting, loaded, chosen), *spared.notices]
    return TransferResult([spared.made], entries, notices=notices, inputs=input_files(content, style))

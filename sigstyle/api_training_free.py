"""The front door for repainting after a style image without a capture."""

from collections.abc import Callable
from typing import Any

import torch

from sigstyle.api import BaseLike, TransferResult, never
from sigstyle.base.model import EMBEDDED, load_base
from sigstyle.config import InjectionConfig
from sigstyle.errors import Cancelled
from sigstyle.imaging.images import Source
from sigstyle.painting.content import Content
from sigstyle.painting.training_free import Injection
from sigstyle.recipe import base_entry, file_entry, recipe_with


def transfer_training_free(
    content: Source,
    style: Source,
    *,
    base: BaseLike = EMBEDDED,
    preset: str = "default",
    config: InjectionConfig | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] = never,
    **settings: Any,
) -> TransferResult:
    """Repaint `content` after the image `style` with nothing learned; `settings` are those of InjectionConfig.

    Quicker than a capture and a transfer, and less of a likeness. `base`, `on_progress` and `should_stop` as in
    `transfer`.
    Raises: ImageError, ConfigError for unusable input; Cancelled when stopped.
    """
    chosen = InjectionConfig.preset(preset, **settings)
    if config is not None:
        chosen = InjectionConfig.from_dict({**config.to_dict(), **settings})
    loaded = load_base(base, device, dtype)
    images = [Content.load(source, loaded, chosen.size_px) for source in (content, style)]
    run = Injection(loaded, chosen, on_progress or (lambda done, total: None), should_stop)
    made = run.repaint(*images)
    if made is None:
        raise Cancelled("The transfer was stopped.")
    path = None if not isinstance(base, str) else base
    entries = recipe_with("training-free", chosen.to_dict(), base_entry(loaded, path), [file_entry(style)])
    notices = [found.image.info["notice"] for found in images if "notice" in found.image.info]
    return TransferResult([made], {**entries, "content": file_entry(content), "images": 1}, notices=notices)

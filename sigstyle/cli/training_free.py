"""What `transfer --training-free` does: the style is an image, and nothing is learned from it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigstyle.cli.console import Update
from sigstyle.config import TrainingFreeConfig
from sigstyle.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from sigstyle.api import TransferResult

TrainingFree = Annotated[
    bool, typer.Option("--training-free", help="-s is a picture: show its style at once, without a capture")
]


def without_capture(
    content: Path,
    mask: Path | None,
    base: str | None,
    config: TrainingFreeConfig,
    device: "torch.device | None",
    dtype: "torch.dtype | None",
) -> "Callable[[list[str], list[float] | None, Update], TransferResult]":
    """What makes the picture once the style is known. Raises: ConfigError for what it cannot do."""
    if mask is not None:
        raise ConfigError("--mask is given with --training-free, which paints whole pictures; capture the style first.")

    def make(paths: list[str], weights: list[float] | None, update: Update) -> "TransferResult":
        from sigstyle.base.model import EMBEDDED
        from sigstyle.training_free import transfer_training_free

        if len(paths) != 1 or weights is not None:
            raise ConfigError(
                f"--training-free is given with {len(paths)} styles{' and weights' if weights else ''}; expected one "
                "picture without a weight. Capture styles to blend them."
            )
        return transfer_training_free(
            content, paths[0], base=base or EMBEDDED, config=config, device=device, dtype=dtype, on_progress=update
        )

    return make

"""SigStyle: capture the style of one image, and repaint others in it (arXiv 2502.13997).

Importing this package loads nothing heavy: `capture`, `transfer` and all the others come when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sigstyle.version import __version__

if TYPE_CHECKING:
    from sigstyle.api import capture, generate, transfer
    from sigstyle.batches.batch import BatchProgress, BatchResult, batch
    from sigstyle.batches.film import FilmProgress, FilmResult, video
    from sigstyle.learning.likeness import similar_styles
    from sigstyle.scoring.pairs import evaluate
    from sigstyle.style.style import Style
    from sigstyle.textures import texture
    from sigstyle.training_free import transfer_training_free


__all__ = [
    "BatchProgress", "BatchResult", "FilmProgress", "FilmResult", "Style", "__version__", "batch", "capture",
    "evaluate", "generate", "similar_styles", "texture", "transfer", "transfer_training_free", "video",
]  # fmt: skip

_HOMES = {
    "BatchProgress": "sigstyle.batches.batch",
    "BatchResult": "sigstyle.batches.batch",
    "FilmProgress": "sigstyle.batches.film",
    "FilmResult": "sigstyle.batches.film",
    "Style": "sigstyle.style.style",
    "batch": "sigstyle.batches.batch",
    "capture": "sigstyle.api",
    "evaluate": "sigstyle.scoring.pairs",
    "generate": "sigstyle.api",
    "similar_styles": "sigstyle.learning.likeness",
    "texture": "sigstyle.textures",
    "transfer": "sigstyle.api",
    "transfer_training_free": "sigstyle.training_free",
    "video": "sigstyle.batches.film",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

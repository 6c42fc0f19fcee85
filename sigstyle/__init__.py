"""SigStyle: capture the style of one image, and repaint others in it (arXiv 2502.13997).

Importing this package loads nothing heavy: `capture`, `transfer` and all the others come when first used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sigstyle.api import capture, generate, transfer
    from sigstyle.api_training_free import transfer_training_free
    from sigstyle.batch import BatchProgress, BatchResult, batch
    from sigstyle.scores_pairs import evaluate
    from sigstyle.style import Style

__version__ = "0.1.0"
__all__ = [
    "BatchProgress", "BatchResult", "Style", "__version__", "batch", "capture", "evaluate", "generate", "transfer",
    "transfer_training_free",
]  # fmt: skip

_HOMES = {
    "BatchProgress": "sigstyle.batch",
    "BatchResult": "sigstyle.batch",
    "Style": "sigstyle.style",
    "batch": "sigstyle.batch",
    "capture": "sigstyle.api",
    "evaluate": "sigstyle.scores_pairs",
    "generate": "sigstyle.api",
    "transfer": "sigstyle.api",
    "transfer_training_free": "sigstyle.api_training_free",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


class _Package(ModuleType):
    """Keeps `sigstyle.capture` the function: importing the submodule of that name would put the module there."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted(__all__)

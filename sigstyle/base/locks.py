"""One lock for each module of a base, however many bases and pipelines share it."""

import threading
from typing import Any
from weakref import WeakKeyDictionary

_locks: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
_registry = threading.Lock()


def lock_of(module: Any) -> Any:
    """The re-entrant lock of `module`, the same for a compiled one; it lives as long as the module does."""
    with _registry:
        return _locks.setdefault(getattr(module, "_orig_mod", module), threading.RLock())

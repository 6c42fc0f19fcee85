"""Loading the library, once a command runs: nearly all of it is torch, diffusers and transformers."""

import gc
from types import ModuleType


def library() -> ModuleType:
    """The module `sigstyle.api`, loaded without looking for garbage meanwhile.

    Loading makes some hundred thousand objects that all stay; to look through them again and again is a tenth of it.
    """
    looking = gc.isenabled()
    gc.disable()
    try:
        from sigstyle import api

        return api
    finally:
        if looking:
            gc.enable()

"""What is done when memory is short: once more in tiles, once more smaller, then one line."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sigstyle.base.memory import give_back, in_tiles, is_out_of_memory
from sigstyle.base.model import BaseModel, default_size_px, trained_size_px
from sigstyle.errors import PaintingError, first_line

_SMALLER = 0.7  # of each side: half the pixels

Made = TypeVar("Made")


@dataclass(frozen=True)
class Spared(Generic[Made]):
    """What was made, at which size, whether in tiles, and what is to be said of it: '' where memory was enough."""

    made: Made
    size_px: int | None
    tiled: bool = False
    notice: str = ""

    @property
    def notices(self) -> list[str]:
        """The notice, if there is one."""
        return [self.notice] if self.notice else []

    @property
    def entries(self) -> dict[str, bool]:
        """What a recipe says of it beside the size: tiles round otherwise."""
        return {"tiled": True} if self.tiled else {}


def sparing(base: BaseModel, size_px: int | None, work: Callable[[int | None], Made]) -> Spared[Made]:
    """What `work(size_px)` makes; where memory is short, once more with the autoencoder in tiles, then once smaller.

    It never gets smaller than the base was trained at, where pictures fall apart.
    Units: size_px is the short side, None the base's own.
    Raises: PaintingError when it does not fit then either; whatever else `work` raises.
    """
    wanted = size_px or default_size_px(base)
    smaller = max(trained_size_px(base), round(wanted * _SMALLER))
    attempts = [(size_px, False), (size_px, True), *([(smaller, True)] if smaller < wanted else [])]
    cause = ""
    for size, tiled in attempts:
        try:
            with ExitStack() as undo:
                if tiled:
                    undo.enter_context(base.lock)  # others paint with this autoencoder too
                    undo.enter_context(in_tiles(base.vae))
                return Spared(work(size), size, tiled, _notice(base, tiled, wanted, size or wanted))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            cause = first_line(error)
        give_back()  # outside of the handler: the error holds on to all that was there when it was raised
    raise PaintingError(
        f"There is too little memory on {base.device} for a picture of {wanted} px, also in pieces"
        f"{f' and at {smaller} px' if smaller < wanted else ''} ({cause}). {_advice(base)}"
    )


def smaller_sides(height: int | None, width: int | None, sides: tuple[int, int], size_px: int | None) -> dict[str, Any]:
    """Height and width as they were asked for, or both so much smaller that the shorter is `size_px`.

    Units: `sides` are height and width in pixels as they come out where nothing is asked for.
    """
    if size_px is None or size_px == min(sides):
        return {"height": height, "width": width}
    scale = size_px / min(sides)
    return {"height": round(sides[0] * scale), "width": round(sides[1] * scale)}


def _notice(base: BaseModel, tiled: bool, wanted: int, size: int) -> str:
    if not tiled:
        return ""
    told = f"Memory was short on {base.device}: the autoencoder worked in pieces"
    return f"{told}, and is {size} px instead of {wanted} px on its short side." if size < wanted else f"{told}."


def _advice(base: BaseModel) -> str:
    """What to do about it."""
    ways = ["a smaller size (--size-px)"]
    if base.device.type != "cpu":
        ways += [*(["--dtype float16"] if base.dtype.itemsize > 2 else []), "--device cpu"]
    return f"Close other programs, or choose {' or '.join(ways)}."

"""What a scorer remembers of the last images, so that a folder of results in one style costs no more than it must."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from PIL import Image

REMEMBERED = 64

Made = TypeVar("Made")


class ImageMemory(Generic[Made]):
    """Calls `make(image)` once for each of the last `remembered` images, told apart by their pixels."""

    def __init__(self, make: Callable[[Image.Image], Made], remembered: int = REMEMBERED) -> None:
        self._make, self._remembered = make, remembered
        self._made: OrderedDict[bytes, Made] = OrderedDict()

    def __call__(self, image: Image.Image) -> Made:
        key = hashlib.sha256(repr(image.size).encode() + image.tobytes()).digest()
        if key not in self._made:
            self._made[key] = self._make(image)
        self._made.move_to_end(key)
        while len(self._made) > self._remembered:
            self._made.popitem(last=False)
        return self._made[key]

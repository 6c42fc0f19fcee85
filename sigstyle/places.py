"""Where something is to be painted, in words: what a text such as 'subject' or '10%,20%,50%,60%' asks for."""

import re
from dataclasses import dataclass

from sigstyle.errors import ConfigError
from sigstyle.text import brief

WHOLE_PARTS = ("subject", "background")
_EXPECTED = (
    "expected subject, background, a point X,Y or a box X,Y,W,H, in pixels or, with %, in shares of the photo's sides"
)
_NUMBERS = re.compile(r"[-+.\d\s%]+(,[-+.\d\s%]+)+")
_NAMED_WAYS = {"left-right": 0.0, "top-bottom": 90.0}


@dataclass(frozen=True)
class Spot:
    """A part of a photo: `name` of the subject or the background, or else two numbers of a point, four of a box.

    Units: numbers are pixels, or shares of the side they lie along where `shares` says so.
    """

    text: str
    name: str = ""
    numbers: tuple[float, ...] = ()
    shares: tuple[bool, ...] = ()

    @classmethod
    def parsed(cls, text: str) -> "Spot":
        """The place that a text names. Raises: ConfigError for what is none."""
        told = ConfigError(f"The place {brief(text)} is none; {_EXPECTED}.")
        if text in WHOLE_PARTS:
            return cls(text, text)
        parts = [part.strip() for part in text.split(",")]
        try:
            numbers = [float(part.removesuffix("%")) for part in parts]
        except ValueError:
            raise told from None
        if len(parts) not in (2, 4) or not all(abs(number) < 1e6 for number in numbers):  # False for nan, too
            raise told
        shares = tuple(part.endswith("%") for part in parts)
        if len(numbers) == 4 and min(numbers[2:]) <= 0:
            raise ConfigError(f"The box {text} has no size; expected X,Y,W,H with a width and a height above 0.")
        return cls(text, "", tuple(n / 100 if share else n for n, share in zip(numbers, shares, strict=True)), shares)

    def within(self, size: tuple[int, int]) -> tuple[float, ...]:
        """The numbers as shares of the sides of a photo of (width, height) `size`; a box is cut at its edges.

        Raises: ConfigError for a point or a box outside.
        """
        if self.name:
            return ()
        sides = size * (len(self.numbers) // 2)
        found = [n if share else n / side for n, share, side in zip(self.numbers, self.shares, sides, strict=True)]
        far = found[2:] or [0.0, 0.0]
        ends = [min(1.0, at + length) for at, length in zip(found[:2], far, strict=True)]
        starts = [max(0.0, at) for at in found[:2]]
        kind = "box" if far[0] else "point"
        if kind == "point" and not all(0 <= at < 1 for at in found):
            raise ConfigError(f"The point {self.text} is outside of the photo, which is {size[0]}x{size[1]} pixels.")
        if kind == "box" and any(end <= start for start, end in zip(starts, ends, strict=True)):
            raise ConfigError(f"The box {self.text} is outside of the photo, which is {size[0]}x{size[1]} pixels.")
        return tuple(starts) if kind == "point" else (*starts, *(e - s for s, e in zip(starts, ends, strict=True)))


def direction(text: str) -> float:
    """The angle of a gradient in degrees, 0 from left to right and 90 from top to bottom. Raises: ConfigError."""
    try:
        angle = _NAMED_WAYS[text] if text in _NAMED_WAYS else float(text)
    except ValueError:
        angle = float("nan")
    if not abs(angle) <= 360:
        raise ConfigError(f"gradient is {brief(text)}; expected left-right, top-bottom or an angle of -360 to 360.")
    return angle


def is_place(text: str) -> bool:
    """Whether a text is meant as a place in a photo, and not as the name of a file."""
    return text in WHOLE_PARTS or _NUMBERS.fullmatch(text) is not None

"""Luck made small: the best of several seeds, and once more and weaker where the style image itself came through."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image

from sigstyle.config import TransferConfig
from sigstyle.painting.evaluations import OnEvaluation
from sigstyle.scoring.judging import Judge, Judgement
from sigstyle.style.blend import Blend

WEAKER = 0.6  # of the strength, the second time
_NEVER = 1.0

Paint = Callable[[TransferConfig], Sequence[Image.Image]]


@dataclass(frozen=True)
class Chosen:
    """A picture that was taken, and the settings that make it alone.

    `entries` are for its recipe: what was asked for otherwise, and how the pictures stood.
    """

    image: Image.Image
    config: TransferConfig
    painted: TransferConfig = field(repr=False)  # as `paint` was called for it
    entries: dict[str, Any]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Try:
    image: Image.Image
    painted: TransferConfig
    found: Judgement


def _alone(config: TransferConfig, seed: int) -> TransferConfig:
    """The settings of one picture, nothing chosen."""
    return replace(config, seed=seed % 2**63, best_of=1)


def lucky(
    config: TransferConfig, blend: Blend, photos: Sequence[Image.Image], paint: Paint, alike: bool = False
) -> list[Chosen]:
    """What is taken for each of `photos`, which `paint` repaints together, each time with other settings.

    Of `best_of` seeds the one with the least sum of distances is taken; where it shows more of the style image's own
    objects than `leak_bound` allows, it is painted once more at less strength. With `alike` all are, or none.
    """
    judge = Judge(tuple(style.thumbnail for style in blend.styles))
    unseen = tuple(_unseen(config, judge, blend))
    if config.best_of == 1 and (config.leak_bound >= _NEVER or not judge.pictures):
        return [Chosen(image, config, config, {}, unseen) for image in paint(config)]
    tried: list[list[_Try]] = [[] for _ in photos]
    for number in range(config.best_of):
        own = _alone(config, config.seed + number)
        for place, image in enumerate(paint(own)):
            tried[place].append(_Try(image, own, judge(image, photos[place])))
    best = [min(tries, key=lambda one: one.found.total) for tries in tried]
    leaks = [(one.found.leak or 0.0) > config.leak_bound for one in best]
    leaks = [any(leaks)] * len(leaks) if alike else leaks
    again: dict[TransferConfig, Sequence[Image.Image]] = {}
    found = []
    for place, (one, leaking) in enumerate(zip(best, leaks, strict=True)):
        second = None
        if leaking:
            weaker = replace(one.painted, strength=one.painted.strength * WEAKER)
            again[weaker] = again.get(weaker) or paint(weaker)
            second = _Try(again[weaker][place], weaker, judge(again[weaker][place], photos[place]))
        found.append(_chosen(config, one, second, tried[place], unseen))
    return found


def _chosen(
    config: TransferConfig, one: _Try, second: _Try | None, tried: Sequence[_Try], notices: Sequence[str]
) -> Chosen:
    """The second picture where there is one, else the first, with all that is to be said of it."""
    taken, told = second or one, list(notices)
    used = _alone(config, one.painted.seed)
    entries: dict[str, Any] = {"leak": _rounded(taken.found.leak)} if taken.found.leak is not None else {}
    if config.best_of > 1:
        entries["tried"] = [{"seed": other.painted.seed, "score": _rounded(other.found.total)} for other in tried]
        told.append(f"Seed {used.seed} is the best of {config.best_of}.")
    if second is not None:
        used = replace(used, strength=second.painted.strength, leak_bound=_NEVER)
        entries["leak_before"] = _rounded(one.found.leak)
        told.append(
            f"The style image itself came through (leak {one.found.leak:.2f}, bound {config.leak_bound:g}), so it was "
            f"painted once more at strength {used.strength:g} (leak {second.found.leak:.2f}). --leak-bound 1 "
            "(leak_bound) never does."
        )
    asked = {name: value for name, value in config.to_dict().items() if value != getattr(used, name)}
    return Chosen(taken.image, used, taken.painted, entries | ({"asked": asked} if asked else {}), tuple(told))


def _unseen(config: TransferConfig, judge: Judge, blend: Blend) -> list[str]:
    """A line where something was asked for that nothing is there to judge by."""
    usual = config.best_of == 1 and config.leak_bound in (TransferConfig().leak_bound, _NEVER)
    if usual or judge.pictures:
        return []
    names = ", ".join(style.name for style in blend.styles)
    return [f"The style {names} holds no picture of its image, so pictures are judged by the photo alone."]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def asked_settings(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe's settings as they were asked for, before one of several was chosen. Raises: KeyError, TypeError."""
    return {**recipe["settings"], **recipe.get("asked", {})}


class Attempts:
    """Progress over several paintings of one picture: `next_one` begins another."""

    def __init__(self, on_evaluation: OnEvaluation, config: TransferConfig) -> None:
        self._tell, self._expected, self._begun = on_evaluation, config.best_of, 0

    def next_one(self) -> None:
        """What follows is another attempt."""
        self._begun += 1

    @property
    def first(self) -> bool:
        """Whether no other attempt was before this one."""
        return self._begun <= 1

    def __call__(self, done: int, total: int) -> None:
        """One more evaluation of the attempt at hand is done."""
        self._tell((self._begun - 1) * total + done, max(self._expected, self._begun) * total)

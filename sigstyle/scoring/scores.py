"""How good a repainted photo is, in four distances; lower is better."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from sigstyle.imaging.images import Source, load_image
from sigstyle.scoring.extra import ExtraScorer
from sigstyle.scoring.memory import ImageMemory
from sigstyle.scoring.network import FeatureNetwork, feature_network
from sigstyle.scoring.statistics import Moments, moments, style_distance
from sigstyle.scoring.structure import colour_distance, content_distance, leak


@dataclass(frozen=True)
class Scores:
    """Distances of one result, each 0 at best and about 1 at worst.

    `style`: texture statistics against the style image; `content`: structure against the photo, whatever its colours;
    `leak`: how much of the style image's own objects and layout is in the result; `colour`: palette against the style
    image. `extra` are the distances by other networks that were asked for, which may exceed 1.
    """

    style: float
    content: float
    leak: float
    colour: float
    extra: Mapping[str, float] = field(default_factory=dict, hash=False)

    def to_dict(self) -> dict[str, float]:
        """All distances by name."""
        values = dataclasses.asdict(self)
        return values | values.pop("extra")

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> Self:
        """The scores that `to_dict` gives as `values`."""
        own = {entry.name for entry in dataclasses.fields(cls)} - {"extra"}
        extra = {name: value for name, value in values.items() if name not in own}
        return cls(**{name: values[name] for name in own}, extra=extra)


class Scorer:
    """Scores results; keeps the network and what it knows of the last images, so one is enough for a whole folder."""

    def __init__(self, network: FeatureNetwork | None = None, extras: Sequence[ExtraScorer] = ()) -> None:
        self.network = network or feature_network()
        self.extras = tuple(extras)
        self._statistics: ImageMemory[Moments] = ImageMemory(partial(moments, self.network))

    def score(self, result: Source, content: Source, style: Source) -> Scores:
        """The distances of `result`, a repainted `content`, in the style of `style`. Raises: ImageError."""
        ours, photo, painting = (load_image(source) for source in (result, content, style))
        return Scores(
            style=style_distance(self._statistics(ours), self._statistics(painting)),
            content=content_distance(self.network, ours, photo),
            leak=leak(self.network, ours, photo, painting),
            colour=colour_distance(ours, painting),
            extra={name: value for own in self.extras for name, value in own.score(ours, photo, painting).items()},
        )

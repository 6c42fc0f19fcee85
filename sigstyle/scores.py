"""How good a repainted photo is, in four distances; lower is better."""

import dataclasses
import hashlib
from collections import OrderedDict
from dataclasses import dataclass

from PIL import Image

from sigstyle.images import Source, load_image
from sigstyle.scores_network import FeatureNetwork, feature_network
from sigstyle.scores_statistics import Moments, moments, style_distance
from sigstyle.scores_structure import colour_distance, content_distance, leak

REMEMBERED = 64


@dataclass(frozen=True)
class Scores:
    """Distances of one result, each 0 at best and about 1 at worst.

    `style`: texture statistics against the style image; `content`: structure against the photo, whatever its colours;
    `leak`: how much of the style image's own objects and layout is in the result; `colour`: palette against the style
    image.
    """

    style: float
    content: float
    leak: float
    colour: float

    def to_dict(self) -> dict[str, float]:
        """The distances by name."""
        return dataclasses.asdict(self)


class Scorer:
    """Scores results; keeps the network and what it knows of the last images, so one is enough for a whole folder."""

    def __init__(self, network: FeatureNetwork | None = None) -> None:
        self.network = network or feature_network()
        self._moments: OrderedDict[bytes, Moments] = OrderedDict()

    def score(self, result: Source, content: Source, style: Source) -> Scores:
        """The distances of `result`, a repainted `content`, in the style of `style`. Raises: ImageError."""
        ours, photo, painting = (load_image(source) for source in (result, content, style))
        return Scores(
            style=style_distance(self._statistics(ours), self._statistics(painting)),
            content=content_distance(self.network, ours, photo),
            leak=leak(self.network, ours, photo, painting),
            colour=colour_distance(ours, painting),
        )

    def _statistics(self, image: Image.Image) -> Moments:
        """Texture statistics of an image, computed once for each of the last images."""
        key = hashlib.sha256(repr(image.size).encode() + image.tobytes()).digest()
        found = self._moments.pop(key, None)
        self._moments[key] = moments(self.network, image) if found is None else found
        while len(self._moments) > REMEMBERED:
            self._moments.popitem(last=False)
        return self._moments[key]

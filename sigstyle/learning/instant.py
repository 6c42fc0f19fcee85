"""A style in one pass: what the shared hypernetwork makes of an image, with nothing trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from PIL import Image
from torch import Tensor

from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import StyleToken, token_for
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import thumbnail_uri
from sigstyle.learning.measured import Measured
from sigstyle.learning.provenance import provenance
from sigstyle.scoring.features import style_features
from sigstyle.style.factors_file import split_offsets
from sigstyle.style.instant import Hypernetwork, Instant, hypernetwork_of
from sigstyle.style.offsets import Offset
from sigstyle.style.similar import look
from sigstyle.style.style import Style

DOMAIN = "painting"  # what the network's prompts called the style images


def known_hypernetwork(base: BaseModel) -> Hypernetwork:
    """The network that knows styles on this base. Raises: ConfigError where there is none."""
    found = hypernetwork_of(base.fingerprint)
    if found is None:
        raise ConfigError(
            f"There is no hypernetwork for the base {base.name} ({base.fingerprint}), so a style cannot be had "
            "at once. Capture it in steps, or use the embedded base."
        )
    return found


@dataclass(frozen=True, eq=False)
class Start:
    """What the hypernetwork says of a style: where a capture may begin.

    Shapes: shift [n, dim] is added to where a style token starts; offsets are by layer path.
    """

    instant: Instant
    offsets: Mapping[str, Offset]
    shift: Tensor

    @classmethod
    def of(cls, base: BaseModel, measured: Measured) -> Self:
        """The start for a style image that was measured. Raises: ConfigError for a base without a hypernetwork."""
        network = known_hypernetwork(base)
        instant, shift = network.instant(measured.vector)
        offsets = {path: offset.to(base.device) for path, offset in network.offsets(instant).items()}
        return cls(instant, offsets, shift.to(base.device))


def instant_style(base: BaseModel, images: Sequence[Image.Image], name: str) -> Style:
    """The style of `images` (as `load_image` gives them) as the hypernetwork of `base` predicts it.

    Raises: ConfigError for a base without one, no images, or a bad name.
    Source: Ha et al., "HyperNetworks" (1609.09106); for the loss it was trained with see `learning.painting`.
    """
    if not images:
        raise ConfigError("There is no style image; give one or more.")
    measured = Measured.on(images, style_features().to(base.device), base.device)
    start = Start.of(base, measured)
    token = base.reader.starting_embedding(DOMAIN) + start.shift.cpu()
    offsets, decoder_offsets = split_offsets(start.offsets)
    return Style(
        name=name,
        token=StyleToken(token_for(name), token),
        offsets=offsets,
        decoder_offsets=decoder_offsets,
        domain=DOMAIN,
        base_fingerprint=base.fingerprint,
        base_name=base.name,
        palette=measured.palette,
        brushwork=measured.brushwork,
        instant=start.instant,
        metadata={"instant": start.instant.network, **look(measured.vector), **provenance(base, images)},
        thumbnail=thumbnail_uri(images[0]),
    )

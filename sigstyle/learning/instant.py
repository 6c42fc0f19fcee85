"""A style in one pass: what the shared hypernetwork makes of an image, with nothing trained."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.conditioning import Conditioning
from sigstyle.base.content_hash import content_hash
from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import StyleToken, style_prompt, token_for
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import thumbnail_uri
from sigstyle.learning.measured import Measured
from sigstyle.learning.provenance import provenance
from sigstyle.learning.recent import Recent
from sigstyle.learning.trial import Trial
from sigstyle.scoring.features import StyleFeatures, style_features
from sigstyle.style.factors_file import split_offsets
from sigstyle.style.instant import Hypernetwork, Instant, hypernetwork_of
from sigstyle.style.offsets import Offset
from sigstyle.style.similar import look
from sigstyle.style.style import Style

DOMAIN = "painting"  # what the network's prompts called the style images
TRIED = Recent[float](32)  # shares: a capture in pieces, or after a first look, asks for the same one again


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

    Shapes: shift [n, dim] is added to where a style token starts; offsets are by layer path. Of what was predicted
    there is so large a `share` as leaves photos standing.
    """

    instant: Instant
    offsets: Mapping[str, Offset]
    shift: Tensor
    share: float = 1.0

    @classmethod
    def of(cls, base: BaseModel, measured: Measured, features: StyleFeatures) -> Self:
        """The start for a style image that was measured. Raises: ConfigError for a base without a hypernetwork."""
        network = known_hypernetwork(base)
        predicted = network.instant(measured.vector)
        whole = cls._with(1.0, *predicted, network, base)
        place = f"{base.identity} {base.device} {base.dtype} {network.hash}"
        known = content_hash(place, {"measured": measured.vector})
        share = TRIED.get(known, lambda: Trial.of(base, measured, features).share(whole.offsets, whole.prompt(base)))
        return whole if share == 1 else cls._with(share, *predicted, network, base)

    @classmethod
    def _with(cls, share: float, instant: Instant, shift: Tensor, network: Hypernetwork, base: BaseModel) -> Self:
        """What so large a share of predicted coefficients and shift amounts to."""
        instant = replace(instant, coefficients=(share * instant.coefficients).half().float())
        offsets = {path: offset.to(base.device) for path, offset in network.offsets(instant).items()}
        return cls(instant, offsets, (share * shift).to(base.device), share)

    @torch.no_grad()
    def prompt(self, base: BaseModel) -> Conditioning:
        """The prompt of a painting in the style."""
        token = StyleToken(token_for("start"), base.reader.starting_embedding(DOMAIN).to(base.device) + self.shift)
        return base.reader.embed(base.reader.tokenized([style_prompt("", DOMAIN, token.token)], [token]), [token])


def instant_style(
    base: BaseModel, images: Sequence[Image.Image], name: str, on_notice: Callable[[str], None] = warnings.warn
) -> Style:
    """The style of `images` (as `load_image` gives them) as the hypernetwork of `base` predicts it.

    It is tried on photos before it is given: where they would dissolve there is less of it, and `on_notice` hears.
    Raises: ConfigError for a base without one, no images, or a bad name.
    Source: Ha et al., "HyperNetworks" (1609.09106); for the loss it was trained with see `learning.painting`.
    """
    if not images:
        raise ConfigError("There is no style image; give one or more.")
    features = style_features().to(base.device)
    measured = Measured.on(images, features, base.device)
    start = Start.of(base, measured, features)
    if start.share < 1:
        on_notice(
            f"The hypernetwork knows little that is like {name}: all of what it says would dissolve photos, so the "
            f"style has {start.share:g} of it. A capture in steps does better."
        )
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
        metadata={
            "instant": start.instant.network,
            "share": start.share,
            **look(measured.vector),
            **provenance(base, images),
        },
        thumbnail=thumbnail_uri(images[0]),
    )

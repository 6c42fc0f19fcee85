"""A style in one pass: what the shared hypernetwork makes of an image, with nothing trained."""

from collections.abc import Sequence

import diffusers
import torch
from PIL import Image

from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import StyleToken, starting_embedding, token_for
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import thumbnail_uri
from sigstyle.learning.batches import images_hash
from sigstyle.learning.measured import Measured
from sigstyle.scoring.features import style_features
from sigstyle.style.factors_file import split_offsets
from sigstyle.style.instant import Hypernetwork, hypernetwork_of
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


def instant_style(base: BaseModel, images: Sequence[Image.Image], name: str) -> Style:
    """The style of `images` (as `load_image` gives them) as the hypernetwork of `base` predicts it.

    Raises: ConfigError for a base without one, no images, or a bad name.
    Source: Ha et al., "HyperNetworks" (1609.09106); for the loss it was trained with see `learning.painting`.
    """
    if not images:
        raise ConfigError("There is no style image; give one or more.")
    network = known_hypernetwork(base)
    measured = Measured.on(images, style_features().to(base.device), base.device)
    instant, shift = network.instant(measured.vector)
    start = starting_embedding(base.tokenizer, base.text_encoder, DOMAIN)
    offsets, decoder_offsets = split_offsets(network.offsets(instant))
    return Style(
        name=name,
        token=StyleToken(token_for(name), start + shift),
        domain=DOMAIN,
        base_fingerprint=base.fingerprint,
        base_name=base.name,
        offsets=offsets,
        decoder_offsets=decoder_offsets,
        palette=measured.palette,
        brushwork=measured.brushwork,
        instant=instant,
        metadata={
            "instant": network.hash,
            "images": images_hash(images),
            "vae_fingerprint": base.vae_fingerprint,
            "text_fingerprint": base.text_fingerprint,
            "versions": {"torch": torch.__version__, "diffusers": diffusers.__version__},
        },
        thumbnail=thumbnail_uri(images[0]),
    )

"""Which layers carry the style: groups of UNet weights, by module path."""

import re
from typing import Any

from torch import nn

from sigstyle.config import TARGET_GROUPS
from sigstyle.errors import ConfigError

_ATTENTION = r"up_blocks\.\d+\.attentions\..*\.attn[12]\.to_[qkv]"
_OUT = r"up_blocks\.\d+\.attentions\..*\.attn[12]\.to_out\.0"
_CONVOLUTIONS = r"up_blocks\.\d+\.resnets\.\d+\.conv[12]"
_GROUPS = {
    "attention": (_ATTENTION,),
    "paper": (_ATTENTION,),
    "attention+out": (_ATTENTION, _OUT),
    "decoder": (_ATTENTION, _OUT, _CONVOLUTIONS),
    "decoder+all": (r"up_blocks\..*",),
    "style-block": (r"up_blocks\.0\.attentions\.1\..*\.attn2\.to_[qkv]", r"up_blocks\.2\.resnets\.\d+\.conv[12]"),
}

MOST_BYTES = 950_000  # leaves room for the token, the thumbnail and the header


def target_layers(unet: Any, group: str = "attention", rank: int = 3) -> dict[str, tuple[int, int]]:
    """Weight shapes (out, in) of the layers in `group`, by module path, in the UNet's own order.

    'attention' (and 'paper') is q, k, v of self- and cross-attention in the decoder, 'attention+out' adds the output
    projections, 'decoder' also the residual blocks' convolutions. 'auto' is 'decoder' where its offsets of `rank` stay
    below 1 MB in float16, else 'attention', and on XL, where that does not fit either, 'style-block': q, k, v of
    cross-attention in the block that is known for styles, and the residual blocks' convolutions of the finest level.
    'most' is 'decoder+all' (all linear
    layers and convolutions) where that fits, else 'auto'. A convolution counts `in` as channels * kernel area.
    Source: arXiv 2502.13997, section 3.2, for 'attention'; Wang et al., "InstantStyle" (2404.02733, section 3.3) and
    Frenkel et al., "B-LoRA" (2403.14572, section 4) for XL's block.
    Raises: ConfigError for an unknown group, or when the UNet has no such layers.
    """
    if group not in TARGET_GROUPS:
        raise ConfigError(f"There is no target group {group!r}; expected one of {', '.join(TARGET_GROUPS)}.")
    if group == "most":
        most = target_layers(unet, "decoder+all")
        return most if offset_bytes(most, rank) < MOST_BYTES else target_layers(unet, "auto", rank)
    if group == "auto":
        decoder = target_layers(unet, "decoder")
        if offset_bytes(decoder, rank) < MOST_BYTES:
            return decoder
        attention = target_layers(unet, "attention")
        whole = unet.config.addition_embed_type is None or offset_bytes(attention, rank) < MOST_BYTES
        return attention if whole else target_layers(unet, "style-block")
    pattern = re.compile("|".join(_GROUPS[group]))
    layers = {
        path: (module.weight.shape[0], module.weight[0].numel())
        for path, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and pattern.fullmatch(path)
    }
    if not layers:
        raise ConfigError(
            f"The UNet has no layers of the group {group!r}. Expected separate to_q, to_k and to_v in up_blocks: "
            "unfuse its projections and unload its adapters first."
        )
    return layers


def decoder_layers(vae: Any, rank: int, room_bytes: int = MOST_BYTES) -> dict[str, tuple[int, int]]:
    """Weight shapes (out, in) of the autoencoder's decoder, by module path in it; none where they do not fit the room.

    A convolution counts `in` as channels * kernel area.
    """
    layers = {
        path: (module.weight.shape[0], module.weight[0].numel())
        for path, module in vae.decoder.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }
    return layers if offset_bytes(layers, rank) < room_bytes else {}


def offset_bytes(layers: dict[str, tuple[int, int]], rank: int) -> int:
    """What the offsets of these layers take in float16."""
    return sum(2 * rank * (out + inner) for out, inner in layers.values())

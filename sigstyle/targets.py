"""Which layers carry the style: groups of UNet weights, by module path."""

import re

from torch import nn

from sigstyle.errors import ConfigError

_ATTENTION = r"up_blocks\.\d+\.attentions\..*\.attn[12]\.to_[qkv]"
_OUT = r"up_blocks\.\d+\.attentions\..*\.attn[12]\.to_out\.0"
_CONVOLUTIONS = r"up_blocks\.\d+\.resnets\.\d+\.conv[12]"
_GROUPS = {
    "attention": (_ATTENTION,),
    "paper": (_ATTENTION,),
    "attention+out": (_ATTENTION, _OUT),
    "decoder": (_ATTENTION, _OUT, _CONVOLUTIONS),
}


def target_layers(unet: nn.Module, group: str = "attention") -> dict[str, tuple[int, int]]:
    """Weight shapes (out, in) of the layers in `group`, by module path, in the UNet's own order.

    'attention' (and 'paper') is q, k, v of self- and cross-attention in the decoder, 'attention+out' adds the output
    projections, 'decoder' also the residual blocks' convolutions. A convolution counts `in` as channels * kernel area.
    Source: arXiv 2502.13997, section 3.2, for 'attention'.
    Raises: ConfigError for an unknown group, or when the UNet has no such layers.
    """
    if group not in _GROUPS:
        raise ConfigError(f"There is no target group {group!r}; expected one of {', '.join(_GROUPS)}.")
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

"""A UNet's forward in two halves, so that the half nothing is trained in runs without autograd."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sigstyle.base.conditioning import Conditioning


@dataclass(frozen=True, eq=False)
class EncoderOutputs:
    """What the UNet's decoder reads.

    Shapes: hidden [b, c, h, w] (the mid block's output); skips: the encoder's outputs, first to last; time [b, dim].
    """

    hidden: Tensor
    skips: tuple[Tensor, ...]
    time: Tensor


def _has_attention(block: Any) -> bool:
    return bool(getattr(block, "has_cross_attention", False))


def run_encoder(unet: Any, sample: Tensor, timesteps: Tensor, cond: Conditioning) -> EncoderOutputs:
    """Time embedding, conv_in, down blocks and mid block of a UNet2DConditionModel of 1.x, 2.x or XL.

    Shapes: sample [b, c, h, w], timesteps [b].
    """
    prompt_embeds, added = cond.embeds, cond.added(unet, sample)
    if unet.config.center_input_sample:
        sample = 2 * sample - 1.0
    time = unet.time_embedding(unet.get_time_embed(sample=sample, timestep=timesteps))
    if added is not None:
        time = time + unet.get_aug_embed(emb=time, encoder_hidden_states=prompt_embeds, added_cond_kwargs=added)
    if unet.time_embed_act is not None:
        time = unet.time_embed_act(time)
    hidden = unet.conv_in(sample)
    skips = (hidden,)
    for block in unet.down_blocks:
        text = {"encoder_hidden_states": prompt_embeds} if _has_attention(block) else {}
        hidden, outputs = block(hidden_states=hidden, temb=time, **text)
        skips += outputs
    if unet.mid_block is not None:
        text = {"encoder_hidden_states": prompt_embeds} if _has_attention(unet.mid_block) else {}
        hidden = unet.mid_block(hidden, time, **text)
    return EncoderOutputs(hidden, skips, time)


def run_decoder(unet: Any, encoded: EncoderOutputs, cond: Conditioning) -> Tensor:
    """Up blocks and conv_out: the prediction [b, c, h, w]."""
    prompt_embeds = cond.embeds
    hidden, skips = encoded.hidden, encoded.skips
    for block in unet.up_blocks:
        count = len(block.resnets)
        skips, own = skips[:-count], skips[-count:]
        text = {"encoder_hidden_states": prompt_embeds} if _has_attention(block) else {}
        size = skips[-1].shape[2:] if skips else None
        hidden = block(hidden_states=hidden, temb=encoded.time, res_hidden_states_tuple=own, upsample_size=size, **text)
    if unet.conv_norm_out is not None:
        hidden = unet.conv_act(unet.conv_norm_out(hidden))
    return unet.conv_out(hidden)


def split_forward(unet: Any, sample: Tensor, timesteps: Tensor, cond: Conditioning) -> Tensor:
    """What `unet(sample, timesteps, …)` gives for these prompts, with gradients from the decoder only.

    Raises: whatever the UNet's blocks raise for wrong shapes.
    """
    with torch.no_grad():
        encoded = run_encoder(unet, sample, timesteps, cond)
    return run_decoder(unet, encoded, cond)

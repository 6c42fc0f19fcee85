"""Initialisation that makes an untrained AutoencoderTiny reconstruct smooth pictures."""

from typing import Any

import torch
from diffusers import AutoencoderTiny
from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock
from torch import Tensor, nn
from torch.nn import functional as F

COLOURS = 3


def _principal_components(pixels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Unit-variance projections [count, d] of rows [n, d], and the mean [d]."""
    mean = pixels.mean(dim=0)
    centred = (pixels - mean).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    order = values.argsort(descending=True)[:count]
    return (vectors[:, order] / values[order].sqrt()).T.float(), mean


def _randomise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, AutoencoderTinyBlock):
            last: Any = module.conv[-1]
            nn.init.zeros_(last.weight)


def _direct_convs(network: Any) -> list[Any]:
    return [layer for layer in network if isinstance(layer, nn.Conv2d)]


def _start_encoder(encoder: nn.Module, projection: Tensor, mean: Tensor) -> None:
    """Pixel-unshuffle twice, then project the third unshuffling to +z and -z, kept above zero."""
    stem, *strides, head = _direct_convs(encoder.layers)
    stem.weight[:COLOURS] = 0
    stem.weight[range(COLOURS), range(COLOURS), 1, 1] = 1
    channels = COLOURS
    for conv in strides[:-1]:
        conv.weight[: 4 * channels] = 0
        for out in range(4 * channels):
            conv.weight[out, out // 4, 1 + out % 4 // 2, 1 + out % 2] = 1
        channels *= 4
    latents = len(projection)
    taps = torch.zeros(latents, strides[-1].in_channels, 3, 3)
    taps[:, :channels, 1:, 1:] = projection.reshape(latents, channels, 2, 2)
    strides[-1].weight[: 2 * latents] = torch.cat([taps, -taps])
    head.weight.mul_(0.02)
    head.weight[:, : 2 * latents] = 0
    head.weight[range(latents), range(latents), 1, 1] = 1
    head.weight[range(latents), range(latents, 2 * latents), 1, 1] = -1
    head.bias.copy_(-projection @ mean)


def _start_decoder(decoder: nn.Module, to_colour: Tensor) -> None:
    """Carry the mean colour ([latents + 1, 3] from bounded latents) through tent upsampling."""
    first, *ups, last = _direct_convs(decoder.layers)
    latents = first.in_channels
    first.weight[: COLOURS + 2 * latents] = 0
    first.weight[:COLOURS, :, 1, 1] = to_colour[:-1].T
    first.bias[:COLOURS] = to_colour[-1]
    for index in range(latents):
        first.weight[COLOURS + index, index, 1, 1] = 1
        first.weight[COLOURS + latents + index, index, 1, 1] = -1
    tent = torch.tensor([0.25, 0.5, 0.25])
    for conv in ups:
        conv.weight[:COLOURS] = 0
        for colour in range(COLOURS):
            conv.weight[colour, colour] = tent[:, None] * tent
    last.weight.mul_(0.02)
    last.weight[:, :COLOURS] = 0
    last.weight[range(COLOURS), range(COLOURS), 1, 1] = 1


@torch.no_grad()
def start_from_identity(vae: AutoencoderTiny, crops: Tensor) -> None:
    """Set `vae` so that it encodes principal components and decodes smooth colour.

    Shapes: crops [n, 3, h, w] in [-1, 1], sides divisible by 8.
    """
    config: Any = vae.config
    width, latents = config.encoder_block_out_channels[0], config.latent_channels
    if width < max(48, COLOURS + 2 * latents):
        raise ValueError(f"width {width} cannot carry {latents} latents and 48 pixels: use 64 or more")
    _randomise(vae)
    pixels = crops.float().add(1).div(2)
    for _ in range(3):
        pixels = F.pixel_unshuffle(pixels, 2)
    rows = pixels.permute(0, 2, 3, 1).flatten(0, 2)
    projection, mean = _principal_components(rows, latents)
    _start_encoder(vae.encoder, projection, mean)
    bounded = torch.tanh((rows - mean) @ projection.T / 3) * 3
    known = torch.cat([bounded, torch.ones(len(bounded), 1)], dim=1)
    colour = rows.unflatten(1, (COLOURS, -1)).mean(dim=2)
    _start_decoder(vae.decoder, torch.linalg.lstsq(known, colour).solution)

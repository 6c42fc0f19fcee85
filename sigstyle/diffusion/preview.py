"""What a denoising run is heading for, as small pictures that cost little beside a step."""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from PIL import Image
from torch import Tensor

from sigstyle.base.autoencoder import decode_unclamped, encode_latents, pixels_per_latent
from sigstyle.base.model import BaseModel
from sigstyle.imaging.images import to_pil

_SIDE_PX = 256
_PATCHES = 8  # along each side of the picture that a linear preview is fitted on


class Preview:
    """Pictures of the clean latents that each step predicts.

    A small autoencoder decodes them at reduced size. A variational one is too slow for that: there a linear map from
    latents to colours is fitted once, and gives one pixel for each latent.
    """

    def __init__(self, base: BaseModel) -> None:
        self.base = base
        self.colours = None if isinstance(base.vae, AutoencoderTiny) else _fitted_colours(base)

    @torch.no_grad()
    def __call__(self, pred_x0: Tensor) -> Image.Image:
        """The picture of predicted clean latents [b, c, h, w], the first of them."""
        pred_x0 = pred_x0[:1]
        if self.colours is not None:
            return to_pil(torch.einsum("bchw,cd->bdhw", _with_one(pred_x0), self.colours.to(pred_x0)))
        scale = min(1.0, _SIDE_PX / pixels_per_latent(self.base.vae) / min(pred_x0.shape[-2:]))
        size = [max(1, round(side * scale)) for side in pred_x0.shape[-2:]]
        return to_pil(decode_unclamped(self.base.vae, F.interpolate(pred_x0, size=size, mode="area")))


def _with_one(latents: Tensor) -> Tensor:
    """Latents [b, c, h, w] with a channel of ones, [b, c + 1, h, w]."""
    return torch.cat([latents, torch.ones_like(latents[:, :1])], dim=1)


@torch.no_grad()
def _fitted_colours(base: BaseModel) -> Tensor:
    """The matrix [c + 1, 3] from latents to pixels in [-1, 1]: least squares on smooth random colours."""
    scale = pixels_per_latent(base.vae)
    drawn = torch.rand(1, 3, _PATCHES, _PATCHES, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pixels = F.interpolate(drawn, size=(_SIDE_PX, _SIDE_PX), mode="bicubic").clamp(-1, 1)
    latents = _with_one(encode_latents(base.vae, pixels).cpu())[0].flatten(1).T.double()
    small = F.avg_pool2d(pixels, scale)[0].flatten(1).T.double()
    return torch.linalg.lstsq(latents, small, driver="gelsd").solution.float()

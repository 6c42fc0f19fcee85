"""What a style keeps of its own image, so that a transfer can refer to it."""

from PIL import Image
from torch import Tensor

from sigstyle.base.autoencoder import encode_latents
from sigstyle.base.model import BaseModel, side_multiple_px, trained_size_px
from sigstyle.imaging.images import fit, to_tensor


def reference_latents(base: BaseModel, image: Image.Image) -> Tensor:
    """Latents [c, h, w] of `image`, at the size the base was trained at."""
    fitted = fit(image, trained_size_px(base), side_multiple_px(base))
    return encode_latents(base.vae, to_tensor(fitted))[0]

"""Where a style comes from: its images, the base's parts, and the versions that made it."""

from collections.abc import Sequence
from typing import Any

import diffusers
import torch
from PIL import Image

from sigstyle.base.model import BaseModel
from sigstyle.learning.batches import images_hash


def provenance(base: BaseModel, images: Sequence[Image.Image]) -> dict[str, Any]:
    """What every style's metadata say, as plain values."""
    return {
        "images": images_hash(images),
        "vae_fingerprint": base.vae_fingerprint,
        "text_fingerprint": base.text_fingerprint,
        "versions": {"torch": torch.__version__, "diffusers": diffusers.__version__},
        **({"compiled": True} if base.compiled else {}),
    }

"""DINO distances: how far a result is from the photo in what it shows and in how it is laid out."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from sigstyle.errors import ConfigError
from sigstyle.scoring.extra import ExtraScorer, cosine_distance
from sigstyle.scoring.memory import ImageMemory
from sigstyle.scoring.vision import load_encoder

MODEL_TYPES = ("vit", "dinov2", "dinov2_with_registers", "dinov3_vit")


class DinoScorer(ExtraScorer):
    """Distances of the result and the photo: 1 minus the cosine of class tokens, and of keys' self-similarities.

    Source: Caron et al. (2104.14294) and Oquab et al. (2304.07193) for the tokens, whose cosine is the DINO score of
    Ruiz et al., DreamBooth (2208.12242, section 4.1); Tumanyan et al. (2201.00424, section 3.2) for the keys of the
    deepest layer, here as a mean of squares over the pairs of places instead of a norm.
    """

    meanings = {
        "dino_content": "1 - cosine of the DINO class tokens of result and photo",
        "dino_structure": "mean squared difference of the self-similarities of DINO keys of result and photo",
    }

    def __init__(self, model: str | Path, device: torch.device | str = "cpu") -> None:
        """`model` is a folder or hub id, such as facebook/dinov2-base. Raises: ConfigError."""
        from transformers import AutoModel

        self._encoder = load_encoder("DINO", model, dict.fromkeys(MODEL_TYPES, AutoModel), device, may_miss="pooler")
        self._keys = _deepest_keys(self._encoder.model, str(model))
        self._seen = ImageMemory(self._see)

    def score(self, result: Image.Image, content: Image.Image, style: Image.Image) -> dict[str, float]:
        (token, similarity), (photo_token, photo_similarity) = self._seen(result), self._seen(content)
        return {
            "dino_content": cosine_distance(token, photo_token),
            "dino_structure": float((similarity - photo_similarity).square().mean()),
        }

    @torch.no_grad()
    def _see(self, image: Image.Image) -> tuple[Tensor, Tensor]:
        """Class token [dim] and the cosines [tokens, tokens] of the deepest layer's keys."""
        kept: list[Tensor] = []

        def keep(module: nn.Module, given: Any, keys: Tensor) -> None:
            kept.append(keys)

        handle = self._keys.register_forward_hook(keep)
        try:
            token = self._encoder.model(pixel_values=self._encoder.pixels(image)).last_hidden_state[0, 0].cpu()
        finally:
            handle.remove()
        keys = F.normalize(kept[0][0].float().cpu(), dim=-1)
        return token, keys @ keys.T


def _deepest_keys(model: nn.Module, name: str) -> nn.Module:
    """The projection that makes the keys of the last layer. Raises: ConfigError."""
    found = [module for path, module in model.named_modules() if path.endswith((".k_proj", ".key"))]
    if not found:
        raise ConfigError(f"The DINO model {name} has no attention keys; expected a vision transformer.")
    return found[-1]

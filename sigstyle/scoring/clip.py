"""CLIP distances: how far a result is from the style image and from the photo in what CLIP sees."""

from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from sigstyle.scoring.extra import ExtraScorer, cosine_distance
from sigstyle.scoring.memory import ImageMemory
from sigstyle.scoring.vision import ImageEncoder, load_encoder


class ClipScorer(ExtraScorer):
    """1 minus the cosine of CLIP image embeddings, of the result and the style image, and of the result and the photo.

    Source: Radford et al. (2103.00020) for the embeddings; the cosine of two images is CLIP-I of Ruiz et al.,
    DreamBooth (2208.12242, section 4.1).
    """

    meanings = {
        "clip_style": "1 - cosine of the CLIP embeddings of result and style image",
        "clip_content": "1 - cosine of the CLIP embeddings of result and photo",
    }

    def __init__(self, model: str | Path, device: torch.device | str = "cpu") -> None:
        """`model` is a folder or hub id, such as openai/clip-vit-large-patch14. Raises: ConfigError."""
        from transformers import CLIPModel, CLIPVisionModelWithProjection

        classes = {"clip": CLIPModel, "clip_vision_model": CLIPVisionModelWithProjection}
        self._encoder = load_encoder("CLIP", model, classes, device)
        self._embedding: ImageMemory[Tensor] = ImageMemory(partial(image_embedding, self._encoder))

    def score(self, result: Image.Image, content: Image.Image, style: Image.Image) -> dict[str, float]:
        ours, photo, painting = (self._embedding(image) for image in (result, content, style))
        return {"clip_style": cosine_distance(ours, painting), "clip_content": cosine_distance(ours, photo)}


@torch.no_grad()
def image_embedding(encoder: ImageEncoder, image: Image.Image) -> Tensor:
    """Embedding [dim] of one image by a CLIP vision transformer and its projection."""
    tower, project = encoder.model.vision_model, encoder.model.visual_projection
    return project(tower(pixel_values=encoder.pixels(image)).pooler_output)[0].cpu()

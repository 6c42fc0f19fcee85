"""CSD distance: how far a result is from the style image in contrastive style descriptors."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.loading import align, quiet
from sigstyle.errors import ConfigError
from sigstyle.scoring.clip import image_embedding
from sigstyle.scoring.extra import ExtraScorer, cosine_distance
from sigstyle.scoring.memory import ImageMemory
from sigstyle.scoring.vision import ImageEncoder
from sigstyle.scoring.weights import read_weights

_HEADS = ("last_layer_style", "last_layer_content")
HEAD_DIM = 64  # of every published CLIP vision transformer
_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)")
_OUTSIDE = {
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "conv1.weight": "embeddings.patch_embedding.weight",
    **{f"ln_pre.{part}": f"pre_layrnorm.{part}" for part in ("weight", "bias")},
    **{f"ln_post.{part}": f"post_layernorm.{part}" for part in ("weight", "bias")},
}
_INSIDE = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}


class CsdScorer(ExtraScorer):
    """1 minus the cosine of the style descriptors of the result and the style image.

    Source: Somepalli et al., "Measuring Style Similarity in Diffusion Models" (2404.01292, section 4): a CLIP vision
    transformer trained on with a head of its own for style.
    """

    meanings = {"csd": "1 - cosine of the CSD style descriptors of result and style image"}

    def __init__(self, weights: str | Path, device: torch.device | str = "cpu") -> None:
        """`weights` is the published checkpoint, or a folder with it. Raises: ConfigError."""
        encoder = _encoder(read_weights("CSD", weights), Path(weights), device)
        self._descriptor: ImageMemory[Tensor] = ImageMemory(partial(image_embedding, encoder))

    def score(self, result: Image.Image, content: Image.Image, style: Image.Image) -> dict[str, float]:
        return {"csd": cosine_distance(self._descriptor(result), self._descriptor(style))}


def _encoder(weights: Mapping[str, Tensor], path: Path, device: torch.device | str) -> ImageEncoder:
    """The vision transformer of a CSD checkpoint, with the style head as its projection. Raises: ConfigError."""
    with quiet():
        from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection
    try:
        config = _config(weights)
        model: Any = CLIPVisionModelWithProjection(config)
        backbone = {name.removeprefix("backbone."): value for name, value in weights.items() if name not in _HEADS}
        named = {f"vision_model.{name}": value.float() for name, value in transformers_names(backbone).items()}
        model.load_state_dict({**named, "visual_projection.weight": weights["last_layer_style"].float().T})
    except (KeyError, ValueError, RuntimeError, ZeroDivisionError) as error:
        problem = " ".join(str(error).split())[:160]
        raise ConfigError(
            f"{path} is no CSD checkpoint as published ({problem}); expected a CLIP vision transformer under "
            "'backbone.' and 'last_layer_style'."
        ) from error
    side_px = config.image_size
    processor = CLIPImageProcessorPil(size={"shortest_edge": side_px}, crop_size={"height": side_px, "width": side_px})
    align(model.to(device).eval())
    return ImageEncoder(model, processor)


def _config(weights: Mapping[str, Tensor]) -> Any:
    """The configuration that the shapes of a checkpoint tell of. Raises: KeyError, ValueError."""
    from transformers import CLIPVisionConfig

    width, _, _, patch_px = weights["backbone.conv1.weight"].shape
    places = len(weights["backbone.positional_embedding"]) - 1
    blocks = {match[1] for name in weights if (match := _BLOCK.fullmatch(name.removeprefix("backbone.")))}
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=len(weights["backbone.transformer.resblocks.0.mlp.c_fc.weight"]),
        num_hidden_layers=len(blocks),
        num_attention_heads=width // HEAD_DIM,
        image_size=round(places**0.5) * patch_px,
        patch_size=patch_px,
        projection_dim=weights["last_layer_style"].shape[1],
        hidden_act="quick_gelu",
    )


def transformers_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of OpenAI's CLIP vision transformer by the names transformers has for them; queries, keys, values apart.

    Names that are not of that network stay as they are.
    """
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        block = _BLOCK.fullmatch(name)
        if block is None:
            found[_OUTSIDE.get(name, name)] = value
            continue
        layer, part, kind = f"encoder.layers.{block[1]}", block[2], block[3]
        if part == "attn.in_proj":
            for own, chunk in zip(("q_proj", "k_proj", "v_proj"), value.chunk(3), strict=True):
                found[f"{layer}.self_attn.{own}.{kind}"] = chunk
        else:
            found[f"{layer}.{_INSIDE.get(part, part)}.{kind}"] = value
    return found

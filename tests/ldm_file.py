"""Pipelines written as one file of the original layout, by its own names: what diffusers reads from, made the other way
round."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from sigstyle.base.original_names import original_names

_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_OPEN_CLIP = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm": "ln_final",
    "encoder.layers": "transformer.resblocks",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def _renamed(name: str, names: dict[str, str]) -> str:
    for ours, theirs in names.items():
        name = name.replace(ours, theirs)
    return name


def vae_name(name: str, levels: int) -> str:
    """The original name of an autoencoder's parameter."""
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    if "mid_block.attentions.0" in name:
        return _renamed(name.replace("mid_block.attentions.0", "mid.attn_1"), _VAE_ATTENTION)
    name = re.sub(r"up_blocks\.(\d)", lambda found: f"up.{levels - 1 - int(found[1])}", name)
    name = re.sub(r"(down|up)samplers\.0", r"\1sample", name.replace("down_blocks", "down"))
    return (
        name.replace("resnets", "block").replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    )


def ldm_tensors(parts: SimpleNamespace, open_clip: bool = False) -> dict[str, Tensor]:
    """All weights of a pipeline under the names of a 1.x checkpoint, or of a 2.x one."""
    unet, vae = parts.unet.state_dict(), parts.vae.state_dict()
    names = original_names(unet, parts.unet.config.layers_per_block)
    tensors = {f"model.diffusion_model.{names[name]}": value for name, value in unet.items()}
    levels = len(parts.vae.config.block_out_channels)
    for name, value in vae.items():
        linear = value.ndim == 2 and "attentions" in name
        tensors[f"first_stage_model.{vae_name(name, levels)}"] = value[:, :, None, None] if linear else value
    text = {name.removeprefix("text_model."): value for name, value in parts.text_encoder.state_dict().items()}
    if getattr(parts, "text_encoder_2", None) is not None:
        return tensors | _xl(text, parts.text_encoder_2)
    if not open_clip:
        return tensors | {f"cond_stage_model.transformer.text_model.{name}": value for name, value in text.items()}
    return tensors | {f"cond_stage_model.model.{name}": value for name, value in _open_clip(text).items()}


def _xl(first: dict[str, Tensor], text_encoder_2: Any) -> dict[str, Tensor]:
    """Both text encoders of XL under its names; the second is OpenCLIP's, whose projection lies the other way round."""
    tensors = {f"conditioner.embedders.0.transformer.text_model.{name}": value for name, value in first.items()}
    second = {name.removeprefix("text_model."): value for name, value in text_encoder_2.state_dict().items()}
    projection = second.pop("text_projection.weight")
    named = _open_clip(second) | {"text_projection": projection.T}
    return tensors | {f"conditioner.embedders.1.model.{name}": value for name, value in named.items()}


def _open_clip(text: dict[str, Tensor]) -> dict[str, Tensor]:
    """A text encoder's weights as OpenCLIP has them: queries, keys and values in one matrix."""
    found: dict[str, Tensor] = {}
    for name, value in text.items():
        if "q_proj" in name:
            joined = torch.cat([text[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")])
            ours = _renamed(name, _OPEN_CLIP)
            found[re.sub(r"self_attn\.q_proj\.(\w+)", r"attn.in_proj_\1", ours)] = joined
        elif "k_proj" not in name and "v_proj" not in name:
            found[_renamed(name, _OPEN_CLIP)] = value
    return found | {"text_projection": torch.eye(text["final_layer_norm.weight"].shape[0])}


def save_ldm(path: Path, parts: SimpleNamespace, open_clip: bool = False, **texts: str) -> Path:
    """A pipeline as one file of the original layout."""
    tensors = {name: value.contiguous() for name, value in ldm_tensors(parts, open_clip).items()}
    safetensors.torch.save_file(tensors, path, texts or None)
    return path


def save_family(folder: Path, parts: SimpleNamespace, index: Path) -> Path:
    """What a family's folder holds, for pipelines of the size of `parts`: configs alone."""
    for part in ("unet", "vae", "text_encoder", "text_encoder_2", "scheduler"):
        saved: Any = getattr(parts, part, None)
        if saved is None:
            continue
        if part.startswith("text_encoder"):
            saved.config.save_pretrained(folder / part)
        else:
            saved.save_config(folder / part)
    (folder / "model_index.json").write_text(json.dumps(json.loads(index.read_text())))
    return folder

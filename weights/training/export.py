"""Stage 3: put the trained parts together as a diffusers Stable Diffusion folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from .unet import SCHEDULE

SHARD = "15MB"


def export(
    vae: AutoencoderTiny, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer,
    scale: float, out_dir: Path,
) -> dict[str, float]:  # fmt: skip
    """Write float16 safetensors in shards below 16 MB and measure them; ``scale`` brings latents to unit variance."""
    vae.register_to_config(scaling_factor=scale)
    parts: dict[str, Any] = {"vae": vae, "unet": unet, "text_encoder": text_encoder, "tokenizer": tokenizer}
    parts |= {"scheduler": DDIMScheduler(**SCHEDULE), "safety_checker": None, "feature_extractor": None}
    pipe = StableDiffusionPipeline(**parts, requires_safety_checker=False).to(torch.float16)
    pipe.save_pretrained(out_dir, safe_serialization=True, max_shard_size=SHARD)
    # AutoencoderTiny saves a derived setting and warns of it at every load; all save where they came from
    _edit(out_dir / "vae" / "config.json", lambda config: config.pop("block_out_channels", None))
    _edit(out_dir / "vae" / "config.json", lambda config: config.pop("_name_or_path", None))
    # transformers loads in the dtype it finds here, diffusers in float32: let both load alike
    _edit(out_dir / "text_encoder" / "config.json", lambda config: config.update(dtype="float32"))
    return check(out_dir)


def _edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def check(folder: Path) -> dict[str, float]:
    """Measure what ships and refuse what is too large."""
    files = list(folder.rglob("*.safetensors"))
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    parts = (pipe.unet, pipe.vae, pipe.text_encoder)
    parameters = sum(p.numel() for part in parts for p in part.parameters()) / 1e6
    total = sum(file.stat().st_size for file in files) / 1e6
    largest = max(file.stat().st_size for file in files) / 2**20
    if parameters > 24 or total > 48 or largest >= 16:
        raise ValueError(
            f"{folder} has {parameters:.1f} M parameters in {total:.1f} MB, the largest file {largest:.1f} MiB: "
            "at most 24 M, 48 MB and 16 MiB may ship; make the networks smaller"
        )
    return {"parameters_m": round(parameters, 2), "total_mb": round(total, 2), "largest_mib": round(largest, 2)}

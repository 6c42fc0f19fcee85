"""What a finished UNet run left behind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from . import checkpoint
from .unet import UNetConfig, build_networks


@dataclass(frozen=True)
class Trained:
    """The averaged weights of a run, its tokenizer, and what latents are multiplied by."""

    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scale: float


def load_trained(work_dir: Path) -> Trained:
    """Read the averaged weights of the run in ``work_dir``."""
    tensors, meta = checkpoint.load(work_dir / "unet" / "unet.safetensors")
    tokenizer = CLIPTokenizer.from_pretrained(work_dir / "unet" / "tokenizer")
    networks: Any = build_networks(tokenizer, UNetConfig(**meta["config"]))
    networks.load_state_dict(checkpoint.under("ema", tensors))
    return Trained(networks["unet"], networks["text"], tokenizer, meta["scale"])

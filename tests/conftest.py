"""Tiny Stable Diffusion bases with random weights: real module names, a real CLIP tokenizer, float32."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from PIL import Image
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from benchmarks.random_base import PredictionType, schedule
from sigstyle.base.model import BaseModel

TEXT_DIM = 32
SPECIAL_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")
MakeBase = Callable[..., BaseModel]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny tensors are fastest on one thread."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def same_numbers_in_any_order() -> None:
    """What a test draws from the global generator does not depend on the tests before it, and is no base of seed 0."""
    torch.manual_seed(2502_13997)


def make_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer that knows every byte and a few whole words."""
    alphabet = sorted(ByteLevel.alphabet())
    merges: Any = [("o", "f</w>"), ("i", "n</w>"), ("t", "h"), ("th", "e</w>"), ("a", "n")]
    entries = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *("".join(pair) for pair in merges)]
    entries += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A two-layer CLIP text encoder for `tokenizer`."""
    return CLIPTextModel(text_config(tokenizer, TEXT_DIM))


def text_config(tokenizer: CLIPTokenizer, dim: int, **more: Any) -> CLIPTextConfig:
    """Two layers of this width for `tokenizer`."""
    special: dict[str, Any] = {name: getattr(tokenizer, name) for name in SPECIAL_TOKENS}
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=dim,
        intermediate_size=2 * dim,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        **special,
        **more,
    )


def make_vae(kind: str) -> AutoencoderKL | AutoencoderTiny:
    """An autoencoder, 'kl' or 'tiny', of 4 channels, 8 pixels to a latent."""
    if kind == "kl":
        levels: dict[str, Any] = {
            "block_out_channels": (8, 8, 8, 8),
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
        }
        return AutoencoderKL(
            **levels,
            norm_num_groups=4,
            latent_channels=4,
            sample_size=64,
        )
    return AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(0, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
        latent_channels=4,
        scaling_factor=1.2,
    )


def make_unet(**changes: Any) -> UNet2DConditionModel:
    """A UNet of three levels, the deepest without attention, as in Stable Diffusion."""
    settings: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (16, 32, 32),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "attention_head_dim": 2,
        "cross_attention_dim": TEXT_DIM,
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**(settings | changes))


def make_parts(vae: str = "tiny", prediction_type: PredictionType = "epsilon", seed: int = 0) -> SimpleNamespace:
    """The parts of a tiny pipeline, the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tokenizer = make_tokenizer()
        return SimpleNamespace(
            unet=make_unet().eval(),
            vae=make_vae(vae).eval(),
            text_encoder=make_text_encoder(tokenizer).eval(),
            tokenizer=tokenizer,
            scheduler=schedule(prediction_type),
        )


def digest(module: nn.Module) -> str:
    """Hex digits over every parameter and buffer, by name."""
    content = hashlib.sha256()
    for name, value in module.state_dict().items():
        content.update(name.encode() + value.numpy().tobytes())
    return content.hexdigest()


@pytest.fixture
def make_base() -> MakeBase:
    """Makes tiny bases: `make_base(vae='tiny' | 'kl', prediction_type=…, seed=…)`."""
    return lambda **settings: BaseModel.from_pipeline(make_parts(**settings), name="tiny")


@pytest.fixture
def base(make_base: MakeBase) -> BaseModel:
    """A tiny base with an AutoencoderTiny that predicts epsilon."""
    return make_base()


def make_painting() -> Image.Image:
    """A smooth, colourful 96x80 image with a diagonal, nowhere symmetric."""
    y, x = np.mgrid[0:80, 0:96] / 96
    channels = [np.sin(9 * x + 3 * y), np.cos(5 * y - 2 * x), np.where(x > y, 0.8, -0.6)]
    return Image.fromarray(((np.stack(channels, -1) + 1) * 127.5).astype(np.uint8))


@pytest.fixture
def painting() -> Image.Image:
    """The image of `make_painting`."""
    return make_painting()


@pytest.fixture
def photo(painting: Image.Image, tmp_path: Path) -> Path:
    """That image as a file."""
    path = tmp_path / "photo.png"
    painting.save(path)
    return path

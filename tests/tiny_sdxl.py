"""Tiny bases laid out as Stable Diffusion XL: two text encoders, a UNet that reads pooled text and sizes."""

from types import SimpleNamespace
from typing import Any

import torch
from conftest import (
    TEXT_DIM,
    make_text_encoder,
    make_tokenizer,
    make_unet,
    make_vae,
    text_config,
)
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from benchmarks.random_base import PredictionType, schedule
from sigstyle.base.model import BaseModel

SECOND_DIM, POOLED_DIM, SIZE_DIM = 48, 24, 8


def make_second_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
    """A wider text encoder with a projection, as XL's second."""
    return CLIPTextModelWithProjection(text_config(tokenizer, SECOND_DIM, projection_dim=POOLED_DIM))


def make_xl_parts(
    vae: str = "kl", prediction_type: PredictionType = "epsilon", seed: int = 0, sample_size: int = 8
) -> SimpleNamespace:
    """The parts of a tiny XL pipeline, the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tokenizer, second = make_tokenizer(), make_tokenizer()
        second.pad_token = "!"
        return SimpleNamespace(
            unet=make_unet(
                sample_size=sample_size,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                transformer_layers_per_block=(1, 1, 2),
                cross_attention_dim=TEXT_DIM + SECOND_DIM,
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=SIZE_DIM,
                projection_class_embeddings_input_dim=POOLED_DIM + 6 * SIZE_DIM,
            ).eval(),
            vae=make_vae(vae).eval(),
            text_encoder=make_text_encoder(tokenizer).eval(),
            text_encoder_2=make_second_text_encoder(second).eval(),
            tokenizer=tokenizer,
            tokenizer_2=second,
            scheduler=schedule(prediction_type),
        )


def make_xl_base(**settings: Any) -> BaseModel:
    """A tiny XL base: `make_xl_base(vae='kl' | 'tiny', prediction_type=…, seed=…)`."""
    return BaseModel.from_pipeline(make_xl_parts(**settings), name="tiny-xl")

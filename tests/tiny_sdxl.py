"""Tiny bases laid out as Stable Diffusion XL: two text encoders, a UNet that reads pooled text and sizes."""

from types import SimpleNamespace
from typing import Any

import torch
from conftest import SPECIAL_TOKENS, TEXT_DIM, PredictionType, make_text_encoder, make_tokenizer, make_unet, make_vae
from diffusers import DDIMScheduler
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from sigstyle.base.model import BaseModel

SECOND_DIM, POOLED_DIM, SIZE_DIM = 48, 24, 8


def make_second_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
    """A wider text encoder with a projection, as XL's second."""
    special: dict[str, Any] = {name: getattr(tokenizer, name) for name in SPECIAL_TOKENS}
    return CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=SECOND_DIM,
            intermediate_size=2 * SECOND_DIM,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            projection_dim=POOLED_DIM,
            **special,
        )
    )


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
            scheduler=DDIMScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                clip_sample=False,
                set_alpha_to_one=False,
                steps_offset=1,
                prediction_type=prediction_type,
            ),
        )


def make_xl_base(**settings: Any) -> BaseModel:
    """A tiny XL base: `make_xl_base(vae='kl' | 'tiny', prediction_type=…, seed=…)`."""
    return BaseModel.from_pipeline(make_xl_parts(**settings), name="tiny-xl")

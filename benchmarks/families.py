"""Stable Diffusion 1.5, 2.1 and XL with random weights and their true shapes, made where nothing is computed."""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from benchmarks.random_base import schedule
from sigstyle.base.model import EMBEDDED_FOLDER, BaseModel

PROMPT_TOKENS, VOCABULARY = 77, 49408
_HEADS_21 = {"attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True}
XL_UNET: Mapping[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "transformer_layers_per_block": (1, 2, 10),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 1280 + 6 * 256,
}
UNETS: Mapping[str, Mapping[str, Any]] = {
    "1.5": {"sample_size": 64, "cross_attention_dim": 768},
    "2.1": {"sample_size": 96, "cross_attention_dim": 1024, **_HEADS_21},
    "XL": XL_UNET,
}
_TEXTS: Mapping[str, tuple[int, int, int]] = {"1.5": (768, 12, 12), "2.1": (1024, 23, 16), "XL": (768, 12, 12)}
_SECOND = (1280, 32, 20)  # width, layers and heads of XL's other text encoder


def weightless(family: str, dtype: torch.dtype, memory: str = "high") -> BaseModel:
    """A base of '1.5', '2.1' or 'XL' in shapes alone: everything runs on it and nothing is computed."""
    usual = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)  # weights without numbers cannot be moved to another one
        with FakeTensorMode(allow_non_fake_inputs=True):
            return _base(family, memory, upcast=family == "XL" and dtype == torch.float16)
    finally:
        torch.set_default_dtype(usual)


def _base(family: str, memory: str, upcast: bool) -> BaseModel:
    """The base in the default dtype; with `upcast` its autoencoder in float32, in which it computes instead."""
    tokenizer = CLIPTokenizer.from_pretrained(
        EMBEDDED_FOLDER, subfolder="tokenizer", local_files_only=True, model_max_length=PROMPT_TOKENS
    )
    unet = UNet2DConditionModel(**UNETS[family]).eval()
    sizes = {"sample_size": 8 * UNETS[family]["sample_size"], "force_upcast": family == "XL"}
    narrow = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32 if upcast else narrow)
    vae: Any = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),  # type: ignore[arg-type]
        down_block_types=("DownEncoderBlock2D",) * 4,  # type: ignore[arg-type]
        up_block_types=("UpDecoderBlock2D",) * 4,  # type: ignore[arg-type]
        layers_per_block=2,
        **sizes,
    )
    torch.set_default_dtype(narrow)
    second: Any = None
    if family == "XL":
        second = CLIPTextModelWithProjection(_text(tokenizer, *_SECOND)).eval()
    return BaseModel(
        unet=unet,
        vae=vae.eval(),
        text_encoder=CLIPTextModel(_text(tokenizer, *_TEXTS[family])).eval(),
        tokenizer=tokenizer,
        scheduler=schedule("v_prediction" if family == "2.1" else "epsilon"),
        name=family,
        fingerprint="00000000-00000000",
        text_encoder_2=second,
        tokenizer_2=None if second is None else tokenizer,
        memory=memory,
    )


def _text(tokenizer: CLIPTokenizer, width: int, layers: int, heads: int) -> CLIPTextConfig:
    special: dict[str, Any] = {
        name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")
    }
    return CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=PROMPT_TOKENS,
        projection_dim=width,
        **special,
    )

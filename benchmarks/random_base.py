"""Stable Diffusion 1.5 with random weights, built from its configuration: what it costs does not depend on them."""

from typing import Literal

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from sigstyle.base.model import EMBEDDED_FOLDER, BaseModel
from sigstyle.base.prompts import StyleToken
from sigstyle.imaging.brushwork import Brushwork
from sigstyle.imaging.palette import Palette
from sigstyle.style.offsets import Offset
from sigstyle.style.style import Style
from sigstyle.style.targets import target_layers

PredictionType = Literal["epsilon", "sample", "v_prediction"]
TEXT_DIM = 768
PROMPT_TOKENS = 77
WIDTHS = (320, 640, 1280, 1280)
NARROW = (32, 32, 32, 32)


def random_base(widths: tuple[int, ...] = WIDTHS) -> BaseModel:
    """A base laid out as Stable Diffusion 1.5 with a UNet of these widths; narrow ones get a narrow autoencoder too.

    The text encoder has the width and depth of CLIP ViT-L but the embedded base's small vocabulary.
    """
    tokenizer = CLIPTokenizer.from_pretrained(
        EMBEDDED_FOLDER, subfolder="tokenizer", local_files_only=True, model_max_length=PROMPT_TOKENS
    )
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_DIM,
        intermediate_size=4 * TEXT_DIM,
        num_hidden_layers=12 if widths == WIDTHS else 1,
        num_attention_heads=12,
        max_position_embeddings=PROMPT_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512) if widths == WIDTHS else NARROW,  # type: ignore[arg-type]
        down_block_types=("DownEncoderBlock2D",) * 4,  # type: ignore[arg-type]
        up_block_types=("UpDecoderBlock2D",) * 4,  # type: ignore[arg-type]
        layers_per_block=2,
        sample_size=512,
    )
    return BaseModel(
        unet=UNet2DConditionModel(
            sample_size=64,
            cross_attention_dim=TEXT_DIM,
            block_out_channels=widths,
            layers_per_block=2 if widths == WIDTHS else 1,
        ).eval(),
        vae=vae.eval(),
        text_encoder=CLIPTextModel(text).eval(),
        tokenizer=tokenizer,
        scheduler=schedule(),
        name="random",
        fingerprint="00000000-00000000",
    )


def schedule(prediction_type: PredictionType = "epsilon") -> DDIMScheduler:
    """The schedule of Stable Diffusion."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
    )


def random_style(base: BaseModel, name: str = "random", seed: int = 0) -> Style:
    """A faint style of rank 3 for `base`, good for every preset."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * 0.05

    channels, width = base.unet.config.in_channels, base.unet.config.cross_attention_dim
    side = base.unet.config.sample_size
    return Style(
        name=name,
        token=StyleToken(f"<{name}>", noise(1, width)),
        offsets={path: Offset(noise(rows, 3), noise(3, columns)) for path, (rows, columns) in _shapes(base)},
        domain="painting",
        base_fingerprint=base.fingerprint,
        base_name=base.name,
        start_mean=noise(channels),
        start_std=1 + noise(channels),
        latent_mean=noise(channels),
        latent_std=1 + noise(channels),
        reference=noise(channels, side, side),
        palette=Palette(noise(3), 0.1 * torch.eye(3)),
        brushwork=Brushwork(0.1),
    )


def _shapes(base: BaseModel) -> list[tuple[str, tuple[int, int]]]:
    return list(target_layers(base.unet).items())

"""Which pipelines are bases: text-to-image Stable Diffusion 1.x, 2.x and XL, told by their parts."""

from typing import Any

from sigstyle.errors import ConfigError

_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
_XL = ("text_encoder_2", "tokenizer_2")
_SIZE_IDS = 6  # numbers that XL is told of a picture's size; its refiner has 5


def check_kind(pipe: Any, name: str) -> None:
    """Raises ConfigError unless `pipe` is text-to-image Stable Diffusion 1.x, 2.x or XL."""
    missing = [part for part in _PARTS if getattr(pipe, part, None) is None]
    problem = f"has no {', '.join(missing)}" if missing else _of_unet(pipe) or _of_family(pipe)
    if problem:
        raise ConfigError(
            f"The base {name} {problem}; expected a text-to-image Stable Diffusion 1.x, 2.x or XL pipeline."
        )


def _of_unet(pipe: Any) -> str:
    """What is wrong with the UNet, or ''."""
    config = pipe.unet.config
    if config.in_channels != pipe.vae.config.latent_channels:
        return f"takes {config.in_channels} channels for {pipe.vae.config.latent_channels} latent ones"
    if config.class_embed_type is not None or config.num_class_embeds is not None:
        return "is conditioned on classes"
    if config.addition_embed_type not in (None, "text_time"):
        return f"is conditioned on {config.addition_embed_type!r}"
    return ""


def _of_family(pipe: Any) -> str:
    """What does not fit together, or ''."""
    missing = [part for part in _XL if getattr(pipe, part, None) is None]
    if pipe.unet.config.addition_embed_type is None:
        return "" if len(missing) == len(_XL) else "has a second text encoder, which its UNet does not read"
    if missing:
        return f"has a UNet of XL and no {', '.join(missing)}"
    width = getattr(pipe.text_encoder_2.config, "projection_dim", 0)
    expected = width + _SIZE_IDS * pipe.unet.config.addition_time_embed_dim
    if pipe.unet.config.projection_class_embeddings_input_dim != expected:
        return "is a refiner of XL, or has a text encoder of another width than its UNet reads"
    return ""


def reads_empty_as_zeros(pipe: Any) -> bool:
    """Whether a pipeline of XL reads an empty prompt as zeros, which is so unless its configuration says otherwise."""
    config = getattr(pipe, "config", None) or {}
    return bool(config.get("force_zeros_for_empty_prompt", True))

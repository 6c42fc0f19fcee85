"""What callers of diffusers give: lists, tensors and arrays, taken apart into one call for each picture; or refused."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch import Tensor

from sigstyle.base.conditioning import Conditioning
from sigstyle.base.model import BaseModel
from sigstyle.errors import ConfigError, ImageError

_PICTURES = ("image", "mask")
_LISTS = ("prompt", "negative_prompt", "trace")
EMBEDS = ("prompt_embeds", "negative_prompt_embeds")
_REASONS = {
    "clip_skip": "a style's token is learned at the text encoder's last layer; leave it out",
    "ip_adapter_image": "an IP-Adapter takes the attention that a style steers; unload it, and capture that image",
    "ip_adapter_image_embeds": "an IP-Adapter takes the attention that a style steers; unload it",
    "control_image": "there is no ControlNet in these pipelines; a lower freedom, or anchor, holds a photo's forms",
    "controlnet_conditioning_scale": "there is no ControlNet in these pipelines; leave it out",
    "cross_attention_kwargs": "nothing here reads it; the strength of LoRAs is set where they are loaded",
    "guidance_rescale": "guidance is not rescaled here; leave it out",
    "timesteps": "the scheduler chooses them; give num_inference_steps",
    "sigmas": "the scheduler chooses them; give num_inference_steps",
    "mask_image": "it is called mask here",
    "max_sequence_length": "the tokenizer of the base sets it; leave it out",
}


def refuse(others: Collection[str]) -> None:
    """Raises ConfigError for an argument that other pipelines have, with what to do, TypeError for any other."""
    for name in others:
        if name not in _REASONS:
            raise TypeError(f"got an unexpected keyword argument {name!r}")
        raise ConfigError(f"{name} is given, which is not supported: {_REASONS[name]}.")


def single_calls(arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One set of arguments for each picture to make from; what is given once counts for all.

    Raises: ConfigError for lists of different lengths, ImageError for a tensor or an array that is no image.
    """
    given = {name: value for name, value in arguments.items() if name != "self"}
    rows = {name: found for name, value in given.items() if (found := _rows(name, value)) is not None}
    count = max((len(found) for found in rows.values()), default=1)
    rows |= _numbered(given, count)
    wrong = [f"{len(found)} of {name}" for name, found in rows.items() if len(found) not in (1, count)]
    if wrong:
        raise ConfigError(f"There are {', '.join(wrong)}; expected 1 or {count}, as many as of the longest list.")
    return [{**given, **{name: found[place % len(found)] for name, found in rows.items()}} for place in range(count)]


def _rows(name: str, value: Any) -> list[Any] | None:
    """The entries of an argument that may hold several; None for all others."""
    if name in _PICTURES and value is not None:
        return given_pictures(value)
    if name in _LISTS and isinstance(value, list | tuple):
        return list(value)
    if name in EMBEDS and isinstance(value, Tensor):
        return list((value.unsqueeze(0) if value.ndim == 2 else value).split(1))
    return None


def _numbered(given: Mapping[str, Any], count: int) -> dict[str, list[Any]]:
    """Generators and latents, of which each picture to make from takes as many as there are images of a prompt."""
    each, found = given.get("num_images_per_prompt", 1), {}
    for name in ("generator", "latents"):
        value = given.get(name)
        if count > 1 and isinstance(value, list | tuple | Tensor):
            if len(value) != count * each:
                raise ConfigError(
                    f"There are {len(value)} {name}; expected {count * each}, for num_images_per_prompt {each} and "
                    f"{count} prompts or images."
                )
            found[name] = [value[place * each : (place + 1) * each] for place in range(count)]
    return found


def given_pictures(source: Any) -> list[Any]:
    """Images of one, a list, a tensor [(b,) 3, h, w] in [0, 1] or [-1, 1], or an array [(b,) h, w, 3] of any kind.

    Raises: ImageError for a tensor or an array of another shape.
    """
    if isinstance(source, list | tuple):
        return [image for entry in source for image in given_pictures(entry)]
    if not isinstance(source, Tensor | np.ndarray):
        return [source]
    whole = source[None] if source.ndim == 3 else source
    channels = whole.shape[1 if isinstance(source, Tensor) else -1] if whole.ndim == 4 else 0
    if source.ndim == 2 or channels not in (1, 3):
        if source.ndim != 2:
            raise ImageError(
                f"The image is a {type(source).__name__} of shape {list(source.shape)}; expected a tensor "
                "[b, 3, h, w] or an array [b, h, w, 3]."
            )
        whole = source[None, None] if isinstance(source, Tensor) else source[None, ..., None]
    if isinstance(whole, Tensor):
        numbers = whole.detach().float().cpu()
        whole = VaeImageProcessor.pt_to_numpy((numbers + 1) / 2 if numbers.min() < 0 else numbers)
    return [_picture(array) for array in whole]


def _picture(array: np.ndarray) -> Image.Image:
    """A PIL image of an array [h, w, 1 or 3], of bytes or of numbers in [0, 1]."""
    if not np.isfinite(array).all():
        raise ImageError("The image holds numbers that are not finite; expected numbers in [0, 1].")
    if array.dtype != np.uint8:
        array = (array.astype(np.float32).clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array)


def check_bare_embeds(base: BaseModel) -> None:
    """Raises ConfigError for a base of XL, for which embeddings of tokens are not all of a prompt."""
    if base.text_encoder_2 is not None:
        raise ConfigError("XL reads a pooled text beside prompt_embeds, for which there is no argument; give a prompt.")


def on_device(embeds: Tensor | None, base: BaseModel) -> Conditioning | None:
    """Embeddings where the base computes, as the UNet takes them. Raises: ConfigError for a base of XL."""
    if embeds is None:
        return None
    check_bare_embeds(base)
    return Conditioning(embeds.to(base.device))


def joined(parts: Sequence[Any], output_type: str) -> Any:
    """Images of several calls as those of one. Raises: ConfigError for sizes that one array cannot hold."""
    kept = [part for part in parts if len(part)]
    if output_type == "pil" or not kept:
        return [image for part in parts for image in part]
    if len({tuple(part.shape[1:]) for part in kept}) > 1:
        raise ConfigError(
            f"The pictures have different sizes, which output_type {output_type!r} cannot hold; give 'pil', or images "
            "of one aspect."
        )
    return np.concatenate(kept) if output_type == "np" else torch.cat(kept)

"""What is worth saying before a picture is painted: input that is cut, read otherwise or made smaller."""

import math
from collections.abc import Sequence

from PIL import Image

from sigstyle.base.compiling import COMPILED_APART
from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import cut_notice, fitted
from sigstyle.config import GenerateConfig, TrainingFreeConfig, TransferConfig
from sigstyle.painting.content import Content
from sigstyle.painting.inversion import ContentInversion
from sigstyle.painting.protection import protection_notices
from sigstyle.painting.sizes import picture_size
from sigstyle.style.blend import Blend


def transfer_notices(wanted: ContentInversion, blend: Blend, mask: Image.Image | None) -> list[str]:
    """Lines about the photo, its mask and the prompts of a transfer."""
    content, base, config = wanted.content, wanted.base, wanted.config
    found = [*_of_file(content.image), *([] if mask is None else _of_file(mask))]
    if mask is None:
        found += _shrunk(content, base, config)
    found += protection_notices(content, config)
    found += [COMPILED_APART] if base.compiled and config.method == "swap" else []
    return found + prompt_notices(blend, base, config, guided=config.method == "swap")


def few_steps_notice(base: BaseModel, fitted: Sequence[str] = ()) -> list[str]:
    """A line about a base for few steps: which settings were set for it, or that a long inversion does not suit it."""
    if not base.few_steps:
        return []
    if fitted:
        return [f"{base.name} is a {base.few_steps} model: painted with {' and '.join(fitted)} unless told otherwise."]
    return [
        f"{base.name} is a {base.few_steps} model, made for a few steps without guidance; inverting a photo with it is "
        "inexact. The preset default suits it better."
    ]


def prompt_notices(
    blend: Blend, base: BaseModel, config: TransferConfig | GenerateConfig, guided: bool = True
) -> list[str]:
    """Lines about words that the base does not read; the negative prompt counts where there is guidance."""
    found = blend.cut_words(base.tokenizer, config.prompt)
    if guided and config.guidance_scale > 1:
        found += cut_notice(base.tokenizer, "negative prompt", fitted(base.tokenizer, config.negative_prompt))
    return found


def training_free_notices(content: Content, style: Content, base: BaseModel, config: TrainingFreeConfig) -> list[str]:
    """Lines about both pictures and the prompt."""
    found = [*_of_file(content.image), *_of_file(style.image), *_shrunk(content, base, config)]
    return found + cut_notice(base.tokenizer, "prompt", fitted(base.tokenizer, config.prompt))


def _of_file(image: Image.Image) -> list[str]:
    return [image.info["notice"]] if "notice" in image.info else []


def _shrunk(content: Content, base: BaseModel, config: TransferConfig | TrainingFreeConfig) -> list[str]:
    """A line about a photo that comes out smaller than it is, where nobody asked for a size."""
    size = content.result_size(config.size_px, base)
    if isinstance(config, TransferConfig) and config.method == "paint":
        return _bounded(content, config)
    if config.size_px is not None or size[0] >= content.image.width:
        return []
    return [
        f"The photo has {content.image.width}x{content.image.height} pixels and is painted at {size[0]}x{size[1]}; "
        "--size-px (size_px) sets another short side."
    ]


def _bounded(content: Content, config: TransferConfig) -> list[str]:
    """A line about a picture of too many pixels, which comes out smaller than its photo or than was asked for."""
    if content.sizes is None:
        return []
    wanted, size = picture_size(content.image.size, config.size_px, math.inf), content.sizes.picture
    if size == wanted:
        return []
    return [
        f"The picture is {size[0]}x{size[1]} instead of {wanted[0]}x{wanted[1]}; --max-megapixels (max_megapixels) "
        "allows more, which takes longer."
    ]

"""Files of other programs as styles: a LoRA with the words that call it, a textual inversion as a token alone."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sigstyle.base.headers import EMBEDDING, LORA, kind_of_tensors, read_header
from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import StyleToken, token_for
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.style.lora_file import read_lora
from sigstyle.style.shipped import StyleLike, open_style, style_file
from sigstyle.style.style import Style
from sigstyle.style.tensor_file import read_tensors
from sigstyle.text import style_name_of

_MOST_VECTORS = 32
_DTYPES = ("F16", "BF16", "F32")
_LEAD = re.compile(r".*\bin the style of\s+", re.IGNORECASE)


def is_foreign(style: StyleLike) -> bool:
    """Whether a style is a file of another program, which only a base makes a style of."""
    if isinstance(style, Style):
        return False
    try:
        path = style_file(style)
        return path.is_file() and kind_of_tensors(read_header(path)) in (LORA, EMBEDDING)  # a pipe would wait for ever
    except (OSError, ValueError, StyleFileError):
        return False


def opened_with(style: StyleLike, base: BaseModel) -> Style:
    """A style, also one that is a LoRA or a textual inversion for `base`.

    Such a style has neither palette nor reference: it is for prompts, and for the preset paper.
    Raises: StyleFileError for an unusable file or one for another base.
    """
    if isinstance(style, Style) or not is_foreign(style):
        return open_style(style)
    path = style_file(style)
    if kind_of_tensors(read_header(path)) == EMBEDDING:
        return _style(path, base, _vectors(path, base))
    lora = read_lora(path, base)
    words = _LEAD.sub("", lora.trigger) or path.stem.replace("_", " ")
    left_out = sorted(part for part in lora.parts if part != "unet")
    facts = {"trigger": lora.trigger, "left_out": left_out}
    return _style(path, base, words_as_vectors(base, words), offsets=lora.parts.get("unet", {}), metadata=facts)


def _style(path: Path, base: BaseModel, vectors: Tensor, **more: Any) -> Style:
    name = style_name_of(path.stem)
    fields: dict[str, Any] = {"offsets": {}, "metadata": {}, **more}
    fields["metadata"] = {**fields["metadata"], "text_fingerprint": base.text_fingerprint, "made_of": path.name}
    try:
        return Style(
            name=name,
            token=StyleToken(token_for(name), vectors),
            domain="painting",
            base_fingerprint=base.fingerprint,
            base_name=base.name,
            **fields,
        )
    except ConfigError as error:
        raise StyleFileError(f"{path.name} is not usable as a style: {error}") from error


def _text_encoders(base: BaseModel) -> list[tuple[Any, Any]]:
    """Tokenizers and text encoders, of XL both."""
    return list(zip(base.reader.tokenizers, base.reader.encoders, strict=True))


def words_as_vectors(base: BaseModel, words: str) -> Tensor:
    """The vectors [n, dim] that the base reads for `words`, at most 32: a token with these stands for the words."""
    read = []
    for tokenizer, encoder in _text_encoders(base):
        ids = tokenizer(words, add_special_tokens=False, return_tensors="pt").input_ids[0][:_MOST_VECTORS]
        table = encoder.get_input_embeddings().weight
        read.append(table.detach()[ids.to(table.device)].float().cpu())
    count = min(len(vectors) for vectors in read)
    return torch.cat([vectors[:count] for vectors in read], dim=1)


def _vectors(path: Path, base: BaseModel) -> Tensor:
    """A textual inversion's vectors [n, dim] as this base reads them. Raises: StyleFileError for another base's."""
    tensors, _ = read_tensors(path, _DTYPES)
    ordered = [tensors[key] for key in ("clip_l", "clip_g")] if "clip_g" in tensors else list(tensors.values())
    found = [vectors.float().reshape(-1, vectors.shape[-1]) for vectors in ordered]
    widths = [encoder.get_input_embeddings().weight.shape[1] for _, encoder in _text_encoders(base)]
    if [vectors.shape[1] for vectors in found] != widths or len({len(vectors) for vectors in found}) > 1:
        has = " and ".join(str(vectors.shape[1]) for vectors in found)
        raise StyleFileError(
            f"{path.name} is a textual inversion of width {has}; this base, {base.name}, reads "
            f"{' and '.join(map(str, widths))}. Give the base that it was made for."
        )
    return torch.cat(found, dim=1)[:_MOST_VECTORS]

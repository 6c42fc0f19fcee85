"""Prompt embeddings, and the style token that has learned vectors instead of a row in the vocabulary."""

import copy
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from tokenizers import AddedToken
from torch import Tensor, nn

from sigstyle.base.content_hash import content_hash
from sigstyle.base.locks import lock_of
from sigstyle.errors import ConfigError
from sigstyle.text import check_words, shown

_TOKEN = re.compile(r"<[\w-]{1,64}>")
Read = TypeVar("Read")


@dataclass(frozen=True, eq=False)
class StyleToken:
    """A token `<name>` and its learned vectors.

    Shapes: embedding [n, dim], float32; a prompt spends n positions on the token. Where a base has several text
    encoders, `dim` is the widths of all, one after the other.
    """

    token: str
    embedding: Tensor

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.token):
            raise ConfigError(f"The style token is {self.token!r}; expected <name> of letters, digits, '-' and '_'.")
        if self.embedding.ndim != 2 or not self.embedding.shape[0]:
            raise ConfigError(f"The token embedding has shape {tuple(self.embedding.shape)}; expected [n, dim].")

    @property
    def hash(self) -> str:
        """Hex digits over the name and the vectors."""
        return content_hash(self.token, {"embedding": self.embedding})

    def __eq__(self, other: object) -> bool:
        """Whether name and vectors are equal, bit for bit."""
        return self.hash == other.hash if isinstance(other, StyleToken) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def parts(self) -> tuple[str, ...]:
        """One vocabulary entry for each vector; the first is the token itself."""
        return (self.token, *(f"{self.token[:-1]}:{i}>" for i in range(1, len(self.embedding))))


@dataclass(frozen=True, eq=False)
class PromptIds:
    """Tokenised prompts.

    Shapes: ids [b, seq]; slots [b, seq] holds -1, or the row of `concat(token embeddings)` to put there.
    """

    ids: Tensor
    slots: Tensor


def token_for(name: str) -> str:
    """The style token of a style called `name`: 'Great Wave' becomes '<great-wave>'.

    Raises: ConfigError when the name holds no letter or digit.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", (plain or name).lower()).strip("-")
    slug = slug or re.sub(r"[^\w]+", "-", name.lower()).strip("-")
    if not slug:
        raise ConfigError(f"The style name is {name!r}; expected a name with letters or digits.")
    return f"<{slug[:64]}>"


def style_prompt(prompt: str, domain: str, token: str) -> str:
    """A prompt that names the style exactly once.

    '' gives 'a painting in the style of <t>', 'a tower' gives 'a tower in the style of <t>'; a prompt that holds
    the token already keeps its first place and loses its repetitions.
    """
    first = prompt.find(token)
    if first >= 0:
        end = first + len(token)
        return prompt[:end] + re.sub(r"\s*" + re.escape(token), "", prompt[end:])
    subject = prompt.strip().rstrip(".,;") or f"a {domain}"
    return f"{subject} in the style of {token}"


@dataclass(frozen=True)
class FittedPrompt:
    """A prompt as it fits into what a base reads, and the words that were left out of it."""

    text: str
    dropped: str = ""


def fitted(tokenizer: Any, text: str, token: StyleToken | None = None) -> FittedPrompt:
    """`text` cut to the tokenizer's length: the words before "in the style of <t>" give way, and what follows it goes.

    A prompt in which the token is no word by itself is left to `tokenize` to refuse.
    """
    room = tokenizer.model_max_length - 2  # its first and last token

    def length(part: str) -> int:
        plain = part if token is None else part.replace(token.token, " ")
        vectors = 0 if token is None or plain == part else len(token.embedding)
        return len(tokenizer(plain, add_special_tokens=False, verbose=False).input_ids) + vectors

    if length(text) <= room:
        return FittedPrompt(text)
    phrase = None if token is None else re.search(rf"(\bin the style of )?(?<!\w){re.escape(token.token)}(?!\w)", text)
    if phrase is None:
        kept = _longest(text, lambda part: length(part) <= room)
        return FittedPrompt(kept, text[len(kept) :].strip())
    before, style, after = text[: phrase.start()], phrase[0], text[phrase.end() :]
    if length(before + style) <= room:
        kept = _longest(after, lambda part: length(before + style + part) <= room)
        return FittedPrompt(before + style + kept, after[len(kept) :].strip())
    kept = _longest(before, lambda part: length(f"{part} {style}") <= room)
    return FittedPrompt(
        f"{kept} {style}".strip(), " … ".join(filter(None, (before[len(kept) :].strip(), after.strip())))
    )


def cut_notice(tokenizer: Any, kind: str, prompt: FittedPrompt) -> list[str]:
    """A line that quotes what was left out of a prompt, or none."""
    if not prompt.dropped:
        return []
    limit = tokenizer.model_max_length - 2
    return [f"The {kind} is longer than the {limit} tokens this base reads; left out: '{shown(prompt.dropped)}'."]


def _longest(text: str, fits: Callable[[str], bool]) -> str:
    """The longest beginning of `text` that fits, to the end of a word; of a single endless word a part."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(text[:middle]) else (low, middle - 1)
    whole = low == len(text) or text[low].isspace()
    words = text[:low] if whole else text[:low].rpartition(" ")[0]
    return (words if 2 * len(words) >= low else text[:low]).rstrip()  # an endless word is cut within


def tokenize(tokenizer: Any, texts: Sequence[str], tokens: Sequence[StyleToken] = ()) -> PromptIds:
    """Token ids of `texts`, padded and truncated to the tokenizer's length; `tokenizer` is not changed.

    Raises: ConfigError when two tokens share a name, or when a prompt is so long that its style token is cut off.
    """
    names = [part for token in tokens for part in token.parts]
    if len(set(names)) < len(names):
        raise ConfigError(f"Two styles use the same token in {[t.token for t in tokens]}; rename one of them.")
    if tokens:
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.add_tokens([AddedToken(name, single_word=True, normalized=False) for name in names])
    texts = [_expanded(check_words("prompt", text), tokens) for text in texts]
    length = tokenizer.model_max_length
    ids = tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    slots = torch.full_like(ids, -1)
    for row, name in enumerate(names):
        slots[ids == tokenizer.convert_tokens_to_ids(name)] = row
    for text, found in zip(texts, slots, strict=True):
        missing = [name for row, name in enumerate(names) if name in text and not (found == row).any()]
        if missing:
            raise ConfigError(
                f"The prompt {text[:60]!r}… is too long: {', '.join(missing)} does not fit into the {length} tokens "
                "this base reads, or has letters around it. Shorten the prompt or set the token apart."
            )
    # filled with what no pooled output is taken at, as it is at the first end of a text
    return PromptIds(ids.masked_fill(slots >= 0, tokenizer.bos_token_id), slots)


def _expanded(text: str, tokens: Sequence[StyleToken]) -> str:
    """`text` with every token of n vectors spelled as its n parts."""
    for token in tokens:
        text = text.replace(token.token, " ".join(token.parts))
    return text


def _last_layer(text_encoder: Any, ids: Tensor) -> Tensor:
    return text_encoder(ids)[0]


@contextmanager
def _vectors_in_place(text_encoder: nn.Module, slots: Tensor, vectors: Tensor) -> Iterator[None]:
    """Within the context the embedding's output holds `vectors[slots]` wherever `slots` is not negative."""

    def put(_module: nn.Module, _args: tuple, output: Tensor) -> Tensor:
        own = slots.to(output.device)  # an offloaded text encoder computes elsewhere than its weights are
        chosen = vectors.to(output)[own.clamp(min=0)]
        return torch.where((own >= 0).unsqueeze(-1), chosen, output)

    handle = text_encoder.get_input_embeddings().register_forward_hook(put)  # type: ignore[operator]
    try:
        yield
    finally:
        handle.remove()


def embed_prompts(
    text_encoder: nn.Module,
    prompts: PromptIds,
    tokens: Sequence[StyleToken] = (),
    read: Callable[[nn.Module, Tensor], Read] = _last_layer,
) -> Read:
    """Prompt embeddings [b, seq, dim] in the text encoder's dtype; gradients flow into the tokens' vectors.

    `read` says what is taken of the text encoder for token ids [b, seq], by default its last layer.
    Raises: ConfigError when a token's width is not the text encoder's (a style of another base).
    """
    table = text_encoder.get_input_embeddings().weight  # type: ignore[operator]
    for token in tokens:
        check_width(token, table.shape[1])
    ids, slots = prompts.ids.to(table.device), prompts.slots.to(table.device)
    with lock_of(text_encoder):  # else the vectors would reach other prompts too
        if not tokens:
            return read(text_encoder, ids)
        with _vectors_in_place(text_encoder, slots, torch.cat([token.embedding for token in tokens])):
            return read(text_encoder, ids)


def check_width(token: StyleToken, width: int) -> None:
    """Raises ConfigError for a token whose vectors are not as wide as what a base reads."""
    if token.embedding.shape[1] != width:
        raise ConfigError(
            f"{token.token} has vectors of width {token.embedding.shape[1]}; this base's text encoder reads {width}. "
            "Use the base the style was captured on."
        )


def starting_embedding(tokenizer: Any, text_encoder: nn.Module, word: str) -> Tensor:
    """Mean vector [1, dim], float32, of the tokens of `word`: where a style token starts its training."""
    table = text_encoder.get_input_embeddings().weight  # type: ignore[operator]
    ids = tokenizer(word, add_special_tokens=False, return_tensors="pt").input_ids[0]
    return table.detach()[ids.to(table.device)].float().mean(0, keepdim=True).cpu()

"""How a base reads prompts: its tokenizers and text encoders together, whatever the family."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sigstyle.base.conditioning import Conditioning
from sigstyle.base.prompts import (
    PromptIds,
    StyleToken,
    check_width,
    embed_prompts,
    starting_embedding,
    tokenize,
)


@dataclass(frozen=True, eq=False)
class PromptReader:
    """One tokenizer and text encoder, as 1.x and 2.x have, or the two of XL.

    Of two, the last layer but one of each is read, and the second's pooled output. With `zero_empty` an empty prompt is
    zeros, as XL was trained. Neither tokenizers nor text encoders are changed or resized.
    Source: Podell et al., "SDXL" (2307.01952), section 2.1.
    """

    tokenizers: tuple[Any, ...]
    encoders: tuple[Any, ...]
    zero_empty: bool = False

    @property
    def widths(self) -> list[int]:
        """How wide each encoder's token vectors are."""
        return [encoder.get_input_embeddings().weight.shape[1] for encoder in self.encoders]

    def tokenized(self, texts: Sequence[str], tokens: Sequence[StyleToken] = ()) -> tuple[PromptIds, ...]:
        """Token ids of `texts` for each encoder. Raises: ConfigError as `tokenize`."""
        return tuple(tokenize(tokenizer, texts, tokens) for tokenizer in self.tokenizers)

    def embed(self, prompts: Sequence[PromptIds], tokens: Sequence[StyleToken] = ()) -> Conditioning:
        """Tokenised prompts as the UNet reads them; gradients flow into the tokens' vectors.

        Raises: ConfigError when a token's width is not that of the encoders (a style of another base).
        """
        if len(self.encoders) == 1:
            return Conditioning(embed_prompts(self.encoders[0], prompts[0], tokens))
        for token in tokens:
            check_width(token, sum(self.widths))
        parts = [self.split(token) for token in tokens]
        read = [
            embed_prompts(encoder, ids, [split[place] for split in parts], _last_but_one)
            for place, (encoder, ids) in enumerate(zip(self.encoders, prompts, strict=True))
        ]
        device = read[-1][0].device
        return Conditioning(torch.cat([layer.to(device) for layer, _ in read], dim=-1), read[-1][1])

    def encode(self, texts: Sequence[str], tokens: Sequence[StyleToken] = ()) -> Conditioning:
        """`texts` as the UNet reads them, in which each style token stands for its learned vectors.

        Raises: ConfigError as `tokenized` and `embed`.
        """
        found = self.embed(self.tokenized(texts, tokens), tokens)
        if not self.zero_empty or all(text.strip() for text in texts):
            return found
        said = torch.tensor([bool(text.strip()) for text in texts], device=found.device)
        return found.mapped(lambda part: part * said.view(-1, *(1 for _ in part.shape[1:])))

    def split(self, token: StyleToken) -> list[StyleToken]:
        """The token as each encoder has it."""
        return [StyleToken(token.token, part) for part in token.embedding.split(self.widths, dim=1)]

    def starting_embedding(self, word: str) -> Tensor:
        """Mean vector [1, dim], float32, of the tokens of `word`: where a style token starts its training."""
        pairs = zip(self.tokenizers, self.encoders, strict=True)
        return torch.cat([starting_embedding(tokenizer, encoder, word) for tokenizer, encoder in pairs], dim=1)


def _last_but_one(text_encoder: Any, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The last layer but one [b, seq, dim], and what comes first of the output: the pooled one, of an encoder with a
    projection."""
    output = text_encoder(ids, output_hidden_states=True)
    return output.hidden_states[-2], output[0]

"""Styles in use together: what a weighted blend of them means for weights, prompts and the start latent."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sigstyle.base.conditioning import Conditioning
from sigstyle.base.prompts import cut_notice, fitted, style_prompt
from sigstyle.base.reader import PromptReader
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.imaging.brushwork import Brushwork
from sigstyle.imaging.palette import Palette
from sigstyle.style.offsets import Offset
from sigstyle.style.style import Style
from sigstyle.text import brief

_LEAST, _MOST = 1e-6, 1000.0  # weights beyond are lost, or overflow, in float32


@dataclass(frozen=True)
class Blend:
    """Styles with their weights; the weights' sum is how strong the blend is, so one style at 1 is that style.

    Raises: ConfigError for no styles, another number of weights, or weights out of their bounds.
    """

    styles: tuple[Style, ...]
    weights: tuple[float, ...]
    colours: Style | None = None  # whose palette it has, where that is not a mixture of the styles' own

    def __post_init__(self) -> None:
        if not self.styles or len(self.styles) != len(self.weights):
            raise ConfigError(
                f"There are {len(self.styles)} styles and {len(self.weights)} weights; expected at least one style "
                "and one weight for each. Load a style first."
            )
        if not all(_LEAST <= weight <= _MOST for weight in self.weights):
            raise ConfigError(
                f"The style weights are {brief(list(self.weights))}; expected numbers above 0, of {_LEAST:f} to "
                f"{_MOST:g}."
            )

    @classmethod
    def of(
        cls,
        styles: Sequence[Style],
        weights: Sequence[float | None] | None = None,
        colours: Style | None = None,
    ) -> "Blend":
        """A blend in which a style without a weight gets an even share of 1, and one of weight 0 has no part."""
        chosen = weights if weights is not None else [None] * len(styles)
        full = [1 / len(styles) if weight is None else weight for weight in chosen]
        if len(full) == len(styles) and any(full):
            pairs = [(style, weight) for style, weight in zip(styles, full, strict=True) if weight != 0]
            styles, full = [style for style, _ in pairs], [weight for _, weight in pairs]
        return cls(tuple(styles), tuple(full), colours)

    def amount(self, strength: float) -> float:
        """How far to go from the content to the styles, 0 to 1."""
        return min(1.0, strength * sum(self.weights))

    def offsets(self, strength: float) -> list[tuple[Mapping[str, Offset], float]]:
        """Pairs (offsets, strength) as `attach.styled` takes them."""
        return [(style.offsets, strength * weight) for style, weight in zip(self.styles, self.weights, strict=True)]

    def decoder_offsets(self, strength: float) -> list[tuple[Mapping[str, Offset], float]]:
        """The same for the autoencoder's decoder, of the styles that have any."""
        pairs = [(s.decoder_offsets, strength * w) for s, w in zip(self.styles, self.weights, strict=True)]
        return [(offsets, amount) for offsets, amount in pairs if offsets]

    def palette(self) -> Palette:
        """The styles' palettes, mixed, or that of the one style whose colours are wanted.

        Raises: ConfigError for a style without one, which has not learned to paint.
        """
        known = [*self.styles, *([self.colours] if self.colours else [])]
        lacking = [style.name for style in known if style.palette is None]
        if lacking:
            raise ConfigError(
                f"The style {', '.join(lacking)} has not learned to paint; it was captured with the preset classic or "
                "paper, or before 0.2. Choose --preset classic (in Python preset='classic'), or capture it anew."
            )
        if self.colours is not None and self.colours.palette is not None:
            return self.colours.palette
        return Palette.mix([style.palette for style in self.styles if style.palette is not None], self.weights)

    def brushwork(self) -> Brushwork:
        """How stroke seeds are laid: the styles' weighted mean."""
        return Brushwork.mean_of([style.brushwork for style in self.styles], self.weights)

    def check_able(self, config: TransferConfig) -> None:
        """Raises: ConfigError when the styles lack what a transfer with these settings needs."""
        if config.method == "paint" or config.palette:
            self.palette()
        if config.method == "swap" and config.reference:
            self.check_references()
        if config.method == "swap" and config.adain * config.strength:
            self.start_mean()

    def check_references(self) -> None:
        """Raises ConfigError when no style holds its image, which the preset classic looks at."""
        if all(style.reference is None for style in self.styles):
            raise ConfigError(
                f"The style {', '.join(style.name for style in self.styles)} does not hold its image's latents, which "
                "the preset classic looks at. Capture one that does: sigstyle capture IMAGE -o STYLE --preset classic; "
                "or leave them out with --reference 0 --adain 0."
            )

    def source_prompt(self, prompt: str) -> str:
        """`prompt` without any mention of the styles: what the content shows."""
        return _without(prompt, [style.token.token for style in self.styles])

    def prompts(self, prompt: str) -> list[str]:
        """`prompt` in each style."""
        tokens = [style.token.token for style in self.styles]
        others = [[token for token in tokens if token != own] for own in tokens]
        return [
            style_prompt(_without(prompt, rest), style.domain, style.token.token)
            for style, rest in zip(self.styles, others, strict=True)
        ]

    def embed(self, reader: PromptReader, prompt: str, strength: float) -> Conditioning:
        """One prompt as the UNet reads it: the source prompt's at amount 0, the blended style prompts' at 1."""
        source = reader.encode([self.source_prompt(prompt)])
        total = sum(self.weights)
        styled = source.mapped(torch.zeros_like)
        for style, weight, text in zip(self.styles, self.weights, self.prompts(prompt), strict=True):
            fitting = fitted(reader.tokenizers[0], text, style.token).text
            share, found = weight / total, reader.encode([fitting], [style.token])
            styled = styled.mapped(lambda all, own, share=share: all + own * share, found)
        amount = self.amount(strength)
        return source.mapped(lambda own, other: torch.lerp(own, other, amount), styled)

    def cut_words(self, tokenizer: Any, prompt: str) -> list[str]:
        """Lines that quote what of a prompt a base does not read: its subject gives way to the style's words."""
        pairs = zip(self.prompts(prompt), self.styles, strict=True)
        lines = [cut_notice(tokenizer, "prompt", fitted(tokenizer, text, style.token)) for text, style in pairs]
        return list(dict.fromkeys(line for found in lines for line in found))

    def references(self, amount: float) -> list[tuple[Tensor, float]]:
        """Latents [c, h, w] of the styles' images and the share of the attention each gets, `amount` in all.

        A style without one leaves its share to the others.
        """
        known = [(s.reference, w) for s, w in zip(self.styles, self.weights, strict=True) if s.reference is not None]
        total = sum(weight for _, weight in known)
        return [(latents, amount * weight / total) for latents, weight in known] if amount > 0 else []

    def start_mean(self) -> Tensor:
        """Blended channel mean [c] of the noise that the styles' images come from.

        Raises: ConfigError for a style whose capture did not measure it.
        """
        lacking = [style.name for style in self.styles if style.start_mean is None]
        if lacking:
            raise ConfigError(
                f"The style {', '.join(lacking)} has no statistics for adain; its capture was not classic. Capture it "
                "with --preset classic, or leave it out with --adain 0."
            )
        shares = torch.tensor(self.weights) / sum(self.weights)
        return (
            torch.stack([s.start_mean for s in self.styles if s.start_mean is not None]).mul(shares.unsqueeze(1)).sum(0)
        )


def _without(prompt: str, tokens: Sequence[str]) -> str:
    """`prompt` without these tokens and the words that lead up to them."""
    for token in tokens:
        prompt = re.sub(rf"(,?\s*\bin the style of)?\s*{re.escape(token)}", "", prompt)
    return prompt.strip(" ,;")

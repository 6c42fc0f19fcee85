"""Two or three styles at once: which, and how much of each."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sigstyle.studio.origins import caption_of
from sigstyle.studio.paint import Wanted
from sigstyle.ui.handlers import PRIVATE, Changes
from sigstyle.ui.parts import Tile

MOST = 2  # beside the chosen one
EVEN = 0.5


@dataclass(frozen=True)
class Blending:
    """The controls: further styles, and a slider for each style's share, the chosen one's first."""

    whole: gr.Accordion
    others: gr.Dropdown
    shares: tuple[gr.Slider, ...]
    mix: gr.HTML

    @classmethod
    def build(cls, chosen: gr.State) -> "Blending":
        """Place the controls; `chosen` is the style they are blended with."""
        with gr.Accordion("Blend styles", open=False, elem_id="blend") as whole:
            others = gr.Dropdown(
                [], multiselect=True, max_choices=MOST, label="With", elem_id="blend-with",
                info="One or two more styles; the sliders say how much of each.",
            )  # fmt: skip
            shares = tuple(
                gr.Slider(0, 1, value=EVEN, step=0.05, label="Share", visible=False, elem_id=f"share-{place}")
                for place in range(MOST + 1)
            )
            mix = gr.HTML("", visible=False, padding=False, elem_id="mix", elem_classes=["notes"])
        blending = cls(whole, others, shares, mix)
        changes = [others.change, chosen.change]
        gr.on(changes, blending.shown, [chosen, others], list(shares), queue=False, **PRIVATE)
        changes += [share.change for share in shares]
        gr.on(changes, blending.mixed, [chosen, *blending.controls], mix, queue=False, **PRIVATE)
        return blending

    @property
    def controls(self) -> list[Any]:
        """What `wanted` reads after the chosen style."""
        return [self.others, *self.shares]

    @property
    def outputs(self) -> list[Any]:
        """What `showing` changes."""
        return [self.whole, *self.controls]

    def filled(self, tiles: Sequence[Tile], kept: Sequence[str]) -> Changes:
        """The list of styles; those that were taken stay so."""
        names = {tile.name for tile in tiles}
        choices = [(tile.caption, tile.name) for tile in tiles]
        return {self.others: gr.Dropdown(choices, value=[name for name in kept or [] if name in names])}

    def shown(self, chosen: str, others: Sequence[str] | None) -> Changes:
        """A slider for each style that takes part, where there are several."""
        names = [chosen, *(name for name in others or [] if name != chosen)]
        several = len(names) > 1
        return {
            slider: gr.Slider(
                label=caption_of(names[place]) if place < len(names) else "", visible=several and place < len(names)
            )
            for place, slider in enumerate(self.shares)
        }

    def mixed(self, chosen: str, others: Sequence[str] | None, *shares: float) -> gr.HTML:
        """How much of each there is, in words."""
        blend = self.wanted(chosen, others, shares)
        if isinstance(blend, str):
            return gr.HTML("", visible=False)
        told = ", ".join(f"{share:.0%} {html.escape(caption_of(name))}" for name, share in blend)
        return gr.HTML(f"<p>{told}</p>", visible=True)

    def wanted(self, chosen: str, others: Sequence[str] | None, shares: Sequence[float]) -> Wanted:
        """What is to be painted in: the one style, or all with their shares of 1."""
        names = [chosen, *(name for name in others or [] if name != chosen)]
        if len(names) == 1:
            return chosen
        given = [float(share) for share in shares[: len(names)]]
        total = sum(given) or 1.0
        return [(name, share / total) for name, share in zip(names, given, strict=True)]

    def showing(self, blend: Sequence[tuple[str, float]]) -> Changes:
        """The controls at a blend whose first style is the chosen one; its shares are of 1 in all."""
        total = sum(weight for _, weight in blend) or 1.0
        shares = [weight / total for _, weight in blend] + [EVEN] * (len(self.shares) - len(blend))
        changes: Changes = {self.others: [name for name, _ in blend[1:]]}
        if len(blend) > 1:
            changes[self.whole] = gr.Accordion(open=True)
        return changes | dict(zip(self.shares, shares, strict=False))

"""The dials of a transfer: the few in front, and under Expert the way it is painted with the dials it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Self

import gradio as gr

from sigstyle.config import MOST_PAINTING_STEPS, TransferConfig
from sigstyle.ui.handlers import PRIVATE, Changes
from sigstyle.ui.parts import STRENGTH, Controls, Dials, heading

FRONT, PAINTED = ("palette", "seed"), ("freedom", "strokes", "stroke", "protect")
PART = ("where", "feather", "invert_mask")
SIZE = ("size_px",)
MORE = ("steps", "prompt", "max_megapixels", "margin_px", "best_of", "leak_bound")
KEPT = ("seed", "prompt", *SIZE, *PART)  # when another way is chosen
EXPERT_GROUPS = (
    ("What is kept of the photo", "Its attention leads the first steps, and its edges are held.",
     ("swap_until", "swap", "anchor", "smoothing")),
    ("How the style acts", "What is looked at of the style image, and the fresh noise that strokes come from.",
     ("reference", "adain", "eta")),
    ("Words", "How firmly the prompt is followed, and what must not show.", ("guidance_scale", "negative_prompt")),
    ("Inversion", "How the photo becomes the noise it is painted from.", ("noise_sigma", "inversion_iterations")),
)  # fmt: skip
EXPERT = tuple(name for *_, names in EXPERT_GROUPS for name in names)
RANGES = {
    "palette": (0, 1, 0.05), "freedom": (0, 1, 0.05), "strokes": (0, 2, 0.1), "stroke": (0.25, 4, 0.05),
    "steps": (1, 100, 1),
    "anchor": (0, 1, 0.05), "smoothing": (0, 0.03, 0.001), "eta": (0, 1, 0.05), "adain": (0, 1, 0.05),
    "reference": (0, 1, 0.05), "swap_until": (0, 1, 0.05), "guidance_scale": (1, 15, 0.5),
}  # fmt: skip
PRESETS = {"Painted": "default", "Classic": "classic", "As published": "paper"}
ABOUT = (
    "Painted takes seconds. Classic inverts the photo and goes back in 20 steps, looking at the style image; it needs "
    "styles that were learned for it. As published: the 50 steps of the paper."
)


def grouped(defaults: TransferConfig, groups: Sequence[tuple[str, str, Sequence[str]]]) -> Dials:
    """Dials in groups, each with a title and a sentence; one group at least."""
    placed: list[Dials] = []
    for title, text, names in groups:
        gr.HTML(f'{heading(title)}<p class="hint about">{text}</p>', padding=False)
        placed.append(Dials.build(defaults, names, RANGES))
    return reduce(Dials.with_, placed)


@dataclass(frozen=True)
class TransferDials:
    """The controls: those in `painted` are shown for painting alone, those in `expert` for the other two ways."""

    strength: gr.Slider
    preset: gr.Radio
    parts: tuple[Controls, ...]
    painted: gr.Column
    expert: gr.Column

    @classmethod
    def front(cls) -> tuple[gr.Slider, gr.Column, Dials, Dials]:
        """Place those in front."""
        strength = gr.Slider(0, 2, value=1.0, step=0.05, label="Strength", info=STRENGTH)
        colour = Dials.build(TransferConfig(), FRONT[:1], RANGES)
        with gr.Column() as painted:
            free = Dials.build(TransferConfig(), PAINTED, RANGES)
        seed = Dials.build(TransferConfig(), FRONT[1:], RANGES)
        return strength, painted, free, colour.with_(seed)

    @classmethod
    def part(cls) -> Dials:
        """Place those that say which part of the photo is painted."""
        return Dials.build(TransferConfig(), PART, RANGES)

    @classmethod
    def softness(cls) -> Dials:
        """Place the one of those that says how softly a part ends."""
        return Dials.build(TransferConfig(), ("feather",), RANGES)

    @classmethod
    def build(
        cls,
        front: tuple[gr.Slider, gr.Column, Dials, Dials],
        part: Controls | None = None,
        size: Controls | None = None,
    ) -> Self:
        """Place the others, those of `part` and `size` too where they are not placed yet, and connect all."""
        strength, painted, free, first = front
        preset = gr.Radio(list(PRESETS.items()), value="default", label="Way", info=ABOUT, elem_classes=["way"])
        ranges = {**RANGES, "steps": (1, MOST_PAINTING_STEPS, 1)}
        more = Dials.build(TransferConfig(), MORE, ranges)
        with gr.Column(visible=False) as expert:
            others = grouped(TransferConfig.preset("classic"), EXPERT_GROUPS)
        size = size or Dials.build(TransferConfig(), SIZE, RANGES)
        dials = cls(strength, preset, (first, free, part or cls.part(), size, more, others), painted, expert)
        kept = [control for name in KEPT for control in dials.of(name)]
        outputs = [control for control in dials.outputs[2:] if control not in kept]
        preset.input(dials.switched, preset, outputs, queue=False, **PRIVATE)
        return dials

    @property
    def controls(self) -> list[Any]:
        """What `config` reads, in order."""
        return [self.strength, self.preset, *(control for part in self.parts for control in part.controls)]

    @property
    def outputs(self) -> list[Any]:
        """What `showing` changes."""
        return [*self.controls, self.painted, self.expert]

    def config(self, values: Sequence[Any]) -> TransferConfig:
        """The settings that these values of the controls mean. Raises: ConfigError."""
        strength, preset, *rest = values
        given: dict[str, Any] = {"strength": float(strength)}
        for part in self.parts:
            count = len(part.controls)
            given |= part.settings(rest[:count])
            rest = rest[count:]
        used = TransferConfig.settings_of(TransferConfig.preset(preset).method)
        return TransferConfig.preset(preset, **{name: value for name, value in given.items() if name in used})

    def showing(self, config: TransferConfig) -> Changes:
        """The controls at these settings."""
        return {self.strength: config.strength, self.preset: config.nearest, **self._shown(config)}

    def switched(self, preset: str) -> Changes:
        """The controls once another way is chosen: what the ways share stays, all else is as the new one has it."""
        changes = self._shown(TransferConfig.preset(preset))
        for control in (control for name in KEPT for control in self.of(name)):
            changes.pop(control, None)
        return changes

    def of(self, name: str) -> list[Any]:
        """The controls of a setting."""
        return [control for part in self.parts for control in part.of(name)]

    def _shown(self, config: TransferConfig) -> Changes:
        paints = config.method == "paint"
        changes: Changes = {self.painted: gr.Column(visible=paints), self.expert: gr.Column(visible=not paints)}
        for part in self.parts:
            changes |= part.showing(config)
        highest = MOST_PAINTING_STEPS if paints else RANGES["steps"][1]
        (steps,) = self.of("steps")
        return changes | {steps: gr.Slider(maximum=max(highest, config.steps), value=config.steps)}

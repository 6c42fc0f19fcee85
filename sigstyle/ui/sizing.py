"""How large pictures get: one control, which says what comes out and how long that takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.config import TransferConfig
from sigstyle.doctor import ESTIMATE_SIZE_PX
from sigstyle.errors import SigStyleError
from sigstyle.imaging.opening import size_by_header
from sigstyle.painting.sizes import picture_size
from sigstyle.studio.limits import SIZES_PX
from sigstyle.studio.studio import Studio
from sigstyle.studio.words import duration
from sigstyle.ui.handlers import Changes
from sigstyle.ui.messages import as_text

QUICK, TWICE, PHOTO, CUSTOM = "quick", "twice", "photo", "custom"
_WAITING = "The first picture is there within seconds; any of them can be painted larger afterwards."


@dataclass(frozen=True)
class SizeChoice:
    """The controls; `usual` is the short side in pixels that the base works at."""

    choice: gr.Radio
    custom: gr.Number
    hint: gr.HTML
    usual: gr.State
    names: tuple[str, ...] = ("size_px",)

    @classmethod
    def build(cls, elem_id: str = "size") -> "SizeChoice":
        """Place them."""
        with gr.Group(elem_classes=["sizing"]):
            choice = gr.Radio(_choices(ESTIMATE_SIZE_PX, True), value=QUICK, label="Size", elem_id=elem_id)
            custom = gr.Number(
                ESTIMATE_SIZE_PX, label="Short side in pixels", precision=0, visible=False, elem_id=f"{elem_id}-px",
                info=f"Up to {SIZES_PX[1]}.",
            )  # fmt: skip
            hint = gr.HTML(_said(_WAITING), padding=False, elem_id=f"{elem_id}-hint", elem_classes=["hint", "about"])
        return cls(choice, custom, hint, gr.State(ESTIMATE_SIZE_PX))

    @property
    def controls(self) -> list[Any]:
        """What `settings` reads."""
        return [self.choice, self.custom, self.usual]

    def of(self, name: str) -> list[Any]:
        """The controls of a setting."""
        return self.controls if name in self.names else []

    def settings(self, values: Sequence[Any]) -> dict[str, Any]:
        """The settings that these values of the controls mean; None is the photo's own size."""
        choice, custom, usual = values
        short = {QUICK: usual, TWICE: min(2 * usual, SIZES_PX[1]), PHOTO: None}
        return {"size_px": short[choice] if choice in short else int(custom or 0)}

    def showing(self, config: TransferConfig, usual_px: int | None = None) -> Changes:
        """The controls at these settings; `usual_px` is the short side that the base works at."""
        wanted, usual = config.size_px, usual_px or 0
        if wanted is None:
            choice = PHOTO if config.method == "paint" else QUICK
        else:
            choice = {usual: QUICK, 2 * usual: TWICE}.get(wanted, CUSTOM)
        custom = gr.Number(value=wanted or ESTIMATE_SIZE_PX, visible=choice == CUSTOM)
        choices = gr.Radio(_choices(usual or ESTIMATE_SIZE_PX, config.method == "paint"), value=choice)
        return {self.choice: choices, self.custom: custom}

    @property
    def outputs(self) -> list[Any]:
        """What `told` changes."""
        return [*self.controls, self.hint]

    def told(
        self, studio: Studio, base: str, photos: Sequence[Path], config: Callable[[], TransferConfig], choice: str,
        styles: int = 1, parts: bool = False,
    ) -> Changes:  # fmt: skip
        """The controls for a base and a way, and what comes out of these photos; `parts`: only parts are painted."""
        usual = studio.bases.usual_px(base)
        try:
            wanted = config()
        except SigStyleError as error:
            return {self.hint: gr.HTML(_said(as_text(str(error)))), self.custom: gr.Number(visible=choice == CUSTOM)}
        paints = wanted.method == "paint"
        kept = paints or choice != PHOTO  # then nothing is said of it, so that a choice made meanwhile stays
        chosen: dict[str, Any] = {} if kept else {"value": QUICK}
        sizes = [size for size in map(size_by_header, photos) if size is not None]
        return {
            self.choice: gr.Radio(_choices(usual, paints), **chosen),
            self.custom: gr.Number(visible=choice == CUSTOM),
            self.usual: usual,
            self.hint: gr.HTML(_said(_outcome(studio, base, sizes, wanted, styles, parts))),
        }


def _choices(usual_px: int, paints: bool) -> list[tuple[str, str]]:
    """What can be chosen; what is not painted cannot be refined at the photo's size."""
    found = [(f"{usual_px} px · quick", QUICK), (f"{min(2 * usual_px, SIZES_PX[1])} px", TWICE)]
    return [*found, *([("As the photo", PHOTO)] if paints else []), ("Custom", CUSTOM)]


def _said(text: str) -> str:
    return f"<p>{text}</p>"


def _outcome(
    studio: Studio, base: str, sizes: Sequence[tuple[int, int]], config: TransferConfig, styles: int, parts: bool
) -> str:
    """What comes out, and in how many seconds."""
    if not sizes:
        return _WAITING
    seconds = [studio.bases.painting_s(base, config, size, styles) for size in sizes]
    takes = "" if None in seconds else f", in about {duration(sum(filter(None, seconds)))}"
    if len(sizes) > 1 or (config.size_px is None and config.method != "paint"):
        short = "as large as their photos" if config.size_px is None else f"{config.size_px} px on the short side"
        return f"The pictures get {short}{takes}."
    photo, most = sizes[0], config.max_megapixels if config.method == "paint" else float("inf")
    size, asked = picture_size(photo, config.size_px, most), picture_size(photo, config.size_px, float("inf"))
    if parts:
        return f"Parts are painted at {_by(size)} pixels; the picture keeps your photo's {_by(photo)}{takes}."
    if size != asked:
        return (
            f"Your photo has {photo[0] * photo[1] / 1e6:.0f} megapixels; the picture gets {_by(size)}, the most that "
            f"is painted here{takes}."
        )
    return f"The picture gets {_by(size)} pixels{takes}."


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"

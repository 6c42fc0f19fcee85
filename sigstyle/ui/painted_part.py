"""Which part of the photo is painted: all of it, what stands out, what lies at a place, or what one paints over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError, SigStyleError
from sigstyle.imaging.images import load_image, load_mask, thumbnail_uri
from sigstyle.studio.brush import brushed_mask, strokes_of
from sigstyle.studio.checking import checked
from sigstyle.studio.regions import SHOWN_PX, cut_out
from sigstyle.ui.dropped import files_of, first_of
from sigstyle.ui.handlers import PRIVATE, Changes
from sigstyle.ui.messages import as_text
from sigstyle.ui.parts import Dials
from sigstyle.ui.transfer_dials import TransferDials

ALL, SUBJECT, BACKGROUND, BRUSH, PLACE = "", "subject", "background", "brush", "place"
WHERE = {
    "All of it": ALL, "The subject": SUBJECT, "The background": BACKGROUND, "What I paint over": BRUSH,
    "A place": PLACE,
}  # fmt: skip
EDITOR_PX = 900  # the long side of the copy that is painted on
COLOUR = "#4f46e5"


@dataclass(frozen=True)
class KeptMask:
    """A mask of before, to go on from: its file, and what the photo is told apart by that it is of."""

    photo: tuple[str, str]
    file: Path


@dataclass(frozen=True)
class PaintedPart:
    """The controls; `kept` is a mask that came back with its picture."""

    where: gr.Radio
    place: gr.Textbox
    editor: gr.ImageEditor
    found: gr.HTML
    inverted: gr.Checkbox
    softness: Dials
    kept: gr.State
    whole: gr.Accordion
    names: tuple[str, ...] = ("where", "invert_mask", "feather")

    @classmethod
    def build(cls, whole: gr.Accordion) -> "PaintedPart":
        """Place the controls in `whole`, which is open now."""
        where = gr.Radio(
            list(WHERE.items()), value=ALL, label="Paint", elem_id="where",
            info="A part alone, or each part in a style of its own: choose it, then add it as a region.",
        )  # fmt: skip
        place = gr.Textbox(
            label="Place", placeholder="20%,30%", visible=False, elem_id="place", lines=1,
            info="A point X,Y or a box X,Y,W,H, in pixels or with % in shares of the sides.",
        )  # fmt: skip
        editor = gr.ImageEditor(
            label="Paint over what is to change", type="pil", sources=[], transforms=[], layers=False,
            brush=gr.Brush(default_size=40, colors=[COLOUR], color_mode="fixed"), height=360, visible=False,
            buttons=[], elem_id="brush",
        )  # fmt: skip
        found = gr.HTML(visible=False, padding=False, elem_id="found", elem_classes=["found"])
        inverted = gr.Checkbox(
            False, label="Turn it round", info="Paint what is left out, and leave what is chosen.", visible=False,
            elem_id="inverted",
        )  # fmt: skip
        return cls(where, place, editor, found, inverted, TransferDials.softness(), gr.State(None), whole)

    def connect(self, photos: gr.Gallery) -> None:
        """Connect what needs nothing but the photos: the brush paints on the first of them."""
        inputs = [self.where, self.place, self.inverted, photos, self.kept]
        for changed in (self.where.input, self.place.submit, self.place.blur, self.inverted.input):
            changed(self._looked, inputs, self.outputs, queue=False, **PRIVATE)

    @property
    def controls(self) -> list[Any]:
        """What `settings` reads."""
        return [self.where, self.place, self.inverted, *self.softness.controls]

    @property
    def outputs(self) -> list[Any]:
        """What `shown` changes."""
        return [self.place, self.editor, self.found, self.inverted]

    def of(self, name: str) -> list[Any]:
        """The controls of a setting."""
        own = {"where": [self.where, self.place], "invert_mask": [self.inverted]}
        return own.get(name, self.softness.of(name))

    def settings(self, values: Sequence[Any]) -> dict[str, Any]:
        """The settings that these values of the controls mean. Raises: ConfigError for a place that is not said."""
        where, place, inverted, *soft = values
        if where == PLACE and not (place or "").strip():
            raise ConfigError("Say at which place, such as 20%,30%, or choose All of it.")
        named = {PLACE: (place or "").strip(), BRUSH: ""}.get(where, where)
        turned = "on" if inverted and where != ALL else "off"
        return {"where": named, "invert_mask": turned, **self.softness.settings(soft)}

    def showing(self, config: TransferConfig) -> Changes:
        """The controls at these settings; a mask is no setting, so where there is one `brushed` says so."""
        chosen = config.where if config.where in (ALL, SUBJECT, BACKGROUND) else PLACE
        place = config.where if chosen == PLACE else ""
        changes: Changes = {self.where: chosen, self.inverted: config.invert_mask == "on"}
        return changes | {self.place: gr.Textbox(value=place, visible=chosen == PLACE)} | self.softness.showing(config)

    def restored(self, config: TransferConfig, photo: Path | None, mask: Path | None) -> Changes:
        """The controls as they were when a picture was made of a photo, whose mask can be painted on."""
        changes = self.showing(config)
        where = BRUSH if mask else changes[self.where]
        kept = KeptMask((photo.parent.name, photo.name), mask) if photo and mask else None
        shown = self.shown(where, config.where, config.invert_mask == "on", photo, mask)
        place = gr.Textbox(value=config.where if where == PLACE else "", visible=where == PLACE)
        turned = gr.Checkbox(value=config.invert_mask == "on", visible=where != ALL)
        if where != ALL:
            changes[self.whole] = gr.Accordion(open=True)
        return changes | shown | {self.where: where, self.place: place, self.inverted: turned, self.kept: kept}

    def _looked(self, where: str, place: str, inverted: bool, photos: Any, kept: KeptMask | None) -> Changes:
        photo = next(iter(checked(files_of(photos)[:1]).good), None)
        return self.shown(where, place, inverted, photo, self.mask_of(photos, kept))

    def mask_of(self, photos: Any, kept: KeptMask | None) -> Path | None:
        """The mask that came back, where it is of the first of these photos."""
        return kept.file if kept is not None and kept.photo == first_of(photos) else None

    def shown(self, where: str, place: str, inverted: bool, photo: Path | None, mask: Path | None = None) -> Changes:
        """The photo to paint on, or what was found in it, where that is asked for."""
        changes: Changes = {
            self.place: gr.Textbox(visible=where == PLACE),
            self.editor: gr.ImageEditor(visible=False),
            self.found: gr.HTML("", visible=False),
            self.inverted: gr.Checkbox(visible=where != ALL),
        }
        if photo is None or where == ALL:
            return changes
        if where == BRUSH:
            return changes | {self.editor: self._to_paint_on(photo, mask)}
        wanted = (place or "").strip() if where == PLACE else where
        return changes | {self.found: gr.HTML(_cut(photo, wanted, inverted), visible=True)} if wanted else changes

    def _to_paint_on(self, photo: Path, mask: Path | None) -> gr.ImageEditor:
        copy = load_image(photo)
        copy.thumbnail((EDITOR_PX, EDITOR_PX), Image.Resampling.LANCZOS)
        layers: list[Any] = [] if mask is None else [strokes_of(load_mask(mask), copy.size, COLOUR)]
        value: Any = {"background": copy, "layers": layers, "composite": None}
        return gr.ImageEditor(value, visible=True)

    def mask(self, where: str, edited: Mapping[str, Any] | None) -> Image.Image | None:
        """White where it is painted, None where no brush says so. Raises: ConfigError when nothing is painted over."""
        return brushed_mask((edited or {}).get("layers") or []) if where == BRUSH else None


def _cut(photo: Path, place: str, inverted: bool) -> str:
    """What a place in a photo is, as a small picture; or why it is nothing."""
    try:
        shown = thumbnail_uri(cut_out(load_image(photo), place, inverted), SHOWN_PX)
    except SigStyleError as error:
        return f'<p role="alert">{as_text(str(error))}</p>'
    return f'<img src="{shown}" alt="What is painted; the rest is grey"><p>What is grey stays as it is.</p>'

"""Which part of the photo is painted: all of it, or what one paints over with a brush."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from sigstyle.imaging.images import load_image
from sigstyle.studio.brush import brushed_mask
from sigstyle.studio.checking import checked
from sigstyle.ui.dropped import files_of
from sigstyle.ui.handlers import PRIVATE
from sigstyle.ui.parts import Dials
from sigstyle.ui.transfer_dials import TransferDials

ALL, BRUSH = "all", "brush"
WHERE = {"All of it": ALL, "What I paint over": BRUSH}
EDITOR_PX = 900  # the long side of the copy that is painted on


@dataclass(frozen=True)
class PaintedPart:
    """The controls."""

    where: gr.Radio
    editor: gr.ImageEditor

    @classmethod
    def build(cls, photos: gr.Gallery) -> tuple["PaintedPart", Dials]:
        """Place the controls, and the dials beside them; the brush paints on the first of `photos`."""
        with gr.Accordion("Only a part", open=False, elem_id="part"):
            where = gr.Radio(list(WHERE.items()), value=ALL, label="Paint", elem_id="where")
            editor = gr.ImageEditor(
                label="Paint over what is to change", type="pil", sources=[], transforms=[], layers=False,
                brush=gr.Brush(default_size=40, colors=["#4f46e5"], color_mode="fixed"), height=360, visible=False,
                buttons=[], elem_id="brush",
            )  # fmt: skip
            part = TransferDials.part()
        region = cls(where, editor)
        quick: dict[str, Any] = {"queue": False, **PRIVATE}
        where.change(lambda where: gr.ImageEditor(visible=where == BRUSH), where, editor, **quick).then(
            region._switched, [where, photos], editor, **quick
        )
        return region, part

    @property
    def controls(self) -> list[Any]:
        """What `mask` reads."""
        return [self.where, self.editor]

    def _switched(self, where: str, photos: Any) -> gr.ImageEditor:
        return self.shown(where, next(iter(checked(files_of(photos)[:1]).good), None))

    def shown(self, where: str, photo: Path | None) -> gr.ImageEditor:
        """The photo to paint on, where that is asked for."""
        if where != BRUSH or photo is None:
            return gr.ImageEditor(visible=False)
        copy = load_image(photo)
        copy.thumbnail((EDITOR_PX, EDITOR_PX), Image.Resampling.LANCZOS)
        return gr.ImageEditor({"background": copy, "layers": [], "composite": None}, visible=True)

    def mask(self, where: str, edited: Mapping[str, Any] | None) -> Image.Image | None:
        """White where it is painted, None for all of it. Raises: ConfigError when nothing is painted over yet."""
        return brushed_mask((edited or {}).get("layers") or []) if where == BRUSH else None

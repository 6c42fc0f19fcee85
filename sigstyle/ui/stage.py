"""The stage: the photo in all styles, the picture as it becomes, and photo and picture one over the other."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_pil_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from sigstyle.studio.drafts import Draft
from sigstyle.ui.handlers import Changes, empty, served
from sigstyle.ui.parts import Tile

EMPTY = empty("Your picture appears here", "Drop a photo, and it is shown in every style.", "stage-empty")
LARGER = "Paint it at the photo's size"
DRAFTS = "<p>Your photo in every style, in small. Click one to paint it at full size.</p>"


@dataclass(frozen=True)
class Stage:
    """What is shown large; one of these at a time."""

    empty: gr.HTML
    hint: gr.HTML
    drafts: gr.Gallery
    preview: gr.Image
    slider: gr.ImageSlider
    facts: gr.HTML
    larger: gr.Button  # paints it at the photo's size
    download: gr.DownloadButton
    drafted: gr.State  # names of the styles among the drafts

    @classmethod
    def build(cls) -> "Stage":
        """Place it; the button to download is placed where `placed` is called."""
        nothing = gr.HTML(EMPTY, padding=False)
        hint = gr.HTML(DRAFTS, visible=False, padding=False, elem_classes=["hint"])
        drafts = gr.Gallery(
            label="Drafts", show_label=False, container=False, fit_columns=False, columns=4, height="auto",
            object_fit="cover", allow_preview=False, interactive=False, visible=False, buttons=[],
            elem_id="drafts", elem_classes=["tiles", "drafts"],
        )  # fmt: skip
        preview = gr.Image(
            label="Painting", show_label=False, visible=False, interactive=False, buttons=[], format="jpeg",
            elem_id="preview",
        )  # fmt: skip
        slider = gr.ImageSlider(
            label="Before and after", show_label=False, visible=False, interactive=False, max_height=600,
            buttons=["fullscreen"], type="filepath", elem_id="before-after",
        )  # fmt: skip
        facts = gr.HTML(visible=False, padding=False, elem_id="picture-facts", elem_classes=["hint"])
        larger = gr.Button(LARGER, visible=False, size="sm", elem_id="larger")
        download = gr.DownloadButton("Download", visible=False, size="lg", elem_id="download", render=False)
        return cls(nothing, hint, drafts, preview, slider, facts, larger, download, gr.State([]))

    @property
    def outputs(self) -> list[Any]:
        """What the methods change."""
        shown = [self.empty, self.hint, self.drafts, self.preview, self.slider]
        return [*shown, self.facts, self.larger, self.download, self.drafted]

    def _only(self, *kept: Any) -> Changes:
        """Everything hidden but these."""
        kinds = {self.empty: gr.HTML, self.hint: gr.HTML, self.drafts: gr.Gallery, self.preview: gr.Image}
        kinds |= {self.slider: gr.ImageSlider, self.facts: gr.HTML, self.download: gr.DownloadButton}
        kinds |= {self.larger: gr.Button}
        return {part: kind(visible=False) for part, kind in kinds.items() if part not in kept}

    def cleared(self, photo: Path | None) -> Changes:
        """Without a picture: the photo alone, or nothing."""
        changes: Changes = self._only() | {self.slider: gr.ImageSlider(None, visible=False)}
        changes |= {self.download: gr.DownloadButton(value=None, visible=False), self.drafted: []}
        changes |= {self.drafts: gr.Gallery(value=[], visible=False)}
        if photo is None:
            return changes | {self.empty: gr.HTML(visible=True), self.preview: gr.Image(None, visible=False)}
        return changes | {self.preview: gr.Image(served(photo), visible=True)}

    def drafting(self, tiles: Sequence[Tile], files: dict[str, str]) -> Changes:
        """The place of the drafts, with the styles' own pictures as long as there are none."""
        shown = {self.drafts: gr.Gallery(visible=True), self.hint: gr.HTML(visible=True)}
        start = self._only(*shown) | shown | self.drafted_so_far(tiles, [], files)
        return start | {self.drafts: gr.Gallery(start[self.drafts], visible=True)}

    def drafted_so_far(self, tiles: Sequence[Tile], drafts: Sequence[Draft], files: dict[str, str]) -> Changes:
        """The drafts there are; `files` remembers where those were put that the page has."""
        pictures = {tile.name: tile.picture for tile in tiles} | {f"draft {d.style}": d.image for d in drafts}
        for name in pictures.keys() - files.keys():
            files[name] = kept_for_page(pictures[name])
        made = {draft.style for draft in drafts}
        shown = [
            (files[f"draft {tile.name}"], tile.caption)
            if tile.name in made
            else (files[tile.name], f"{tile.caption} …")
            for tile in tiles
        ]
        return {self.drafts: shown, self.drafted: [tile.name for tile in tiles]}

    def back_to_drafts(self, drafted: Sequence[str]) -> Changes:
        """The drafts once more, where there are any."""
        shown = [self.drafts, self.hint]
        return self._only(*shown) | {part: type(part)(visible=True) for part in shown} if drafted else {}

    def painting(self, preview: Image.Image) -> Changes:
        """What is becoming of a picture."""
        return self._only(self.preview) | {self.preview: gr.Image(preview, visible=True)}

    def picture(self, before: Image.Image | None, path: Path, facts: str, larger: str = "") -> Changes:
        """A picture over what it was before, with what is to be known of it, and itself to download.

        `larger` says what comes out at the photo's own size, where that is more.
        """
        pair = (before if before is not None else served(path), served(path))
        return self._only(self.slider, self.facts, self.download) | {
            self.slider: gr.ImageSlider(pair, visible=True),
            self.facts: gr.HTML(f"<p>{html.escape(facts)}</p>", visible=True),
            self.larger: gr.Button(f"{LARGER}: {larger}", visible=bool(larger)),
            self.download: gr.DownloadButton("Download", value=served(path), visible=True),
        }


def kept_for_page(image: Image.Image) -> str:
    """Puts a small picture where the page may read it."""
    return save_pil_to_cache(image, get_upload_folder(), format="jpeg")

"""Restyle: photos, a style, a few dials, one button."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.studio.lane import Update
from sigstyle.studio.paint import Picture, restyle
from sigstyle.studio.words import duration
from sigstyle.ui.handlers import PRIVATE, Changes, done, empty, followed, served, status, who_asks
from sigstyle.ui.parts import Page, StylePicker, example_row, files_of
from sigstyle.ui.transfer_dials import TransferDials

EXAMPLES = ("cat.jpg", "eiffel-tower.jpg", "neuschwanstein.jpg", "macaw.jpg", "horses.jpg", "colosseum.jpg")
EMPTY = empty("Your picture appears here", "Drop a photo, pick a style, press Restyle.", "stage-empty")


@dataclass(frozen=True)
class Restyle:
    """The tab's controls."""

    page: Page
    photos: gr.Gallery
    picker: StylePicker
    dials: TransferDials
    go: gr.Button
    stop: gr.Button
    status: gr.HTML
    stage: gr.HTML
    preview: gr.Image
    slider: gr.ImageSlider
    strip: gr.Gallery
    download: gr.DownloadButton
    made: gr.State

    @classmethod
    def build(cls, page: Page) -> "Restyle":
        """Place the tab's controls and connect them."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                photos = gr.Gallery(
                    label="Photos", show_label=False, type="filepath", interactive=True, columns=3, height=230,
                    object_fit="cover", fit_columns=False, sources=["upload", "clipboard"], buttons=[],
                    elem_id="photos",
                )  # fmt: skip
                examples, files = example_row("content", "Or try one of these", EXAMPLES)
                picker = StylePicker.build()
                front = TransferDials.front()
                with gr.Row():
                    go = gr.Button("Restyle", variant="primary", size="lg", elem_classes=["go"], elem_id="restyle")
                    stop = gr.Button("Stop", variant="stop", size="lg", visible=False, elem_id="stop-restyle")
                with gr.Accordion("Advanced", open=False):
                    dials = TransferDials.build(front)
            with gr.Column(scale=7, min_width=320, elem_classes=["stage"]):
                line = gr.HTML("", padding=False, elem_classes=["status"], elem_id="restyle-status")
                stage = gr.HTML(EMPTY, padding=False)
                preview = gr.Image(
                    label="Painting", show_label=False, visible=False, interactive=False, buttons=[], format="jpeg"
                )
                slider = gr.ImageSlider(
                    label="Before and after", show_label=False, visible=False, interactive=False, max_height=640,
                    buttons=["fullscreen"], type="filepath", elem_id="before-after",
                )  # fmt: skip
                strip = gr.Gallery(
                    label="All pictures", columns=4, height="auto", visible=False, allow_preview=False,
                    interactive=False, buttons=[], elem_classes=["tiles"],
                )  # fmt: skip
                download = gr.DownloadButton("Download", visible=False, elem_id="download")
        made = gr.State([])
        tab = cls(page, photos, picker, dials, go, stop, line, stage, preview, slider, strip, download, made)
        tab._connect(examples, files)
        return tab

    def _connect(self, examples: gr.Gallery, files: list[Path]) -> None:
        def pick(event: gr.SelectData) -> list[tuple[str, None]]:
            return [(served(files[event.index]), None)]

        examples.select(pick, None, self.photos, queue=False, **PRIVATE)
        inputs = [self.page.key, self.page.base, self.photos, self.picker.chosen, *self.dials.controls]
        self.go.click(self._run, inputs, self._outputs, trigger_mode="once", **PRIVATE)
        self.stop.click(self._stop, self.page.key, None, queue=False, **PRIVATE)
        self.strip.select(self._look, self.made, self.slider, queue=False, **PRIVATE)

    @property
    def _outputs(self) -> list[Any]:
        stage = [self.stage, self.preview, self.slider, self.strip, self.download, self.made]
        return [self.status, self.go, self.stop, *stage]

    def _run(
        self, request: gr.Request, key: str, base: str, photos: Any, style: str, *values: Any
    ) -> Iterator[Changes]:
        who = who_asks(request, key)

        def start() -> Any:
            return restyle(self.page.studio, who, files_of(photos), style, base, self.dials.config(values))

        yield from followed(start, self.showing, self.finished, self._idle)

    def _stop(self, request: gr.Request, key: str) -> None:
        self.page.studio.stop(who_asks(request, key), "restyle")

    def _look(self, made: Sequence[Picture], event: gr.SelectData) -> gr.ImageSlider:
        return compared(made[event.index])

    def showing(self, update: Update) -> Changes:
        """The page while a picture is being painted."""
        changes: Changes = {
            self.status: status(update, "Painting"),
            self.go: gr.Button(interactive=False),
            self.stop: gr.Button(visible=True),
        }
        if update.preview is not None:
            hidden = {self.stage: gr.HTML(visible=False), self.slider: gr.ImageSlider(visible=False)}
            changes |= {self.preview: gr.Image(update.preview, visible=True), **hidden}
        return changes

    def finished(self, pictures: list[Picture]) -> Changes:
        """The page with finished pictures."""
        seconds = sum(picture.seconds for picture in pictures)
        kept = " The photo was known, so a part of the work was skipped." if any(p.reused for p in pictures) else ""
        notices = "".join(f" {notice}" for picture in pictures for notice in picture.notices)
        several = len(pictures) > 1
        text = f"{len(pictures)} picture{'s' * several} in {duration(seconds)}.{kept}{notices}"
        return {
            self.status: done(text),
            self.stage: gr.HTML(visible=False),
            self.slider: compared(pictures[0]),
            self.strip: gr.Gallery([(served(p.path), p.name) for p in pictures], visible=several),
            self.download: gr.DownloadButton(
                "Download all" if several else "Download", value=download_of(pictures), visible=True
            ),
            self.made: pictures,
        }

    def _idle(self) -> Changes:
        return {
            self.status: "",
            self.go: gr.Button(interactive=True),
            self.stop: gr.Button(visible=False),
            self.preview: gr.Image(None, visible=False),
        }


def compared(picture: Picture) -> gr.ImageSlider:
    """Photo and picture, one over the other."""
    return gr.ImageSlider((picture.before(), served(picture.path)), visible=True)


def download_of(pictures: Sequence[Picture]) -> str:
    """The one picture, or a zip of all."""
    if len(pictures) == 1:
        return served(pictures[0].path)
    archive = pictures[0].path.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as zipped:
        for picture in pictures:
            zipped.write(picture.path, picture.path.name)
    return served(archive)

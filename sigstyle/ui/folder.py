"""Folder: many photos in many styles, a contact sheet and a zip."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.studio.batch import BatchOutcome, paint_all
from sigstyle.studio.lane import Update
from sigstyle.ui.handlers import PRIVATE, Changes, done, empty, followed, served, status, who_asks
from sigstyle.ui.messages import as_text
from sigstyle.ui.parts import NO_STYLES, Page, Tile
from sigstyle.ui.transfer_dials import TransferDials

EMPTY = empty("The contact sheet appears here", "Drop photos, tick styles, press Paint all.", "stage-empty")


@dataclass(frozen=True)
class FolderTab:
    """The tab's controls."""

    page: Page
    photos: gr.File
    styles: gr.CheckboxGroup
    hint: gr.HTML
    dials: TransferDials
    go: gr.Button
    stop: gr.Button
    status: gr.HTML
    stage: gr.HTML
    sheet: gr.Image
    problems: gr.HTML
    download: gr.DownloadButton

    @classmethod
    def build(cls, page: Page) -> "FolderTab":
        """Place the tab's controls and connect them."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                photos = gr.File(label="Photos", file_count="multiple", height=200, elem_id="folder-photos")
                hint = gr.HTML(NO_STYLES, visible=False, padding=False)
                styles = gr.CheckboxGroup([], label="Styles", elem_id="folder-styles")
                front = TransferDials.front()
                with gr.Row():
                    go = gr.Button("Paint all", variant="primary", size="lg", elem_classes=["go"], elem_id="paint-all")
                    stop = gr.Button("Stop", variant="stop", size="lg", visible=False)
                with gr.Accordion("Expert", open=False, elem_classes=["expert"]):
                    dials = TransferDials.build(front)
            with gr.Column(scale=7, min_width=320, elem_classes=["stage"]):
                line = gr.HTML("", padding=False, elem_classes=["status"], elem_id="folder-status")
                stage = gr.HTML(EMPTY, padding=False)
                sheet = gr.Image(
                    label="Contact sheet", visible=False, interactive=False, buttons=["fullscreen"], type="filepath",
                    elem_id="sheet",
                )  # fmt: skip
                problems = gr.HTML(visible=False)
                download = gr.DownloadButton("Download zip", visible=False, elem_id="download-zip")
        tab = cls(page, photos, styles, hint, dials, go, stop, line, stage, sheet, problems, download)
        inputs = [page.key, page.base, photos, styles, *dials.controls]
        outputs = [line, go, stop, stage, sheet, problems, download]
        go.click(tab._run, inputs, outputs, trigger_mode="once", **PRIVATE)
        stop.click(tab._stop, page.key, None, queue=False, **PRIVATE)
        return tab

    @property
    def outputs(self) -> list[Any]:
        """What `filled` changes."""
        return [self.styles, self.hint]

    def filled(self, tiles: Sequence[Tile], ticked: Sequence[str]) -> Changes:
        """The list of styles; those that were ticked stay so."""
        names = [tile.name for tile in tiles]
        kept = [name for name in ticked if name in names] or list(names[:1])
        return {
            self.styles: gr.CheckboxGroup(
                [(tile.caption, tile.name) for tile in tiles], value=kept, visible=bool(names)
            ),
            self.hint: gr.HTML(visible=not names),
        }

    def _run(
        self, request: gr.Request, key: str, base: str, photos: Any, styles: list[str], *values: Any
    ) -> Iterator[Changes]:
        who = who_asks(request, key)

        def start() -> Any:
            files = [Path(file) for file in photos or []]
            return paint_all(self.page.studio, who, files, styles, base, self.dials.config(values))

        yield from followed(start, self.showing, self._finished, self._idle)

    def _stop(self, request: gr.Request, key: str) -> None:
        self.page.studio.stop(who_asks(request, key), "batch")

    def showing(self, update: Update) -> Changes:
        """The page while pictures are being painted."""
        return {
            self.status: status(update, "Painting"),
            self.go: gr.Button(interactive=False),
            self.stop: gr.Button(visible=True),
        }

    def _finished(self, made: BatchOutcome) -> Changes:
        text = f"{len(made.pictures)} pictures."
        problems = "".join(f"<p>{as_text(problem)}</p>" for problem in made.problems)
        return {
            self.status: done(text),
            self.stage: gr.HTML(visible=not made.sheets),
            self.sheet: gr.Image(served(made.sheets[0]) if made.sheets else None, visible=bool(made.sheets)),
            self.problems: gr.HTML(problems, visible=bool(problems)),
            self.download: gr.DownloadButton(
                value=served(made.archive) if made.archive else None, visible=made.archive is not None
            ),
        }

    def _idle(self) -> Changes:
        return {self.status: "", self.go: gr.Button(interactive=True), self.stop: gr.Button(visible=False)}

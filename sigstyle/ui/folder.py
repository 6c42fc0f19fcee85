"""Folder: many photos in many styles, a grid that fills while one looks, before and after, a zip."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.studio.batch import BatchOutcome, paint_all
from sigstyle.studio.checking import checked
from sigstyle.studio.history import History
from sigstyle.studio.lane import Job, Update
from sigstyle.studio.studio import Who
from sigstyle.ui.dropped import notes_of
from sigstyle.ui.handlers import (
    PRIVATE,
    Changes,
    done,
    empty,
    followed,
    place_of,
    rejoined,
    served,
    status,
    told,
    who_asks,
)
from sigstyle.ui.messages import as_text
from sigstyle.ui.parts import NO_STYLES, Page, Tile
from sigstyle.ui.sizing import SizeChoice
from sigstyle.ui.transfer_dials import TransferDials

EMPTY = empty("Every photo in every style appears here", "Drop photos, tick styles, press Paint all.", "stage-empty")


@dataclass(frozen=True)
class FolderTab:
    """The tab's controls."""

    page: Page
    photos: gr.File
    styles: gr.CheckboxGroup
    hint: gr.HTML
    size: SizeChoice
    dials: TransferDials
    go: gr.Button
    stop: gr.Button
    status: gr.HTML
    stage: gr.HTML
    slider: gr.ImageSlider
    grid: gr.Gallery
    sheet: gr.Image
    notes: gr.HTML
    problems: gr.HTML
    download: gr.DownloadButton
    made: gr.State  # ids of the pictures in the grid

    @classmethod
    def build(cls, page: Page) -> "FolderTab":
        """Place the tab's controls and connect them."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                photos = gr.File(label="Photos", file_count="multiple", height=200, elem_id="folder-photos")
                notes = gr.HTML(visible=False, padding=False, elem_id="folder-notes", elem_classes=["notes"])
                hint = gr.HTML(NO_STYLES, visible=False, padding=False)
                styles = gr.CheckboxGroup([], label="Styles", elem_id="folder-styles")
                size = SizeChoice.build("folder-size")
                front = TransferDials.front()
                with gr.Accordion("Expert", open=False, elem_classes=["expert"]):
                    dials = TransferDials.build(front, size=size)
            with gr.Column(scale=7, min_width=320, elem_classes=["stage"]):
                stage = gr.HTML(EMPTY, padding=False)
                slider = gr.ImageSlider(
                    label="Before and after", show_label=False, visible=False, interactive=False, max_height=460,
                    buttons=["fullscreen"], type="filepath", elem_id="folder-before-after",
                )  # fmt: skip
                grid = gr.Gallery(
                    label="Pictures", show_label=False, container=False, fit_columns=False, columns=4, height="auto",
                    object_fit="cover", allow_preview=False, interactive=False, visible=False, buttons=[],
                    elem_id="folder-grid", elem_classes=["tiles", "drafts"],
                )  # fmt: skip
                problems = gr.HTML(visible=False, elem_classes=["notes"])
                with gr.Column(elem_classes=["actions"]):
                    with gr.Row():
                        go = gr.Button(
                            "Paint all", variant="primary", size="lg", elem_classes=["go"], elem_id="paint-all"
                        )
                        stop = gr.Button("Stop", variant="stop", size="lg", visible=False, elem_classes=["halt"])
                        download = gr.DownloadButton("Download zip", visible=False, size="lg", elem_id="download-zip")
                    line = gr.HTML("", padding=False, elem_classes=["status"], elem_id="folder-status")
                with gr.Accordion("Contact sheet", open=False):
                    sheet = gr.Image(
                        label="Contact sheet", show_label=False, interactive=False, buttons=["fullscreen"],
                        type="filepath", elem_id="sheet",
                    )  # fmt: skip
        shown = (stage, slider, grid, sheet, notes, problems, download)
        tab = cls(page, photos, styles, hint, size, dials, go, stop, line, *shown, gr.State([]))
        tab._connect()
        return tab

    def _connect(self) -> None:
        key, quick = self.page.key, {"queue": False, **PRIVATE}
        inputs = [key, self.page.base, self.photos, self.styles, *self.dials.controls]
        self.go.click(self._run, inputs, self.changing, trigger_mode="once", **PRIVATE)
        looked = self.photos.upload(self._look, self.photos, [self.photos, self.notes], **quick)
        cleared = self.photos.clear(lambda: gr.HTML(visible=False), None, self.notes, **quick)
        for event in (looked, cleared):
            event.then(**self.telling)
        choices = [self.size.choice.input, self.size.custom.change, self.dials.preset.input, self.styles.input]
        gr.on([*choices, self.photos.delete, self.page.base.change], **self.telling)
        self.grid.select(self._compare, [key, self.made], self.slider, **quick)
        self.stop.click(self._stop, key, None, **quick)

    @property
    def telling(self) -> dict[str, Any]:
        """The event that says how large pictures get and how long that takes."""
        inputs = [self.page.base, self.photos, self.styles, self.size.choice, *self.dials.controls]
        return {"fn": self._told, "inputs": inputs, "outputs": self.size.outputs, "queue": False, **PRIVATE}

    def _told(self, base: str, photos: Any, styles: list[str], size: str, *values: Any) -> Changes:
        files, config = [Path(file) for file in photos or []], partial(self.dials.config, values)
        return self.size.told(self.page.studio, base, files, config, size, max(1, len(styles or [])))

    @property
    def changing(self) -> list[Any]:
        """What changes while pictures are painted, and with them."""
        shown = [self.stage, self.slider, self.grid, self.sheet, self.problems, self.download, self.made]
        return [self.status, self.go, self.stop, *shown]

    def _look(self, photos: Any) -> list[Any]:
        """Files that were dropped, each looked at: those that cannot be used go, with the reason beside them."""
        found = checked([Path(file) for file in photos or []])
        return [[str(file) for file in found.good] if found.problems else gr.skip(), notes_of(found)]

    def _compare(self, request: gr.Request, key: str, made: Sequence[str], event: gr.SelectData) -> gr.ImageSlider:
        with told():
            kept = History(self.page.studio.workspace(who_asks(request, key))).get(made[place_of(event)])
            return gr.ImageSlider((kept.before() or served(kept.path), served(kept.path)), visible=True)

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
            config = self.dials.config(values)
            return paint_all(self.page.studio, who, files, styles, base, config, own_size=True)

        yield from followed(start, lambda u: self.showing(who, u), lambda m: self._finished(who, m), self._idle)

    def rejoin(self, request: gr.Request, key: str) -> Iterator[Changes]:
        """When the page is opened: pictures that are being painted."""
        yield self._idle()
        who = who_asks(request, key)
        job: Job[BatchOutcome] | None = self.page.studio.under_way(who, "batch")
        yield from rejoined(job, lambda u: self.showing(who, u), lambda m: self._finished(who, m), self._idle)

    def _stop(self, request: gr.Request, key: str) -> None:
        self.page.studio.stop(who_asks(request, key), "batch")

    def showing(self, who: Who, update: Update) -> Changes:
        """The page while pictures are being painted."""
        changes: Changes = {
            self.status: status(update, "Painting"),
            self.go: gr.Button(interactive=False),
            self.stop: gr.Button(visible=True),
        }
        return changes | self._filled(who, update.detail) if update.detail else changes

    def _filled(self, who: Who, pictures: Sequence[Path]) -> Changes:
        """The grid with these pictures."""
        history = History(self.page.studio.workspace(who))
        kept = [entry for entry in map(history.of, pictures) if entry is not None]
        tiles = [(served(history.thumbnail(entry)), f"{entry.subject} · {entry.style}") for entry in kept]
        shown = {self.grid: gr.Gallery(value=tiles, visible=True), self.made: [entry.id for entry in kept]}
        return shown | {self.stage: gr.HTML(visible=False)}

    def _finished(self, who: Who, made: BatchOutcome) -> Changes:
        text = f"{len(made.pictures)} pictures. Click one to see it beside its photo."
        problems = "".join(f"<p>{as_text(problem)}</p>" for problem in made.problems)
        return self._filled(who, made.pictures) | {
            self.status: done(text),
            self.stage: gr.HTML(visible=not made.pictures),
            self.sheet: gr.Image(served(made.sheets[0]) if made.sheets else None),
            self.problems: gr.HTML(problems, visible=bool(problems)),
            self.download: gr.DownloadButton(
                value=served(made.archive) if made.archive else None, visible=made.archive is not None
            ),
        }

    def _idle(self) -> Changes:
        return {self.status: "", self.go: gr.Button(interactive=True), self.stop: gr.Button(visible=False)}

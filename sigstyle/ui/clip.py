"""Clip: a short film in a style; its first frame and the time it takes come before the whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.studio.film import MOST_FRAMES, Film, FirstFrame, first_frame, paint_film
from sigstyle.studio.lane import Update
from sigstyle.studio.words import duration
from sigstyle.ui.handlers import PRIVATE, Changes, done, empty, followed, served, status, who_asks
from sigstyle.ui.messages import as_text
from sigstyle.ui.parts import NO_STYLES, Page, Tile
from sigstyle.ui.transfer_dials import TransferDials

EMPTY = empty("The film appears here", "Drop a clip, choose a style, look at its first frame.", "stage-empty")
KINDS = [".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif"]


@dataclass(frozen=True)
class ClipTab:
    """The tab's controls."""

    page: Page
    clip: gr.File
    style: gr.Dropdown
    hint: gr.HTML
    dials: TransferDials
    look: gr.Button
    go: gr.Button
    stop: gr.Button
    status: gr.HTML
    stage: gr.HTML
    frame: gr.Image
    film: gr.Video
    notices: gr.HTML

    @classmethod
    def build(cls, page: Page) -> "ClipTab":
        """Place the tab's controls and connect them."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                clip = gr.File(label=f"Clip, up to {MOST_FRAMES} frames", file_types=KINDS, height=170, elem_id="clip")
                hint = gr.HTML(NO_STYLES, visible=False, padding=False)
                style = gr.Dropdown([], label="Style", elem_id="clip-style")
                front = TransferDials.front()
                with gr.Row():
                    look = gr.Button("First frame", variant="primary", size="lg", elem_classes=["go"], elem_id="look")
                    go = gr.Button(
                        "Paint the clip", size="lg", interactive=False, elem_id="paint-clip", elem_classes=["go"]
                    )
                    stop = gr.Button("Stop", variant="stop", size="lg", visible=False, elem_classes=["go"])
                with gr.Accordion("Expert", open=False, elem_classes=["expert"]):
                    dials = TransferDials.build(front)
            with gr.Column(scale=7, min_width=320, elem_classes=["stage"]):
                line = gr.HTML("", padding=False, elem_classes=["status"], elem_id="clip-status")
                stage = gr.HTML(EMPTY, padding=False)
                frame = gr.Image(label="First frame", visible=False, interactive=False, type="filepath")
                film = gr.Video(label="Film", visible=False, interactive=False, elem_id="film")
                notices = gr.HTML(visible=False)
        tab = cls(page, clip, style, hint, dials, look, go, stop, line, stage, frame, film, notices)
        inputs = [page.key, page.base, clip, style, *dials.controls]
        outputs = [line, look, go, stop, stage, frame, film, notices]
        look.click(tab._look, inputs, outputs, trigger_mode="once", **PRIVATE)
        go.click(tab._paint, inputs, outputs, trigger_mode="once", **PRIVATE)
        gr.on([clip.change, style.change], lambda: gr.Button(interactive=False), None, go, queue=False, **PRIVATE)
        stop.click(tab._stop, page.key, None, queue=False, **PRIVATE)
        return tab

    @property
    def outputs(self) -> list[Any]:
        """What `filled` changes."""
        return [self.style, self.hint]

    def filled(self, tiles: Sequence[Tile]) -> Changes:
        """The list of styles, the first of them chosen."""
        choices = [(tile.caption, tile.name) for tile in tiles]
        return {
            self.style: gr.Dropdown(choices, value=choices[0][1] if choices else None, visible=bool(choices)),
            self.hint: gr.HTML(visible=not choices),
        }

    def _look(
        self, request: gr.Request, key: str, base: str, clip: str | None, style: str | None, *values: Any
    ) -> Iterator[Changes]:
        who = who_asks(request, key)

        def start() -> Any:
            return first_frame(self.page.studio, who, _path(clip), style or "", base, self.dials.config(values))

        yield from followed(start, self.showing, self._looked, self._idle)

    def _paint(
        self, request: gr.Request, key: str, base: str, clip: str | None, style: str | None, *values: Any
    ) -> Iterator[Changes]:
        who = who_asks(request, key)

        def start() -> Any:
            return paint_film(self.page.studio, who, _path(clip), style or "", base, self.dials.config(values))

        yield from followed(start, self.showing, self._painted, self._ready)

    def _stop(self, request: gr.Request, key: str) -> None:
        self.page.studio.stop(who_asks(request, key), "film")

    def showing(self, update: Update) -> Changes:
        """The page while frames are being painted."""
        return {
            self.status: status(update, "Painting"),
            self.look: gr.Button(interactive=False),
            self.go: gr.Button(interactive=False),
            self.stop: gr.Button(visible=True),
        }

    def _looked(self, made: FirstFrame) -> Changes:
        shots = f" in {made.shots} shots" if made.shots > 1 else ""
        return {
            self.status: done(f"{made.frames} frames{shots}: the whole takes about {duration(made.seconds)}."),
            self.go: gr.Button(interactive=True),
            self.stage: gr.HTML(visible=False),
            self.frame: gr.Image(served(made.path), visible=True),
            self.film: gr.Video(visible=False),
            self.notices: _lines(made.notices),
        }

    def _painted(self, made: Film) -> Changes:
        return {
            self.status: done(f"{made.frames} frames in {duration(made.seconds)}."),
            self.frame: gr.Image(visible=False),
            self.film: gr.Video(served(made.path), visible=True),
            self.notices: _lines(made.notices),
        }

    def _idle(self) -> Changes:
        return {self.status: "", self.look: gr.Button(interactive=True), self.stop: gr.Button(visible=False)}

    def _ready(self) -> Changes:
        """As before the whole was painted: it can be again, and goes on where it was stopped."""
        return {**self._idle(), self.go: gr.Button(interactive=True)}


def _path(clip: str | None) -> Path | None:
    return Path(clip) if clip else None


def _lines(notices: Sequence[str]) -> gr.HTML:
    return gr.HTML("".join(f"<p>{as_text(notice)}</p>" for notice in notices), visible=bool(notices))

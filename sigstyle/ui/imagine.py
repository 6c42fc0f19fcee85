"""Imagine: a prompt painted in a style."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sigstyle.base.model import EMBEDDED
from sigstyle.config import GenerateConfig
from sigstyle.studio.lane import Update
from sigstyle.studio.paint import Picture, imagine
from sigstyle.studio.words import duration
from sigstyle.ui.handlers import PRIVATE, Changes, done, empty, followed, served, status, who_asks
from sigstyle.ui.parts import STRENGTH, Dials, Page, StylePicker
from sigstyle.ui.restyle import download_of

ADVANCED = ("steps", "guidance_scale", "seed", "negative_prompt")
RANGES = {"steps": (1, 100, 1), "guidance_scale": (1, 15, 0.5)}
SHAPES = {"Square": (512, 512), "Landscape": (640, 448), "Portrait": (448, 640)}
GROUNDS = ("waves", "clouds in the evening", "a field of flowers", "bark and moss")
SMALL = (
    "<p>The base that comes with the app paints <strong>grounds and textures</strong> in a style: water, sky, meadows, "
    "in any shape. It is too small to draw scenes from words; a castle comes out as noise. For text to image put a "
    "Stable Diffusion checkpoint into the folder <code>models</code> and choose it in the Model tab.</p>"
)
LARGE = "<p>This base paints what you say, in the style you choose.</p>"
EMPTY = empty("Your picture appears here", "Say what it shows, pick a style, press Paint.", "stage-empty")


@dataclass(frozen=True)
class Imagine:
    """The tab's controls."""

    page: Page
    about: gr.HTML
    prompt: gr.Textbox
    picker: StylePicker
    strength: gr.Slider
    shape: gr.Radio
    count: gr.Slider
    dials: Dials
    go: gr.Button
    stop: gr.Button
    status: gr.HTML
    stage: gr.HTML
    preview: gr.Image
    gallery: gr.Gallery
    download: gr.DownloadButton

    @classmethod
    def build(cls, page: Page) -> "Imagine":
        """Place the tab's controls and connect them."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                about = gr.HTML(SMALL, padding=False, elem_id="imagine-about", elem_classes=["notes"])
                prompt = gr.Textbox(label="Prompt", placeholder=GROUNDS[0], lines=2, elem_id="prompt")
                gr.Examples(
                    [[text] for text in (*GROUNDS, "a castle by the sea")],
                    prompt,
                    label="Or try one of these",
                    api_visibility="private",
                )
                picker = StylePicker.build()
                strength = gr.Slider(0, 2, value=1.0, step=0.05, label="Strength", info=STRENGTH)
                shape = gr.Radio(list(SHAPES), value="Square", label="Shape")
                count = gr.Slider(1, 8, value=1, step=1, precision=0, label="How many")
                with gr.Accordion("Expert", open=False, elem_classes=["expert"]):
                    dials = Dials.build(GenerateConfig(), ADVANCED, RANGES)
            with gr.Column(scale=7, min_width=320, elem_classes=["stage"]):
                stage = gr.HTML(EMPTY, padding=False)
                preview = gr.Image(label="Painting", visible=False, interactive=False, buttons=[], format="jpeg")
                gallery = gr.Gallery(
                    label="Pictures", columns=2, height="auto", object_fit="contain", visible=False,
                    interactive=False, buttons=["fullscreen"], elem_id="painted",
                )  # fmt: skip
                with gr.Column(elem_classes=["actions"]):
                    with gr.Row():
                        go = gr.Button("Paint", variant="primary", size="lg", elem_classes=["go"], elem_id="paint")
                        stop = gr.Button(
                            "Stop", variant="stop", size="lg", visible=False, elem_id="stop-paint",
                            elem_classes=["halt"],
                        )  # fmt: skip
                        download = gr.DownloadButton("Download", visible=False, size="lg")
                    line = gr.HTML("", padding=False, elem_classes=["status"], elem_id="paint-status")
        parts = (
            about,
            prompt,
            picker,
            strength,
            shape,
            count,
            dials,
            go,
            stop,
            line,
            stage,
            preview,
            gallery,
            download,
        )
        tab = cls(page, *parts)
        tab._connect()
        return tab

    def _connect(self) -> None:
        self.page.base.change(self.said_of, self.page.base, self.about, queue=False, **PRIVATE)
        inputs = [self.page.key, self.page.base, self.prompt, self.picker.chosen, self.strength, self.shape, self.count]
        outputs = [self.status, self.go, self.stop, self.stage, self.preview, self.gallery, self.download]
        start = [self.go.click, self.prompt.submit]
        gr.on(start, self._run, [*inputs, *self.dials.controls], outputs, trigger_mode="once", **PRIVATE)
        self.stop.click(self._stop, self.page.key, None, queue=False, **PRIVATE)

    def said_of(self, base: str) -> str:
        """What the base in use can make of words."""
        return SMALL if base == EMBEDDED else LARGE

    def _run(
        self, request: gr.Request, key: str, base: str, prompt: str, style: str, strength: float, shape: str,
        count: int, *values: Any,
    ) -> Iterator[Changes]:  # fmt: skip
        who = who_asks(request, key)

        def start() -> Any:
            width, height = SHAPES[shape]
            settings = {"strength": float(strength), "width": width, "height": height, **self.dials.settings(values)}
            return imagine(self.page.studio, who, prompt or "", style, base, settings, int(count))

        yield from followed(start, self.showing, self.finished, self._idle)

    def _stop(self, request: gr.Request, key: str) -> None:
        self.page.studio.stop(who_asks(request, key), "imagine")

    def showing(self, update: Update) -> Changes:
        """The page while a picture is being painted."""
        changes: Changes = {
            self.status: status(update, "Painting"),
            self.go: gr.Button(interactive=False),
            self.stop: gr.Button(visible=True),
        }
        if update.preview is not None:
            hidden = {self.stage: gr.HTML(visible=False), self.gallery: gr.Gallery(visible=False)}
            changes |= {self.preview: gr.Image(update.preview, visible=True), **hidden}
        return changes

    def finished(self, pictures: list[Picture]) -> Changes:
        """The page with finished pictures."""
        several = len(pictures) > 1
        text = f"{len(pictures)} picture{'s' * several} in {duration(sum(p.seconds for p in pictures))}."
        return {
            self.status: done(text),
            self.stage: gr.HTML(visible=False),
            self.gallery: gr.Gallery([served(p.path) for p in pictures], visible=True, columns=2 if several else 1),
            self.download: gr.DownloadButton(
                "Download all" if several else "Download", value=download_of(pictures), visible=True
            ),
        }

    def _idle(self) -> Changes:
        return {
            self.status: "",
            self.go: gr.Button(interactive=True),
            self.stop: gr.Button(visible=False),
            self.preview: gr.Image(None, visible=False),
        }

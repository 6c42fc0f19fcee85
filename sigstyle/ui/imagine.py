"""Imagine: words painted in a style, and surfaces of nothing but the style; in the sizes and shapes one needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sigstyle.base.model import EMBEDDED, BaseModel, default_size_px
from sigstyle.config import GenerateConfig, TextureConfig
from sigstyle.studio.lane import Job, Update
from sigstyle.studio.paint import Picture, imagine
from sigstyle.studio.texture import surface
from sigstyle.studio.words import duration
from sigstyle.ui.handlers import PRIVATE, Changes, done, empty, followed, rejoined, served, status, who_asks
from sigstyle.ui.messages import as_text
from sigstyle.ui.parts import STRENGTH, Dials, Page, StylePicker
from sigstyle.ui.restyle import download_of

ADVANCED = ("steps", "guidance_scale", "seed", "negative_prompt")
RANGES = {"steps": (1, 100, 1), "guidance_scale": (1, 15, 0.5)}
SURFACE = ("strokes", "variety", "grain_px", "seed")
SURFACE_RANGES = {"strokes": (0, 3, 0.1), "variety": (0, 3, 0.1), "grain_px": (16, 512, 16)}
WORDS, TILE, SHEET = "words", "tile", "sheet"
KINDS = {"From words": WORDS, "Seamless tile": TILE, "Sheet": SHEET}
SHAPES = {"Square": (1, 1), "Landscape": (1.25, 0.875), "Portrait": (0.875, 1.25)}
SIZES_PX, STEP_PX = (128, 1536), 64
SHAPED = "Side of the square in pixels; the other shapes have about as many of them, and tiles and sheets are squares."
GROUNDS = ("waves", "clouds in the evening", "a field of flowers", "bark and moss")
SMALL = (
    "<p>The base that comes with the app paints <strong>grounds and textures</strong> in a style: water, sky, meadows "
    "from words, and tiles without a seam from the style alone. It is too small to draw scenes from words; a castle "
    "comes out as noise. For text to image put a Stable Diffusion checkpoint into the folder <code>models</code> and "
    "choose it in the Model tab.</p>"
)
TILES = "Tiles without a seam and sheets come from the style alone, without words."
EMPTY = empty("Your picture appears here", "Say what to paint, pick a style, press Paint.", "stage-empty")


@dataclass(frozen=True)
class Imagine:
    """The tab's controls."""

    page: Page
    about: gr.HTML
    kind: gr.Radio
    words: gr.Column
    prompt: gr.Textbox
    picker: StylePicker
    strength: gr.Slider
    shape: gr.Radio
    size: gr.Slider
    count: gr.Slider
    of_words: gr.Column
    dials: Dials
    of_surface: gr.Column
    surface: Dials
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
                kind = gr.Radio(list(KINDS.items()), value=WORDS, label="What to paint", elem_id="imagine-kind")
                with gr.Column() as words:
                    prompt = gr.Textbox(label="Prompt", placeholder=GROUNDS[0], lines=2, elem_id="prompt")
                    texts = [[text] for text in (*GROUNDS, "a castle by the sea")]
                    gr.Examples(texts, prompt, label="Or try one of these", api_visibility="private")
                picker = StylePicker.build()
                strength = gr.Slider(0, 2, value=1.0, step=0.05, label="Strength", info=STRENGTH)
                shape = gr.Radio(list(SHAPES), value="Square", label="Shape")
                size = gr.Slider(
                    *SIZES_PX, value=512, step=STEP_PX, precision=0, label="Size", info=SHAPED,
                    elem_id="imagine-size",
                )  # fmt: skip
                count = gr.Slider(1, 8, value=1, step=1, precision=0, label="How many")
                with gr.Accordion("Expert", open=False, elem_classes=["expert"]):
                    with gr.Column() as of_words:
                        dials = Dials.build(GenerateConfig(), ADVANCED, RANGES)
                    with gr.Column(visible=False) as of_surface:
                        surfaces = Dials.build(TextureConfig(), SURFACE, SURFACE_RANGES)
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
        chosen = (
            about,
            kind,
            words,
            prompt,
            picker,
            strength,
            shape,
            size,
            count,
            of_words,
            dials,
            of_surface,
            surfaces,
        )
        tab = cls(page, *chosen, go, stop, line, stage, preview, gallery, download)
        tab._connect()
        return tab

    def _connect(self) -> None:
        quick: dict[str, Any] = {"queue": False, **PRIVATE}
        self.page.base.change(self.said_of, self.page.base, [self.about, self.size], **quick)
        self.kind.change(self.switched, self.kind, self.switching, **quick)
        inputs = [self.page.key, self.page.base, self.kind, self.prompt, self.picker.chosen, self.strength, self.shape]
        inputs += [self.size, self.count, *self.dials.controls, *self.surface.controls]
        start = [self.go.click, self.prompt.submit]
        gr.on(start, self._run, inputs, self.outputs, trigger_mode="once", **PRIVATE)
        self.stop.click(self._stop, self.page.key, None, **quick)

    @property
    def outputs(self) -> list[Any]:
        """What changes while a picture is painted, and with it."""
        return [self.status, self.go, self.stop, self.stage, self.preview, self.gallery, self.download]

    @property
    def switching(self) -> list[Any]:
        """What `switched` changes."""
        return [self.words, self.shape, self.of_words, self.of_surface]

    def switched(self, kind: str) -> Changes:
        """The controls that this kind of picture has."""
        words = kind == WORDS
        changes: Changes = {part: gr.Column(visible=words) for part in (self.words, self.of_words)}
        return changes | {self.shape: gr.Radio(visible=words), self.of_surface: gr.Column(visible=not words)}

    def said_of(self, base: str) -> list[Any]:
        """What the base in use can make of words, and the size it is best at."""
        loaded = self.page.studio.bases.loaded(base)
        side_px = 512 if loaded is None else default_size_px(loaded)
        return [SMALL if base == EMBEDDED else large(loaded), min(side_px, SIZES_PX[1])]

    def _run(
        self, request: gr.Request, key: str, base: str, kind: str, prompt: str, style: str, strength: float, shape: str,
        size: int, count: int, *values: Any,
    ) -> Iterator[Changes]:  # fmt: skip
        who, studio, split = who_asks(request, key), self.page.studio, len(self.dials.controls)

        def start() -> Any:
            given = {"strength": float(strength)}
            if kind == WORDS:
                sizes, dials = dict(zip(("width", "height"), sides_px(shape, size), strict=True)), self.dials
                return imagine(
                    studio, who, prompt or "", style, base, given | sizes | dials.settings(values[:split]), int(count)
                )
            given |= {"size_px": int(size), "seamless": "on" if kind == TILE else "off"}
            return surface(studio, who, style, base, given | self.surface.settings(values[split:]), int(count))

        yield from followed(start, self.showing, self.finished, self._idle)

    def rejoin(self, request: gr.Request, key: str) -> Iterator[Changes]:
        """When the page is opened: a picture that is being painted."""
        yield self._idle()
        job: Job[list[Picture]] | None = self.page.studio.under_way(who_asks(request, key), "imagine")
        yield from rejoined(job, self.showing, self.finished, self._idle)

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
        notices = dict.fromkeys(notice for picture in pictures for notice in picture.notices)
        text = f"{len(pictures)} picture{'s' * several} in {duration(sum(p.seconds for p in pictures))}."
        text = " ".join([text, *notices])
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


def large(base: BaseModel | None) -> str:
    """What a checkpoint can make of words."""
    if base is None:
        return f"<p>This base paints what you say, in the style you choose. {TILES}</p>"
    few = f" It was made for few steps ({base.few_steps}), and takes them." if base.few_steps else ""
    name = f"<strong>{as_text(base.name)}</strong>"
    best = f"best at about {default_size_px(base)} pixels"
    return f"<p>{name} paints what you say in the style you choose, {best}.{few} {TILES}</p>"


def sides_px(shape: str, size_px: float) -> tuple[int, int]:
    """Width and height of a shape, in whole steps that every base can paint."""
    across, down = SHAPES[shape]
    return tuple(max(1, round(side * size_px / STEP_PX)) * STEP_PX for side in (across, down))  # type: ignore[return-value]

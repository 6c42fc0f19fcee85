"""Learn a style: a painting, a name, one button; previews, the loss, and what was left unfinished."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from sigstyle.config import CaptureConfig
from sigstyle.studio.checking import checked
from sigstyle.studio.lane import Job, Update
from sigstyle.studio.learn import discard, learn, resumable, resume
from sigstyle.studio.library import Entry
from sigstyle.studio.words import duration
from sigstyle.ui.dropped import Dropped, files_of
from sigstyle.ui.handlers import PRIVATE, Changes, done, empty, followed, rejoined, served, status, told, who_asks
from sigstyle.ui.messages import inform
from sigstyle.ui.parts import EXAMPLES as PICTURES
from sigstyle.ui.parts import Dials, Page, example_row

EXAMPLES = (
    "hokusai-great-wave.jpg", "van-gogh-harvest.jpg", "kandinsky-composition-viii.jpg", "cassatt-summertime.jpg",
    "bruegel-harvesters.jpg", "hokusai-poppies.jpg",
)  # fmt: skip
CARE = {"Quick look": 0.4, "Good": 1.0, "Thorough": 2.0}  # times the steps of the preset
PRESETS = {"Painting photos": "default", "Classic": "classic", "As published": "paper"}
ABOUT = (
    "Painting photos: it paints photos while it learns, and then does so in seconds. The other two remember the "
    "painting, for Classic and As published in the Restyle tab."
)
ADVANCED = (
    "domain", "painting", "style_weight", "content_bound", "size_px", "batch_size", "rank", "crops", "timestep_bias",
    "seed", "hypernet_lr", "token_lr",
)  # fmt: skip
RANGES = {
    "painting": (0, 8, 1), "style_weight": (0, 20, 0.5), "content_bound": (0, 2, 0.05), "batch_size": (1, 16, 1),
    "rank": (1, 8, 1), "timestep_bias": (-2, 2, 0.25),
}  # fmt: skip
PREVIEWS = 8
SHOWN = PICTURES / "content" / "neuschwanstein.jpg"  # what a style is shown on where there is no photo yet
SMOOTHED = 12
_POLL_S = 4
EMPTY = empty(
    "Your photo appears here, painted with what was learned so far",
    "Drop a painting, give it a name, press Learn. It is shown on the photo of the Restyle tab, or on an example.",
    "stage-empty",
)


@dataclass(frozen=True)
class Learn:
    """The tab's controls; `learned` is the name and hash of the style learned last."""

    page: Page
    dropped: Dropped
    photos: gr.Gallery  # those of the Restyle tab, on which the style is shown
    name: gr.Textbox
    care: gr.Radio
    preset: gr.Radio
    steps: gr.Number
    dials: Dials
    go: gr.Button
    enough: gr.Button
    stop: gr.Button
    leftovers: gr.Group
    left: gr.Radio
    status: gr.HTML
    stage: gr.HTML
    preview: gr.Image
    curve: gr.LinePlot
    learned: gr.State
    known: gr.State

    @classmethod
    def build(cls, page: Page, tab: gr.Tab, photos: gr.Gallery) -> "Learn":
        """Place the tab's controls and connect them; a style is shown on the first of `photos`."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                with gr.Group(visible=False) as leftovers:
                    left = gr.Radio([], label="Not finished yet", elem_id="unfinished")
                    with gr.Row():
                        again = gr.Button("Resume", variant="primary", elem_id="resume")
                        forget = gr.Button("Discard")
                dropped = Dropped.build("Painting, or several by one hand", "paintings")
                examples, files = example_row("style", "Or try one of these", EXAMPLES)
                name = gr.Textbox(label="Name", placeholder="Great Wave", max_lines=1, elem_id="style-name")
                care = gr.Radio(list(CARE), value="Good", label="How thoroughly", info="More steps take longer.")
                with gr.Accordion("Expert", open=False, elem_classes=["expert"]):
                    preset = gr.Radio(list(PRESETS.items()), value="default", label="Learn for", info=ABOUT)
                    steps = gr.Number(
                        CaptureConfig().steps, label="Steps", info="Training steps; set by the choices above.",
                        precision=0, elem_id="learn-steps",
                    )  # fmt: skip
                    dials = Dials.build(CaptureConfig(), ADVANCED, RANGES)
            with gr.Column(scale=7, min_width=320, elem_classes=["stage"]):
                stage = gr.HTML(EMPTY, padding=False)
                preview = gr.Image(
                    label="What it knows so far, on a photo", visible=False, interactive=False, buttons=[],
                    format="jpeg", height=420, elem_id="learn-preview",
                )  # fmt: skip
                with gr.Column(elem_classes=["actions"]):
                    with gr.Row():
                        go = gr.Button("Learn", variant="primary", size="lg", elem_classes=["go"], elem_id="learn")
                        enough = gr.Button("Good enough", variant="primary", size="lg", visible=False, elem_id="enough")
                        stop = gr.Button(
                            "Stop", variant="stop", size="lg", visible=False, elem_id="stop-learn",
                            elem_classes=["halt"],
                        )  # fmt: skip
                    line = gr.HTML("", padding=False, elem_classes=["status"], elem_id="learn-status")
                curve = gr.LinePlot(
                    x="step", y="loss", label="Loss, smoothed: lower is closer", height=240, visible=False, buttons=[]
                )
        parts = (dropped, photos, name, care, preset, steps, dials, go, enough, stop, leftovers, left)
        view = cls(page, *parts, line, stage, preview, curve, gr.State(None), gr.State([]))
        view._connect(examples, files, again, forget)
        tab.select(view.timed, [page.base, preset], care, queue=False, **PRIVATE)
        return view

    def _connect(self, examples: gr.Gallery, files: list[Path], again: gr.Button, forget: gr.Button) -> None:
        def pick(event: gr.SelectData) -> list[Any]:
            file = files[event.index]
            return [[(served(file), None)], file.stem.replace("-", " ").title()]

        key, base = self.page.key, self.page.base
        examples.select(pick, None, [self.dropped.gallery, self.name], queue=False, **PRIVATE)
        self.care.input(steps_of, [self.care, self.preset], self.steps, queue=False, **PRIVATE)
        switched = [self.steps, *self.dials.controls]
        self.preset.input(self._switched, [self.care, self.preset], switched, queue=False, **PRIVATE)
        self.preset.input(self.timed, [base, self.preset], self.care, queue=False, **PRIVATE)
        paintings, known = self.dropped.gallery, self.dropped.known
        looked = [paintings, known]
        paintings.change(self._look, looked, self.dropped.outputs, trigger_mode="multiple", queue=False, **PRIVATE)
        inputs = [key, base, paintings, self.photos, self.name, self.preset, self.steps, *self.dials.controls]
        once: dict[str, Any] = {"trigger_mode": "once", **PRIVATE}
        outputs = [*self.changing, self.learned]
        self.go.click(self._run, inputs, outputs, **once).then(self.leftover, key, self.leftover_outputs, **PRIVATE)
        going_on = again.click(self._resume, [key, self.left], outputs, **once)
        going_on.then(self.leftover, key, self.leftover_outputs, **PRIVATE)
        forget.click(self._discard, [key, self.left], self.leftover_outputs, queue=False, **PRIVATE)
        polled = [*self.leftover_outputs, self.known]
        gr.Timer(_POLL_S).tick(self._polled, [key, self.known], polled, queue=False, **PRIVATE)
        self.enough.click(self._enough, key, self.enough, queue=False, **PRIVATE)
        self.stop.click(self._stop, key, None, queue=False, **PRIVATE)

    @property
    def changing(self) -> list[Any]:
        """What changes while a style is being learned."""
        return [self.status, self.go, self.enough, self.stop, self.leftovers, self.stage, self.preview, self.curve]

    @property
    def leftover_outputs(self) -> list[Any]:
        """What `leftover` changes."""
        return [self.leftovers, self.left]

    def _run(
        self, request: gr.Request, key: str, base: str, paintings: Any, photos: Any, name: str, preset: str, steps: int,
        *values: Any,
    ) -> Iterator[Changes]:  # fmt: skip
        who = who_asks(request, key)

        def start() -> Any:
            config = CaptureConfig.preset(preset, **{**self.dials.settings(values), "steps": steps})
            every = max(1, config.steps // PREVIEWS) if config.classic else 0
            config = replace(config, start="zero" if config.classic else "instant", preview_every=every)
            shown = next(iter(checked(files_of(photos)).good), SHOWN)
            files = files_of(paintings)
            return learn(self.page.studio, who, files, name or "", base, config.to_dict(), shown)

        yield from followed(start, self.showing, self._finished, self._idle)

    def rejoin(self, request: gr.Request, key: str) -> Iterator[Changes]:
        """When the page is opened: a style that is being learned."""
        yield self._idle()
        job: Job[Entry] | None = self.page.studio.under_way(who_asks(request, key), "learn")
        yield from rejoined(job, self.showing, self._finished, self._idle)

    def _look(self, paintings: Any, known: Any) -> Changes:
        return self.dropped.looked_at(paintings, known)[1]

    def timed(self, base: str, preset: str) -> gr.Radio:
        """How thoroughly, with how long that takes about on this computer."""
        bases, configs = (
            self.page.studio.bases,
            {c: CaptureConfig.preset(preset, steps=steps_of(c, preset)) for c in CARE},
        )
        words = {name: duration(bases.learning_s(base, config)) for name, config in configs.items()}
        return gr.Radio([(f"{name} · about {time}", name) for name, time in words.items()])

    def _switched(self, care: str, preset: str) -> Changes:
        """The dials as another preset has them."""
        return {**self.dials.showing(CaptureConfig.preset(preset)), self.steps: steps_of(care, preset)}

    def _resume(self, request: gr.Request, key: str, left: str) -> Iterator[Changes]:
        who = who_asks(request, key)
        yield from followed(lambda: resume(self.page.studio, who, left or ""), self.showing, self._finished, self._idle)

    def _discard(self, request: gr.Request, key: str, left: str) -> Changes:
        with told():
            discard(self.page.studio, who_asks(request, key), left or "")
        return self.leftover(request, key)

    def _enough(self, request: gr.Request, key: str) -> gr.Button:
        self.page.studio.finish(who_asks(request, key), "learn")
        return gr.Button("Finishing …", interactive=False)

    def _stop(self, request: gr.Request, key: str) -> None:
        self.page.studio.stop(who_asks(request, key), "learn")

    def leftover(self, request: gr.Request, key: str) -> Changes:
        """The list of what can be resumed."""
        found = resumable(self.page.studio, who_asks(request, key))
        choices = [(capture.label, capture.id) for capture in found]
        first = choices[0][1] if choices else None
        return {self.leftovers: gr.Group(visible=bool(choices)), self.left: gr.Radio(choices, value=first)}

    def _polled(self, request: gr.Request, key: str, known: list[str]) -> Changes:
        """The list again, when something has come or gone: a page closed a moment ago takes that long to be noticed."""
        with told():
            labels = [capture.label for capture in resumable(self.page.studio, who_asks(request, key))]
        return {self.known: labels} if labels == known else {**self.leftover(request, key), self.known: labels}

    def showing(self, update: Update) -> Changes:
        """The page while a style is being learned."""
        changes: Changes = {
            self.status: status(update, "Learning"),
            self.go: gr.Button(visible=False),
            self.enough: gr.Button(visible=update.done > 0),
            self.stop: gr.Button(visible=True),
            self.leftovers: gr.Group(visible=False),
        }
        if update.preview is not None:
            changes |= {self.stage: gr.HTML(visible=False), self.preview: gr.Image(update.preview, visible=True)}
        if update.detail and len(update.detail) > 1:
            changes[self.curve] = gr.LinePlot(_smoothed(update.detail), visible=True)
        return changes

    def _finished(self, entry: Entry) -> Changes:
        inform(f"{entry.name} is in the library now.", duration=6)
        text = "Learned. Use it in the Restyle tab."
        return {self.status: done(text), self.learned: (entry.name, entry.style.hash)}

    def _idle(self) -> Changes:
        return {
            self.status: "",
            self.go: gr.Button(visible=True),
            self.enough: gr.Button("Good enough", interactive=True, visible=False),
            self.stop: gr.Button(visible=False),
        }


def steps_of(care: str, preset: str) -> int:
    """The training steps that a choice of how thoroughly means."""
    return round(CARE[care] * CaptureConfig.preset(preset).steps)


def _smoothed(losses: list[tuple[int, float]]) -> pd.DataFrame:
    """Running means of the losses by step, at most a hundred points."""
    table = pd.DataFrame(losses, columns=["step", "loss"])
    table["loss"] = table["loss"].rolling(SMOOTHED, min_periods=1).mean()
    return table.iloc[:: max(1, len(table) // 100)]

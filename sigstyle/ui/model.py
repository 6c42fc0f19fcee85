"""Model: which base to use, what it takes in plain words, and the browser's own key."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sigstyle.studio.lane import Update
from sigstyle.ui.handlers import PRIVATE, Changes, done, followed, status, told, who_asks
from sigstyle.ui.parts import Page

MODELS = (
    "Put Stable Diffusion 1.x or 2.x checkpoints, as diffusers folders or .safetensors files, into the models folder "
    "to see them here. A style belongs to the base it was learned on."
)
KEY = (
    "Your styles and pictures belong to this browser. To reach them from another browser or by API, use this key "
    "there. Keep it to yourself."
)


@dataclass(frozen=True)
class ModelTab:
    """The tab's controls."""

    page: Page
    choice: gr.Dropdown
    words: gr.Markdown
    use: gr.Button
    status: gr.HTML
    own_key: gr.Textbox

    @classmethod
    def build(cls, page: Page, tab: gr.Tab) -> "ModelTab":
        """Place the tab's controls and connect them."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=320):
                choice = gr.Dropdown(
                    [], label="Base", info="The model that paints. Choose, or type a hub id such as owner/name.",
                    allow_custom_value=True, elem_id="base",
                )  # fmt: skip
                words = gr.Markdown(container=True, elem_id="base-words")
                use = gr.Button("Use this base", variant="primary", size="lg", elem_classes=["go"], elem_id="use-base")
                line = gr.HTML("", padding=False, elem_classes=["status"], elem_id="model-status")
            with gr.Column(scale=6, min_width=320):
                folder = page.studio.folder.folder("models")
                gr.Markdown(f"### Other bases\n{MODELS}\n\n`{folder}`")
                with gr.Accordion("This browser's key", open=False):
                    gr.Markdown(KEY)
                    own_key = gr.Textbox(label="Key", type="password", interactive=True, elem_id="own-key")
                    take = gr.Button("Use this key here")
        view = cls(page, choice, words, use, line, own_key)
        choice.change(view._describe, choice, words, queue=False, **PRIVATE)
        use.click(view._use, [page.key, choice], [line, use, words, page.base], trigger_mode="once", **PRIVATE)
        tab.select(view._measure, [page.key, page.base], [line, use, words], trigger_mode="once", **PRIVATE)
        take.click(_taken, own_key, page.key, queue=False, **PRIVATE)
        return view

    def listed(self, base: str) -> gr.Dropdown:
        """The list of bases there are now."""
        return gr.Dropdown([(c.label, c.key) for c in self.page.studio.bases.choices()], value=base)

    def _describe(self, choice: str | None) -> str:
        return self.page.studio.bases.words(choice or "")

    def _measure(self, request: gr.Request, key: str, base: str) -> Iterator[Changes]:
        """What the base in use takes, measured once, when somebody looks."""
        if base in self.page.studio.bases.speeds:
            yield {self.words: self._describe(base)}
            return
        who = who_asks(request, key)
        changed = self._showing(Update("waiting"))
        yield from followed(
            lambda: self.page.studio.measured(who, base),
            lambda update: changed | {self.status: status(update, "Measuring this computer")},
            lambda words: {self.words: words},
            self._idle,
        )

    def _use(self, request: gr.Request, key: str, choice: str | None) -> Iterator[Changes]:
        who = who_asks(request, key)

        def start() -> Any:
            return self.page.studio.measured(who, choice or "")

        def finished(words: str) -> Changes:
            base = self.page.studio.bases.check(choice or "")
            text = "In use now. The galleries show the styles that fit it."
            return {self.status: done(text), self.words: words, self.page.base: base}

        yield from followed(start, self._showing, finished, self._idle)

    def _showing(self, update: Update) -> Changes:
        return {self.status: status(update, "Loading"), self.use: gr.Button(interactive=False)}

    def _idle(self) -> Changes:
        return {self.status: "", self.use: gr.Button(interactive=True)}


def _taken(own_key: str) -> str:
    with told():
        if len(own_key.strip()) < 16:
            raise gr.Error("A key has at least 16 characters. Copy the one the other browser shows.")
    gr.Info("This browser uses that key now.", duration=5)
    return own_key.strip()

"""Model: which base to use, what it takes in plain words, what lies under the styles, the browser's own key."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sigstyle.base.devices import MEMORY
from sigstyle.studio.lane import Update
from sigstyle.studio.words import memory
from sigstyle.ui.handlers import PRIVATE, SHORTEST_KEY, Changes, done, followed, status, told, who_asks
from sigstyle.ui.lora_section import LoraSection
from sigstyle.ui.messages import as_markdown, as_text, inform
from sigstyle.ui.parts import Page

MODELS = (
    "Put Stable Diffusion 1.x, 2.x or XL checkpoints, as diffusers folders or .safetensors files, into `models/` in "
    "the app's data folder (the one given with `--data`) to see them here. A style belongs to the base it was learned "
    "on."
)
SPARE = (
    "With low as little as possible is on the device at once, for cards of 8 GB and less; with auto only where a "
    "card's free memory is short; with high never. Bases are loaded anew, for everybody here."
)
KEY = (
    "Your styles and pictures belong to this browser. To reach them from another browser or by API, use this key "
    "there. Keep it to yourself."
)

COPIES = "Photos, pictures, styles and what was not learned to the end; copies that pages show go within two days."


@dataclass(frozen=True)
class ModelTab:
    """The tab's controls."""

    page: Page
    choice: gr.Dropdown
    memory: gr.Radio
    words: gr.Markdown
    use: gr.Button
    status: gr.HTML
    own_key: gr.Textbox
    kept: gr.HTML
    asked: gr.Row
    deleted: gr.State  # counts, so that other tabs can follow

    @classmethod
    def build(cls, page: Page, tab: gr.Tab) -> tuple["ModelTab", LoraSection]:
        """Place the tab's controls and connect them; the LoRAs too."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=320):
                choice = gr.Dropdown(
                    [], label="Base", info="The model that paints. Choose, or type a hub id such as owner/name.",
                    allow_custom_value=True, elem_id="base",
                )  # fmt: skip
                memory = gr.Radio(
                    list(MEMORY), value=page.studio.bases.memory_use, label="Memory", info=SPARE, elem_id="memory",
                )  # fmt: skip
                words = gr.Markdown(container=True, elem_id="base-words")
                use = gr.Button("Use this base", variant="primary", size="lg", elem_classes=["go"], elem_id="use-base")
                line = gr.HTML("", padding=False, elem_classes=["status"], elem_id="model-status")
                loras = LoraSection.build(page)
            with gr.Column(scale=6, min_width=320):
                gr.Markdown(f"### Other bases\n{MODELS}")
                with gr.Accordion("This browser's key", open=False):
                    gr.Markdown(KEY)
                    own_key = gr.Textbox(label="Key", type="password", interactive=True, elem_id="own-key")
                    take = gr.Button("Use this key here")
                with gr.Accordion("Your things", open=False) as things:
                    kept = gr.HTML(padding=False, elem_id="kept")
                    delete = gr.Button("Delete my things", variant="stop", elem_id="delete-my-things")
                    with gr.Row(visible=False) as asked:
                        sure = gr.Button("Delete all of it now", variant="stop", elem_id="delete-sure")
                        keep = gr.Button("Keep it")
        view = cls(page, choice, memory, words, use, line, own_key, kept, asked, gr.State(0))
        things.expand(view._kept, page.key, kept, queue=False, **PRIVATE)
        delete.click(lambda: gr.Row(visible=True), None, asked, queue=False, **PRIVATE)
        keep.click(lambda: gr.Row(visible=False), None, asked, queue=False, **PRIVATE)
        sure.click(view._delete, [page.key, view.deleted], [asked, kept, view.deleted], **PRIVATE)
        choice.change(view._describe, choice, words, queue=False, **PRIVATE)
        use.click(view._use, [page.key, choice, memory], [line, use, words, page.base], trigger_mode="once", **PRIVATE)
        tab.select(view._measure, [page.key, page.base], [line, use, words], trigger_mode="once", **PRIVATE)
        take.click(_taken, own_key, page.key, queue=False, **PRIVATE)
        return view, loras

    @property
    def listing(self) -> list[Any]:
        """What `listed` changes."""
        return [self.choice, self.memory]

    def listed(self, base: str) -> Changes:
        """The bases there are now, and how they use memory."""
        choices, value = self.page.studio.bases.choices(), self.page.studio.bases.memory_use
        name = next(c.name for c in choices if c.key == base)
        return {self.choice: gr.Dropdown([(c.label, c.name) for c in choices], value=name), self.memory: value}

    def _describe(self, choice: str | None) -> str:
        return as_markdown(self.page.studio.bases.words(choice or ""))

    def _kept(self, request: gr.Request, key: str) -> str:
        """What is kept of whoever looks."""
        studio = self.page.studio
        with told():
            return f"<p>{as_text(studio.keeping.words(studio.workspace(who_asks(request, key))))} {COPIES}</p>"

    def _delete(self, request: gr.Request, key: str, deleted: int) -> list[Any]:
        with told():
            gone = self.page.studio.delete_all(who_asks(request, key))
        inform(f"{gone.files} files are deleted, {memory(gone.bytes)}.", duration=8)
        return [gr.Row(visible=False), self._kept(request, key), deleted + 1]

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
            lambda words: {self.words: as_markdown(words)},
            self._idle,
        )

    def _use(self, request: gr.Request, key: str, choice: str | None, memory_use: str) -> Iterator[Changes]:
        who = who_asks(request, key)

        def start() -> Any:
            return self.page.studio.measured(who, choice or "", memory_use)

        def finished(words: str) -> Changes:
            base = self.page.studio.bases.check(choice or "")
            text = "In use now. The galleries show the styles that fit it."
            return {self.status: done(text), self.words: as_markdown(words), self.page.base: base}

        yield from followed(start, self._showing, finished, self._idle)

    def _showing(self, update: Update) -> Changes:
        return {self.status: status(update, "Loading"), self.use: gr.Button(interactive=False)}

    def _idle(self) -> Changes:
        return {self.status: "", self.use: gr.Button(interactive=True)}


def _taken(own_key: str) -> str:
    with told():
        if len(own_key.strip()) < SHORTEST_KEY:
            raise gr.Error(f"A key has at least {SHORTEST_KEY} characters. Copy the one the other browser shows.")
    inform("This browser uses that key now.")
    return own_key.strip()

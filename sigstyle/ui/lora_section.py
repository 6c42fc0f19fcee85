"""LoRAs under the style: files of one's own, each with its weight, switched on and off."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.base.model import EMBEDDED
from sigstyle.errors import SigStyleError
from sigstyle.studio.loras import HEAVIEST, MOST_LORAS, KeptLora, LoraShelf
from sigstyle.studio.studio import Who
from sigstyle.ui.handlers import PRIVATE, Changes, told, who_asks
from sigstyle.ui.messages import as_text, inform
from sigstyle.ui.parts import Page, heading

SMALL = (
    "<p>A LoRA is a small file that changes a model: another subject, another look. It lies under the style. The base "
    "that comes with the app is a kind of its own: LoRAs made for Stable Diffusion 1.5, 2.1 or XL do not fit it, those "
    "exported from its styles in the library do. For others choose a Stable Diffusion checkpoint above first.</p>"
)
LARGE = (
    "<p>A LoRA is a small file that changes a model: another subject, another look. Drop some that were made for this "
    "kind of base. They lie under the style in Restyle, Learn, Imagine and Folder; 1 is all of it.</p>"
)


@dataclass(frozen=True)
class LoraRow:
    """One LoRA: whether it is on, how much of it, and the button that removes it."""

    whole: gr.Column
    on: gr.Checkbox
    weight: gr.Slider
    remove: gr.Button

    @classmethod
    def build(cls, place: int) -> "LoraRow":
        """Place it, unseen."""
        with gr.Column(visible=False, elem_classes=["lora"], elem_id=f"lora-{place + 1}") as whole:
            with gr.Row():
                on = gr.Checkbox(label="LoRA", container=False, min_width=120)
                remove = gr.Button("Remove", size="sm", min_width=90, scale=0)
            weight = gr.Slider(-HEAVIEST, HEAVIEST, value=1.0, step=0.05, label="Weight", container=False)
        return cls(whole, on, weight, remove)

    def filled(self, lora: KeptLora | None) -> Changes:
        """The row with a LoRA, or unseen."""
        if lora is None:
            return {self.whole: gr.Column(visible=False)}
        weight = gr.Slider(value=lora.weight, label=f"Weight of {lora.name}")
        on = gr.Checkbox(lora.on, label=lora.name)
        return {self.whole: gr.Column(visible=True), self.on: on, self.weight: weight}


@dataclass(frozen=True)
class LoraSection:
    """The controls; `names` are those of the LoRAs shown."""

    page: Page
    about: gr.HTML
    drop: gr.File
    notes: gr.HTML
    rows: tuple[LoraRow, ...]
    names: gr.State

    @classmethod
    def build(cls, page: Page) -> "LoraSection":
        """Place the controls and connect them."""
        gr.HTML(heading("LoRAs under the style"), padding=False)
        about = gr.HTML(SMALL, padding=False, elem_id="loras-about", elem_classes=["notes"])
        rows = tuple(LoraRow.build(place) for place in range(MOST_LORAS))
        drop = gr.File(label="LoRA files (.safetensors)", file_count="multiple", height=170, elem_id="drop-loras")
        notes = gr.HTML(visible=False, padding=False, elem_id="lora-notes", elem_classes=["notes"])
        section = cls(page, about, drop, notes, rows, gr.State([]))
        section._connect()
        return section

    def _connect(self) -> None:
        key, base, quick = self.page.key, self.page.base, {"queue": False, **PRIVATE}
        self.drop.upload(self._add, [key, base, self.drop], [self.drop, self.notes, *self.outputs], **quick)
        for place, row in enumerate(self.rows):
            named = [key, self.names]
            row.on.input(self._at(place, _switched), [*named, row.on], None, **quick)
            row.weight.input(self._at(place, _weighed), [*named, row.weight], None, trigger_mode="always_last", **quick)
            row.remove.click(self._at(place, _removed), [*named, row.on], None, **quick).then(
                self.refreshed, [key, base], self.outputs, **quick
            )

    def _at(self, place: int, change: Callable[[LoraShelf, str, Any], None]) -> Callable[..., None]:
        """What changes the LoRA in a row, as a handler."""

        def changed(request: gr.Request, key: str, names: Sequence[str], value: Any) -> None:
            with told():
                change(self.page.studio.loras(who_asks(request, key)), names[place], value)

        return changed

    @property
    def outputs(self) -> list[Any]:
        """What `filled` changes."""
        parts = [part for row in self.rows for part in (row.whole, row.on, row.weight)]
        return [self.about, *parts, self.names]

    def filled(self, who: Who, base: str) -> Changes:
        """The LoRAs that fit the base in use."""
        loaded, studio = self.page.studio.bases.loaded(base), self.page.studio
        found = studio.loras(who).all(loaded.fingerprint if loaded else None)[:MOST_LORAS]
        words = [f"{lora.name} is called by the words {lora.trigger!r}." for lora in found if lora.trigger]
        about = (SMALL if base == EMBEDDED else LARGE) + "".join(f"<p>{as_text(sentence)}</p>" for sentence in words)
        changes: Changes = {self.about: about, self.names: [lora.name for lora in found]}
        for place, row in enumerate(self.rows):
            changes |= row.filled(found[place] if place < len(found) else None)
        return changes

    def refreshed(self, request: gr.Request, key: str, base: str) -> Changes:
        """As `filled`, for whoever asks."""
        with told():
            return self.filled(who_asks(request, key), base)

    def _add(self, request: gr.Request, key: str, base: str, files: Sequence[str] | None) -> Changes:
        """Files that were dropped, each looked at: one bad file does not keep the others out."""
        studio, problems, added = self.page.studio, list[str](), list[str]()
        with told():
            who = who_asks(request, key)
            studio.admitted(who)
            loaded = studio.bases.loaded(base) or studio.load(who, base).wait()
        for file in files or []:
            try:
                added.append(studio.loras(who).add(Path(file), loaded).name)
            except SigStyleError as error:
                name = Path(file).name
                problems.append(str(error) if name in str(error) else f"{name}: {error}")
        if added:
            inform(f"{', '.join(added)}: under the style from now on.", duration=6)
        said = "".join(f"<p><strong>Not taken:</strong> {as_text(problem)}</p>" for problem in problems)
        notes = gr.HTML(f'<div role="alert">{said}</div>', visible=bool(said))
        return {self.drop: None, self.notes: notes, **self.filled(who, base)}


def _switched(shelf: LoraShelf, name: str, on: Any) -> None:
    shelf.change(name, on=bool(on))


def _weighed(shelf: LoraShelf, name: str, weight: Any) -> None:
    shelf.change(name, weight=weight)


def _removed(shelf: LoraShelf, name: str, _: Any) -> None:
    shelf.remove(name)

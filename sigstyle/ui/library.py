"""The library of styles: each with its painting, renamed, exported, deleted and brought back; files dropped in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.errors import SigStyleError
from sigstyle.studio.export import export
from sigstyle.studio.library import STAR
from sigstyle.studio.origins import LICENCE
from sigstyle.studio.studio import Who
from sigstyle.studio.trash import Trash
from sigstyle.ui.handlers import PRIVATE, Changes, served, told, who_asks
from sigstyle.ui.messages import as_markdown, as_text, inform, warn
from sigstyle.ui.parts import Page, StylePicker
from sigstyle.ui.stage import kept_for_page
from sigstyle.ui.transfer_dials import PRESETS

MARKED, UNMARKED = f"{STAR} Favourite", "☆ Make favourite"


@dataclass(frozen=True)
class LibraryView:
    """The controls; `changed` counts every change, so that other tabs can follow."""

    page: Page
    picker: StylePicker
    details: gr.Column
    painting: gr.Image
    about: gr.Markdown
    star: gr.Button
    new_name: gr.Textbox
    download: gr.DownloadButton
    lora: gr.Button
    exported: gr.DownloadButton
    rename: gr.Button
    remove: gr.Button
    undo: gr.Button
    drop: gr.File
    left_out: gr.HTML
    changed: gr.State

    @classmethod
    def build(cls, page: Page) -> "LibraryView":
        """Place the controls and connect them."""
        gr.HTML("<hr>", padding=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=7, min_width=320):
                picker = StylePicker.build("Library", columns=6)
            with gr.Column(scale=5, min_width=320):
                with gr.Column(visible=False, elem_id="style-page") as details:
                    painting = gr.Image(
                        label="Its painting", show_label=False, interactive=False, buttons=["fullscreen"], height=220,
                        type="filepath", elem_id="its-painting",
                    )  # fmt: skip
                    about = gr.Markdown(elem_classes=["about"])
                    with gr.Row():
                        star = gr.Button(UNMARKED, elem_id="favourite")
                        download = gr.DownloadButton("Download style file", elem_id="download-style")
                        lora = gr.Button("Export for other programs", elem_id="export-lora")
                        exported = gr.DownloadButton("Download LoRA", visible=False, elem_id="download-lora")
                    new_name = gr.Textbox(label="New name", max_lines=1, elem_id="new-name")
                    with gr.Row():
                        rename = gr.Button("Rename", elem_id="rename")
                        remove = gr.Button("Delete", variant="stop", elem_id="remove")
                undo = gr.Button("Undo delete", visible=False, elem_id="undo-remove")
                drop = gr.File(
                    label="Style files of others", file_count="multiple", height=170,
                    elem_id="drop-styles",
                )  # fmt: skip
                left_out = gr.HTML(visible=False, padding=False, elem_id="left-out")
        parts = (
            details,
            painting,
            about,
            star,
            new_name,
            download,
            lora,
            exported,
            rename,
            remove,
            undo,
            drop,
            left_out,
        )
        view = cls(page, picker, *parts, gr.State(0))
        view._connect()
        return view

    def _connect(self) -> None:
        key, chosen, changed = self.page.key, self.picker.chosen, self.changed
        chosen.change(self.describe, [key, chosen], self.described, queue=False, **PRIVATE)
        self.star.click(self._star, [key, chosen, changed], changed, **PRIVATE).then(
            self.describe, [key, chosen], self.described, queue=False, **PRIVATE
        )
        self.rename.click(self._rename, [key, chosen, self.new_name, changed], [chosen, changed], **PRIVATE)
        self.remove.click(self._remove, [key, chosen, changed], [chosen, changed, self.undo], **PRIVATE)
        self.undo.click(self._undo, [key, changed], [chosen, changed, self.undo], **PRIVATE)
        self.lora.click(self._export, [key, self.page.base, chosen], [self.lora, self.exported], **PRIVATE)
        self.drop.upload(self._add, [key, self.drop, chosen, changed], [self.drop, chosen, changed], **PRIVATE)

    @property
    def described(self) -> list[Any]:
        """What `describe` changes."""
        shown = [self.details, self.painting, self.about, self.star, self.new_name, self.download, self.exported]
        return [*shown, self.rename, self.remove]

    def describe(self, request: gr.Request, key: str, name: str) -> Changes:
        """What there is to say of the chosen style, and what can be done with it."""
        if not name:
            return {self.details: gr.Column(visible=False)}
        with told():
            entry = self.page.studio.library(who_asks(request, key)).get(name)
        style = entry.style
        size = f"{entry.path.stat().st_size / 1000:.0f} kB"
        ways = " · ".join(label for label, preset in PRESETS.items() if preset in style.abilities)
        whose = "Learned here, or dropped in; it is your own." if entry.own else "It comes with the app."
        if entry.origin is not None:
            whose = f"{as_markdown(entry.origin.text)}.  \n{LICENCE}"
        about = f"**{as_markdown(entry.caption)}**  \n{whose}  \nFor restyling: {ways}"
        about += f"  \n{as_markdown(style.base_name)} · {size} · `{style.hash}`"
        painting = entry.origin.painting if entry.origin is not None and entry.origin.painting.is_file() else None
        return {
            self.details: gr.Column(visible=True),
            self.painting: gr.Image(served(painting) if painting else kept_for_page(entry.thumbnail())),
            self.about: about,
            self.star: gr.Button(MARKED if entry.favourite else UNMARKED),
            self.new_name: gr.Textbox(style.name, interactive=entry.own),
            self.download: gr.DownloadButton(value=served(entry.path)),
            self.exported: gr.DownloadButton(visible=False),
            self.rename: gr.Button(interactive=entry.own),
            self.remove: gr.Button(interactive=entry.own),
        }

    def unusable(self, who: Who) -> Changes:
        """What of the library's files is left out, and why."""
        found = self.page.studio.library(who).unusable()
        lines = "".join(f"<p>Left out: {as_text(sentence)}</p>" for sentence in found)
        return {self.left_out: gr.HTML(lines, visible=bool(found))}

    def _star(self, request: gr.Request, key: str, name: str, changed: int) -> int:
        """A favourite is one no more, any other style becomes one."""
        with told():
            library = self.page.studio.library(who_asks(request, key))
            library.star(name, not library.get(name).favourite)
        return changed + 1

    def _rename(self, request: gr.Request, key: str, name: str, new_name: str, changed: int) -> list[Any]:
        with told():
            entry = self.page.studio.library(who_asks(request, key)).rename(name, new_name or "")
        return [entry.name, changed + 1]

    def _remove(self, request: gr.Request, key: str, name: str, changed: int) -> list[Any]:
        with told():
            self.page.studio.library(who_asks(request, key)).remove(name)
        inform(f"{name} is deleted.", duration=4)
        return ["", changed + 1, gr.Button(visible=True)]

    def _undo(self, request: gr.Request, key: str, changed: int) -> list[Any]:
        """The style that was deleted last is back, and chosen."""
        with told():
            library = self.page.studio.library(who_asks(request, key))
            back = Trash(library.workspace).undo("styles")
            name = next((entry.name for entry in library.entries() if entry.path == back), "")
        return [name, changed + 1, gr.Button(visible=False)]

    def _export(self, request: gr.Request, key: str, base: str, name: str) -> Iterator[list[Any]]:
        """The style as a LoRA, in the lane as it reads the base."""
        yield [gr.Button("Exporting …", interactive=False), gr.DownloadButton(visible=False)]
        ready = gr.Button("Export for other programs", interactive=True)
        try:
            with told():
                file = export(self.page.studio, who_asks(request, key), name, base).wait()
        except gr.Error:
            yield [ready, gr.DownloadButton(visible=False)]
            raise
        yield [ready, gr.DownloadButton(value=served(file), visible=True)]

    def _add(self, request: gr.Request, key: str, files: Sequence[str] | None, chosen: str, changed: int) -> list[Any]:
        library, added = self.page.studio.library(who_asks(request, key)), []
        for file in files or []:
            try:
                added.append(library.add_file(Path(file)).name)
            except SigStyleError as error:  # one bad file does not keep the others out
                warn(str(error), title=f"Not added: {as_text(Path(file).name)}")
        if added:
            inform(f"{', '.join(added)}: in the library now.", duration=6)
        name = added[-1] if added else chosen
        return [None, name, changed + 1]

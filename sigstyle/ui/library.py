"""The library of styles: renamed, downloaded, removed, and others' files dropped in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.errors import SigStyleError
from sigstyle.studio.studio import Who
from sigstyle.ui.handlers import PRIVATE, Changes, served, told, who_asks
from sigstyle.ui.messages import as_markdown, as_text, inform, warn
from sigstyle.ui.parts import Page, StylePicker
from sigstyle.ui.transfer_dials import PRESETS


@dataclass(frozen=True)
class LibraryView:
    """The controls; `changed` counts every change, so that other tabs can follow."""

    page: Page
    picker: StylePicker
    details: gr.Column
    about: gr.Markdown
    new_name: gr.Textbox
    download: gr.DownloadButton
    rename: gr.Button
    remove: gr.Button
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
                with gr.Column(visible=False) as details:
                    about = gr.Markdown(elem_classes=["about"])
                    download = gr.DownloadButton("Download style file", elem_id="download-style")
                    new_name = gr.Textbox(label="New name", max_lines=1, elem_id="new-name")
                    with gr.Row():
                        rename = gr.Button("Rename", elem_id="rename")
                        remove = gr.Button("Remove", variant="stop", elem_id="remove")
                drop = gr.File(
                    label="Style files of others", file_count="multiple", height=150,
                    elem_id="drop-styles",
                )  # fmt: skip
                left_out = gr.HTML(visible=False, padding=False, elem_id="left-out")
        view = cls(page, picker, details, about, new_name, download, rename, remove, drop, left_out, gr.State(0))
        view._connect()
        return view

    def _connect(self) -> None:
        key, chosen, changed = self.page.key, self.picker.chosen, self.changed
        chosen.change(self.describe, [key, chosen], self.described, queue=False, **PRIVATE)
        self.rename.click(self._rename, [key, chosen, self.new_name, changed], [chosen, changed], **PRIVATE)
        self.remove.click(self._remove, [key, chosen, changed], [chosen, changed], **PRIVATE)
        self.drop.upload(self._add, [key, self.drop, chosen, changed], [self.drop, chosen, changed], **PRIVATE)

    @property
    def described(self) -> list[Any]:
        """What `describe` changes."""
        return [self.details, self.about, self.new_name, self.download, self.rename, self.remove]

    def describe(self, request: gr.Request, key: str, name: str) -> Changes:
        """What there is to say of the chosen style, and what can be done with it."""
        if not name:
            return {self.details: gr.Column(visible=False)}
        with told():
            entry = self.page.studio.library(who_asks(request, key)).get(name)
        style = entry.style
        size = f"{entry.path.stat().st_size / 1000:.0f} kB"
        origin = "your own" if entry.own else "comes with the app"
        ways = " · ".join(label for label, preset in PRESETS.items() if preset in style.abilities)
        about = f"**{as_markdown(style.name)}** · {origin}  \n{as_markdown(style.base_name)} · {size} · `{style.hash}`"
        about += f"  \nFor restyling: {ways}"
        return {
            self.details: gr.Column(visible=True),
            self.about: about,
            self.new_name: gr.Textbox(style.name, interactive=entry.own),
            self.download: gr.DownloadButton(value=served(entry.path)),
            self.rename: gr.Button(interactive=entry.own),
            self.remove: gr.Button(interactive=entry.own),
        }

    def unusable(self, who: Who) -> Changes:
        """What of the library's files is left out, and why."""
        found = self.page.studio.library(who).unusable()
        lines = "".join(f"<p>Left out: {as_text(sentence)}</p>" for sentence in found)
        return {self.left_out: gr.HTML(lines, visible=bool(found))}

    def _rename(self, request: gr.Request, key: str, name: str, new_name: str, changed: int) -> list[Any]:
        with told():
            entry = self.page.studio.library(who_asks(request, key)).rename(name, new_name or "")
        return [entry.name, changed + 1]

    def _remove(self, request: gr.Request, key: str, name: str, changed: int) -> list[Any]:
        with told():
            self.page.studio.library(who_asks(request, key)).remove(name)
        inform(f"{name} is gone.", duration=4)
        return ["", changed + 1]

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

"""The place where pictures are dropped: each is looked at when it comes, and what cannot be used is said beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.studio.checking import Checked, checked
from sigstyle.ui.handlers import Changes
from sigstyle.ui.messages import as_text


@dataclass(frozen=True)
class Dropped:
    """The controls; `known` tells the pictures that were looked at already."""

    gallery: gr.Gallery
    notes: gr.HTML
    known: gr.State

    @classmethod
    def build(cls, label: str, elem_id: str) -> "Dropped":
        """Place them."""
        gallery = gr.Gallery(
            label=label, show_label=False, type="filepath", interactive=True, columns=4, height=190,
            object_fit="cover", fit_columns=False, sources=["upload", "clipboard"], buttons=[],
            elem_id=elem_id, elem_classes=["takes-files"],
        )  # fmt: skip
        notes = gr.HTML(visible=False, padding=False, elem_id=f"{elem_id}-notes", elem_classes=["notes"])
        return cls(gallery, notes, gr.State([]))

    @property
    def outputs(self) -> list[Any]:
        """What `looked_at` changes."""
        return [self.gallery, self.notes, self.known]

    def looked_at(self, value: Any, known: Sequence[Any]) -> tuple[Checked | None, Changes]:
        """What there is to use and to say, None where nothing is new; and the controls with it."""
        files = files_of(value)
        if _told_apart(files) == [tuple(entry) for entry in known]:
            return None, {self.known: known}
        found = checked(files)
        changes: Changes = {self.known: _told_apart(found.good), self.notes: notes_of(found)}
        if found.problems:
            changes[self.gallery] = [(str(file), None) for file in found.good]
        return found, changes


def files_of(gallery: Sequence[tuple[str, str | None]] | None) -> list[Path]:
    """The files in an upload gallery's value."""
    return [Path(file) for file, _ in gallery or []]


def notes_of(found: Checked) -> gr.HTML:
    """What is said of dropped files, beside them."""
    problems = "".join(f"<p><strong>Not taken:</strong> {as_text(problem)}</p>" for problem in found.problems)
    notices = "".join(f"<p>{as_text(notice)}</p>" for notice in found.notices)
    return gr.HTML(f'<div role="alert">{problems}{notices}</div>', visible=bool(problems or notices))


def first_of(gallery: Any) -> tuple[str, str]:
    """What the first photo in an upload gallery is told apart by; empty where there is none."""
    return next(iter(_told_apart(files_of(gallery)[:1])), ("", ""))


def _told_apart(files: Sequence[Path]) -> list[tuple[str, str]]:
    """What dropped files are told apart by: the folder of the page's cache is named after what is in them."""
    return [(file.parent.name, file.name) for file in files]

"""The strip of all pictures a person has made: looked at again, compared, taken up again, deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from sigstyle.config import TransferConfig
from sigstyle.imaging.images import load_image
from sigstyle.studio.history import History, MadePicture
from sigstyle.studio.studio import Who
from sigstyle.studio.trash import Trash
from sigstyle.studio.words import duration
from sigstyle.ui.handlers import PRIVATE, Changes, place_of, served, told, who_asks
from sigstyle.ui.messages import inform
from sigstyle.ui.parts import Page, heading
from sigstyle.ui.stage import Stage

MORE = 24
HOLD, LET_GO = "Compare with …", "Compare with none"


@dataclass(frozen=True)
class Strip:
    """The controls; `ids` are those of the pictures shown, `current` the one looked at, `held` one to compare with."""

    page: Page
    stage: Stage
    whole: gr.Column
    gallery: gr.Gallery
    actions: gr.Row
    compare: gr.Button
    settings: gr.Button
    use: gr.Button
    delete: gr.Button
    undo: gr.Button
    older: gr.Button
    ids: gr.State
    current: gr.State
    held: gr.State
    count: gr.State

    @classmethod
    def build(cls, page: Page, stage: Stage) -> "Strip":
        """Place the controls and connect those that need no other part of the page."""
        with gr.Column(visible=False, elem_id="history") as whole:
            gr.HTML(heading("Your pictures"), padding=False)
            gallery = gr.Gallery(
                label="Your pictures", show_label=False, container=False, fit_columns=False, columns=MORE, rows=1,
                height="auto", object_fit="cover", allow_preview=False, interactive=False, buttons=[],
                elem_id="pictures", elem_classes=["tiles", "strip"],
            )  # fmt: skip
            with gr.Row(visible=False, elem_classes=["small"]) as actions:
                compare = gr.Button(HOLD, size="sm", elem_id="compare")
                settings = gr.Button("Back to its settings", size="sm", elem_id="its-settings")
                use = gr.Button("Use as photo", size="sm", elem_id="use-as-photo")
                delete = gr.Button("Delete", size="sm", variant="stop", elem_id="delete-picture")
            with gr.Row(elem_classes=["small"]):
                undo = gr.Button("Undo delete", size="sm", visible=False, elem_id="undo-delete")
                older = gr.Button("Older ones", size="sm", visible=False, elem_id="older")
        parts = (whole, gallery, actions, compare, settings, use, delete, undo, older)
        strip = cls(page, stage, *parts, gr.State([]), gr.State(""), gr.State(""), gr.State(MORE))
        strip._connect()
        return strip

    def _connect(self) -> None:
        quick: dict[str, Any] = {"queue": False, **PRIVATE}
        key, looked = self.page.key, [*self.stage.outputs, *self.looked]
        self.gallery.select(self._look, [key, self.ids, self.held], looked, **quick)
        self.compare.click(self._hold, [self.current, self.held], [self.held, self.compare], **quick)
        self.delete.click(self._delete, [key, self.current, self.count], [*self.stage.outputs, *self.outputs], **quick)
        self.undo.click(self._undo, [key, self.count], self.outputs, **quick)
        self.older.click(lambda count: count + MORE, self.count, self.count, **quick).then(
            self.refreshed, [key, self.count], self.outputs, **quick
        )

    @property
    def looked(self) -> list[Any]:
        """What changes when a picture is looked at."""
        return [self.actions, self.use, self.current, self.held, self.compare]

    @property
    def outputs(self) -> list[Any]:
        """What `filled` changes."""
        return [self.whole, self.gallery, self.ids, self.older, self.undo, *self.looked]

    def history(self, who: Who) -> History:
        """A person's pictures."""
        return History(self.page.studio.workspace(who))

    def filled(self, who: Who, count: int = MORE, undo: bool = False) -> Changes:
        """The strip with the pictures there are now, the newest `count` of them."""
        history = self.history(who)
        found = history.all()
        tiles = [(served(history.thumbnail(kept)), kept.label) for kept in found[:count]]
        return {
            self.whole: gr.Column(visible=bool(found) or undo),
            self.gallery: gr.Gallery(value=tiles, selected_index=None, columns=max(1, len(tiles))),
            self.ids: [kept.id for kept in found[:count]],
            self.older: gr.Button(f"Older ones ({len(found) - count})", visible=len(found) > count),
            self.undo: gr.Button(visible=undo),
        }

    def refreshed(self, request: gr.Request, key: str, count: int) -> Changes:
        """As `filled`, for whoever asks."""
        with told():
            return self.filled(who_asks(request, key), count)

    def kept(self, request: gr.Request, key: str, id_: str) -> MadePicture:
        """The picture of an id, of whoever asks. Raises: ConfigError."""
        return self.history(who_asks(request, key)).get(id_)

    def _look(self, request: gr.Request, key: str, ids: Sequence[str], held: str, event: gr.SelectData) -> Changes:
        with told():
            kept = self.kept(request, key, ids[place_of(event)])
            other = self.kept(request, key, held) if held and held != kept.id else None
            return self.looking(kept, other)

    def looking(self, kept: MadePicture, other: MadePicture | None = None, seconds: float | None = None) -> Changes:
        """The stage with a kept picture, over its photo or another picture; `seconds` it took, where that is known."""
        facts, before, larger = facts_of(kept, seconds), kept.before(), kept.larger
        if other is not None:
            before = load_image(other.path).resize(kept.size, Image.Resampling.LANCZOS)
            facts = f"Left: {other.label}. Right: {kept.label}."
        more = "" if larger is None or other is not None else self._more(kept, larger)
        return self.stage.picture(before, kept.path, facts, more) | {
            self.actions: gr.Row(visible=True),
            self.use: gr.Button(interactive=True),
            self.current: kept.id,
            self.held: "",
            self.compare: gr.Button(HOLD),
        }

    def _more(self, kept: MadePicture, size: tuple[int, int]) -> str:
        """What a picture gets at its photo's size, and in how many seconds where that can be said."""
        bases = self.page.studio.bases
        key = bases.of_fingerprint(kept.base)
        seconds = None if key is None else bases.painting_s(key, TransferConfig(), size, 1 + kept.regions)
        return f"{size[0]} x {size[1]}" + ("" if seconds is None else f", about {duration(seconds)}")

    def _hold(self, current: str, held: str) -> list[Any]:
        if held:
            return ["", gr.Button(HOLD)]
        inform("Now choose the other picture in the strip.", duration=4)
        return [current, gr.Button(LET_GO)]

    def _delete(self, request: gr.Request, key: str, current: str, count: int) -> Changes:
        with told():
            who = who_asks(request, key)
            gone = self.history(who).delete(current)
            inform(f"{gone.label} is deleted.", duration=4)
            closed = {self.actions: gr.Row(visible=False), self.current: "", self.held: ""}
            return self.stage.cleared(gone.photo) | self.filled(who, count, undo=True) | closed

    def _undo(self, request: gr.Request, key: str, count: int) -> Changes:
        with told():
            who = who_asks(request, key)
            back = Trash(self.page.studio.workspace(who)).undo("results")
            inform("It is back." if back else "There is nothing to bring back.", duration=4)
            return self.filled(who, count)


def facts_of(kept: MadePicture, seconds: float | None = None) -> str:
    """What is to be known of a kept picture, in a line; `seconds` it took, where that is known."""
    width, height = kept.size
    took = "" if seconds is None else f"in {duration(seconds)} · "
    return f"{kept.subject} in {kept.style} · {width} x {height} · seed {kept.seed} · {took}{kept.time}"

"""The queue on the page, above every tab: a person's jobs by name, with times, each to be cancelled by itself."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sigstyle.studio.queue import Queue, QueuedJob, attend, cancel, queue_of
from sigstyle.ui.handlers import PATIENCE_S, PRIVATE, Changes, told, who_asks
from sigstyle.ui.messages import inform
from sigstyle.ui.parts import Page

ROWS = 8
TELL = "Tell me when it ends"  # the page's script says what the button does, and whether the browser lets it
_POLL_S = 2


@dataclass(frozen=True)
class QueueRow:
    """One job: what it is, and the button that cancels it."""

    row: gr.Row
    line: gr.HTML
    cancel: gr.Button

    @classmethod
    def build(cls) -> "QueueRow":
        """Place it, unseen."""
        with gr.Row(visible=False, elem_classes=["queued"]) as row:
            line = gr.HTML(padding=False)
            button = gr.Button("Cancel", size="sm", elem_classes=["cancel"], min_width=84, scale=0)
        return cls(row, line, button)

    def filled(self, standing: QueuedJob | None) -> Changes:
        """The row with a job, or unseen."""
        if standing is None:
            return {self.row: gr.Row(visible=False)}
        button = gr.Button("Cancel", interactive=standing.can_stop)
        return {self.row: gr.Row(visible=True), self.line: _line(standing), self.cancel: button}


@dataclass(frozen=True)
class QueuePanel:
    """The controls; `ids` are those of the jobs shown, `known` tells what is shown."""

    page: Page
    whole: gr.Accordion
    rows: tuple[QueueRow, ...]
    rest: gr.HTML
    ended: gr.HTML
    ids: gr.State
    known: gr.State

    @classmethod
    def build(cls, page: Page) -> "QueuePanel":
        """Place the controls and connect them."""
        ended = gr.HTML("", padding=False, elem_id="queue-ended")
        with gr.Accordion("Queue", open=False, visible=False, elem_id="queue") as whole:
            rows = tuple(QueueRow.build() for _ in range(ROWS))
            rest = gr.HTML("", visible=False, padding=False, elem_classes=["hint"])
            gr.Button(TELL, size="sm", elem_id="queue-tell")
        panel = cls(page, whole, rows, rest, ended, gr.State([]), gr.State(None))
        panel._connect()
        return panel

    def _connect(self) -> None:
        quick: dict[str, Any] = {"queue": False, **PRIVATE}
        gr.Timer(_POLL_S).tick(self._polled, [self.page.key, self.known], self.outputs, **quick)
        for place, row in enumerate(self.rows):

            def stopped(request: gr.Request, key: str, ids: Sequence[str], place: int = place) -> Changes:
                return self._cancelled(request, key, ids[place])

            row.cancel.click(stopped, [self.page.key, self.ids], self.outputs, **quick)

    @property
    def outputs(self) -> list[Any]:
        """What changes with the queue."""
        parts = [part for row in self.rows for part in (row.row, row.line, row.cancel)]
        return [self.whole, *parts, self.rest, self.ended, self.ids, self.known]

    def _polled(self, request: gr.Request, key: str, known: Any) -> Changes:
        """The queue again, where it has changed; whose page looks at it wants its work to go on."""
        with told():
            who = who_asks(request, key)
            attend(self.page.studio, who, PATIENCE_S)
            found = queue_of(self.page.studio, who)
        seen = _told_apart(found)
        return {self.known: gr.skip()} if seen == known else self.filled(found)

    def _cancelled(self, request: gr.Request, key: str, id_: str) -> Changes:
        with told():
            who = who_asks(request, key)
            title = cancel(self.page.studio, who, id_)
            inform(f"{title} is cancelled.", duration=4)
            return self.filled(queue_of(self.page.studio, who))

    def filled(self, queue: Queue) -> Changes:
        """The panel with these jobs; out of sight where there are none."""
        changes: Changes = {self.whole: gr.Accordion(label=queue.words or "Queue", visible=queue.worth_a_look)}
        for place, row in enumerate(self.rows):
            changes |= row.filled(queue.own[place] if place < len(queue.own) else None)
        changes |= {self.rest: _rest(queue), self.ended: _ended(queue)}
        return changes | {self.ids: [job.id for job in queue.own], self.known: _told_apart(queue)}


def _told_apart(queue: Queue) -> list[Any]:
    """Plain values that are others where something else is shown."""
    return [[[job.id, job.words] for job in queue.own], queue.worth_a_look, queue.others, [e.id for e in queue.ended]]


def _line(standing: QueuedJob) -> str:
    percent = standing.percent
    rail = f'<div class="rail" aria-hidden="true"><i style="width:{percent}%"></i></div>'
    title, words = html.escape(standing.title), html.escape(standing.words)
    return f'<div class="job"><strong>{title}</strong><span>{words}</span>{rail if percent else ""}</div>'


def _rest(queue: Queue) -> gr.HTML:
    more, others = max(0, len(queue.own) - ROWS), queue.others
    said = [f"{more} more of yours."] if more else []
    said += [f"{others} job{'s' * (others != 1)} of others."] if others else []
    return gr.HTML(f"<p>{' '.join(said)}</p>", visible=bool(said))


def _ended(queue: Queue) -> str:
    """What the page's script reads: jobs that ended lately."""
    words = {"done": "is done", "failed": "did not work", "stopped": "is stopped"}
    return "".join(
        f'<i data-id="{e.id}" data-seconds="{e.seconds:.0f}" data-state="{e.state}">'
        f"{html.escape(f'{e.label.title} {words[e.state]}')}</i>"
        for e in queue.ended
    )

"""Between the page and the studio: who asks, jobs shown as they go, failures as sentences."""

import html
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from sigstyle.errors import BusyError, Cancelled, SigStyleError
from sigstyle.studio.lane import Job, Update
from sigstyle.studio.studio import Who
from sigstyle.studio.words import progress
from sigstyle.ui.messages import fault, inform, placeless

T = TypeVar("T")
Changes = dict[Any, Any]
log = logging.getLogger("sigstyle.app")

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


SHORTEST_KEY = 16
PATIENCE_S = 600.0  # how long work goes on whose page is gone: reloaded, asleep in a pocket, or out of reach


def who_asks(request: gr.Request, key: str) -> Who:
    """Who asks: the one who is logged in, else whoever holds the browser's key, else this connection.

    Raises: gr.Error for a key that could be guessed.
    """
    page = str(request.session_hash)
    user = getattr(request, "username", None)
    if key and not user and len(key) < SHORTEST_KEY:
        raise fault(f"A key has at least {SHORTEST_KEY} characters; this one has {len(key)}.", "That does not work")
    return Who(f"user:{user}" if user else f"key:{key}" if key else f"page:{page}", page)


@contextmanager
def told(page: bool = True) -> Iterator[None]:
    """Turns what goes wrong in the block into a message on the page, or with `page=False` to a program."""
    try:
        yield
    except gr.Error:
        raise
    except BusyError as error:
        raise fault(str(error), "Busy", page, duration=15) from error
    except SigStyleError as error:
        raise fault(str(error), "That does not work", page) from error
    except Exception as error:
        log.exception("A handler failed")
        text = f"Something unexpected happened ({type(error).__name__}: {error}). Try again; the log has the details."
        raise fault(text, "A fault in the app", page) from error


def followed(
    start: Callable[[], Job[T]],
    show: Callable[[Update], Changes],
    finished: Callable[[T], Changes],
    idle: Callable[[], Changes],
) -> Iterator[Changes]:
    """Starts a job, or finds one, and yields what the page shows of it; `idle` is how it looks after.

    When the page is closed the job goes on for `PATIENCE_S`, so that it is found again.
    """
    with told():
        job = start()
    for update in _fresh(job):
        yield show(update)
    try:
        changes = finished(job.result())
    except Cancelled:
        yield idle()
        inform("Stopped.", duration=4)
        return
    except BaseException:
        yield idle()
        with told():
            raise
    yield {**idle(), **changes}


def rejoined(
    job: Job[T] | None,
    show: Callable[[Update], Changes],
    finished: Callable[[T], Changes],
    idle: Callable[[], Changes],
) -> Iterator[Changes]:
    """What `followed` yields of a job that is under way, when there is one."""
    if job is not None:
        yield from followed(lambda: job, show, finished, idle)


def _fresh(job: Job) -> Iterator[Update]:
    """The job's updates, without previews that were shown already and with details at most once a second."""
    shown, detailed = None, 0.0
    for update in job.follow(patience_s=PATIENCE_S):
        due = time.monotonic() - detailed > 1 or update.state == "done"
        detailed = time.monotonic() if due else detailed
        yield replace(
            update,
            preview=update.preview if update.preview is not shown else None,
            detail=update.detail if due else None,
        )
        shown = update.preview


def status(update: Update, doing: str) -> str:
    """A line and a rail on where a job stands."""
    return _status(progress(update, doing), 100 * update.done / update.total if update.total else 0)


def done(text: str) -> str:
    """A line and a full rail: what has been made."""
    return _status(text, 100)


def _status(text: str, percent: float) -> str:
    rail = f'<div class="rail" aria-hidden="true"><i style="width:{percent:.1f}%"></i></div>'
    return f'<div role="status" aria-live="polite"><div class="line">{html.escape(placeless(text))}</div>{rail}</div>'


def empty(title: str, text: str, classes: str = "empty") -> str:
    """What is shown where there is nothing yet."""
    return f'<div class="{classes}"><strong>{html.escape(title)}</strong>{html.escape(text)}</div>'


def place_of(event: gr.SelectData) -> int:
    """Which of a gallery's pictures was clicked."""
    index: Any = event.index
    return int(index)


def served(path: Path) -> str:
    """A copy of a file where the page may read it: Gradio serves its own cache alone."""
    return save_file_to_cache(path, get_upload_folder())

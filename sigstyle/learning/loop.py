"""Learn a style from one image or a few: the training loop, what it saves, and how it is stopped and resumed."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from sigstyle.base.devices import free_bytes
from sigstyle.base.memory import is_out_of_memory
from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import token_for
from sigstyle.config import CaptureConfig
from sigstyle.errors import Cancelled, CaptureError, ConfigError, first_line
from sigstyle.learning.bank import bank_files
from sigstyle.learning.batches import images_hash
from sigstyle.learning.checkpointing import Room, checkpointing, room_for
from sigstyle.learning.held_out import CHECK_EVERY, HeldOut, held_out_files, judge, settled
from sigstyle.learning.instant import Start
from sigstyle.learning.learned import learned_style
from sigstyle.learning.learner import Learner
from sigstyle.learning.lessons import Lesson, Remembering
from sigstyle.learning.measured import Measured
from sigstyle.learning.painting import Painting
from sigstyle.learning.state import Snapshot, load_state, save_state
from sigstyle.learning.stepper import Stepper
from sigstyle.scoring.features import StyleFeatures, style_features
from sigstyle.style.attach import frozen
from sigstyle.style.style import Style

_SAVE_EVERY = 20


@dataclass(frozen=True)
class Progress:
    """Where a capture stands. Units: step counts from 1, eta_s is seconds still to go.

    `notices` are lines worth showing; the first report of a run has them.
    """

    step: int
    steps: int
    loss: float
    eta_s: float
    preview: Image.Image | None = None
    notices: tuple[str, ...] = ()


OnProgress = Callable[[Progress], None]


def capture_style(
    base: BaseModel,
    images: Sequence[Image.Image],
    name: str,
    config: CaptureConfig | None = None,
    *,
    bank: str | Path | None = None,
    state_path: str | Path | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    should_finish: Callable[[], bool] = lambda: False,
) -> Style:
    """Learn the style of `images` (as `load_image` gives them) on `base`; the base comes back as it was.

    `bank` is a folder of photos to paint while learning, None the one that ships.
    With a `state_path` the whole state is written there at the start, every 20 steps, when stopped and when
    interrupted, and `resume` continues from it bit for bit; with no file there yet it starts anew. The file stays when
    the capture is done: delete it once the style is saved. When `should_finish` turns true the style is what was
    learned so far, one step at least.

    Raises: ConfigError for unusable settings, or a state of another capture; Cancelled when `should_stop` turned
    true; CaptureError when the loss is not finite twice or memory is short; StyleFileError when the state cannot be
    read or written.
    Source: arXiv 2502.13997, section 3.2.
    """
    config = config or CaptureConfig()
    if not images:
        raise ConfigError("There is no style image; give one or more.")
    path = Path(state_path) if state_path is not None else None
    with _memory_told(), base.lock, ExitStack() as undo, frozen(*base.text_encoders):
        undo.callback(base.rest)
        run = _Run(base, images, name, config, path, bank)
        if resume and path is not None and path.exists():
            run.state.restore(load_state(path, run.job))
        else:
            run.begin()
        run.train(on_progress or _warned, should_stop, should_finish)
        style = learned_style(run.learner, name, images, run.painting, should_stop)
        if style is None:
            raise Cancelled(run.stopped())
        return style


@contextmanager
def _memory_told() -> Iterator[None]:
    """Says in one line that memory was short, whatever the device calls it. Raises: CaptureError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise CaptureError(
            f"There is too little memory to learn from this ({first_line(error)}). Close other programs, lower size_px "
            "or rank, use float16, or choose a smaller base or another device."
        ) from error


def _warned(progress: Progress) -> None:
    """Notices where nobody watches."""
    for notice in progress.notices:
        warnings.warn(notice, stacklevel=2)


class _Run:
    """One capture: what it reads, what it changes, and its steps."""

    def __init__(
        self,
        base: BaseModel,
        images: Sequence[Image.Image],
        name: str,
        config: CaptureConfig,
        path: Path | None,
        bank: str | Path | None,
    ) -> None:
        self.base, self.config, self.path, self._images = base, config, path, images
        given = Start.of(base, self._measured, self._network) if config.start == "instant" else None
        self.learner = Learner(base, config, token_for(name), given)
        self.state = self.learner.state
        self.remembering = Remembering.of(self.learner, images)
        self.painting = None
        if config.classic and bank is not None:
            raise ConfigError(
                f"There is a bank, {bank}, but nothing is painted while learning with painting 0, as in the presets "
                "classic and paper. Leave the bank out, or choose the preset default."
            )
        held: list[Path] = []
        if not config.classic:
            files, held = held_out_files(bank_files(bank), config)
            self.painting = Painting.of(self.learner, self._measured, files, self._network)
        self._held = held
        self.job = {"name": name, "base": base.identity, "images": images_hash(images), **config.to_dict()}
        if self.painting is not None:
            self.job["bank"] = self.painting.bank.digest
        if given is not None:
            self.job |= {"hypernetwork": given.instant.network, "share": given.share}

    @cached_property
    def _network(self) -> StyleFeatures:
        return style_features().to(self.base.device)

    @cached_property
    def _measured(self) -> Measured:
        return Measured.on(self._images, self._network, self.base.device)

    def begin(self) -> None:
        """Choose the arithmetic and save: whoever resumes, on whatever machine, goes on in the same."""
        chosen, progression = self.learner.arithmetic(), self.state.progression
        progression.autocast, progression.autocast_reason = chosen.bfloat16, chosen.reason
        progression.loss_scale = chosen.loss_scale
        self._save(self.state.snapshot())

    def train(
        self, on_progress: OnProgress, should_stop: Callable[[], bool], should_finish: Callable[[], bool]
    ) -> None:
        """Step until done or told to finish, with a snapshot of the last whole step and one of the last safe state."""
        state, steps = self.state, self.config.steps
        with ExitStack() as undo:
            refresh = undo.enter_context(self.learner.attached())
            stepper = self._stepper(undo)
            latest = safe = state.snapshot()
            undo.enter_context(self._kept(lambda: latest))
            started, first = time.monotonic(), state.progression.step
            notices = tuple(filter(None, [state.progression.notice]))
            held_out = self._held_out()
            while state.progression.step < steps and not settled(state, self.config):
                if should_stop():
                    raise Cancelled(self.stopped())
                if state.progression.step and should_finish():
                    self._save(latest)
                    break
                loss = stepper.step(refresh)
                if loss is None:
                    latest = safe = stepper.rolled_back(safe)
                    continue
                step = state.progression.step
                if held_out is not None and (step % CHECK_EVERY == 0 or step == steps):
                    judge(held_out, state, refresh)
                latest = state.snapshot()
                if step % _SAVE_EVERY == 0 or step == steps:
                    safe = latest
                    self._save(safe)
                eta_s = (time.monotonic() - started) / (step - first) * (steps - step)
                wanted = self.config.preview_every and step % self.config.preview_every == 0
                preview = self._preview() if wanted else None
                on_progress(Progress(step, steps, loss, eta_s, preview, notices))
                notices = ()
            state.adopt_best()

    def _held_out(self) -> HeldOut | None:
        """What the learner is held against, where the best is wanted."""
        if self.config.until == "steps":
            return None
        return HeldOut.of(self.learner, self._images, lambda: self._measured, self._held, lambda: self._network)

    def _stepper(self, undo: ExitStack) -> Stepper:
        """What takes the steps, as memory allows; what it changes of the base comes back with `undo`."""
        progression, lessons = self.state.progression, list[Lesson[Any]]([self.remembering])
        if self.painting is not None:
            room = self._room(self.painting)
            progression.checkpointing = room.checkpointing
            if progression.painting is not False:  # else it was decided when this capture began
                progression.painting, progression.notice = room.painting, room.notice
            if progression.painting:
                lessons.insert(0, self.painting)
        if self.base.memory == "low":
            progression.checkpointing = True
            progression.chunks = max(self.config.painting, self.config.batch_size)
        if progression.checkpointing:
            undo.enter_context(checkpointing(*self.learner.decoders))
        return Stepper(self.state, self.config, lessons)

    def _room(self, painting: Painting) -> Room:
        """How to learn in the memory there is, which is asked anew each time; gradients are the same either way."""
        if self.base.memory != "auto":
            return Room(checkpointing=self.base.memory == "low")
        photo, crop = painting.kept(), self.remembering.kept()
        usual = max(self.config.painting * photo.usual, self.config.batch_size * crop.usual)
        device, begun = self.base.device, self.state.progression.painting is True
        return room_for(photo, usual, str(device), free_bytes(device), begun)

    def _preview(self) -> Image.Image:
        """A photo of the bank, painted; or, where nothing is painted, the style image remembered."""
        if self.painting is not None:
            return self.painting.preview()
        return self.learner.preview(self.remembering.latents[:1])

    def _save(self, snapshot: Snapshot) -> None:
        if self.path is not None:
            save_state(self.path, snapshot, self.job)

    @contextmanager
    def _kept(self, latest: Callable[[], Snapshot]) -> Iterator[None]:
        """Saves the last whole step when the block is interrupted or stopped."""
        try:
            yield
        except (Cancelled, KeyboardInterrupt, SystemExit):
            self._save(latest())
            raise

    def stopped(self) -> str:
        """What to tell whoever stopped it."""
        where = f"; its state is in {self.path}, resume to go on" if self.path is not None else ""
        return f"The capture was stopped at step {self.state.progression.step} of {self.config.steps}{where}."

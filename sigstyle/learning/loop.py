"""Learn a style from one image or a few: the training loop, and what is measured after it."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from PIL import Image
from torch import Tensor, nn

from sigstyle.base.model import BaseModel, default_size_px
from sigstyle.base.prompts import token_for
from sigstyle.config import CaptureConfig
from sigstyle.errors import Cancelled, CaptureError, ConfigError
from sigstyle.imaging.images import thumbnail_uri
from sigstyle.learning.batches import Batch, cached_latents, draw_batch, images_hash
from sigstyle.learning.learner import Learner
from sigstyle.learning.state import Snapshot, load_state, save_state
from sigstyle.learning.statistics import style_statistics
from sigstyle.style.attach import frozen, training
from sigstyle.style.style import Style

_SAVE_EVERY = 20
_LOWERED_LR = 0.3


@dataclass(frozen=True)
class Progress:
    """Where a capture stands. Units: step counts from 1, eta_s is seconds still to go."""

    step: int
    steps: int
    loss: float
    eta_s: float
    preview: Image.Image | None = None


OnProgress = Callable[[Progress], None]


def capture_style(
    base: BaseModel,
    images: Sequence[Image.Image],
    name: str,
    config: CaptureConfig | None = None,
    *,
    state_path: str | Path | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    should_finish: Callable[[], bool] = lambda: False,
) -> Style:
    """Learn the style of `images` (as `load_image` gives them) on `base`; the base comes back as it was.

    With a `state_path` the whole state is written there every 20 steps, when stopped and when interrupted, and
    `resume` continues from it bit for bit; with no file there yet it starts anew. The file stays when the capture is
    done: delete it once the style is saved. When `should_finish` turns true the style is what was learned so far, one
    step at least.

    Raises: ConfigError for unusable settings, or a state of another capture; Cancelled when `should_stop` turned
    true; CaptureError when the loss is not finite twice or memory is short; StyleFileError when the state cannot be
    read or written.
    Source: arXiv 2502.13997, section 3.2.
    """
    config = config or CaptureConfig()
    if not images:
        raise ConfigError("There is no style image; give one or more.")
    path = Path(state_path) if state_path is not None else None
    with base.lock, frozen(base.text_encoder):
        run = _Run(base, images, name, config, path)
        if resume and path is not None and path.exists():
            run.state.restore(load_state(path, run.job))
        else:
            side = run.window or run.latents.shape[-1]
            run.state.progression.autocast = run.learner.wants_autocast(run.latents[:1, :, :side, :side])
        run.train(on_progress or (lambda _: None), should_stop, should_finish)
        return _finished(run, images, should_stop)


class _Run:
    """One capture: what it reads, what it changes, and its steps."""

    def __init__(
        self, base: BaseModel, images: Sequence[Image.Image], name: str, config: CaptureConfig, path: Path | None
    ) -> None:
        self.base, self.name, self.config, self.path = base, name, config, path
        self.learner = Learner(base, config, token_for(name))
        self.state = self.learner.state
        self.latents = cached_latents(base, images, config)  # [crops, c, h, h]
        self.window = _half_side(self.latents, 2**base.unet.num_upsamplers)
        self.job = {"name": name, "base": base.fingerprint, "images": images_hash(images), **config.to_dict()}

    def train(
        self, on_progress: OnProgress, should_stop: Callable[[], bool], should_finish: Callable[[], bool]
    ) -> None:
        """Step until done or told to finish, with a snapshot of the last whole step and one of the last safe state."""
        state, steps = self.state, self.config.steps
        latest = safe = state.snapshot()
        started, first = time.monotonic(), state.progression.step
        with training(self.base.unet, state.hypernet) as refresh, self._kept(lambda: latest):
            while state.progression.step < steps:
                if should_stop():
                    raise Cancelled(self.stopped())
                if state.progression.step and should_finish():
                    self._save(latest)
                    break
                loss = self._step(refresh)
                if loss is None:
                    latest = safe = self._rolled_back(safe)
                    continue
                latest = state.snapshot()
                step = state.progression.step
                if step % _SAVE_EVERY == 0 or step == steps:
                    safe = latest
                    self._save(safe)
                eta_s = (time.monotonic() - started) / (step - first) * (steps - step)
                wanted = self.config.preview_every and step % self.config.preview_every == 0
                preview = self.learner.preview(self.latents[:1]) if wanted else None
                on_progress(Progress(step, steps, loss, eta_s, preview))

    def _step(self, refresh: Callable[[], None]) -> float | None:
        """One optimiser step; its loss, or None (nothing changed but randomness) when it is not finite."""
        state, config = self.state, self.config
        batch = draw_batch(self.latents, self.base.scheduler, config, self.window, state.generator)
        loss = self._backward(batch, refresh)
        norm = nn.utils.clip_grad_norm_(state.parameters().values(), 1.0)
        if not math.isfinite(loss) or not norm.isfinite():
            return None
        factor = _lr_factor(state.progression.step, config) * state.progression.lr_scale
        for group in state.optimizer.param_groups:
            group["lr"] = group["full_lr"] * factor
        state.optimizer.step()
        state.progression.step += 1
        state.losses.append(loss)
        return loss

    def _backward(self, batch: Batch, refresh: Callable[[], None]) -> float:
        """Gradients of the batch's loss, and the loss; cut into ever smaller pieces while memory is short.

        Raises: CaptureError when even one sample does not fit.
        """
        progression = self.state.progression
        while True:
            self.state.optimizer.zero_grad(set_to_none=True)
            try:
                total = 0.0
                for part in batch.split(progression.chunks):
                    refresh()
                    share = len(part.noisy) / len(batch.noisy)
                    loss = self.learner.loss(part) * share
                    loss.backward()
                    total += loss.item()
                return total
            except torch.OutOfMemoryError as error:
                if progression.chunks >= len(batch.noisy):
                    raise CaptureError(
                        f"The device {self.base.device} has too little memory for one sample of this base. "
                        "Lower size_px, use float16, or choose a smaller base or the CPU."
                    ) from error
                progression.chunks *= 2

    def _rolled_back(self, safe: Snapshot) -> Snapshot:
        """The state as it was last safe, with a lower learning rate. Raises: CaptureError the second time."""
        if self.state.progression.lr_scale < 1:
            raise CaptureError(
                f"The loss was not finite again at step {self.state.progression.step + 1}, at a lowered learning rate "
                f"too. Lower hypernet_lr ({self.config.hypernet_lr}) and token_lr ({self.config.token_lr}), or use "
                "float32 and autocast='off'."
            )
        self.state.restore(safe)
        self.state.progression.lr_scale = _LOWERED_LR
        return self.state.snapshot()

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


def _lr_factor(step: int, config: CaptureConfig) -> float:
    """Linear warm-up, then linear decay to nearly 0 at the last step."""
    return min(1.0, (step + 1) / max(1, config.warmup)) * (1 - step / config.steps)


def _half_side(latents: Tensor, multiple: int) -> int:
    """Half the side of latents [n, c, h, h], rounded down to `multiple`; 0 when that is too small to train on."""
    return latents.shape[-1] // 2 // multiple * multiple


def _finished(run: _Run, images: Sequence[Image.Image], should_stop: Callable[[], bool]) -> Style:
    """The style that `run` learned. Raises: Cancelled."""
    with torch.no_grad():
        offsets = run.state.hypernet()
    size_px = run.config.size_px or default_size_px(run.base)
    statistics = style_statistics(run.base, images, size_px, should_stop)
    if statistics is None:
        raise Cancelled(run.stopped())
    return Style(
        name=run.name,
        token=run.learner.token,
        offsets=offsets,
        domain=run.config.domain,
        base_fingerprint=run.base.fingerprint,
        base_name=run.base.name,
        **statistics,
        metadata=_metadata(run),
        thumbnail=thumbnail_uri(images[0]),
    )


def _metadata(run: _Run) -> dict[str, Any]:
    """How the style was made, as plain values."""
    losses, progression = run.state.losses, run.state.progression
    some = max(1, len(losses) // 10)
    early = {} if progression.step == run.config.steps else {"finished_at": progression.step}
    return {
        **early,
        "config": run.config.to_dict(),
        "images": run.job["images"],
        "autocast": progression.autocast,
        "lr_scale": progression.lr_scale,
        "loss_first": sum(losses[:some]) / some,
        "loss_last": sum(losses[-some:]) / some,
        "versions": {"torch": torch.__version__, "diffusers": diffusers.__version__},
    }

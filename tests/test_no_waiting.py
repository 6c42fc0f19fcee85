"""Loops that never wait for the device: nothing in a step reads a number of it; it is read once, when all is done."""

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_painting
from diffusers import EulerDiscreteScheduler
from random_style import random_style
from test_painting_lesson import QUICK, lesson_of
from torch.utils import _python_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

import sigstyle
from sigstyle.base.finite import Finiteness
from sigstyle.base.model import BaseModel
from sigstyle.diffusion.denoise import denoise
from sigstyle.diffusion.inversion import invert
from sigstyle.diffusion.sampling import sample
from sigstyle.learning.learner import Learner
from sigstyle.learning.lessons import Remembering
from sigstyle.learning.stepper import Stepper
from sigstyle.painting.direct import DirectRun
from sigstyle.style.attach import frozen


class Waited(Exception):
    """A step asked for a number."""


class Euler(EulerDiscreteScheduler):
    """A scheduler of diffusers, whose own sums are on numbers that lie in main memory."""

    def step(self, *args: Any, **named: Any) -> Any:
        with _python_dispatch._disable_current_modes():  # pyright: ignore[reportPrivateUsage]
            return super().step(*args, **named)


class Unread(TorchDispatchMode):
    """Refuses what `.item()`, `float()`, `bool()` and `int()` of a tensor come down to."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise Waited
        return func(*args, **(kwargs or {}))


@contextmanager
def unread_steps(unet: Any):
    """Refuses to read numbers from the first evaluation of the UNet on."""
    mode, entered = Unread(), []

    def enter(*_: Any) -> None:
        if not entered:
            entered.append(mode.__enter__())

    handle = unet.register_forward_pre_hook(enter)
    try:
        yield
        assert entered
    finally:
        handle.remove()
        if entered:
            mode.__exit__(None, None, None)


def test_the_mode_refuses_what_would_wait() -> None:
    for read in (float, bool, int, torch.Tensor.item):
        with Unread(), pytest.raises(Waited):
            read(torch.ones(()))


def test_denoising_inverting_and_sampling_never_wait(base: BaseModel) -> None:
    start, cond = torch.randn(1, 4, 8, 8), base.reader.encode(["a tower"])
    uncond, scheduler = base.reader.encode([""]), base.scheduler
    finite, generators = Finiteness(base.dtype), [torch.Generator().manual_seed(0)]

    def watched(step: int, timestep: int, latents: torch.Tensor, pred_x0: torch.Tensor) -> torch.Tensor:
        assert isinstance(step, int) and isinstance(timestep, int)
        finite.look(f"step {step}", latents)
        return latents

    euler = Euler.from_config(scheduler.config)
    loops: list[Callable[[], Any]] = [
        lambda: denoise(base.unet, scheduler, start, cond, uncond, steps=3, guidance_scale=3.0, eta=0.5,
                        generators=generators, draw=lambda share, clean: 0.1 * clean, on_step=watched),
        lambda: invert(base.unet, scheduler, start, cond, steps=3, iterations=1),
        lambda: invert(base.unet, scheduler, start, cond, steps=3, iterations=0),
        lambda: sample(base.unet, euler, start, cond, uncond, steps=3, on_step=watched, should_stop=lambda: False),
    ]  # fmt: skip
    for loop in loops:
        with unread_steps(base.unet):
            loop()
    finite.check()


@pytest.mark.parametrize("steps", [1, 2])
def test_a_transfer_waits_when_all_is_painted(base: BaseModel, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    photo, how = make_painting(), {"base": base, "size_px": 64, "margin_px": 0, "steps": steps}
    plain, check, checked = sigstyle.transfer(photo, random_style(base), **how), Finiteness.check, []
    mode = Unread()

    def checking(self: Finiteness) -> None:
        if not checked:
            mode.__exit__(None, None, None)
        checked.append(self)
        check(self)

    predicted, entered = DirectRun._predicted, []  # pyright: ignore[reportPrivateUsage]

    def unread(self: DirectRun, *args: Any) -> torch.Tensor:
        if not entered:
            entered.append(mode.__enter__())
        return predicted(self, *args)

    monkeypatch.setattr(Finiteness, "check", checking)
    monkeypatch.setattr(DirectRun, "_predicted", unread)
    found = sigstyle.transfer(photo, random_style(base), **how)
    assert entered and checked and np.array_equal(np.asarray(found.images[0]), np.asarray(plain.images[0]))


def test_a_step_of_a_capture_waits_once_when_its_gradients_are_there(
    base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_painting().resize((192, 144)).save(tmp_path / "photo.png")
    reads: list[list[float]] = []
    with frozen(base.text_encoder):
        learner = Learner(base, QUICK, "<wave>")
        painting, remembering = lesson_of(learner, tmp_path), Remembering.of(learner, [make_painting()])
        with learner.attached() as refresh:
            drawn = [(lesson, lesson.draw(learner.state.generator)) for lesson in (painting, remembering)]
            stepper, mode = Stepper(learner.state, QUICK, [painting, remembering]), Unread()
            read = Stepper._read  # pyright: ignore[reportPrivateUsage]

            def reading(self: Stepper, scalars: list[torch.Tensor]) -> list[float]:
                mode.__exit__(None, None, None)
                reads.append(read(self, scalars))
                return reads[-1]

            monkeypatch.setattr(Stepper, "_read", reading)
            mode.__enter__()
            loss, finite = stepper._gradients(drawn, refresh)  # pyright: ignore[reportPrivateUsage]
    assert len(reads) == 1 and finite and loss == sum(reads[0][:2])
    assert isinstance(learner.state.progression.content_weight, float)
    assert learner.state.progression.content_weight != 1.0

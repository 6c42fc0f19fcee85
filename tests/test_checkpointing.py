"""Learning in the memory there is: the same gradients with less of it, how much it takes, and that it is said."""

import dataclasses
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from conftest import MakeBase, make_painting
from PIL import Image
from test_painting_lesson import lesson_of
from torch import Tensor

from benchmarks.meters import kept_bytes
from sigstyle.base.devices import free_bytes
from sigstyle.base.model import BaseModel
from sigstyle.config import CaptureConfig
from sigstyle.errors import Cancelled
from sigstyle.learning.bank import window_px
from sigstyle.learning.checkpointing import Kept, Room, checkpointing, room_for
from sigstyle.learning.learner import Learner
from sigstyle.learning.loop import Progress, capture_style
from sigstyle.learning.painting import Painting
from sigstyle.style.attach import frozen
from sigstyle.style.style import Style

QUICK = CaptureConfig(steps=3, painting=1, batch_size=1, crops=2, size_px=64, warmup=1, autocast="off")
MB = 2**20


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bank")
    Image.radial_gradient("L").resize((192, 192)).convert("RGB").save(folder / "photo.png")
    return folder


@pytest.fixture(params=["tiny", "kl"])
def lesson(make_base: MakeBase, bank: Path, request: pytest.FixtureRequest) -> Iterator[Painting]:
    base = make_base(vae=request.param)
    with frozen(base.text_encoder):
        learner = Learner(base, QUICK, "<wave>")
        with torch.no_grad():
            heads = learner.state.hypernet.get_submodule("heads")
            for head in heads.parameters():  # else offsets are 0 and hardly anything has slope
                head.normal_(std=0.02, generator=torch.Generator().manual_seed(1))
        yield lesson_of(learner, bank)


def gradients(lesson: Painting, less: bool) -> list[Tensor]:
    """The loss of one and the same photo, and its gradient to all that is learned."""
    learner = lesson.learner
    learner.state.progression.content_weight = 1.0
    learner.state.optimizer.zero_grad(set_to_none=True)
    with learner.attached(), checkpointing(*learner.decoders) if less else nullcontext():
        loss = lesson.loss(lesson.draw(torch.Generator().manual_seed(5)))
        loss.backward()
    return [loss.detach(), *(p.grad for p in learner.state.parameters().values() if p.grad is not None)]


@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_are_bit_for_bit_the_same_and_nothing_random_is_drawn(lesson: Painting, autocast: bool) -> None:
    lesson.learner.state.progression.autocast = autocast
    before = torch.get_rng_state()
    usual, less = gradients(lesson, False), gradients(lesson, True)
    assert len(usual) == len(less) == 1 + len(lesson.learner.state.parameters())
    assert all(torch.equal(a, b) for a, b in zip(usual, less, strict=True)) and any(g.any() for g in usual[1:])
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_kept_is_counted_as_autograd_keeps_it_and_nothing_is_changed(lesson: Painting) -> None:
    learner = lesson.learner
    progression, state = dataclasses.replace(learner.state.progression), learner.state.generator.get_state()
    with learner.attached():
        counted = lesson.kept()
        samples = lesson.draw(torch.Generator().manual_seed(0), count=1)
        models = (*learner.models, lesson.network)
        usual = kept_bytes(lambda: lesson.loss(samples), *models)
        with checkpointing(*learner.decoders):
            between = kept_bytes(lambda: lesson.loss(samples), *models)
    assert counted.usual == usual
    assert between < counted.checkpointed < usual
    learner.state.progression.content_weight = progression.content_weight
    assert learner.state.progression == progression and torch.equal(learner.state.generator.get_state(), state)


def test_blocks_get_back_the_forward_they_had_also_another_ones(base: BaseModel) -> None:
    class Failed(Exception):
        """Anything that goes wrong on the way."""

    hooked, plain = base.unet.up_blocks[1].resnets[0], base.unet.up_blocks[0].resnets[0]
    other = hooked.forward
    hooked.forward = other  # as accelerate does
    with pytest.raises(Failed), checkpointing(base.unet.up_blocks, base.vae.decoder):
        assert hooked.forward is not other and "forward" in vars(plain)
        raise Failed
    assert vars(hooked)["forward"] is other and "forward" not in vars(plain)


def test_room_is_made_only_where_it_is_needed_and_said() -> None:
    photo = Kept(usual=400 * MB, checkpointed=100 * MB)
    assert room_for(photo, 800 * MB, "cuda:0", 1001 * MB) == Room()
    less = room_for(photo, 800 * MB, "cuda:0", 999 * MB)
    assert less.checkpointing and less.painting and "800 MB" in less.notice and "cuda:0 999 MB" in less.notice
    off = room_for(photo, 800 * MB, "cuda:0", 120 * MB)
    assert off.checkpointing and not off.painting and "No photos are painted" in off.notice and "100 MB" in off.notice
    begun = room_for(photo, 800 * MB, "cuda:0", 120 * MB, begun=True)
    assert begun.checkpointing and begun.painting and "computed once more" in begun.notice


def test_memory_that_is_free_is_known_of_the_processor() -> None:
    assert free_bytes(torch.device("cpu")) > MB


def test_windows_are_larger_where_the_base_was_trained_at_more(base: BaseModel, make_base: MakeBase) -> None:
    sides = []
    for latents in (32, 64, 96):
        other = make_base()
        other.unet.register_to_config(sample_size=latents)
        sides.append(window_px(other))
    assert window_px(base) == 192 and sides == [192, 256, 256]


# --- a capture


def captured(
    base: BaseModel, bank: Path, monkeypatch: pytest.MonkeyPatch, free: int | None, **more: object
) -> tuple[Style, list[Progress]]:
    """A capture on a device with so much free memory, and its reports."""
    reports: list[Progress] = []
    with monkeypatch.context() as patched:
        if free is not None:
            patched.setattr("sigstyle.learning.loop.free_bytes", lambda _device: free)
        style = capture_style(base, [make_painting()], "wave", QUICK, bank=bank, on_progress=reports.append, **more)  # type: ignore[arg-type]
    return style, reports


def amounts(base: BaseModel, bank: Path) -> Kept:
    """What painting one photo keeps."""
    with frozen(base.text_encoder):
        learner = Learner(base, QUICK, "<wave>")
        lesson = lesson_of(learner, bank)
        with learner.attached():
            return lesson.kept()


def test_a_capture_in_little_memory_learns_the_same_style_and_says_so(
    base: BaseModel, bank: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, said = captured(base, bank, monkeypatch, None)
    assert not any(report.notices for report in said)
    assert usual.metadata["photos_painted"] is True and usual.metadata["checkpointing"] is False
    less, said = captured(base, bank, monkeypatch, int(1.2 * amounts(base, bank).usual))
    assert less.hash == usual.hash and less.metadata["checkpointing"] is True
    assert less.metadata["photos_painted"] is True
    assert [len(report.notices) for report in said] == [1, 0, 0] and "computed once more" in said[0].notices[0]
    assert not any("forward" in vars(module) for module in (*base.unet.modules(), *base.vae.modules()))


def test_without_room_for_one_photo_none_is_painted_then_or_later_and_it_is_said(
    base: BaseModel, bank: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usual, _ = captured(base, bank, monkeypatch, None)
    style, said = captured(base, bank, monkeypatch, 1000)
    assert style.metadata["photos_painted"] is False and style.hash != usual.hash
    assert style.palette is not None and "No photos are painted" in said[0].notices[0]
    path = tmp_path / "state"
    with pytest.raises(Cancelled):
        seen: list[int] = []
        captured(
            base,
            bank,
            monkeypatch,
            1000,
            state_path=path,
            should_stop=lambda: bool(seen) or seen.append(1) is not None,  # before the second step
        )
    resumed, said = captured(base, bank, monkeypatch, None, state_path=path, resume=True)
    assert resumed.hash == style.hash and "No photos are painted" in said[0].notices[0]


def test_a_notice_is_a_warning_where_nobody_watches(
    base: BaseModel, bank: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sigstyle.learning.loop.free_bytes", lambda _device: 1000)
    with pytest.warns(UserWarning, match="No photos are painted"):
        capture_style(base, [make_painting()], "wave", QUICK, bank=bank)

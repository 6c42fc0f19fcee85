"""Captures that remember, as published: the loop, its state, and that everything is as before; painting elsewhere."""

import itertools
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import MakeBase, digest, make_painting, make_parts, make_unet
from diffusers import UNet2DConditionModel
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sigstyle.base.autoencoder import encode_latents
from sigstyle.base.conditioning import Conditioning
from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import style_prompt
from sigstyle.base.split_unet import split_forward
from sigstyle.config import CaptureConfig
from sigstyle.errors import Cancelled, CaptureError, ConfigError, StyleFileError
from sigstyle.imaging.images import to_tensor
from sigstyle.learning import learner
from sigstyle.learning.batches import Batch, cached_latents, draw_batch, noisy_batch, pred_x0_of
from sigstyle.learning.loop import Progress, capture_style
from sigstyle.style.attach import styled, training
from sigstyle.style.hypernet import StyleHypernet
from sigstyle.style.style import Style
from sigstyle.style.targets import target_layers

QUICK = CaptureConfig.preset("classic", steps=6, batch_size=2, crops=4, size_px=64, warmup=2, autocast="off")


def same(first: Style, second: Style) -> bool:
    """Tensor-equal, before any rounding that saving would do."""
    return first.hash == second.hash and first.metadata == second.metadata


@pytest.fixture(scope="module")
def whole() -> Style:
    """The uninterrupted capture that the others are compared with."""
    return capture_style(BaseModel.from_pipeline(make_parts(), name="tiny"), [make_painting()], "wave", QUICK)


def stop_after(steps: int) -> tuple[Callable[[Progress], None], Callable[[], bool]]:
    """An `on_progress` and the `should_stop` that turns true once `steps` were reported."""
    seen: list[int] = []
    return (lambda progress: seen.append(progress.step)), (lambda: len(seen) >= steps)


@pytest.mark.parametrize("vae", ["tiny", "kl"])
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_a_capture_gives_a_style_of_its_base(
    make_base: MakeBase, painting: Image.Image, tmp_path: Path, vae: str, prediction_type: str
) -> None:
    base = make_base(vae=vae, prediction_type=prediction_type)
    style = capture_style(base, [painting], "Great Wave", QUICK)
    style.check_base(base)
    assert style.vae_fingerprint == base.vae_fingerprint and style.text_fingerprint == base.text_fingerprint
    assert style.token.token == "<great-wave>"
    assert {path: o.shape for path, o in style.offsets.items()} == target_layers(base.unet, "auto")
    assert style.rank == 3
    assert all(o.delta().any() for o in style.offsets.values())
    assert all(getattr(style, key).shape == (4,) for key in ("start_mean", "start_std", "latent_mean", "latent_std"))
    style.save(tmp_path / "style.safetensors")
    assert Style.load(tmp_path / "style.safetensors").hash == style.hash


def test_the_loss_falls(base: BaseModel, painting: Image.Image) -> None:
    few = {"batch_size": 4, "crops": 4, "size_px": 64, "warmup": 5}
    config = CaptureConfig.preset("classic", steps=60, autocast="off", hypernet_lr=1e-2, **few)
    style = capture_style(base, [painting], "wave", config)
    before = style_loss(base, painting, None)
    assert style_loss(base, painting, style) < before - 0.005


@torch.no_grad()
def style_loss(base: BaseModel, image: Image.Image, style: Style | None) -> float:
    """Loss over all noise levels of the image itself, with the style or with the base's plain prompt."""
    clean = encode_latents(base.vae, to_tensor(image.crop((8, 0, 88, 80)).resize((64, 64)))).expand(10, -1, -1, -1)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(7))
    batch = noisy_batch(clean, noise, torch.arange(50, 1000, 100), base.scheduler)
    tokens = [style.token] if style else []
    prompt = style_prompt("", "painting", style.token.token) if style else "a painting"
    embeds = base.reader.encode([prompt], tokens).embeds.expand(10, -1, -1)
    with styled(base.unet, [(style.offsets, 1.0)] if style else []):
        return F.mse_loss(base.unet(batch.noisy, batch.timesteps, embeds).sample, batch.target).item()


def test_the_base_comes_back_as_it_was(base: BaseModel, painting: Image.Image) -> None:
    modules = (base.unet, base.vae, base.text_encoder)
    before = [digest(module) for module in modules]
    flags = [[p.requires_grad for p in module.parameters()] for module in modules]
    processors = dict(base.unet.attn_processors)
    tokens = len(base.tokenizer)
    randomness = torch.random.get_rng_state()
    on_progress, should_stop = stop_after(2)
    with pytest.raises(Cancelled):
        capture_style(base, [painting], "wave", QUICK, on_progress=on_progress, should_stop=should_stop)
    capture_style(base, [painting], "wave", QUICK)
    assert [digest(module) for module in modules] == before
    assert [[p.requires_grad for p in module.parameters()] for module in modules] == flags
    assert all(p.grad is None for module in modules for p in module.parameters())
    assert base.unet.attn_processors == processors
    assert len(base.tokenizer) == tokens
    assert torch.equal(torch.random.get_rng_state(), randomness)
    assert base.scheduler.num_inference_steps is None and len(base.scheduler.timesteps) == 1000


def test_the_same_seed_gives_the_same_style_whatever_the_global_one(
    base: BaseModel, painting: Image.Image, whole: Style
) -> None:
    torch.manual_seed(2)
    assert same(capture_style(base, [painting], "wave", QUICK), whole)
    other = CaptureConfig.from_dict(QUICK.to_dict() | {"seed": 1})
    assert capture_style(base, [painting], "wave", other).hash != whole.hash


@pytest.mark.parametrize("done", [0, 1, 3, 5])
def test_stopped_and_resumed_equals_uninterrupted(
    base: BaseModel, painting: Image.Image, tmp_path: Path, whole: Style, done: int
) -> None:
    path = tmp_path / "wave.state"
    on_progress, should_stop = stop_after(done)
    with pytest.raises(Cancelled, match=f"step {done} of 6.*resume"):
        capture_style(
            base, [painting], "wave", QUICK, state_path=path, on_progress=on_progress, should_stop=should_stop
        )
    steps: list[int] = []
    resumed = capture_style(
        base, [painting], "wave", QUICK, state_path=path, resume=True, on_progress=lambda p: steps.append(p.step)
    )
    assert steps == list(range(done + 1, 7))
    assert same(resumed, whole)


@pytest.mark.parametrize("where", ["step", "zero_grad"])
def test_an_interrupt_within_a_step_keeps_the_last_whole_one(
    base: BaseModel,
    painting: Image.Image,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: Style,
    where: str,
) -> None:
    original, calls = getattr(torch.optim.AdamW, where), []

    def interrupted(self: torch.optim.AdamW, *args: object, **kwargs: object) -> object:
        result = original(self, *args, **kwargs)
        calls.append(where)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(torch.optim.AdamW, where, interrupted)
        capture_style(base, [painting], "wave", QUICK, state_path=tmp_path / "state")
    resumed = capture_style(base, [painting], "wave", QUICK, state_path=tmp_path / "state", resume=True)
    assert same(resumed, whole)


def test_a_killed_capture_resumes_from_its_last_save(
    base: BaseModel, painting: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Style
) -> None:
    monkeypatch.setitem(capture_style.__globals__, "_SAVE_EVERY", 2)

    class Killed(BaseException):
        """As sudden as a kill: nothing is saved on the way out."""

    def kill(progress: Progress) -> None:
        if progress.step == 5:
            raise Killed

    with pytest.raises(Killed):
        capture_style(base, [painting], "wave", QUICK, state_path=tmp_path / "state", on_progress=kill)
    steps: list[int] = []
    resumed = capture_style(
        base,
        [painting],
        "wave",
        QUICK,
        state_path=tmp_path / "state",
        resume=True,
        on_progress=lambda progress: steps.append(progress.step),
    )
    assert steps == [5, 6]
    assert same(resumed, whole)


def test_resuming_without_a_state_starts_and_a_finished_state_finishes_at_once(
    base: BaseModel, painting: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / "state"
    first = capture_style(base, [painting], "wave", QUICK, state_path=path, resume=True)
    steps: list[Progress] = []
    again = capture_style(base, [painting], "wave", QUICK, state_path=path, resume=True, on_progress=steps.append)
    assert not steps
    assert same(again, first)


def test_a_state_of_another_capture_is_refused(base: BaseModel, painting: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "state"
    capture_style(base, [painting], "wave", QUICK, state_path=path)
    longer = CaptureConfig.from_dict(QUICK.to_dict() | {"steps": 7})
    with pytest.raises(ConfigError, match="steps was 6 and is 7"):
        capture_style(base, [painting], "wave", longer, state_path=path, resume=True)
    with pytest.raises(ConfigError, match="images was"):
        capture_style(base, [painting.rotate(180)], "wave", QUICK, state_path=path, resume=True)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x80\x04pickle"])
def test_a_damaged_state_is_refused(base: BaseModel, painting: Image.Image, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    with pytest.raises(StyleFileError):
        capture_style(base, [painting], "wave", QUICK, state_path=path, resume=True)


def spoiled_losses(monkeypatch: pytest.MonkeyPatch, calls_to_spoil: set[int]) -> None:
    """Make the loss NaN in the given calls, counted from 1."""
    calls: list[int] = []

    def mse(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        loss = (prediction - target).square().mean()
        return loss * math.nan if len(calls) in calls_to_spoil else loss

    monkeypatch.setattr("torch.nn.functional.mse_loss", mse)


def test_a_loss_that_is_not_finite_rolls_back_and_lowers_the_rate_once(
    base: BaseModel, painting: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(capture_style.__globals__, "_SAVE_EVERY", 2)
    spoiled_losses(monkeypatch, {4})
    steps: list[int] = []
    style = capture_style(base, [painting], "wave", QUICK, on_progress=lambda progress: steps.append(progress.step))
    assert steps == [1, 2, 3, 3, 4, 5, 6]
    assert style.metadata["lr_scale"] < 1


def test_a_second_loss_that_is_not_finite_stops_with_a_message(
    base: BaseModel, painting: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest(base.unet)
    spoiled_losses(monkeypatch, {2, 4})
    with pytest.raises(CaptureError, match="Lower hypernet_lr"):
        capture_style(base, [painting], "wave", QUICK)
    assert digest(base.unet) == before


def test_short_memory_cuts_the_batch_and_one_sample_too_many_says_so(
    base: BaseModel, painting: Image.Image, monkeypatch: pytest.MonkeyPatch, whole: Style
) -> None:
    original, limit = split_forward, [1]

    def predict(unet: object, sample: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning) -> torch.Tensor:
        if len(sample) > limit[0]:
            raise torch.OutOfMemoryError
        return original(unet, sample, timesteps, cond)

    monkeypatch.setattr(learner, "split_forward", predict)
    cut = capture_style(base, [painting], "wave", QUICK)
    for path, offset in whole.offsets.items():
        assert torch.allclose(cut.offsets[path].delta(), offset.delta(), atol=1e-2)
    limit[0] = 0
    with pytest.raises(CaptureError, match="too little memory"):
        capture_style(base, [painting], "wave", QUICK)


def test_progress_and_previews(base: BaseModel, painting: Image.Image, whole: Style) -> None:
    config = CaptureConfig.from_dict(QUICK.to_dict() | {"preview_every": 3})
    seen: list[Progress] = []
    style = capture_style(base, [painting], "wave", config, on_progress=seen.append)
    assert [progress.step for progress in seen] == [1, 2, 3, 4, 5, 6]
    assert all(math.isfinite(progress.loss) and progress.eta_s >= 0 for progress in seen)
    assert seen[-1].eta_s == 0
    previews = [progress.preview for progress in seen]
    assert [preview is not None for preview in previews] == [False, False, True, False, False, True]
    assert previews[2] is not None and previews[2].size == (64, 64)
    assert style.hash == whole.hash  # looking changes nothing


def test_several_images_are_all_used(base: BaseModel, painting: Image.Image) -> None:
    turned = painting.rotate(180)
    both = capture_style(base, [painting, turned], "wave", QUICK)
    alone = [capture_style(base, [image], "wave", QUICK) for image in (painting, turned)]
    found, *parts = (style.tensors()["latent_mean"] for style in (both, *alone))
    assert torch.allclose(found, (parts[0] + parts[1]) / 2, atol=1e-6)
    assert both.hash not in {style.hash for style in alone}


def decide(monkeypatch: pytest.MonkeyPatch, bfloat16: bool) -> None:
    """Let the hardware have bfloat16 units or not."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": bfloat16})


@pytest.mark.parametrize(
    ("choice", "able", "used"), [("on", False, True), ("auto", True, True), ("auto", False, False)]
)
def test_bfloat16_is_a_choice_or_the_hardwares_and_recorded(
    base: BaseModel, painting: Image.Image, monkeypatch: pytest.MonkeyPatch, choice: str, able: bool, used: bool
) -> None:
    decide(monkeypatch, able)
    config = CaptureConfig.from_dict(QUICK.to_dict() | {"autocast": choice, "steps": 2})
    style = capture_style(base, [painting], "wave", config)
    assert style.metadata["autocast"] is used
    assert ("amx_bf16" if choice == "auto" else "autocast is 'on'") in style.metadata["autocast_reason"]
    json.dumps(style.metadata)


def test_no_clock_decides_what_is_learned(
    base: BaseModel, painting: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CaptureConfig.from_dict(QUICK.to_dict() | {"autocast": "auto", "steps": 2})
    calm = capture_style(base, [painting], "wave", config)
    clock = itertools.count(0, 1000)
    for name in ("monotonic", "perf_counter", "time", "process_time"):
        monkeypatch.setattr(time, name, lambda: float(next(clock) ** 2 % 7))
    assert same(capture_style(base, [painting], "wave", config), calm)


def test_a_capture_goes_on_in_the_arithmetic_it_began_in(
    base: BaseModel, painting: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, config = tmp_path / "state", CaptureConfig.from_dict(QUICK.to_dict() | {"autocast": "auto"})
    decide(monkeypatch, True)
    whole = capture_style(base, [painting], "wave", config)

    class Killed(BaseException):
        """As sudden as a kill: nothing is saved on the way out."""

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(learner, "split_forward", kill)
        capture_style(base, [painting], "wave", config, state_path=path)
    decide(monkeypatch, False)  # another machine
    resumed = capture_style(base, [painting], "wave", config, state_path=path, resume=True)
    assert same(resumed, whole) and resumed.metadata["autocast"] is True


def test_a_state_of_before_has_no_reason_and_goes_on(
    base: BaseModel, painting: Image.Image, tmp_path: Path, whole: Style
) -> None:
    path = tmp_path / "state"
    on_progress, should_stop = stop_after(2)
    with pytest.raises(Cancelled):
        capture_style(
            base, [painting], "wave", QUICK, state_path=path, on_progress=on_progress, should_stop=should_stop
        )
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["sigstyle_capture"])
    del header["progression"]["autocast_reason"]
    save_file(load_file(path), path, {"sigstyle_capture": json.dumps(header)})
    assert capture_style(base, [painting], "wave", QUICK, state_path=path, resume=True).hash == whole.hash


def test_no_image_is_refused(base: BaseModel) -> None:
    with pytest.raises(ConfigError, match="no style image"):
        capture_style(base, [], "wave", QUICK)


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 8), (6, 10)])
@pytest.mark.parametrize("changes", [{}, {"center_input_sample": True}, {"mid_block_type": None}])
def test_the_split_forward_is_the_unets_own(size: tuple[int, int], changes: dict) -> None:
    unet = make_unet(**changes).eval()
    sample, text, timesteps = torch.randn(2, 4, *size), torch.randn(2, 7, 32), torch.tensor([3, 900])
    assert torch.equal(split_forward(unet, sample, timesteps, Conditioning(text)), unet(sample, timesteps, text).sample)


def test_the_split_forward_has_the_decoders_gradients() -> None:
    unet = make_unet().eval()
    sample, text = torch.randn(1, 4, 8, 8), torch.randn(1, 7, 32)
    gradients = []
    for forward in (
        lambda: split_forward(unet, sample, torch.tensor([5]), Conditioning(text)),
        lambda: unet(sample, 5, text)[0],
    ):
        unet.zero_grad()
        forward().square().mean().backward()
        gradients.append({name: p.grad for name, p in unet.named_parameters()})
    ours, whole = gradients
    for name, gradient in ours.items():
        if name.startswith(("up_blocks", "conv_norm_out", "conv_out")):
            assert gradient is not None and torch.allclose(gradient, whole[name], atol=1e-6)
        else:
            assert gradient is None


def test_a_step_on_stable_diffusion_1_5_costs_at_most_1_4_teraflops() -> None:
    with FakeTensorMode(), sdpa_kernel(SDPBackend.MATH):
        unet = UNet2DConditionModel(cross_attention_dim=768).eval()
        prompt = Conditioning(torch.zeros(1, 77, 768))
        inputs = torch.zeros(1, 4, 64, 64), torch.zeros(1, dtype=torch.long), prompt
        with training(unet, StyleHypernet(target_layers(unet, "auto"))), FlopCounterMode(display=False) as counter:
            split_forward(unet, *inputs).square().mean().backward()
    assert counter.get_total_flops() < 1.4e12


def test_cached_latents_are_seeded_and_of_the_size_asked_for(base: BaseModel, painting: Image.Image) -> None:
    first, again = (cached_latents(base, [painting], QUICK) for _ in range(2))
    assert first.shape == (4, 4, 8, 8)
    assert torch.equal(first, again)
    with pytest.raises(ConfigError, match="multiple of 32"):
        cached_latents(base, [painting], CaptureConfig(size_px=65))


def test_batches_mix_whole_latents_and_half_size_windows(base: BaseModel) -> None:
    latents, generator = torch.randn(5, 4, 8, 8), torch.Generator().manual_seed(0)
    sides = [draw_batch(latents, base.scheduler, QUICK, 4, generator).noisy.shape[-1] for _ in range(60)]
    assert set(sides) == {4, 8}
    assert 0.5 < sides.count(4) / 60 < 0.85
    never = CaptureConfig.from_dict(QUICK.to_dict() | {"subcrop": 0.0})
    assert draw_batch(latents, base.scheduler, never, 4, generator).noisy.shape == (2, 4, 8, 8)
    assert draw_batch(latents, base.scheduler, QUICK, 0, generator).noisy.shape == (2, 4, 8, 8)


@pytest.mark.parametrize(("bias", "low", "high"), [(0.0, 480, 520), (1.0, 640, 690), (-1.0, 310, 360)])
def test_timesteps_cover_the_whole_range_and_lean_as_asked(
    base: BaseModel, bias: float, low: float, high: float
) -> None:
    config = CaptureConfig(batch_size=256, timestep_bias=bias)
    batch = draw_batch(torch.zeros(1, 4, 2, 2), base.scheduler, config, 0, torch.Generator().manual_seed(0))
    assert batch.timesteps.min() >= 0 and batch.timesteps.max() <= 999
    assert low < batch.timesteps.float().mean() < high


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_a_perfect_prediction_leads_back_to_the_clean_latents(make_base: MakeBase, prediction_type: str) -> None:
    scheduler = make_base(prediction_type=prediction_type).scheduler
    clean, noise = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    batch = noisy_batch(clean, noise, torch.tensor([1, 500, 900]), scheduler)
    assert torch.allclose(pred_x0_of(batch, batch.target, scheduler), clean, atol=1e-4)


def test_other_prediction_types_are_refused(make_base: MakeBase) -> None:
    scheduler = make_base(prediction_type="sample").scheduler
    with pytest.raises(ConfigError, match="expected epsilon or v_prediction"):
        noisy_batch(torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2), torch.tensor([1]), scheduler)


def test_a_batch_splits_into_its_samples() -> None:
    batch = Batch(torch.randn(3, 4, 2, 2), torch.arange(3), torch.randn(3, 4, 2, 2))
    parts = batch.split(2)
    assert [len(part.noisy) for part in parts] == [2, 1]
    assert torch.equal(torch.cat([part.target for part in parts]), batch.target)
    assert len(batch.split(8)) == 3


def test_a_capture_can_finish_early_and_keep_what_it_learned(
    base: BaseModel, painting: Image.Image, whole: Style, tmp_path: Path
) -> None:
    on_progress, should_finish = stop_after(3)
    state = tmp_path / "state.safetensors"
    before = digest(base.unet)
    style = capture_style(
        base, [painting], "wave", QUICK, state_path=state, on_progress=on_progress, should_finish=should_finish
    )
    assert style.metadata["finished_at"] == 3 and "finished_at" not in whole.metadata
    assert all(o.delta().any() for o in style.offsets.values())
    assert digest(base.unet) == before
    resumed = capture_style(base, [painting], "wave", QUICK, state_path=state, resume=True)
    assert same(resumed, whole), "the state it leaves goes on to the whole capture"


def test_finishing_before_the_first_step_still_learns_one(base: BaseModel, painting: Image.Image) -> None:
    style = capture_style(base, [painting], "wave", QUICK, should_finish=lambda: True)
    assert style.metadata["finished_at"] == 1

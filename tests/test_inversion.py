"""Inversion: the round trip, what it costs, what it records, and that it leaves nothing behind."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import DDIMInverseScheduler
from torch import Tensor

from sigstyle.base.conditioning import Conditioning
from sigstyle.base.model import BaseModel, ddim
from sigstyle.diffusion.attention import self_attention_layers
from sigstyle.diffusion.denoise import denoise
from sigstyle.diffusion.inversion import ContentTrace, invert, swapped_steps

STEPS = 6
MakeBase = Callable[..., BaseModel]


def content(base: BaseModel) -> tuple[Tensor, Conditioning]:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return latents, base.reader.encode(["a tower"]).detach()


def round_trip_error(base: BaseModel, iterations: int, scheduler: Any = None) -> float:
    scheduler = scheduler or base.scheduler
    latents, cond = content(base)
    trace = invert(base.unet, scheduler, latents, cond, steps=STEPS, iterations=iterations)
    assert trace is not None
    back = denoise(base.unet, scheduler, trace.initial_noise, cond, steps=STEPS)
    return (back - latents).abs().max().item()


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_iterations_make_the_round_trip_exact(make_base: MakeBase, prediction_type: str) -> None:
    base = make_base(prediction_type=prediction_type)
    with torch.no_grad():
        base.unet.conv_out.weight.mul_(0.3)  # trained models change less over a step than random ones
    plain, one, two, nine = (round_trip_error(base, iterations) for iterations in (0, 1, 2, 9))
    assert plain > 2 * one > 4 * two
    assert nine < 0.01 * plain


@pytest.mark.parametrize(
    "changes",
    [
        {"timestep_spacing": "trailing", "steps_offset": 0},
        {"timestep_spacing": "linspace"},
        {"set_alpha_to_one": True},
        {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True},
    ],
)
def test_every_kind_of_ddim_schedule_round_trips(make_base: MakeBase, changes: dict[str, Any]) -> None:
    base = make_base(prediction_type="v_prediction")
    scheduler = ddim(type(base.scheduler).from_config(base.scheduler.config, **changes))
    assert round_trip_error(base, 6, scheduler) < 1e-3


def test_without_iterations_it_is_plain_ddim_inversion(base: BaseModel) -> None:
    latents, cond = content(base)
    inverse: Any = DDIMInverseScheduler.from_config(base.scheduler.config)
    inverse.set_timesteps(STEPS)
    expected = latents
    with torch.no_grad():
        for timestep in inverse.timesteps:
            expected = inverse.step(base.unet(expected, timestep, cond.embeds).sample, timestep, expected).prev_sample
    trace = invert(base.unet, base.scheduler, latents, cond, steps=STEPS, iterations=0)
    assert trace is not None
    torch.testing.assert_close(trace.initial_noise, expected)


def test_the_path_leads_from_the_content_to_the_start(make_base: MakeBase) -> None:
    base = make_base(prediction_type="v_prediction")
    latents, cond = content(base)
    trace = invert(base.unet, base.scheduler, latents, cond, steps=STEPS, iterations=4)
    assert trace is not None and trace.path.shape == (STEPS + 1, 1, 4, 8, 8)
    assert torch.equal(trace.path[0], latents) and torch.equal(trace.path[-1], trace.initial_noise)
    met: list[Tensor] = []

    def on_step(_step: int, _timestep: int, latents: Tensor, _clean: Tensor) -> Tensor:
        met.append(latents)
        return latents

    denoise(base.unet, base.scheduler, trace.initial_noise, cond, steps=STEPS, on_step=on_step)
    for step in range(STEPS):
        torch.testing.assert_close(trace.latents_after(step), met[step], atol=1e-3, rtol=0)


@pytest.mark.parametrize(("iterations", "expected"), [(0, 6), (1, 6), (2, 12)])
def test_evaluations_are_counted_as_they_happen(base: BaseModel, iterations: int, expected: int) -> None:
    met, told = [], []
    base.unet.register_forward_pre_hook(lambda _module, args: met.append(len(args[0])))
    invert(
        base.unet,
        base.scheduler,
        *content(base),
        steps=STEPS,
        iterations=iterations,
        on_evaluation=lambda: told.append(1),
    )
    assert sum(met) == len(told) == expected


def test_features_are_those_of_the_last_evaluation_of_the_steps_asked_for(base: BaseModel) -> None:
    layers = self_attention_layers(base.unet)[:2]
    seen: dict[int, Tensor] = {}
    timesteps: list[int] = []
    base.unet.register_forward_pre_hook(lambda _module, args: timesteps.append(int(args[1])))
    base.unet.get_submodule(f"{layers[0]}.to_q").register_forward_hook(
        lambda _module, _args, output: seen.update({timesteps[-1]: output})
    )
    trace = invert(
        base.unet,
        base.scheduler,
        *content(base),
        steps=STEPS,
        iterations=2,
        record_layers=layers,
        record_steps=3,
    )
    assert trace is not None
    assert sorted(trace.projections, reverse=True) == base.scheduler.timesteps.tolist()[:3]
    for timestep, found in trace.projections.items():
        assert list(found) == layers
        assert torch.equal(found[layers[0]].query, seen[timestep])
        assert found[layers[0]].key is None


def test_a_trace_gives_what_was_recorded_and_no_more(base: BaseModel) -> None:
    layers = self_attention_layers(base.unet)[:1]
    record: dict[str, Any] = {"record_layers": layers, "record_steps": 2}
    inputs = (base.unet, base.scheduler, *content(base))
    trace = invert(*inputs, steps=4, record_keys=True, **record)
    plain = invert(*inputs, steps=4, **record)
    assert trace is not None and plain is not None
    first, second, third, _ = base.scheduler.timesteps.tolist()
    assert list(trace.projections_at([first], keys=True) or {}) == [first]
    swap = trace.projections_at([first, second], keys=False)
    assert swap is not None and all(found[layers[0]].key is None for found in swap.values())
    assert trace.projections_at([first, second, third], keys=False) is None
    assert plain.projections_at([first], keys=True) is None
    assert ContentTrace(trace.path, {}).projections_at([], keys=True) == {}
    assert trace in [plain, trace] and trace != plain and len({trace, plain}) == 2


def test_stopping_ends_within_an_evaluation_and_restores(base: BaseModel) -> None:
    before = dict(base.unet.attn_processors)
    done: list[int] = []
    layers = self_attention_layers(base.unet)
    trace = invert(
        base.unet,
        base.scheduler,
        *content(base),
        steps=STEPS,
        iterations=2,
        record_layers=layers,
        record_steps=STEPS,
        on_evaluation=lambda: done.append(1),
        should_stop=lambda: len(done) == 5,
    )
    assert trace is None and len(done) == 5
    assert all(base.unet.attn_processors[name] is processor for name, processor in before.items())


@pytest.mark.parametrize(
    ("swap_until", "steps", "expected"),
    [(0.0, 50, 0), (0.3, 50, 15), (0.3, 20, 6), (0.4, 18, 8), (0.01, 50, 1), (1.0, 18, 18)],
)
def test_swapped_steps_are_those_before_the_share(swap_until: float, steps: int, expected: int) -> None:
    assert swapped_steps(swap_until, steps) == expected
    assert expected == sum(step < round(swap_until * steps, 9) for step in range(steps))

"""The denoising loop against diffusers' own, the swap in it, and AdaIN."""

from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from sigstyle.base.conditioning import Conditioning
from sigstyle.base.model import BaseModel
from sigstyle.diffusion.attention import self_attention_layers
from sigstyle.diffusion.attention_swap import Swap
from sigstyle.diffusion.denoise import adain, denoise, timesteps_of
from sigstyle.diffusion.inversion import ContentTrace, invert
from sigstyle.errors import ConfigError

STEPS = 6


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def embeddings(base: BaseModel, rows: int = 1) -> tuple[Conditioning, Conditioning]:
    both = base.reader.encode(["a tower", ""]).detach()
    return both[:1].expand(rows), both[1:].expand(rows)


def recorded_trace(base: BaseModel, latents: Tensor, steps: int) -> ContentTrace:
    layers = self_attention_layers(base.unet)
    inputs = (base.unet, base.scheduler, latents, embeddings(base)[0])
    trace = invert(*inputs, steps=STEPS, record_layers=layers, record_steps=steps)
    assert trace is not None
    return trace


@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_it_is_diffusers_own_loop(base: BaseModel, scale: float) -> None:
    pipe = StableDiffusionPipeline(
        vae=base.vae,  # type: ignore[arg-type]
        text_encoder=base.text_encoder,
        tokenizer=base.tokenizer,
        unet=base.unet,
        scheduler=base.scheduler,
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    cond, uncond = embeddings(base, 2)
    start = noise(2, 4, 8, 8)
    expected: Any = pipe(
        prompt_embeds=cond.embeds,
        negative_prompt_embeds=uncond.embeds,
        latents=start,
        guidance_scale=scale,
        num_inference_steps=STEPS,
        output_type="latent",
    )
    found = denoise(base.unet, base.scheduler, start, cond, uncond, steps=STEPS, guidance_scale=scale)
    torch.testing.assert_close(found, expected.images)


@pytest.mark.parametrize(("scale", "expected"), [(1.0, STEPS), (2.0, 2 * STEPS)])
def test_guidance_of_one_costs_one_evaluation_a_step(base: BaseModel, scale: float, expected: int) -> None:
    met: list[int] = []
    base.unet.register_forward_pre_hook(lambda _module, args: met.append(len(args[0])))
    cond, uncond = embeddings(base)
    denoise(base.unet, base.scheduler, noise(1, 4, 8, 8), cond, uncond, steps=STEPS, guidance_scale=scale)
    assert sum(met) == expected


def test_features_act_in_their_steps_only(base: BaseModel) -> None:
    cond, _ = embeddings(base)
    start, other = noise(1, 4, 8, 8), noise(1, 4, 8, 8, seed=1)
    trace = recorded_trace(base, other, steps=2)
    after: dict[str, list[Tensor]] = {"plain": [], "swapped": []}
    for name, attention in (("plain", None), ("swapped", Swap(trace.projections))):

        def on_step(step: int, _timestep: int, latents: Tensor, _pred_x0: Tensor, name: str = name) -> Tensor:
            after[name].append(latents)
            return start if step == 1 else latents  # both go on from the same latents

        denoise(base.unet, base.scheduler, start, cond, steps=STEPS, attention=attention, on_step=on_step)
    differ = [not torch.equal(a, b) for a, b in zip(*after.values(), strict=True)]
    assert differ == [True, True, False, False, False, False]


def test_one_trace_serves_several_images(base: BaseModel) -> None:
    trace = recorded_trace(base, noise(1, 4, 8, 8, seed=1), steps=2)
    start = noise(2, 4, 8, 8)
    together = denoise(
        base.unet, base.scheduler, start, embeddings(base, 2)[0], steps=STEPS, attention=Swap(trace.projections)
    )
    for row in range(2):
        cond = embeddings(base)[0]
        alone = denoise(
            base.unet, base.scheduler, start[row : row + 1], cond, steps=STEPS, attention=Swap(trace.projections)
        )
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-4, rtol=1e-4)


def test_stopping_gives_the_latents_reached(base: BaseModel) -> None:
    reached: list[Tensor] = []

    def on_step(_step: int, _timestep: int, latents: Tensor, _pred_x0: Tensor) -> Tensor:
        reached.append(latents)
        return latents

    stopped = denoise(
        base.unet,
        base.scheduler,
        noise(1, 4, 8, 8),
        embeddings(base)[0],
        steps=STEPS,
        on_step=on_step,
        should_stop=lambda: len(reached) == 3,
    )
    assert len(reached) == 3 and torch.equal(stopped, reached[-1])


def test_processors_come_back_after_an_exception(base: BaseModel) -> None:
    before = dict(base.unet.attn_processors)
    trace = recorded_trace(base, noise(1, 4, 8, 8), steps=2)

    def fail(*_: Any) -> Tensor:
        raise MemoryError

    inputs = (base.unet, base.scheduler, trace.initial_noise, embeddings(base)[0])
    with pytest.raises(MemoryError):
        denoise(*inputs, steps=STEPS, attention=Swap(trace.projections), on_step=fail)
    assert all(base.unet.attn_processors[name] is processor for name, processor in before.items())


def test_adain_sets_channel_statistics_by_its_amount() -> None:
    latents, mean, std = noise(2, 4, 8, 8) * 3 + 1, torch.arange(4.0), torch.arange(1.0, 5.0)
    assert adain(latents, mean, std, 0.0) is latents
    full = adain(latents, mean, std, 1.0)
    for row in full:
        torch.testing.assert_close(row.mean((1, 2)), mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(row.std((1, 2)), std)
    torch.testing.assert_close(adain(latents, mean, std, 0.25), 0.75 * latents + 0.25 * full)
    flat = adain(torch.ones(1, 4, 8, 8), mean, std, 1.0)
    assert flat.isfinite().all()


@pytest.mark.parametrize("eta", [0.4, 1.0])
def test_fresh_noise_is_what_diffusers_own_loop_adds(base: BaseModel, eta: float) -> None:
    cond, _ = embeddings(base)
    start, scheduler = noise(1, 4, 8, 8), base.scheduler
    generator, latents = torch.Generator().manual_seed(3), start
    scheduler.set_timesteps(STEPS)
    for step, timestep in enumerate(scheduler.timesteps.tolist()):
        with torch.no_grad():
            output = base.unet(latents, timestep, cond.embeds).sample
        added = eta if step >= 2 else 0.0
        latents = scheduler.step(output, timestep, latents, eta=added, generator=generator).prev_sample
    own = torch.Generator().manual_seed(3)
    found = denoise(base.unet, scheduler, start, cond, steps=STEPS, eta=eta, eta_from=2, generators=[own])
    torch.testing.assert_close(found, latents, atol=1e-5, rtol=1e-5)


def test_fresh_noise_needs_a_generator_for_each_image(base: BaseModel) -> None:
    cond, _ = embeddings(base, 2)
    for generators in ([], [torch.Generator()]):
        with pytest.raises(ConfigError, match=rf"eta is 1.0 with {len(generators)} generators for 2 images"):
            denoise(base.unet, base.scheduler, noise(2, 4, 8, 8), cond, steps=STEPS, eta=1.0, generators=generators)
    swapped_to_the_end = denoise(base.unet, base.scheduler, noise(2, 4, 8, 8), cond, steps=2, eta=1.0, eta_from=2)
    assert swapped_to_the_end.isfinite().all()


def test_asking_for_timesteps_leaves_the_scheduler_as_it_is(base: BaseModel) -> None:
    base.scheduler.set_timesteps(7)
    before = base.scheduler.timesteps
    found = timesteps_of(base.scheduler, STEPS)
    assert base.scheduler.num_inference_steps == 7 and base.scheduler.timesteps is before
    base.scheduler.set_timesteps(STEPS)
    assert found == base.scheduler.timesteps.tolist()


def test_what_is_drawn_moves_the_clean_latents_and_nothing_else(base: BaseModel) -> None:
    """Moved at the last step alone, the result moves by as much as the schedule keeps of the clean latents there."""
    cond, _ = embeddings(base)
    start, moved = noise(1, 4, 8, 8), noise(1, 4, 8, 8, seed=5)
    shares: list[float] = []

    def draw(share: float, pred_x0: Tensor) -> Tensor | None:
        shares.append(share)
        assert pred_x0.shape == start.shape
        return moved if len(shares) == STEPS else None

    plain = denoise(base.unet, base.scheduler, start, cond, steps=STEPS)
    found = denoise(base.unet, base.scheduler, start, cond, steps=STEPS, draw=draw)
    kept = float(base.scheduler.final_alpha_cumprod) ** 0.5
    torch.testing.assert_close(found - plain, kept * moved, atol=1e-4, rtol=1e-4)
    assert shares == [step / STEPS for step in range(STEPS)]

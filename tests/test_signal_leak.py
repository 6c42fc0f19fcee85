"""What photographs are like at large, in the noise that a prompt's picture starts from."""

from math import nan
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler
from random_style import random_style

from pipelines import SigStyleText2ImgPipeline
from sigstyle.base.model import BaseModel, load_base
from sigstyle.config import GenerateConfig
from sigstyle.defaults import SD1, SD2, SDXL, resolved
from sigstyle.errors import PaintingError
from sigstyle.painting.signal_leak import FREQUENCIES, drawn, low_frequencies, waves, with_signal_leak


@pytest.fixture(scope="module")
def mini() -> BaseModel:
    return load_base("mini")


def noise_of(base: BaseModel, count: int = 1, seed: int = 0) -> torch.Tensor:
    shape = (count, base.unet.config.in_channels, 24, 16)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def leaked(base: BaseModel, amount: float, seed: int = 0, count: int = 1, steps: int = 10) -> torch.Tensor:
    return with_signal_leak(base.vae, noise_of(base, count, seed), base.scheduler, steps, amount)


def test_waves_are_what_low_frequencies_read_at_any_size() -> None:
    known = torch.randn(2, 4, FREQUENCIES, FREQUENCIES)
    for size in ((8, 8), (24, 16), (64, 40)):
        torch.testing.assert_close(low_frequencies(waves(known, size)), known, rtol=1e-4, atol=1e-5)
    even = torch.full((1, 1, 12, 20), 0.7)
    assert low_frequencies(even)[0, 0, 0, 0] == pytest.approx(0.7, abs=1e-6), "the first coefficient is the mean"


def test_draws_have_the_mean_and_the_covariance_of_the_examples() -> None:
    examples = torch.randn(12, 3) @ torch.tensor([[1.0, 0.5, 0], [0, 1, -0.5], [0, 0, 0.3]]) + 2
    shares = torch.randn(40_000, 12, generator=torch.Generator().manual_seed(0))
    found = drawn(examples, shares)
    torch.testing.assert_close(found.mean(0), examples.mean(0), atol=0.03, rtol=0)
    torch.testing.assert_close(found.T.cov(), examples.T.cov(), atol=0.05, rtol=0.05)


def test_without_an_amount_the_noise_is_what_it_was(base: BaseModel) -> None:
    noise = noise_of(base)
    assert with_signal_leak(base.vae, noise, None, 10, 0.0) is noise, "no scheduler is asked"


@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler])
def test_nothing_is_added_where_the_schedule_keeps_nothing(base: BaseModel, kind: Any) -> None:
    noise = noise_of(base)
    zero = kind.from_config(base.scheduler.config, rescale_betas_zero_snr=True, timestep_spacing="trailing")
    assert with_signal_leak(base.vae, noise, zero, 10, 1.0) is noise


def test_noise_stays_noise_where_few_steps_begin_late(mini: BaseModel) -> None:
    mini.scheduler.set_timesteps(1)
    assert float(mini.scheduler.alphas_cumprod[int(mini.scheduler.timesteps[0])]) > 0.9
    assert leaked(mini, 1.0, steps=1).std() > 0.9 * noise_of(mini).std()


def test_the_light_of_an_image_does_not_depend_on_how_many_there_are(mini: BaseModel) -> None:
    several = leaked(mini, 1.0, count=3)
    torch.testing.assert_close(several[:1], leaked(mini, 1.0, count=1))
    lights = low_frequencies(several - noise_of(mini, 3))
    assert (lights[0] - lights[1]).abs().max() > 0.01


def test_a_photo_is_measured_once_for_each_kind_of_numbers(mini: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    leaked(mini, 1.0)
    monkeypatch.setattr("sigstyle.painting.signal_leak.shipped_photos", lambda: pytest.fail("measured again"))
    leaked(mini, 1.0)


def test_an_autoencoder_that_overflows_is_told(make_base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    base = make_base()
    monkeypatch.setattr("sigstyle.painting.signal_leak.encode_latents", lambda _, p: torch.full((len(p), 4, 8, 8), nan))
    with pytest.raises(PaintingError, match="the autoencoder's encoder gave NaN"):
        leaked(base, 1.0)


def test_it_adds_low_frequencies_alone_as_much_as_the_first_step_keeps(mini: BaseModel) -> None:
    steps, plain = 10, noise_of(mini)
    mini.scheduler.set_timesteps(steps)
    kept = float(mini.scheduler.alphas_cumprod[int(mini.scheduler.timesteps[0])])
    added = leaked(mini, 1.0, steps=steps) - (1 - kept) ** 0.5 * plain
    torch.testing.assert_close(waves(low_frequencies(added), added.shape[2:]), added, atol=1e-4, rtol=0)
    twice = leaked(mini, 2.0, steps=steps) - (1 - kept) ** 0.5 * plain
    torch.testing.assert_close(twice, 2 * added, atol=1e-4, rtol=0)
    brightness = low_frequencies(leaked(mini, 1.0, count=200, steps=steps))[:, 0, 0, 0].std() / kept**0.5
    assert 0.4 < brightness < 1.2, "photographs spread by .6 in the first channel"


def test_a_seed_gives_the_same_and_another_something_else(mini: BaseModel) -> None:
    assert torch.equal(leaked(mini, 1.0), leaked(mini, 1.0))
    assert not torch.equal(leaked(mini, 1.0), leaked(mini, 1.0, seed=2))


def test_another_scheduler_takes_it_too(mini: BaseModel) -> None:
    euler = EulerDiscreteScheduler.from_config(mini.scheduler.config)
    found = with_signal_leak(mini.vae, noise_of(mini), euler, 10, 1.0)
    assert found.isfinite().all() and not torch.equal(found, noise_of(mini))


def test_it_is_on_for_the_embedded_base_and_off_where_models_are_published_without() -> None:
    assert resolved(GenerateConfig, None, None, {}, "").signal_leak == 1
    assert {resolved(GenerateConfig, None, None, {}, family).signal_leak for family in (SD1, SD2, SDXL)} == {0}
    assert resolved(GenerateConfig, None, None, {"signal_leak": 0.5}, SD1).signal_leak == 0.5
    assert GenerateConfig.preset("classic").signal_leak == 0


def test_recipes_from_before_start_from_noise_alone() -> None:
    assert GenerateConfig.from_recipe({"method": "paint", "prompt": "sea"}).signal_leak == 0
    assert GenerateConfig.from_recipe({"method": "paint", "signal_leak": 0.7}).signal_leak == 0.7


def test_pictures_differ_by_it_and_given_latents_are_left_alone(base: BaseModel) -> None:
    pipe = SigStyleText2ImgPipeline.from_base(base)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_style(random_style(base))
    how = {"height": 64, "width": 64, "strength": 0, "num_inference_steps": 2, "output_type": "latent"}
    made = {amount: pipe("sea", signal_leak=amount, **how).images for amount in (0, 1)}
    assert not torch.equal(made[0], made[1])
    given = torch.randn(1, base.unet.config.in_channels, 8, 8)
    again = [pipe("sea", signal_leak=amount, latents=given, **how).images for amount in (0, 1)]
    assert torch.equal(*again)
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    pair = pipe("sea", generator=generators, num_images_per_prompt=2, **how).images
    alone = pipe("sea", generator=torch.Generator().manual_seed(3), **how).images
    torch.testing.assert_close(pair[:1], alone)

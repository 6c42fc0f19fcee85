"""The noise a UNet reads in clean latents, and the way from noisy latents to clean ones."""

from collections.abc import Callable

import pytest
import torch
from conftest import MakeBase
from torch import Tensor

from sigstyle.diffusion.implied_noise import clean_and_noise, implied_noise, levels, with_fresh
from sigstyle.errors import ConfigError

TIMESTEPS = torch.tensor([20, 500, 990])
Epsilon = Callable[[Tensor, Tensor], Tensor]


def latents(seed: int = 0) -> Tensor:
    return torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def as_velocity(epsilon: Epsilon, scheduler: object) -> Epsilon:
    """The same model, saying v where `epsilon` says the noise."""

    def velocity(noisy: Tensor, timesteps: Tensor) -> Tensor:
        kept, level = levels(scheduler, timesteps, noisy)
        noise = epsilon(noisy, timesteps)
        return kept * noise - level * (noisy - level * noise) / kept

    return velocity


def test_the_levels_are_the_schedules_own(make_base: MakeBase) -> None:
    scheduler = make_base().scheduler
    clean, noise = latents(), latents(1)
    kept, level = levels(scheduler, TIMESTEPS, clean)
    torch.testing.assert_close(kept**2 + level**2, torch.ones(3, 1, 1, 1))
    torch.testing.assert_close(kept * clean + level * noise, scheduler.add_noise(clean, noise, TIMESTEPS))


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_an_exact_prediction_gives_the_clean_latents_and_the_noise(make_base: MakeBase, kind: str) -> None:
    scheduler, clean, noise = make_base(prediction_type=kind).scheduler, latents(), latents(1)
    noisy = scheduler.add_noise(clean, noise, TIMESTEPS)
    output = noise if kind == "epsilon" else scheduler.get_velocity(clean, noise, TIMESTEPS)
    found = clean_and_noise(scheduler, noisy, output, TIMESTEPS)
    torch.testing.assert_close(found[0], clean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[1], noise, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rounds", [1, 2, 3])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_model_that_knows_the_noise_is_asked_once_a_round_and_gives_it(
    make_base: MakeBase, kind: str, rounds: int
) -> None:
    scheduler, noise, asked = make_base(prediction_type=kind).scheduler, latents(1), []

    def exact(noisy: Tensor, timesteps: Tensor) -> Tensor:
        asked.append(timesteps)
        return noise

    model = exact if kind == "epsilon" else as_velocity(exact, scheduler)
    found = implied_noise(model, scheduler, latents(), TIMESTEPS, rounds)
    torch.testing.assert_close(found, noise, atol=1e-4, rtol=1e-4)
    assert len(asked) == rounds and all(torch.equal(timesteps, TIMESTEPS) for timesteps in asked)


def test_epsilon_and_velocity_of_one_model_agree(make_base: MakeBase) -> None:
    schedulers = [make_base(prediction_type=kind).scheduler for kind in ("epsilon", "v_prediction")]

    def epsilon(noisy: Tensor, _timesteps: Tensor) -> Tensor:
        return torch.tanh(noisy.flip(3))

    found = implied_noise(epsilon, schedulers[0], latents(), TIMESTEPS, rounds=2)
    velocity = as_velocity(epsilon, schedulers[1])
    torch.testing.assert_close(
        implied_noise(velocity, schedulers[1], latents(), TIMESTEPS, rounds=2), found, atol=1e-4, rtol=1e-3
    )


def test_it_begins_at_the_mean_without_noise_and_settles(make_base: MakeBase) -> None:
    scheduler, clean, met = make_base().scheduler, latents(), []
    kept, level = levels(scheduler, TIMESTEPS, clean)

    def drawn_in(noisy: Tensor, _timesteps: Tensor) -> Tensor:
        met.append(noisy)
        return 0.5 * noisy

    settled = 0.5 * kept * clean / (1 - 0.5 * level)  # where the noise found is the noise put in
    gaps = [(implied_noise(drawn_in, scheduler, clean, TIMESTEPS, r) - settled).abs().max() for r in (1, 2, 4, 8)]
    assert torch.equal(met[0], kept * clean)
    assert all(later < sooner for sooner, later in zip(gaps, gaps[1:], strict=False)) and gaps[-1] < 0.01


def test_other_prediction_types_are_refused(make_base: MakeBase) -> None:
    scheduler = make_base(prediction_type="sample").scheduler
    with pytest.raises(ConfigError, match="'sample'; expected epsilon or v_prediction"):
        implied_noise(lambda noisy, _timesteps: noisy, scheduler, latents(), TIMESTEPS)


def test_fresh_noise_takes_a_share_of_the_variance() -> None:
    own, fresh = (torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert with_fresh(own, fresh, 0) is own
    assert torch.equal(with_fresh(own, fresh, 1), fresh)
    assert with_fresh(own, fresh, 0.3).std() == pytest.approx(1, abs=0.02)

import pytest
import torch
from torch import Tensor

from sigstyle.errors import ConfigError
from sigstyle.style.offsets import Offset, identity, mix


def random_offset(rank: int = 3, shape: tuple[int, int] = (6, 8)) -> Offset:
    return Offset(torch.randn(shape[0], rank), torch.randn(rank, shape[1]))


def test_identity_changes_nothing_bit_for_bit() -> None:
    weight = torch.randn(6, 8)
    assert torch.equal(identity((6, 8), 3).apply(weight), weight)


def test_strength_zero_changes_nothing_bit_for_bit() -> None:
    weight = torch.randn(6, 8)
    assert torch.equal(random_offset().apply(weight, 0.0), weight)


def test_apply_is_the_weight_times_one_plus_the_delta() -> None:
    weight, offset = torch.randn(6, 8), random_offset()
    assert torch.allclose(offset.apply(weight, 0.5), weight * (1 + 0.5 * (offset.up @ offset.down)))


def test_a_convolution_is_flattened_and_restored() -> None:
    weight, offset = torch.randn(6, 2, 2, 2), random_offset()
    flat = offset.apply(weight.view(6, 8))
    assert torch.equal(offset.apply(weight), flat.view(6, 2, 2, 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_it_multiplies_in_float32_and_casts_once(dtype: torch.dtype) -> None:
    weight, offset = torch.randn(6, 8).to(dtype), random_offset()
    expected = (weight.double() * (1 + offset.up.double() @ offset.down.double())).to(dtype)
    styled = offset.apply(weight)
    assert styled.dtype == dtype
    assert torch.allclose(styled.double(), expected.double(), rtol=2 * torch.finfo(dtype).eps)


def test_autocast_does_not_lower_the_precision_of_the_delta() -> None:
    offset = random_offset()
    plain = offset.delta()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(offset.delta(), plain)
        assert offset.delta().dtype == torch.float32


def test_scaling_scales_the_delta() -> None:
    offset = random_offset()
    assert torch.allclose(offset.scaled(-1.5).delta(), -1.5 * offset.delta())


def test_mixing_adds_the_deltas_and_the_ranks() -> None:
    first, second = random_offset(3), random_offset(1)
    mixed = mix([first, second], [0.25, 2.0])
    assert mixed.rank == 4
    assert torch.allclose(mixed.delta(), 0.25 * first.delta() + 2 * second.delta(), atol=1e-6)


@pytest.mark.parametrize(
    ("offsets", "weights"),
    [([], []), ([random_offset()], [1.0, 1.0]), ([random_offset(), random_offset(3, (8, 6))], [1.0, 1.0])],
)
def test_mixing_what_does_not_fit_is_refused(offsets: list[Offset], weights: list[float]) -> None:
    with pytest.raises(ConfigError, match="Cannot mix"):
        mix(offsets, weights)


@pytest.mark.parametrize(("up", "down"), [(torch.zeros(6, 3), torch.zeros(2, 8)), (torch.zeros(6), torch.zeros(1, 8))])
def test_factors_that_do_not_match_are_refused(up: Tensor, down: Tensor) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Offset(up, down)


def test_a_weight_of_another_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot take an offset"):
        random_offset().apply(torch.zeros(8, 6))

"""The painting loss: its feature network is the package's, its terms keep their laws."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sigstyle.errors import ConfigError
from sigstyle.scoring.features import CHANNELS, FEATURES_FILE, STRIDES, StyleFeatures, style_features
from sigstyle.scoring.network import NORM_EPSILON, feature_network, packaged_weights
from sigstyle.scoring.style_loss import (
    LayerStatistics,
    gram_distance,
    instance_normalised,
    moment_distance,
    statistics,
    structure_distance,
    total_variation,
)
from weights.features.__main__ import first_blocks

STYLE_TERMS = [gram_distance, moment_distance]


@pytest.fixture(scope="module")
def network() -> StyleFeatures:
    return style_features()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pixels(batch: int = 1, height: int = 48, width: int = 64, seed: int = 0) -> Tensor:
    return noise(batch, 3, height, width, seed=seed).div(2).clamp(-1, 1)


def test_the_file_is_the_packages_first_blocks_and_small() -> None:
    weights = first_blocks(packaged_weights())
    x = pixels()
    ours, theirs = style_features()(x), StyleFeatures(weights)(x)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert FEATURES_FILE.stat().st_size < 300_000


def test_the_features_are_those_of_the_whole_network(network: StyleFeatures) -> None:
    whole, x = feature_network(), pixels(2)
    found = network(x)
    assert torch.equal(found[0], x)
    torch.testing.assert_close(F.relu6(found[1]), whole.stem(x))
    for block, ours in zip(range(1, 6), found[2:], strict=True):
        before = whole(x, (block - 1,))[block - 1]
        torch.testing.assert_close(F.relu6(ours), whole.get_submodule(f"blocks.{block}.expand")(before))


def test_the_stem_is_a_convolution_and_a_batch_norm_with_tensorflows_padding(network: StyleFeatures) -> None:
    weights, x = packaged_weights(), pixels()
    mean, variance, scale, shift = (
        weights[f"_bn0.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    made = F.conv2d(F.pad(x, (0, 1, 0, 1)), weights["_conv_stem.weight"], stride=2)
    wanted = F.batch_norm(made, mean, variance, scale, shift, eps=NORM_EPSILON)
    torch.testing.assert_close(network(x)[1], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sides", [(48, 64), (50, 39)])
def test_shapes_are_as_said(network: StyleFeatures, sides: tuple[int, int]) -> None:
    for layer, channels, stride in zip(network(pixels(2, *sides)), CHANNELS, STRIDES, strict=True):
        assert layer.shape == (2, channels, *(-(-side // stride) for side in sides))


def test_gradients_reach_every_pixel_and_no_weight(network: StyleFeatures) -> None:
    x = pixels().requires_grad_()
    network(x)[-1].square().sum().backward()
    assert x.grad is not None and x.grad.abs().amin() > 0
    assert not list(network.parameters())


def test_memory_format_changes_nothing_and_is_kept(network: StyleFeatures) -> None:
    x = pixels(2)
    plain, last = network(x), network(x.contiguous(memory_format=torch.channels_last))
    assert all(torch.equal(a, b) for a, b in zip(plain, last, strict=True))
    assert last[-1].is_contiguous(memory_format=torch.channels_last)


def test_autocast_is_near_and_leaves_depthwise_filters_alone(network: StyleFeatures) -> None:
    x = pixels(seed=3)
    with torch.autocast("cpu", torch.bfloat16):
        cast = network(x)
        filtered = network.get_submodule("blocks.0.filter")(x.new_ones(1, 32, 8, 8, dtype=torch.bfloat16))
        assert filtered.dtype == torch.float32
    for a, b in zip(cast[1:], network(x)[1:], strict=True):
        assert a.dtype == torch.bfloat16
        assert (a.float() - b).norm() < 0.03 * b.norm()


def test_a_missing_or_damaged_file_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "damaged.safetensors").write_bytes(b"no such thing")
    for name in ("none.safetensors", "damaged.safetensors"):
        with pytest.raises(ConfigError, match=r"cannot be read: .+ python -m weights.features") as refusal:
            style_features(tmp_path / name)
        assert "\n" not in str(refusal.value)


def maps(seed: int = 0, batch: int = 1) -> list[Tensor]:
    return [noise(batch, 4, 6, 8, seed=seed) + 1, 3 * noise(batch, 5, 3, 4, seed=seed + 1)]


@pytest.mark.parametrize("term", STYLE_TERMS)
def test_style_terms_are_zero_on_themselves_and_positive_elsewhere(term: Callable[..., Tensor]) -> None:
    assert term(statistics(maps()), statistics(maps())) == 0
    assert term(statistics(maps()), statistics(maps(7))) > 0.01


@pytest.mark.parametrize("term", STYLE_TERMS)
def test_style_terms_do_not_ask_where_things_are_nor_how_many(term: Callable[..., Tensor]) -> None:
    order = torch.randperm(48, generator=torch.Generator().manual_seed(0))
    moved = [maps()[0].flatten(2)[:, :, order].view(1, 4, 8, 6), torch.cat([maps()[1]] * 2, dim=3)]
    assert term(statistics(moved), statistics(maps())) < 1e-10


@pytest.mark.parametrize("term", STYLE_TERMS)
def test_style_terms_are_relative_in_each_layer(term: Callable[..., Tensor]) -> None:
    plain = term(statistics(maps()), statistics(maps(7)))
    scaled = [[layer * gain for layer, gain in zip(maps(seed), (100, 0.1), strict=True)] for seed in (0, 7)]
    torch.testing.assert_close(term(*map(statistics, scaled)), plain)


@pytest.mark.parametrize("term", STYLE_TERMS)
def test_style_terms_average_over_a_batch_with_one_style(term: Callable[..., Tensor]) -> None:
    style = statistics(maps(7))
    single = [term(statistics([layer[[k]] for layer in maps(batch=3)]), style) for k in range(3)]
    torch.testing.assert_close(term(statistics(maps(batch=3)), style), torch.stack(single).mean())


def test_gram_sees_what_the_moments_do_not() -> None:
    one = torch.tensor([[1.0, -1, 1, -1], [1, -1, 1, -1]]).view(1, 2, 2, 2)
    other = torch.tensor([[1.0, -1, 1, -1], [1, -1, -1, 1]]).view(1, 2, 2, 2)
    pair = statistics([one]), statistics([other])
    assert moment_distance(*pair) == 0 and gram_distance(*pair) == pytest.approx(1)


def test_a_gram_matrix_is_second_moments_in_float32() -> None:
    features = noise(2, 3, 5, 7).to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        layer = LayerStatistics.of(features)
    expected = torch.einsum("bchw,bdhw->bcd", features.double(), features.double()) / 35
    torch.testing.assert_close(layer.gram, expected.float())
    assert layer.mean.dtype == layer.deviation.dtype == torch.float32


def test_structure_forgets_gain_and_shift_of_a_channel_and_nothing_else() -> None:
    features, gain = noise(2, 4, 8, 8), torch.tensor([1.0, 2, 5, 0.5]).view(1, 4, 1, 1)
    assert structure_distance(features, features * gain + 3) < 1e-9
    assert structure_distance(features, -features) == pytest.approx(4, abs=1e-3)
    assert structure_distance(noise(1, 8, 64, 64), noise(1, 8, 64, 64, seed=1)) == pytest.approx(2, abs=0.05)
    assert instance_normalised(torch.zeros(1, 2, 4, 4)).abs().max() == 0


def test_total_variation() -> None:
    assert total_variation(torch.full((1, 3, 4, 5), 0.3)) == 0
    assert total_variation(torch.arange(5.0).expand(2, 3, 4, 5)) == pytest.approx(1)
    assert total_variation(torch.arange(4.0)[:, None].expand(2, 3, 4, 5) * 2) == pytest.approx(2)


def test_gradients_flow_and_are_finite_also_from_flat_pictures(network: StyleFeatures) -> None:
    style = [layer.detach() for layer in statistics(network(pixels(seed=1)))]
    content = network(pixels(seed=2))[-1].detach()
    for start in (pixels(), torch.zeros(1, 3, 48, 64)):
        x = start.clone().requires_grad_()
        features = network(x)
        ours = statistics(features)
        loss = gram_distance(ours, style) + moment_distance(ours, style) + structure_distance(features[-1], content)
        (loss + total_variation(x)).backward()
        assert x.grad is not None and x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_descending_the_loss_brings_a_picture_to_the_style(network: StyleFeatures) -> None:
    style = [layer.detach() for layer in statistics(network(pixels(seed=1)))]
    x = (0.2 * pixels(seed=5)).requires_grad_()
    optimizer, losses = torch.optim.Adam([x], 0.05), []
    for _ in range(8):
        loss = gram_distance(ours := statistics(network(x)), style) + moment_distance(ours, style)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]

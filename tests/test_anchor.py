import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sigstyle.imaging.smoothing import guided_filter
from sigstyle.painting.anchor import EdgeAnchor, edge_map, half_grey


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def step_image() -> Tensor:
    """Pixels [1, 3, 64, 64], dark on the left, bright on the right, with faint texture all over."""
    pixels = torch.full((1, 3, 64, 64), -0.8)
    pixels[..., 32:] = 0.8
    return pixels + 0.02 * random(1, 3, 64, 64)


def test_an_anchor_to_what_is_already_there_adds_nothing() -> None:
    latents = random(1, 4, 12, 10)
    found = EdgeAnchor(latents, torch.ones(1, 1, 12, 10), 1.0)(0.0, latents)
    assert found is not None
    torch.testing.assert_close(found, torch.zeros_like(latents), atol=1e-5, rtol=0)


def test_the_palette_of_the_prediction_stays() -> None:
    """Mean and deviation of each channel are the prediction's own, so another palette moves nothing."""
    latents = random(1, 4, 12, 10)
    found = EdgeAnchor(latents, torch.ones(1, 1, 12, 10), 1.0)(0.0, 3 * latents + 5)
    assert found is not None
    torch.testing.assert_close(found, torch.zeros_like(latents), atol=1e-4, rtol=0)


def test_only_edges_are_held_and_only_at_first() -> None:
    edges = torch.zeros(1, 1, 12, 10)
    edges[..., 5] = 1
    anchor = EdgeAnchor(random(1, 4, 12, 10), edges, 0.5)
    pred_x0 = random(2, 4, 12, 10, seed=1)
    found = anchor(0.0, pred_x0)
    assert found is not None and found.shape == pred_x0.shape
    assert found[..., 5].abs().min() > 0 and found[..., :5].abs().max() == 0 == found[..., 6:].abs().max()
    assert anchor(0.9, pred_x0) is None
    assert EdgeAnchor(anchor.latents, edges, 0.0)(0.0, pred_x0) is None


def test_edges_are_found_and_texture_is_not(step_image: Tensor) -> None:
    edges = edge_map(step_image, (8, 8))
    assert edges.shape == (1, 1, 8, 8) and edges.min() >= 0 and edges.max() <= 1
    assert edges[..., 3:5].min() > 0.5 > 0.1 > edges[..., :2].max()
    assert edge_map(torch.zeros(1, 3, 64, 64), (8, 8)).max() == 0


def test_half_of_the_colour_goes_and_brightness_stays() -> None:
    pixels = random(1, 3, 4, 4)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    found = half_grey(pixels)
    torch.testing.assert_close((found * weights).sum(1), (pixels * weights).sum(1))
    torch.testing.assert_close(found[:, 0] - found[:, 1], (pixels[:, 0] - pixels[:, 1]) / 2)


def test_smoothing_takes_texture_and_leaves_edges(step_image: Tensor) -> None:
    smooth = guided_filter(step_image, 0.01)
    assert smooth[..., 8:24].std() < 0.5 * step_image[..., 8:24].std()
    assert smooth[..., 40].mean() - smooth[..., 24].mean() > 1.5
    assert guided_filter(step_image, 0.0) is step_image
    flat = torch.full((1, 3, 16, 16), 0.3)
    torch.testing.assert_close(guided_filter(flat, 0.1), flat)


def test_smoothing_is_that_of_square_windows(step_image: Tensor) -> None:
    radius, amount = 3, 0.02

    def mean(x: Tensor) -> Tensor:
        windows = F.unfold(F.pad(x, (radius,) * 4, mode="replicate"), 2 * radius + 1)
        return windows.view(*x.shape[:2], -1, windows.shape[-1]).mean(2).view(x.shape)

    guide = step_image.mean(1, keepdim=True)
    slope = (mean(guide * step_image) - mean(guide) * mean(step_image)) / (mean(guide**2) - mean(guide) ** 2 + amount)
    expected = mean(slope) * guide + mean(mean(step_image) - slope * mean(guide))
    torch.testing.assert_close(guided_filter(step_image, amount, radius), expected, rtol=1e-3, atol=1e-4)

"""Palettes: mean and covariance reach what is wanted, and nothing else happens to an image."""

import pytest
import torch
from torch import Tensor

from sigstyle.imaging.palette import Palette, recoloured

WANTED = Palette(
    torch.tensor([0.1, -0.05, 0.2]),
    torch.tensor([[0.010, 0.004, -0.002], [0.004, 0.008, 0.001], [-0.002, 0.001, 0.012]]),
)


def photo(seed: int = 0, deviation: float = 0.1, images: int = 1) -> Tensor:
    """Correlated colours well within [-1, 1], [images, 3, 24, 32]."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.tensor([[1.0, 0.3, 0.0], [0.2, 0.7, 0.1], [0.0, 0.4, 0.8]])
    noise = torch.rand(images, 3, 24, 32, generator=generator) * 2 - 1
    return torch.einsum("dc,bchw->bdhw", mixing, noise) * deviation - 0.1


def distance(a: Palette, b: Palette) -> float:
    return float((a.mean - b.mean).norm() + (a.covariance - b.covariance).norm())


def test_a_palette_is_the_mean_and_covariance_of_all_pixels_together() -> None:
    pixels = photo(images=2)
    rows = pixels.movedim(1, 0).flatten(1)
    found = Palette.of(pixels)
    torch.testing.assert_close(found.mean, rows.mean(1))
    torch.testing.assert_close(found.covariance, torch.cov(rows, correction=0))


def test_amount_0_is_the_very_image() -> None:
    pixels = photo()
    assert recoloured(pixels, WANTED, 0) is pixels


def test_amount_1_reaches_mean_and_covariance() -> None:
    found = Palette.of(recoloured(photo(), WANTED))
    torch.testing.assert_close(found.mean, WANTED.mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.covariance, WANTED.covariance, atol=1e-6, rtol=1e-3)


def test_an_images_own_palette_leaves_it_as_it_is() -> None:
    pixels = photo()
    torch.testing.assert_close(recoloured(pixels, Palette.of(pixels)), pixels, atol=1e-5, rtol=0)


def test_between_0_and_1_it_goes_steadily_from_the_image_to_the_palette() -> None:
    pixels, amounts = photo(), (0.0, 0.25, 0.5, 0.75, 1.0)
    made = [recoloured(pixels, WANTED, amount) for amount in amounts]
    left = [distance(Palette.of(image), WANTED) for image in made]
    moved = [float((image - pixels).norm()) for image in made]
    assert left == sorted(left, reverse=True) and left[-1] < 1e-4 < left[-2]
    assert moved == pytest.approx([amount * moved[-1] for amount in amounts], rel=1e-4)


def test_the_map_moves_no_colour_further_than_it_must() -> None:
    pixels = photo()
    turned = torch.linalg.cholesky(WANTED.covariance) @ torch.linalg.inv(
        torch.linalg.cholesky(Palette.of(pixels).covariance)
    )
    centred = pixels - Palette.of(pixels).mean.view(1, 3, 1, 1)
    other = torch.einsum("dc,bchw->bdhw", turned, centred) + WANTED.mean.view(1, 3, 1, 1)
    assert distance(Palette.of(other), WANTED) < 1e-4  # another map to the same palette
    assert (recoloured(pixels, WANTED) - pixels).square().mean() < (other - pixels).square().mean()


def test_images_of_a_batch_are_recoloured_each_by_itself() -> None:
    both = torch.cat([photo(0), photo(1, deviation=0.05)])
    alone = [recoloured(image, WANTED, 0.7) for image in both.split(1)]
    assert torch.equal(recoloured(both, WANTED, 0.7), torch.cat(alone))


@pytest.mark.parametrize(
    "pixels", [torch.full((1, 3, 16, 16), 0.3), photo().mean(1, keepdim=True).expand(-1, 3, -1, -1)]
)
def test_a_grey_photo_takes_the_mean_and_stays_finite_and_calm(pixels: Tensor) -> None:
    found = recoloured(pixels, WANTED)
    assert found.isfinite().all() and found.abs().max() <= 1
    torch.testing.assert_close(Palette.of(found).mean, WANTED.mean, atol=1e-4, rtol=0)
    assert found.std() <= 4 * pixels.std() + WANTED.mean.std() + 1e-3  # contrast is never more than fourfold


def test_colours_stay_within_their_range() -> None:
    loud = Palette(torch.tensor([0.9, -0.9, 0.0]), torch.eye(3))
    assert recoloured(photo(deviation=0.5), loud).abs().max() <= 1


def test_a_mix_of_one_is_itself_and_of_two_lies_between() -> None:
    other = Palette.of(photo())
    one = Palette.mix([WANTED], [0.3])
    assert torch.equal(one.mean, WANTED.mean) and torch.equal(one.covariance, WANTED.covariance)
    half, most = Palette.mix([WANTED, other], [1, 1]), Palette.mix([WANTED, other], [3, 1])
    torch.testing.assert_close(half.mean, (WANTED.mean + other.mean) / 2)
    assert distance(most, WANTED) < distance(half, WANTED) < distance(other, WANTED)


def test_a_digest_tells_palettes_apart() -> None:
    same = Palette(WANTED.mean.clone(), WANTED.covariance.clone())
    assert same.digest == WANTED.digest != Palette(WANTED.mean, WANTED.covariance * 2).digest

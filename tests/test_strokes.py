"""Strokes: how much brushwork an image shows, and seeds that follow the forms of a photo."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from sigstyle.imaging.brushwork import LEAST, MOST, Brushwork
from sigstyle.imaging.filters import blurred
from sigstyle.imaging.palette import Palette
from sigstyle.imaging.strokes import drawn_for, form_directions, seeded, stroke_field

EVEN = Brushwork(1.0)
PALETTE = Palette(torch.zeros(3), torch.diag(torch.tensor([0.04, 0.01, 0.0025])))


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=gen(seed))


def stripes(angle: float, side_px: int = 96) -> Tensor:
    """Stripes [1, 3, side, side] that run in the direction `angle`, in radians from the x axis."""
    y, x = torch.meshgrid(torch.arange(side_px), torch.arange(side_px), indexing="ij")
    across = -math.sin(angle) * x + math.cos(angle) * y
    return torch.sin(across / 3).expand(1, 3, -1, -1).contiguous()


def laid(pixels: Tensor, strokes: Brushwork = EVEN) -> Tensor:
    """The field of these strokes over `pixels`, of seed 0."""
    noisy, turns = zip(*(drawn_for(image, strokes, gen()) for image in pixels), strict=True)
    return stroke_field(pixels, torch.stack(noisy), strokes, torch.stack(turns))


def halves(amount: float) -> Tensor:
    """Two flat halves, dark and light, with this much texture of a few pixels on them."""
    flat = torch.full((1, 3, 160, 160), -0.5)
    flat[..., 80:] = 0.5
    return flat + amount * blurred(noise(1, 1, 160, 160), 1.5) / 0.18


# --- brushwork


@pytest.mark.parametrize("pixels", [torch.full((1, 3, 160, 160), 0.2), halves(0.0)])
def test_what_is_flat_has_the_least_brushwork(pixels: Tensor) -> None:
    assert Brushwork.of(pixels).amount == LEAST


def test_texture_is_brushwork_the_more_the_stronger_and_bounded() -> None:
    found = [Brushwork.of(halves(amount)).amount for amount in (0.0, 0.03, 0.06, 0.12, 5.0)]
    assert found == sorted(found) and found[0] == LEAST < found[2] < found[3]
    assert found[-1] == MOST


def test_brushwork_does_not_hang_on_contrast_or_colour() -> None:
    pixels = halves(0.08)
    changed, same = (Brushwork.of(image).to_dict() for image in (pixels * 0.5 + 0.2, pixels))
    assert changed == pytest.approx(same, rel=1e-2, abs=1e-2)


@pytest.mark.parametrize(("name", "small", "large"), [("length_px", 6.0, 40.0), ("width_px", 1.0, 2.5)])
def test_longer_and_wider_strokes_are_found_to_be_so(name: str, small: float, large: float) -> None:
    flat = torch.zeros(1, 3, 256, 256)
    found = []
    for value in (small, large):
        shown = laid(flat, dataclasses.replace(EVEN, heading_x=-0.8, **{name: value}))
        found.append(getattr(Brushwork.of(0.3 * shown[:, :1].expand(-1, 3, -1, -1)), name))
    assert found[0] * 1.5 < found[1]


@pytest.mark.parametrize("heading", [(-0.8, 0.0), (0.0, 0.7), (0.0, 0.0)])
def test_where_nothing_directs_them_strokes_head_as_the_styles_do(heading: tuple[float, float]) -> None:
    strokes = dataclasses.replace(EVEN, heading_x=heading[0], heading_y=heading[1])
    shown = Brushwork.of(0.3 * laid(torch.zeros(1, 3, 256, 256), strokes)[:, :1].expand(-1, 3, -1, -1))
    assert (shown.heading_x, shown.heading_y) == pytest.approx(heading, abs=0.25)


def test_what_is_flat_has_strokes_of_the_usual_shape() -> None:
    assert Brushwork.of(torch.full((1, 3, 64, 64), 0.2)) == Brushwork(LEAST)


def test_strokes_come_back_from_their_tensors_and_mix_by_weight() -> None:
    strokes = Brushwork(0.2, 12.0, 2.0, 64.0, -0.5, 0.25)
    tensors = strokes.tensors()
    assert Brushwork.from_tensors(tensors["brushwork"], tensors["strokes"]).to_dict() == strokes.to_dict()
    assert set(Brushwork(0.2).tensors()) == {"brushwork"}
    assert Brushwork.mean_of([strokes, EVEN], [1, 0]) == strokes
    assert Brushwork.mean_of([strokes, EVEN], [1, 3]).length_px == 21.0
    assert strokes.times(0.5) == dataclasses.replace(strokes, amount=0.1)


# --- seeds


def test_amount_0_is_the_very_image() -> None:
    pixels = noise(1, 3, 32, 32)
    assert seeded(pixels, PALETTE, Brushwork(), [gen()]) is pixels


def test_the_generator_alone_decides() -> None:
    pixels = stripes(0.3)
    torch.manual_seed(1)
    first = seeded(pixels, PALETTE, Brushwork(0.2), [gen(3)])
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(seeded(pixels, PALETTE, Brushwork(0.2), [gen(3)]), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(seeded(pixels, PALETTE, Brushwork(0.2), [gen(4)]), first)


def test_seeds_have_the_palettes_spread_and_grow_with_the_amount() -> None:
    flat = torch.zeros(1, 3, 128, 128)
    small, large = (seeded(flat, PALETTE, Brushwork(amount), [gen()]) for amount in (0.5, 1.0))
    torch.testing.assert_close(large, 2 * small)
    torch.testing.assert_close(large.std(dim=(0, 2, 3)), torch.tensor([0.2, 0.1, 0.05]), rtol=0.01, atol=0)


def test_colours_stay_within_their_range() -> None:
    assert seeded(stripes(0.0), PALETTE, Brushwork(3.0), [gen()]).abs().max() <= 1


def test_photos_of_a_batch_are_seeded_as_each_alone() -> None:
    photos = torch.cat([stripes(0.3), stripes(1.2)])
    together = seeded(photos, PALETTE, Brushwork(0.2), [gen(5), gen(6)])
    alone = [
        seeded(photo, PALETTE, Brushwork(0.2), [gen(seed)]) for photo, seed in zip(photos.split(1), (5, 6), strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)


# --- the field


def test_a_field_has_mean_0_and_deviation_1_in_every_channel() -> None:
    field = laid(torch.cat([stripes(0.3), torch.zeros(1, 3, 96, 96)]))
    torch.testing.assert_close(field.mean(dim=(2, 3)), torch.zeros(2, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(field.std(dim=(2, 3)), torch.ones(2, 3), atol=1e-4, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 2, 2.4])
def test_directions_follow_stripes(angle: float) -> None:
    along = form_directions(stripes(angle), EVEN, noise(1, 2, 4, 4))
    assert along.shape == (1, 2, 96, 96)
    torch.testing.assert_close(along.norm(dim=1), torch.ones(1, 96, 96))
    inner = along[0, :, 16:-16, 16:-16]
    cosine = (inner[0] * math.cos(angle) + inner[1] * math.sin(angle)).abs()
    assert cosine.min() > 0.98


@pytest.mark.parametrize(("angle", "axis"), [(0.0, 3), (math.pi / 2, 2)])
def test_strokes_are_longer_along_the_stripes_than_across(angle: float, axis: int) -> None:
    field = laid(stripes(angle))

    def alike(dim: int) -> float:
        length, shift = field.shape[dim], 10
        near, far = field.narrow(dim, 0, length - shift), field.narrow(dim, shift, length - shift)
        return float((near * far).mean())

    along, across = alike(axis), alike(5 - axis)
    assert along > 0.3 > across + 0.1


def test_a_blur_keeps_what_is_flat_and_the_mean_of_the_rest() -> None:
    flat = torch.full((1, 2, 12, 20), 0.7)
    torch.testing.assert_close(blurred(flat, 3.0), flat)
    spot = torch.zeros(1, 1, 41, 41)
    spot[..., 20, 20] = 1
    soft = blurred(spot, 2.0)
    assert soft.sum() == pytest.approx(1, abs=1e-5) and soft.argmax() == spot.argmax()
    torch.testing.assert_close(soft, soft.mT)

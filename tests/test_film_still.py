"""What holds films still: flow, noise carried along, cuts, one palette for a shot, the last frame kept."""

import numpy as np
import pytest
import torch
from conftest import MakeBase, make_painting
from PIL import Image
from random_style import random_style
from test_film import moving

import sigstyle
from sigstyle.base.model import BaseModel
from sigstyle.config import TransferConfig
from sigstyle.film.flow import flow_between
from sigstyle.film.mixing import mixed
from sigstyle.film.places import Places
from sigstyle.film.shots import shots_of
from sigstyle.imaging.filters import blurred
from sigstyle.imaging.images import to_tensor
from sigstyle.imaging.palette import Palette, recoloured
from sigstyle.painting.film import Carried, ShotPainter
from sigstyle.style.blend import Blend

CONFIG = TransferConfig(size_px=64, margin_px=0)


@pytest.fixture
def base(make_base: MakeBase) -> BaseModel:
    return make_base(prediction_type="v_prediction")


@pytest.fixture
def painter(base: BaseModel) -> ShotPainter:
    shot, usual = shots_of(pan())[0], pan()[shots_of(pan())[0].usual]
    return ShotPainter.of_shot(base, Blend.of([random_style(base)]), CONFIG, shot, usual)


def pan(count: int = 4) -> list[Image.Image]:
    """A pan by 2 px a frame over a picture with detail."""
    wide = make_painting().resize((160, 128), Image.Resampling.LANCZOS)
    grain = np.random.default_rng(1).normal(0, 12, (128, 160, 1))
    wide = Image.fromarray((np.asarray(wide) + grain).clip(0, 255).astype(np.uint8))
    return [wide.crop((2 * place, 20, 2 * place + 96, 84)) for place in range(count)]


def film(painter: ShotPainter, frames: list[Image.Image]) -> list[Carried]:
    made: list[Carried] = []
    for number, frame in enumerate(frames):
        made.append(painter.next(number, frame, made[-1] if made else None))
        painter.correction = made[-1].correction
    return made


def test_flow_finds_a_pan_and_knows_what_came_into_view() -> None:
    before, now = pan()[:2]
    flow = flow_between(before, now)
    assert abs(float(np.median(flow.back[..., 0])) - 2) < 0.1 and abs(float(np.median(flow.back[..., 1]))) < 0.1
    assert not flow.seen[:, -1].any() and flow.seen[8:-8, 8:-8].mean() > 0.95
    assert flow.trust[8:-8, 8:-8].mean() > 0.9
    carried = flow.carried(np.asarray(before))[8:-8, 8:-8].astype(int)
    assert np.abs(carried - np.asarray(now)[8:-8, 8:-8]).mean() < 3
    other = flow_between(before, Image.effect_noise(before.size, 90).convert("RGB"))
    assert other.share < 0.1


def test_noise_moves_with_the_picture_and_keeps_its_variance() -> None:
    noise = torch.randn(3, 64, 96, generator=torch.Generator().manual_seed(0))
    places = Places.own((64, 96), 0)
    assert torch.equal(places.read(noise), noise)
    flow = flow_between(*pan()[:2])
    moved = places.carried(flow, 1).read(noise)
    correlation = torch.corrcoef(torch.stack([moved[:, :, :80].flatten(), noise[:, :, 2:82].flatten()]))[0, 1]
    assert correlation > 0.9
    half = Places(places.at + np.float32(0.5))
    assert torch.allclose(half.read(noise)[:, 5, 5], noise[:, 5:7, 5:7].mean((1, 2)))
    assert abs(float(half.nearest(noise).std()) - 1) < 0.02
    assert half.widened(8).read(noise).shape == (3, 80, 112)
    assert half.coarse(8).nearest(torch.randn(4, 8, 12)).shape == (4, 8, 12)


def test_noise_stays_as_strong_however_long_it_is_carried() -> None:
    noise = torch.randn(3, 64, 96, generator=torch.Generator().manual_seed(0))
    places, flow = Places.own((64, 96), 0), flow_between(*pan()[:2])
    first = blurred(noise[None], 2.0).std()
    for number in range(1, 60):
        places = places.carried(flow, number)
    assert abs(float(blurred(places.read(noise)[None], 2.0).std() / first) - 1) < 0.15
    assert abs(float(places.nearest(noise).std()) - 1) < 0.05


def test_what_is_stretched_reads_anew_and_what_comes_into_view_reads_something_else() -> None:
    flow = flow_between(*pan()[:2])
    wide = Places(Places.own((64, 96), 0).at * np.float32(2))
    assert np.array_equal(wide.carried(flow, 3).at, Places.own((64, 96), 3).at)
    fresh = Places.own((64, 96), 0).carried(flow, 1).at[:, -1]
    assert np.array_equal(fresh, Places.own((64, 96), 1).at[:, -1])


def test_a_cut_is_found_and_a_pan_is_none() -> None:
    other = [Image.new("RGB", (96, 64), (240, 200, 30 + place)) for place in range(3)]
    shots = shots_of([*pan(3), *other])
    assert [(shot.first, shot.end) for shot in shots] == [(0, 3), (3, 6)]
    assert len(shots_of(moving(8))) == 1 and shots_of([]) == []
    mean = torch.stack([Palette.of(to_tensor(frame)).mean for frame in pan(3)]).mean(0)
    assert torch.allclose(shots[0].palette.mean, mean, atol=1e-5) and 0 <= shots[0].usual < 3 <= shots[1].usual


def test_one_map_of_colours_serves_all_frames() -> None:
    own, wanted = Palette.of(to_tensor(pan()[0])), Palette.of(to_tensor(make_painting()))
    pixels = to_tensor(pan()[0])
    assert torch.equal(recoloured(pixels, wanted, 1.0, own), recoloured(pixels, wanted))
    found = Palette.of(recoloured(0.5 * pixels, wanted, 1.0, own))
    expected = Palette.of(0.5 * pixels).through(own, wanted)
    assert torch.allclose(found.mean, expected.mean, atol=0.02)
    assert torch.allclose(found.covariance, expected.covariance, atol=0.02)


def test_the_first_frame_of_a_still_shot_is_the_picture_transfer_makes(base: BaseModel) -> None:
    frame, style = pan()[0], random_style(base)
    shot = shots_of([frame.resize((48, 32))] * 2)[0]  # of which detail is lost
    painter = ShotPainter.of_shot(base, Blend.of([style]), CONFIG, shot, frame)
    made = painter.next(0, frame, None).painted.astype(int)
    alone = np.asarray(sigstyle.transfer(frame, style, base=base, config=CONFIG).images[0]).astype(int)
    assert np.abs(made - alone).max() <= 2


def test_a_frame_shown_twice_is_painted_once(painter: ShotPainter) -> None:
    first, second = film(painter, [pan()[0]] * 2)
    assert second.painted is first.painted and second.number == 1


def test_a_film_holds_stiller_than_its_frames_and_strength_zero_gives_them_back(
    painter: ShotPainter, base: BaseModel
) -> None:
    frames = pan()
    flows = [flow_between(*pair) for pair in zip(frames, frames[1:], strict=False)]

    def error(kept: float) -> float:
        painter.kept, painter.correction = kept, None
        made = [each.painted for each in film(painter, frames)]
        pairs = (
            zip(flows, made, made[1:], strict=True)
            if len(flows) == len(made)
            else zip(flows, made, made[1:], strict=False)
        )
        return float(np.mean([np.abs(f.carried(a).astype(int) - b)[f.seen].mean() for f, a, b in pairs]))

    assert error(0.7) < 0.6 * error(0.0)
    none = ShotPainter(base, painter.blend, TransferConfig(size_px=64, margin_px=0, strength=0), painter.own)
    assert all(
        np.array_equal(each.painted, np.asarray(frame)) for each, frame in zip(film(none, frames), frames, strict=True)
    )


def test_the_last_frame_is_kept_where_it_is_trusted_and_detail_stays_as_strong() -> None:
    frames = pan()
    flow = flow_between(*frames[:2])
    drawn = np.random.default_rng(3)
    last, painted = (drawn.normal(128, 30, (64, 96, 3)).clip(0, 255).astype(np.uint8) for _ in range(2))
    made = mixed(painted, last, flow).astype(float)
    inner = (slice(16, 48), slice(16, 80))
    carried = flow.carried(last, "lanczos").astype(float)
    mean = 0.85 * carried[inner] + 0.15 * painted[inner]
    assert mean.std() < 0.95 * painted[inner].std() < made[inner].std() < 1.1 * painted[inner].std()
    assert np.corrcoef(made[inner].ravel(), carried[inner].ravel())[0, 1] > 0.8
    other = flow_between(frames[0], Image.effect_noise((96, 64), 90).convert("RGB"))
    assert np.abs(mixed(painted, last, other).astype(int) - painted)[other.trust < 1e-3].max() <= 1

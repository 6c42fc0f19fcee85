"""Pictures of any size: tiles without seams, strokes of one size against the picture, and what that costs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakeBase
from PIL import Image, ImageOps
from random_style import random_style
from test_direct import piped
from test_pipelines import count, difference, pixels
from torch import Tensor

import sigstyle
from sigstyle.base.model import BaseModel
from sigstyle.batches.jobs import Look, Photo
from sigstyle.batches.paint import Loaded, Painter
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError, ImageError
from sigstyle.imaging.enlarging import enlarged
from sigstyle.painting import sizes as painting_sizes
from sigstyle.painting.cost import painted_cost
from sigstyle.painting.local import Region
from sigstyle.painting.sizes import Sizes, picture_size
from sigstyle.painting.tiles import Tiling
from sigstyle.studio.limits import in_time

LARGE = 120  # px of a short side that is large here


@pytest.fixture
def base(make_base: MakeBase) -> BaseModel:
    return make_base(prediction_type="v_prediction")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A base that paints at 64 px, and tiles of 96 px: any size in a second."""
    monkeypatch.setattr(painting_sizes, "default_size_px", lambda _base: 64)
    monkeypatch.setattr(painting_sizes, "FINE_TILE_PX", 96)
    monkeypatch.setattr(painting_sizes, "_FINE_OVERLAP_PX", 32)


def large(painting: Image.Image, short: int = LARGE) -> Image.Image:
    return painting.resize((short * 6 // 5, short), Image.Resampling.LANCZOS)


# --- tiles


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("sides", [(100, 64), (41, 40), (40, 200)])
def test_tiles_lie_in_the_picture_and_their_shares_add_to_1(sides: tuple[int, int], wrap: bool) -> None:
    tiling = Tiling(*sides, tile=40, overlap=8, wrap=wrap)
    for scale in (1, 8):
        scaled = tiling.scaled(scale)
        total = torch.zeros(sides[0] * scale, sides[1] * scale)
        for box, own in zip(scaled.boxes(), tiling.boxes(), strict=True):
            assert (box.rows.start, box.columns.start) == (own.rows.start * scale, own.columns.start * scale)
            assert len(box.rows.places) <= 40 * scale and len(box.columns.places) <= 40 * scale
            total[box.rows.places[:, None], box.columns.places] += box.weighted(torch.ones(1, 1, 1, 1))[0, 0]
        assert (total - 1).abs().max() < 1e-5


@pytest.mark.parametrize("wrap", [False, True])
def test_what_is_made_of_no_tile_in_particular_is_blended_exactly(wrap: bool) -> None:
    x, tiling = torch.randn(2, 3, 50, 70), Tiling(50, 70, 40, 8, wrap)
    assert tiling.count > 1
    assert (tiling.blended(lambda box: box.cut(x)) - x).abs().max() < 1e-6
    finer = x.repeat_interleave(8, -1).repeat_interleave(8, -2)
    assert (tiling.blended(lambda box: box.cut(finer, 8), scale=8) - finer).abs().max() < 1e-6
    one = Tiling(50, 70, 70, 8, wrap)
    assert one.count == 1 and torch.equal(one.blended(lambda box: box.cut(x)), x)


def test_a_wrapped_picture_has_tiles_across_its_border() -> None:
    spans = Tiling(64, 64, 40, 8, wrap=True).rows
    assert any(int(span.places[-1]) < int(span.places[0]) for span in spans)
    assert all(float(span.window[0]) < 0.1 and float(span.window[-1]) < 0.1 for span in spans)


# --- sizes


def sizes(photo: tuple[int, int], base: BaseModel, **settings: Any) -> Sizes:
    return Sizes.of(photo, base, TransferConfig(**settings))


def test_a_photo_keeps_its_size_and_is_painted_at_the_one_strokes_need(base: BaseModel) -> None:
    assert sizes((4000, 3000), base) == Sizes(512, (4000, 3000))
    assert sizes((300, 200), base) == Sizes(512, (300, 200))
    assert sizes((900, 600), base) == Sizes(600, (900, 600))  # so little larger that it is painted at once
    assert sizes((4000, 3000), base, size_px=64) == Sizes(64, (85, 64))
    assert sizes((4000, 3000), base, size_px=1024) == Sizes(512, (1365, 1024))
    assert sizes((4000, 3000), base, stroke=2.0) == Sizes(256, (4000, 3000))
    assert sizes((4000, 3000), base, stroke=0.5) == Sizes(1024, (4000, 3000))
    assert [len(sizes((900, 600), base, size_px=512, stroke=s).stages) for s in (0.5, 1, 1.2, 2)] == [0, 0, 0, 1]
    assert sizes((4000, 3000), base).stages == [Sizes(512, (1652, 1239)), Sizes(1239, (4000, 3000))]


def test_the_app_keeps_to_the_size_that_people_can_wait_for(base: BaseModel) -> None:
    assert in_time(TransferConfig(seed=3), base) == TransferConfig(seed=3, size_px=512)
    assert in_time(TransferConfig(size_px=900), base).size_px == 900


def test_pixels_are_bounded_and_the_aspect_stays() -> None:
    width, height = picture_size((8000, 6000), None, 12)
    assert 11.9e6 < width * height <= 12e6 and width / height == pytest.approx(4 / 3, abs=0.001)
    assert picture_size((4000, 3000), None, 12) == (4000, 3000)
    assert picture_size((4000, 3000), 6000, 12) == (4000, 3000)
    assert min(picture_size((30_000, 5000), None, 0.01)) >= 1


# --- pictures


def test_a_picture_of_one_tile_is_the_one_without_tiles(
    base: BaseModel, painting: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = piped(base, random_style(base))
    whole = pipe(painting, size_px=96, output_type="latent", num_inference_steps=2).images
    monkeypatch.setattr(painting_sizes, "_WORK_TILE_PX", 192)
    assert torch.equal(pipe(painting, size_px=96, output_type="latent", num_inference_steps=2).images, whole)
    monkeypatch.setattr(painting_sizes, "_WORK_TILE_PX", 128)
    monkeypatch.setattr(painting_sizes, "_WORK_OVERLAP_PX", 32)
    met, told = count(base), []
    tiled = pipe(
        painting,
        size_px=96,
        output_type="latent",
        num_inference_steps=2,
        callback_on_evaluation=lambda _pipe, *at: told.append(at),
    ).images
    assert len(met) == 12 and told == [(done, 12) for done in range(1, 13)]
    assert tiled.shape == whole.shape and not torch.equal(tiled, whole)


@pytest.mark.usefixtures("small")
def test_the_result_has_the_photos_size_and_costs_one_evaluation_a_tile(base: BaseModel, painting: Image.Image) -> None:
    pipe, photo, config = piped(base, random_style(base)), large(painting), TransferConfig()
    cost, met, told = painted_cost(config, base, photo.size), count(base), []
    result = pipe(photo, config=config, callback_on_evaluation=lambda _pipe, *at: told.append(at))
    assert result.images[0].size == photo.size and not result.notices
    assert cost.refining > 6 and len(met) == cost.calls == 2 + cost.refining
    assert told == [(done, cost.calls) for done in range(1, cost.calls + 1)]
    met.clear()
    again = pipe(photo, config=config, trace=result.trace)
    assert len(met) == cost.calls - cost.reading and difference(again.images[0], result.images[0]) == 0
    small = pipe(painting.resize((48, 40)))
    assert small.images[0].size == (48, 40)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", ["flat", "textured"])
def test_there_are_no_seams(base: BaseModel, kind: str) -> None:
    """Neighbouring pixels differ no more where tiles end than anywhere else."""
    shade = np.full((LARGE, LARGE, 3), 120, np.uint8)
    if kind == "textured":
        shade = np.random.default_rng(0).integers(60, 180, shade.shape).astype(np.uint8)
    config = TransferConfig(strokes=0.0)
    made = pixels(piped(base, random_style(base, scale=0.2))(Image.fromarray(shade), config=config).images[0])
    canvas = Sizes.of((LARGE, LARGE), base, config).canvas(base, 32)
    tiling = painting_sizes.fine_tiling(canvas, base).scaled(8)
    for axis, spans in ((0, tiling.rows), (1, tiling.columns)):
        steps = np.abs(np.diff(made.astype(float), axis=axis)).mean(axis=(1 - axis, 2))
        ends = [span.start - 32 for span in spans[1:]] + [int(span.places[-1]) - 31 for span in spans[:-1]]
        for end in ends:  # of 8 kinds, as the autoencoder makes a pattern of 8 pixels
            alike = np.delete(steps[(end - 1) % 8 :: 8], (end - 1) // 8)
            assert steps[end - 1] <= alike.max() * 1.25 + 0.5


@pytest.mark.usefixtures("small")
def test_coarse_colours_are_those_of_the_painting(base: BaseModel, painting: Image.Image) -> None:
    pipe, photo = piped(base, random_style(base)), large(painting)
    whole = pipe(photo, config=TransferConfig()).images[0].resize((24, 20), Image.Resampling.BOX)
    painted = pipe(photo, config=TransferConfig(size_px=64)).images[0].resize((24, 20), Image.Resampling.BOX)
    assert difference(whole, painted) < 12


@pytest.mark.usefixtures("small")
def test_strength_0_is_the_photo_and_outside_a_mask_every_pixel_is(base: BaseModel, painting: Image.Image) -> None:
    pipe, photo = piped(base, random_style(base)), large(painting)
    met = count(base)
    assert difference(pipe(photo, strength=0).images[0], photo) == 0 and len(met) == 2
    mask = Image.new("L", photo.size, 0)
    mask.paste(255, (0, 0, 60, LARGE))
    for more in ({}, {"max_megapixels": 0.01}):
        result = pipe(photo, mask=mask, **more).images[0]
        changed = (pixels(result) != pixels(photo)).any(-1)
        assert result.size == photo.size and not changed[:, 60:].any() and changed[:, :50].mean() > 0.9


@pytest.mark.usefixtures("small")
def test_tiles_are_refined_where_they_are_seen(base: BaseModel, painting: Image.Image) -> None:
    one, other = random_style(base, "one", 1), random_style(base, "other", 2)
    pipe, photo = piped(base, one), large(painting, 160)
    mask = Image.new("L", photo.size)
    mask.paste(255, (4, 4, 40, 30))
    met = count(base)
    whole = pipe(photo).images[0]
    all_of_it = len(met)
    met.clear()
    told: list[tuple[int, int]] = []
    part = pipe(photo, mask=mask, callback_on_evaluation=lambda _pipe, *at: told.append(at)).images[0]
    assert 2 < len(met) < all_of_it / 2 and told[-1] == (len(met), len(met))
    assert difference(part, Image.composite(whole, photo, mask)) == 0
    met.clear()
    layered = pipe(photo, mask=ImageOps.invert(mask), regions=[Region(mask, other)]).images[0]
    assert len(met) < 2 * all_of_it
    alone = piped(base, other)(photo, mask=mask).images[0]
    assert difference(Image.composite(layered, photo, mask), alone) == 0


@pytest.mark.usefixtures("small")
def test_too_many_pixels_are_made_fewer_and_that_is_said(base: BaseModel, painting: Image.Image) -> None:
    result = piped(base, random_style(base))(large(painting), max_megapixels=0.01)
    width, height = result.images[0].size
    assert 0.0095e6 < width * height <= 0.01e6
    assert result.notices == [
        f"The picture is {width}x{height} instead of 144x120; --max-megapixels (max_megapixels) allows more, which "
        "takes longer."
    ]


@pytest.mark.usefixtures("small")
def test_a_stroke_is_larger_the_smaller_it_is_painted(base: BaseModel, painting: Image.Image) -> None:
    pipe, photo = piped(base, random_style(base)), large(painting)
    made = [pipe(photo, stroke=stroke).images[0] for stroke in (0.5, 1.0, 2.0)]
    assert all(image.size == photo.size for image in made)
    assert difference(made[0], made[1]) > 1 and difference(made[1], made[2]) > 1
    with pytest.raises(ConfigError, match="stroke is not used by this preset"):
        pipe(photo, preset="classic", stroke=2.0)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("moment", [3, 5])
def test_a_stop_ends_between_tiles(base: BaseModel, painting: Image.Image, moment: int) -> None:
    pipe, met = piped(base, random_style(base)), count(base)

    def stop(called: Any, done: int, _total: int) -> None:
        if done == moment:
            called.stop()

    result = pipe(large(painting), callback_on_evaluation=stop)
    assert len(met) == moment and result.interrupted and result.images == [] and result.trace is not None


@pytest.mark.usefixtures("small")
def test_output_types_of_a_large_picture(base: BaseModel, painting: Image.Image) -> None:
    pipe, photo = piped(base, random_style(base)), large(painting)
    latents: Tensor = pipe(photo, output_type="latent").images
    assert latents.shape == (1, 4, LARGE // 8, 18)
    two = pipe(photo, output_type="pt", num_images_per_prompt=2).images
    assert two.shape == (2, 3, LARGE, 144) and not torch.equal(two[0], two[1])
    alone = pipe(photo, output_type="pt").images
    assert (two[0] - alone[0]).abs().max() <= 2 / 255


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("size", "told"),
    [((30_000, 100), "at most 6 to 1"), ((2000, 1), "at least 32 pixels"), ((400, 70), ""), ((70, 400), "")],
)
def test_photos_of_odd_shapes_end_in_one_line_or_a_picture(base: BaseModel, size: tuple[int, int], told: str) -> None:
    photo, style = Image.linear_gradient("L").resize(size).convert("RGB"), random_style(base)
    if not told:
        assert sigstyle.transfer(photo, style, base=base).images[0].size == size
        return
    with pytest.raises(ImageError, match=told) as found:
        sigstyle.transfer(photo, style, base=base)
    assert "\n" not in str(found.value)


# --- batches and recipes


@pytest.mark.usefixtures("small")
def test_a_batch_and_a_recipe_give_the_same_picture(base: BaseModel, painting: Image.Image, tmp_path: Path) -> None:
    style, photo = random_style(base), large(painting)
    made = sigstyle.transfer(photo, style, base=base, stroke=1.5)
    assert made.recipe["settings"]["stroke"] == 1.5 and made.recipe["settings"]["size_px"] is None
    config = TransferConfig.from_recipe(made.recipe["settings"])
    photos = [photo, painting.resize((180, 150)), photo.rotate(180)]
    loaded = [Loaded(Photo(each, str(i), str(i)), each, {}) for i, each in enumerate(photos)]
    painter = Painter(base, None)
    groups = painter.alike(loaded, config)
    assert [len(group) for group in groups] == [2, 1]
    for group in groups:
        images = [
            one.image for one in painter.paint(group, Look(style, None, "wave"), config, lambda *_: None, lambda: False)
        ]
        for image, one in zip(images, group, strict=True):
            assert image.size == one.image.size
            assert difference(image, piped(base, style)(one.image, config=config).images[0]) <= 1


def test_a_recipe_of_before_is_painted_as_it_was() -> None:
    before = TransferConfig().to_dict()
    del before["stroke"], before["max_megapixels"]
    assert TransferConfig.from_recipe(before).size_px == 512
    config = TransferConfig.from_recipe({**before, "size_px": 1024})
    assert (config.size_px, config.stroke) == (1024, 0.5)


# --- enlarging


def test_enlarging_takes_the_photos_edges_where_the_painting_shows_them() -> None:
    """An edge of the photo becomes sharp in the painting's colours; a calm part gets nothing of the photo."""
    photo = np.full((160, 160, 3), 60, np.uint8)
    photo[:, 80:] = 200
    photo[::2, :40] += 4  # faint texture
    image = Image.fromarray(photo)
    small = Image.fromarray(255 - np.asarray(image.resize((32, 32), Image.Resampling.LANCZOS)))
    plain = pixels(small.resize(image.size, Image.Resampling.LANCZOS)).astype(int)
    sharp = pixels(enlarged(small, image, image.size)).astype(int)
    wanted = 255 - photo.astype(int)
    edge = np.s_[:, 74:86]
    assert np.abs(sharp - wanted)[edge].mean() < 0.35 * np.abs(plain - wanted)[edge].mean()
    assert np.abs(sharp - plain)[:, 5:30].max() <= 2

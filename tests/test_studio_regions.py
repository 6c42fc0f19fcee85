"""Parts in styles of their own, and the photo's own size: painted, told by the history, taken up again."""

import dataclasses
from pathlib import Path

import pytest
from conftest import make_painting
from PIL import Image
from test_studio import ANNA, BERT, QUICK, base, photo, studio

import sigstyle
from sigstyle.base.model import BaseModel
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import read_recipe
from sigstyle.studio.batch import paint_all
from sigstyle.studio.brush import brushed_mask, strokes_of
from sigstyle.studio.history import History
from sigstyle.studio.paint import restyle
from sigstyle.studio.regions import WantedRegion, cut_out
from sigstyle.studio.restore import repeat, restore, same_pixels
from sigstyle.studio.studio import Studio
from sigstyle.ui.messages import without_flags

__all__ = ["base", "photo", "studio"]  # fixtures
LEFT, WHOLE = (0, 0, 48, 80), (96, 80)


def masked(box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("RGB", make_painting().size)
    mask.paste("white", box)
    return mask


def test_each_part_is_painted_in_a_style_of_its_own_and_comes_back_with_its_masks(studio: Studio, photo: Path) -> None:
    hand = studio.workspace(ANNA).keep_photo(masked(LEFT)).stem
    regions = [WantedRegion("oil", mask=hand), WantedRegion("wave", "50%,0%,25%,25%")]
    assert [region.words for region in regions] == ["painted by hand", "what is in the box 50%,0%,25%,25%"]
    alone = restyle(studio, ANNA, [photo], (), "mini", QUICK, regions=regions[:1]).wait()[0]
    oil = restyle(studio, ANNA, [photo], "oil", "mini", QUICK, mask=masked(LEFT)).wait()[0]
    assert same_pixels(alone.path, oil.path), "outside of the regions it is the photo"
    assert not alone.reused and read_recipe(alone.path)["styles"] == [] and alone.name == "holiday in oil"
    blend = (("wave", 0.5), ("oil", 0.5))
    made = restyle(studio, ANNA, [photo], blend, "mini", QUICK, regions=regions).wait()[0]
    left = [Image.open(path).crop(LEFT).tobytes() for path in (made.path, oil.path)]
    assert left[0] == left[1], "the region is as if it had been painted alone, over a blend"
    kept = {entry.path: entry for entry in History(studio.workspace(ANNA)).all()}
    assert (kept[alone.path].style, kept[made.path].style) == ("oil", "wave + oil")
    for path, wanted in ((alone.path, regions[:1]), (made.path, regions)):
        restored = restore(studio, ANNA, path, "mini")
        assert list(restored.regions) == wanted and not restored.missing
        assert same_pixels(repeat(studio, ANNA, restored, "mini").wait()[0].path, path)
    assert "mask it was made with" in restore(studio, BERT, made.path, "mini").missing[0]


def test_what_regions_cannot_be_is_told_before_anything_waits(studio: Studio, photo: Path, base: BaseModel) -> None:
    hand = WantedRegion("oil", mask=studio.workspace(ANNA).keep_photo(masked(LEFT)).stem)
    for photos, regions, text in (
        ([photo, photo], [hand], "a painted region is for one"),
        ([photo], [hand] * 5, "at most 4"),
        ([photo], [WantedRegion("oil", mask="0" * 64)], "not here any more"),
        ([photo], [WantedRegion("oil", "200,10")], "outside of the photo"),
        ([photo], [WantedRegion("none", "subject")], "no style 'none'"),
    ):
        with pytest.raises(ConfigError, match=text):
            restyle(studio, ANNA, photos, "wave", "mini", QUICK, regions=regions)
    with pytest.raises(ConfigError, match="Every style of the blend is at 0"):
        restyle(studio, ANNA, [photo], [("wave", 0.0)], "mini", QUICK, regions=[hand])
    styles = [studio.library(ANNA).get(name).style for name in ("wave", "oil")]
    path = studio.workspace(ANNA).new_result("a gradient")
    sigstyle.transfer(photo, styles, gradient="left-right", base=base, config=QUICK).save(path)
    with pytest.raises(ConfigError, match="was made with gradient"):
        restore(studio, ANNA, path, "mini")


def test_a_picture_is_painted_again_at_the_size_of_its_photo(studio: Studio, photo: Path, base: BaseModel) -> None:
    quick = dataclasses.replace(QUICK, size_px=32, steps=1, stroke=4.0)  # on a small working copy
    small = restyle(studio, ANNA, [photo], "wave", "mini", quick, own_size=True).wait()[0]
    (kept,) = History(studio.workspace(ANNA)).all()
    assert small.size == (38, 32) and kept.larger == WHOLE
    large = repeat(studio, ANNA, restore(studio, ANNA, small.path, "mini").at_own_size(), "mini").wait()[0]
    whole = History(studio.workspace(ANNA)).of(large.path)
    assert whole is not None and whole.size == WHOLE and whole.larger is None
    assert read_recipe(large.path)["settings"]["size_px"] is None
    again = repeat(studio, ANNA, restore(studio, ANNA, large.path, "mini"), "mini").wait()[0]
    assert same_pixels(again.path, large.path), "a picture of the photo's size is made again at that size"
    config = dataclasses.replace(quick, size_px=None, max_megapixels=0.01)
    big = make_painting().resize((192, 160))
    less = restyle(studio, ANNA, [big], "wave", "mini", config, own_size=True).wait()[0]
    assert less.size == (109, 91)
    assert [without_flags(notice) for notice in less.notices] == ["The picture is 109x91 instead of 192x160."]
    most = dataclasses.replace(config, max_megapixels=40.0)
    with pytest.raises(ConfigError, match="at most 16 here"):
        restyle(studio, ANNA, [photo], "wave", "mini", most, own_size=True)
    with pytest.raises(ConfigError, match="at most 16 here"):
        paint_all(studio, ANNA, [photo], ["wave"], "mini", most, own_size=True)
    folder = paint_all(studio, ANNA, [big], ["wave"], "mini", config, own_size=True).wait()
    assert Image.open(folder.pictures[0]).size == (109, 91)
    seconds = [studio.bases.painting_s("mini", quick, size) for size in ((96, 80), (960, 800))]
    assert seconds[0] == pytest.approx(seconds[1], rel=0.2), "where the size is given the photo's has no part"
    larger = [studio.bases.painting_s("mini", TransferConfig(), size) or 0 for size in ((600, 500), (6000, 5000))]
    assert larger[1] > 10 * larger[0] > 0


def test_a_mask_is_painted_on_again_as_it_was() -> None:
    mask = masked((3, 5, 40, 60)).convert("L").resize((90, 75), Image.Resampling.BILINEAR)
    assert brushed_mask([strokes_of(mask, mask.size, "#4f46e5")]).getchannel(0).tobytes() == mask.tobytes()
    assert strokes_of(mask, (45, 37), "#4f46e5").size == (45, 37)


def test_what_is_cut_out_keeps_its_colours_and_all_else_is_grey() -> None:
    shown = cut_out(make_painting(), masked(LEFT))
    assert shown.crop(LEFT).tobytes() == make_painting().crop(LEFT).tobytes()
    red, green, blue = shown.crop((50, 0, 96, 80)).split()
    assert red.tobytes() == green.tobytes() == blue.tobytes()

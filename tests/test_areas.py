"""Areas of a photo: places in words, cutting out, matting, softening, and what is told where there is none."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError, ImageError
from sigstyle.imaging.areas import area_of
from sigstyle.imaging.ramps import ramps
from sigstyle.places import Spot, direction, is_place

SIZE = (240, 180)
DISC = (90, 50, 170, 130)


def scene() -> Image.Image:
    """A red disc on a green ground with a little of noise."""
    image = Image.new("RGB", SIZE, (70, 130, 80))
    ImageDraw.Draw(image).ellipse(DISC, fill=(200, 50, 40))
    noise = np.random.default_rng(0).normal(0, 5, (*SIZE[::-1], 3))
    values = np.asarray(image.filter(ImageFilter.GaussianBlur(1))) + noise
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def disc() -> np.ndarray:
    image = Image.new("L", SIZE)
    ImageDraw.Draw(image).ellipse(DISC, fill=255)
    return np.asarray(image) > 0


def overlap(mask: Image.Image, wanted: np.ndarray) -> float:
    found = np.asarray(mask) > 127
    return float((found & wanted).sum() / (found | wanted).sum())


@pytest.mark.parametrize("text", ["subject", "130,90", "54%,50%", "75,40,110,105", "32%,22%,45%,58%"])
def test_an_object_is_found_by_itself_at_a_point_and_in_a_box(text: str) -> None:
    mask = area_of(scene(), Spot.parsed(text))
    assert mask.size == SIZE and overlap(mask, disc()) > 0.95


@pytest.mark.parametrize("text", ["background", "10,10"])
def test_what_lies_around_it_is_found_too(text: str) -> None:
    assert overlap(area_of(scene(), Spot.parsed(text)), ~disc()) > 0.95


def test_the_same_photo_gives_the_same_mask_and_turned_round_they_fit() -> None:
    place = Spot.parsed("subject")
    one, again = area_of(scene(), place), area_of(scene(), place)
    turned = area_of(scene(), place, invert=True)
    assert one.tobytes() == again.tobytes()
    assert (np.asarray(one).astype(int) + np.asarray(turned) == 255).all()


def test_a_large_photo_is_cut_at_its_own_edges() -> None:
    large = scene().resize((960, 720), Image.Resampling.LANCZOS)
    wanted = np.asarray(Image.fromarray(disc()).resize((960, 720)))
    mask = np.asarray(area_of(large, Spot.parsed("subject")))
    assert overlap(Image.fromarray(mask), wanted) > 0.96
    assert (np.isin(mask, (0, 255))).mean() > 0.9  # soft along the edge alone


def test_a_mask_softens_inwards_alone() -> None:
    hard = Image.fromarray((disc() * 255).astype(np.uint8))
    soft = np.asarray(area_of(scene(), hard, feather_px=12))
    assert (soft[~disc()] == 0).all() and soft[90, 130] == 255
    line = soft[90, 90:131].astype(int)
    assert (np.diff(line) >= 0).all() and 8 < (line < 255).sum() < 20


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("300,10", "outside of the photo, which is 240x180"),
        ("100%,10%", "outside"),
        ("300,10,20,20", "outside"),
        ("-90,10,20,20", "outside"),
    ],
)
def test_a_place_outside_is_one_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        area_of(scene(), Spot.parsed(text))


@pytest.mark.parametrize("text", ["nowhere", "1", "1,2,3", "1,x", "nan,1", "1,2,0,5", "1,2,5,-1"])
def test_what_is_no_place_is_told_with_the_settings(text: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        TransferConfig(where=text)


def test_a_box_that_leaves_the_photo_is_cut_at_its_edge_and_an_empty_one_is_painted_whole() -> None:
    assert Spot.parsed("120,90,500,500").within(SIZE) == (0.5, 0.5, 0.5, 0.5)
    flat = Image.new("RGB", SIZE, (120, 120, 120))
    mask = area_of(flat, Spot.parsed("60,45,120,90"))
    assert "No object" in mask.info["notice"]
    assert (np.asarray(mask) > 0).sum() == 120 * 90


def test_a_photo_without_a_subject_and_a_mask_of_another_aspect_are_one_line() -> None:
    flat = Image.new("RGB", SIZE, (120, 120, 120))
    for name in ("subject", "background"):
        with pytest.raises(ImageError, match="No subject stands out"):
            area_of(flat, Spot.parsed(name))
    with pytest.raises(ImageError, match="same size or aspect"):
        area_of(flat, Image.new("L", (100, 100), 255))


def test_places_are_told_from_files() -> None:
    assert all(map(is_place, ("subject", "10,20", "10%, 5%,3,4")))
    assert not any(map(is_place, ("mask.png", "subject.png", "10", "a,b")))


def test_ramps_lead_from_one_end_to_the_other_in_every_direction() -> None:
    for angle, first, last in ((0, (0, 90), (239, 90)), (90, (120, 0), (120, 179)), (180, (239, 90), (0, 90))):
        own, second, third = ramps(SIZE, 3, angle)
        assert own.getextrema() == (255, 255)
        assert (second.getpixel(first), third.getpixel(first)) == (0, 0)
        assert (second.getpixel(last), third.getpixel(last)) == (255, 255)
    assert direction("top-bottom") == 90 and direction("-45") == -45
    for wrong in ("diagonal", "nan", "1e9"):
        with pytest.raises(ConfigError, match="gradient"):
            direction(wrong)


def test_opencv_is_loaded_only_where_something_is_cut_out() -> None:
    code = (
        "import sys, sigstyle, sigstyle.api, sigstyle.cli.main, sigstyle.imaging.areas; sys.exit('cv2' in sys.modules)"
    )
    root = Path(__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0

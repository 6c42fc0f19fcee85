"""What the dials do on the embedded base: each moves the distance that it should, and letters stay legible."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import sigstyle
from sigstyle.base.model import BaseModel, load_base
from sigstyle.data import shipped_path
from sigstyle.imaging.images import load_image
from sigstyle.scoring.network import FeatureNetwork, feature_network
from sigstyle.scoring.structure import colour_distance, content_distance

PHOTO = shipped_path("examples/content/chambord.jpg")
ART = shipped_path("examples/style/hokusai-great-wave.jpg")
STYLE = "great-wave"


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return load_base("mini")


@pytest.fixture(scope="module")
def network() -> FeatureNetwork:
    return feature_network()


def painted(base: BaseModel, **settings: Any) -> Image.Image:
    return sigstyle.transfer(PHOTO, STYLE, base=base, size_px=192, **settings).images[0]


@pytest.mark.parametrize("dial", ["keep", "strength"])
def test_less_of_the_photo_is_kept_as_the_dial_moves(base: BaseModel, network: FeatureNetwork, dial: str) -> None:
    values = {"keep": (1.0, 0.6, 0.1), "strength": (0.0, 0.5, 1.0)}[dial]
    photo = load_image(PHOTO)
    found = [content_distance(network, painted(base, **{dial: value}), photo) for value in values]
    assert found == sorted(found) and found[0] + 0.05 < found[-1], found


def test_the_colours_come_as_the_dial_moves(base: BaseModel) -> None:
    art = load_image(ART)
    found = [colour_distance(painted(base, colour=value), art) for value in (0.0, 0.5, 1.0)]
    assert found == sorted(found, reverse=True) and found[-1] < 0.6 * found[0], found


def test_letters_stay_legible_at_the_default(base: BaseModel) -> None:
    """Printed words are found where they were: what is dark and what is light agrees almost everywhere."""
    photo = load_image(PHOTO)
    wall = photo.crop((0, 0, photo.width, photo.height // 4)).resize((512, 352))  # a sky with clouds
    words, font = Image.new("L", wall.size), ImageFont.load_default(64)
    ImageDraw.Draw(words).multiline_text((60, 70), "OPEN 24\nBakery & Co", font=font, fill=255, spacing=30)
    wall.paste((30, 34, 60), mask=words)
    made = sigstyle.transfer(wall, STYLE, base=base, size_px=352).images[0].convert("L").resize(wall.size)
    box = words.getbbox()
    assert box is not None
    dark = np.asarray(made.crop(box)) < (np.asarray(made).min() + np.median(np.asarray(made))) / 2
    letters = np.asarray(words.crop(box)) > 127
    both, either = (dark & letters).sum(), (dark | letters).sum()
    print(both / either)
    assert both / either > 0.75, f"{both / either:.3f} of the letters' area"

"""A clip in the app: its first frame and what it takes, then the whole."""

from pathlib import Path

import pytest
from conftest import MakeBase
from PIL import Image
from random_style import random_style
from test_film import SMALL, moving, read, write_clip

from sigstyle.base.model import BaseModel
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.film.encoding import film_recipe
from sigstyle.studio import film as studio_film
from sigstyle.studio.film import first_frame, paint_film
from sigstyle.studio.studio import Studio, Who

ANNA = Who("key:anna", "page-a")


@pytest.fixture
def base(make_base: MakeBase) -> BaseModel:
    return make_base(prediction_type="v_prediction")


@pytest.fixture
def studio(tmp_path: Path, base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setattr("sigstyle.studio.library.STYLES_FOLDER", tmp_path / "none")
    monkeypatch.setattr("sigstyle.studio.bases.load_base", lambda key, device, cache, memory: base)
    studio = Studio(tmp_path / "data", device="cpu")
    random_style(base, "wave").save(studio.folder.folder("styles") / "wave.safetensors")
    return studio


def test_a_first_frame_tells_what_the_whole_takes_and_the_whole_follows(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, config = write_clip(tmp_path / "clip.mp4", moving(4)), TransferConfig(**SMALL)
    first = first_frame(studio, ANNA, clip, "wave", "mini", config).wait()
    assert first.frames == 4 and first.shots == 1 and first.seconds > 0
    assert Image.open(first.path).size == (48, 32)
    made = paint_film(studio, ANNA, clip, "wave", "mini", config).wait()
    assert len(read(made.path)) == made.frames == 4
    assert made.path.is_relative_to(studio.workspace(ANNA).root / "results")
    assert str(tmp_path) not in str(film_recipe(made.path)), "a recipe tells nothing about this computer's folders"
    with pytest.raises(ConfigError, match="Drop one"):
        first_frame(studio, ANNA, None, "wave", "mini", config)
    monkeypatch.setattr(studio_film, "MOST_FRAMES", 3)
    with pytest.raises(ConfigError, match="at most 3"):
        first_frame(studio, ANNA, clip, "wave", "mini", config).wait()

"""A clip in the app: its first frame and what it takes, then the whole."""

from pathlib import Path

import pytest
from conftest import MakeBase, digest
from PIL import Image
from random_style import random_style
from test_film import SMALL, moving, read, write_clip
from test_lora_in import save_lora

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


def test_a_clip_is_painted_over_the_loras_that_are_on(studio: Studio, base: BaseModel, tmp_path: Path) -> None:
    clip, config = write_clip(tmp_path / "clip.mp4", moving(2)), TransferConfig(**SMALL)
    plain = first_frame(studio, ANNA, clip, "wave", "mini", config).wait()
    without = paint_film(studio, ANNA, clip, "wave", "mini", config).wait()
    shelf = studio.loras(ANNA)
    shelf.change(shelf.add(save_lora(tmp_path / "ink.safetensors"), base).name, weight=2.0, on=True)
    before = digest(base.unet)
    first = first_frame(studio, ANNA, clip, "wave", "mini", config).wait()
    assert Image.open(first.path).tobytes() != Image.open(plain.path).tobytes()
    assert any("Over the LoRA ink" in notice for notice in first.notices)
    made = paint_film(studio, ANNA, clip, "wave", "mini", config).wait()
    assert made.path != without.path and any("Over the LoRA ink" in notice for notice in made.notices)
    recipe = film_recipe(made.path)
    assert recipe is not None and [lora["name"] for lora in recipe["loras"]] == ["ink"]
    assert digest(base.unet) == before and str(tmp_path) not in str(recipe)


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

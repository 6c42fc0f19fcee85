"""Parts of a photo in styles of their own: masks, regions, gradients, other colours, on every route."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MakeBase, make_parts
from PIL import Image, ImageChops
from random_style import random_style
from test_areas import scene
from test_base_model import save_pipeline
from test_cli import done, refused

from pipelines import SigStylePipeline
from sigstyle.api import transfer
from sigstyle.base.model import BaseModel, load_base
from sigstyle.batches.batch import batch
from sigstyle.errors import ConfigError, ImageError
from sigstyle.imaging.images import load_image, read_recipe
from sigstyle.painting.layers import visible
from sigstyle.painting.local import Region
from sigstyle.style.style import Style

FEW: dict[str, Any] = {"size_px": 64}


@pytest.fixture
def base(make_base: MakeBase) -> BaseModel:
    return make_base(prediction_type="v_prediction")


@pytest.fixture
def styles(base: BaseModel) -> list[Style]:
    return [random_style(base, name, seed=seed) for seed, name in enumerate(("wave", "two", "three"))]


@pytest.fixture
def content(tmp_path: Path) -> Path:
    path = tmp_path / "scene.png"
    scene().save(path)
    return path


def half(size: tuple[int, int], soft: bool = False) -> Image.Image:
    """White on the right; a soft one leads there."""
    if soft:
        return Image.linear_gradient("L").rotate(90).resize(size)
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 2, 0, *size))
    return mask


def values(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def made(content: Path, styles: Any, **more: Any) -> Image.Image:
    return transfer(content, styles, **(FEW | more)).images[0]


# --- places


@pytest.mark.parametrize("preset", ["default", "classic"])
def test_outside_of_what_is_found_the_photo_stays_bit_for_bit(
    base: BaseModel, styles: list[Style], content: Path, preset: str
) -> None:
    more: dict[str, Any] = {"base": base, "preset": preset, "steps": 2}
    subject = values(made(content, styles[0], where="subject", feather=3, **more))
    background = values(made(content, styles[0], where="background", **more))
    photo = values(scene())
    assert subject.shape == photo.shape
    assert (subject[:20] == photo[:20]).all() and (subject[80:100, 120:140] != photo[80:100, 120:140]).any()
    assert (background[80:100, 120:140] == photo[80:100, 120:140]).all() and (background[:20] != photo[:20]).any()


def test_a_place_is_the_mask_that_is_found_there_and_a_mask_can_be_turned_round(
    base: BaseModel, styles: list[Style], content: Path
) -> None:
    mask = half(scene().size)
    turned = made(content, styles[0], base=base, mask=ImageChops.invert(mask))
    assert made(content, styles[0], base=base, mask=mask, invert_mask="on") == turned


# --- regions


def test_one_region_alone_is_a_transfer_with_its_mask(base: BaseModel, styles: list[Style], content: Path) -> None:
    mask = half(scene().size, soft=True)
    assert made(content, [], regions=[(mask, styles[0])], base=base) == made(content, styles[0], mask=mask, base=base)


def test_each_region_is_that_of_its_style_and_the_rest_the_photo(
    base: BaseModel, styles: list[Style], content: Path
) -> None:
    size = scene().size
    whole = Image.new("L", size, 255)
    left, box = ImageChops.invert(half(size)), Image.new("L", size)
    box.paste(255, (0, 0, 20, 20))
    found = values(made(content, [], regions=[(left, styles[0]), (box, styles[1])], base=base))
    one, two = (values(made(content, style, mask=whole, base=base)) for style in styles[:2])
    assert (found[:, 120:] == values(scene())[:, 120:]).all()
    assert (found[:20, :20] == two[:20, :20]).all()
    assert (found[20:, :120] == one[20:, :120]).all()


def test_regions_lie_over_the_styles_of_the_whole(base: BaseModel, styles: list[Style], content: Path) -> None:
    whole, mask = Image.new("L", scene().size, 255), half(scene().size)
    found = values(made(content, styles[0], regions=[(mask, styles[1])], base=base))
    assert (found[:, :120] == values(made(content, styles[0], mask=whole, base=base))[:, :120]).all()
    assert (found[:, 120:] == values(made(content, styles[1], mask=whole, base=base))[:, 120:]).all()


def test_edges_that_meet_let_nothing_shine_through() -> None:
    """Wherever two masks add up to white, the picture below has no part: there is no halo of the photo."""
    size = (256, 4)
    soft = half(size, soft=True)
    masks = [ImageChops.invert(soft), soft]
    below = Image.new("L", size, 255)
    for mask in visible(masks):
        below = Image.composite(Image.new("L", size, 0), below, mask)
    assert below.getextrema() == (0, 0)
    assert visible(masks)[1] is soft


def test_regions_of_one_style_are_painted_once(base: BaseModel, styles: list[Style], content: Path) -> None:
    told: list[tuple[int, int]] = []
    mask = half(scene().size)
    regions = [(mask, styles[0]), (ImageChops.invert(mask), styles[1]), (mask, styles[0])]
    made(content, [], regions=regions, base=base, on_progress=lambda *at: told.append(at))
    assert told == [(done, 4) for done in range(1, 5)]


def test_a_pipeline_takes_regions_and_leaves_the_base_as_it_was(base: BaseModel, styles: list[Style]) -> None:
    pipe: Any = SigStylePipeline.from_base(base)
    pipe.set_progress_bar_config(disable=True)
    mask = half(scene().size)
    found = pipe(scene(), regions=[Region(mask, styles[0])], **FEW).images[0]
    pipe.load_style(styles[0])
    assert found == pipe(scene(), mask=mask, **FEW).images[0]


# --- fusion


def test_weights_of_1_0_0_are_the_first_style_alone(base: BaseModel, styles: list[Style], content: Path) -> None:
    result = transfer(content, styles, weights=[1, 0, 0], base=base, **FEW)
    alone = transfer(content, styles[0], base=base, **FEW)
    assert result.images[0] == alone.images[0]
    assert result.recipe["styles"] == alone.recipe["styles"]


def test_a_gradient_leads_from_the_first_style_to_the_last(base: BaseModel, styles: list[Style], content: Path) -> None:
    whole = Image.new("L", scene().size, 255)
    found = values(made(content, styles[:2], gradient="left-right", base=base))
    first, last = (values(made(content, style, mask=whole, base=base)) for style in styles[:2])
    assert (found[:, :5] == first[:, :5]).all() and (found[:, -5:] == last[:, -5:]).all()
    low, high = np.minimum(first, last) - 1, np.maximum(first, last) + 1
    assert ((found >= low) & (found <= high)).all()


def test_a_gradient_inside_of_a_mask_leaves_the_rest(base: BaseModel, styles: list[Style], content: Path) -> None:
    found = made(content, styles, gradient="90", mask=half(scene().size), base=base)
    assert (values(found)[:, :120] == values(scene())[:, :120]).all()


def test_the_palette_of_one_style_and_the_strokes_of_another(
    base: BaseModel, styles: list[Style], content: Path
) -> None:
    own = made(content, styles[0], palette_from=styles[0], base=base)
    assert own == made(content, styles[0], base=base)
    other = made(content, styles[0], palette_from=styles[1], base=base)

    def distance(image: Image.Image, style: Style) -> float:
        mean = values(image).reshape(-1, 3).mean(0) / 127.5 - 1
        assert style.palette is not None
        return float(np.abs(mean - style.palette.mean.numpy()).max())

    assert other != own
    assert distance(other, styles[1]) < distance(own, styles[1])


# --- recipes, the shell, batches


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base and two of its styles as files."""
    save_pipeline(tmp_path / "base", make_parts(prediction_type="v_prediction"))
    base = load_base(tmp_path / "base")
    for seed, name in enumerate(("one", "two")):
        random_style(base, name, seed=seed).save(tmp_path / f"{name}.safetensors")
    return tmp_path


def test_a_picture_of_regions_is_made_again_by_the_command_that_info_prints(
    folder: Path, content: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    half(scene().size).save("right.png")
    flags = ["--region", "right.png=two.safetensors", "--region", "50%,50%=one.safetensors", "--feather", "2"]
    more = ["-s", "one.safetensors", "-s", "two.safetensors", "--gradient", "30", "--palette-from", "two.safetensors"]
    done("transfer", content, *more, *flags, "--background", "-o", "a.png", "--base", "base", "--size-px", 64)
    recipe = read_recipe("a.png")
    assert [(r["where"], r["style"]["name"]) for r in recipe["regions"]] == [(None, "two"), ("50%,50%", "one")]
    command = json.loads(done("info", "a.png", "--json").stdout)["command"]
    words = shlex.split(command)[3:]
    done(*words, "--base", "base")
    assert load_image("again.png") == load_image("a.png")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--region", "subject"], "expected WHERE=STYLE"),
        (["--region", "0,0,0,9=one.safetensors"], "has no size"),
        (["--region", "900,0=one.safetensors"], "outside of the photo"),
        (["--region", "nothere.png=one.safetensors"], "nothere.png"),
        (["--region", "subject=nothing-like-it"], "no shipped style"),
        (["-s", "one.safetensors", "--subject", "--background"], "expected one place"),
        (["-s", "one.safetensors", "--point", "1,2,3"], "expected X,Y"),
        (["-s", "one.safetensors", "--subject", "--mask", "scene.png"], "expected one of them"),
        (["-s", "one.safetensors", "--invert-mask"], "there is none"),
        (["-s", "one.safetensors", "--gradient", "left-right"], "there are not two"),
        (["-s", "one.safetensors", "-s", "two.safetensors", "--gradient", "up"], "expected left-right"),
        (["-s", "one.safetensors", "--training-free", "--gradient", "0"], "--training-free"),
        ([], "There is no style"),
    ],
)
def test_what_cannot_be_is_one_line(
    folder: Path, content: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], told: str
) -> None:
    monkeypatch.chdir(folder)
    line = refused("transfer", content, *flags, "-o", "a.png", "--base", "base")
    assert told in line
    assert not (folder / "a.png").exists()


def test_a_batch_paints_the_subject_of_each_photo_as_transfer_does(
    base: BaseModel, styles: list[Style], content: Path, tmp_path: Path
) -> None:
    flat = tmp_path / "flat.png"
    Image.new("RGB", (96, 96), (100, 100, 100)).save(flat)
    found = list(batch([content, flat], styles[0], tmp_path / "out", base=base, where="subject", **FEW))
    assert sorted((result.error or "") for result in found)[0] == ""
    (one,) = [result for result in found if result.error is None]
    assert one.path and load_image(one.path) == made(content, styles[0], base=base, where="subject")
    (lost,) = [result.error for result in found if result.error is not None]
    assert "No subject stands out" in lost


def test_a_batch_paints_regions_colours_and_textures_as_transfer_does_and_knows_its_pictures(
    base: BaseModel, styles: list[Style], content: Path, tmp_path: Path
) -> None:
    mask = tmp_path / "mask.png"
    half(scene().size).save(mask)
    parts: dict[str, Any] = {"regions": [(mask, styles[1])], "palette_from": styles[2], "texture": "style"}
    (one,) = batch(content, styles[0], tmp_path / "out", base=base, **parts, **FEW)
    alone = transfer(content, styles[0], base=base, **parts, **FEW)
    assert one.error is None and one.path is not None
    assert load_image(one.path) == alone.images[0]
    recipe = read_recipe(one.path)
    assert {key: recipe[key] for key in alone.recipe if key != "content"} == {
        key: alone.recipe[key] for key in alone.recipe if key != "content"
    }
    assert not list(batch(content, styles[0], tmp_path / "out", base=base, **parts, **FEW))
    with pytest.raises(ConfigError, match="was made with texture"):
        batch(content, styles[0], tmp_path / "out", base=base, **(parts | {"texture": None}), **FEW)


def test_no_subject_and_regions_without_a_style_are_told_before_anything_is_lost(
    base: BaseModel, styles: list[Style], content: Path
) -> None:
    flat = Image.new("RGB", (96, 96), (100, 100, 100))
    with pytest.raises(ImageError, match="No subject stands out"):
        transfer(flat, styles[0], base=base, where="subject", **FEW)
    with pytest.raises(ConfigError, match="regions alone"):
        transfer(content, [], regions=[("subject", styles[0])], mask=half(scene().size), base=base, **FEW)

"""Results find their photo and style image, and the command `evaluate` scores them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from test_cli import done, refused

from sigstyle.errors import ConfigError, ImageError
from sigstyle.imaging.images import save_png
from sigstyle.scoring.pairs import evaluate, mean, pair_of
from sigstyle.scoring.scores import Scorer, Scores

EXAMPLES = Path(__file__).parent.parent / "examples"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recipe(content: Path, style: str | None, name: str = "wave", **more: Any) -> dict[str, Any]:
    content_entry = {"path": str(content), "sha256": digest(content)}
    return {"kind": "transfer", "content": content_entry, "styles": [{"name": name, "path": style, **more}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """photos/cat.png, paintings/wave.png, and results/ with a picture that knows both and one that knows nothing."""
    for kind in ("photos", "paintings", "results"):
        (tmp_path / kind).mkdir()
    cat = Image.open(EXAMPLES / "content/cat.jpg").resize((160, 120))
    wave = Image.open(EXAMPLES / "style/hokusai-great-wave.jpg").resize((180, 120))
    cat.save(tmp_path / "photos/cat.png")
    wave.save(tmp_path / "paintings/wave.png")
    save_png(cat, tmp_path / "results/a.png", recipe(tmp_path / "photos/cat.png", "styles/wave.safetensors"))
    cat.save(tmp_path / "results/b.png")
    return tmp_path


def test_files_that_are_given_need_no_recipe(folder: Path) -> None:
    pair = pair_of(folder / "results/b.png", folder / "photos/cat.png", folder / "paintings/wave.png")
    assert pair.content == folder / "photos/cat.png" and pair.style == folder / "paintings/wave.png"
    with pytest.raises(ImageError, match="--content and --style"):
        pair_of(folder / "results/b.png")


def test_a_captured_style_is_found_by_its_name(folder: Path) -> None:
    result = folder / "results/a.png"
    assert pair_of(result, style=folder / "paintings").style == folder / "paintings/wave.png"
    assert pair_of(result, folder / "photos", folder / "paintings").content == folder / "photos/cat.png"
    with pytest.raises(ConfigError, match=r"style image of a.png \(wave\) is not where its recipe says"):
        pair_of(result)
    with pytest.raises(ConfigError, match=r"not in .*photos"):
        pair_of(result, style=folder / "photos")


def test_a_style_image_in_the_recipe_is_taken_from_there(folder: Path) -> None:
    style = folder / "paintings/wave.png"
    save_png(
        Image.open(style), folder / "free.png", recipe(folder / "photos/cat.png", str(style), sha256=digest(style))
    )
    assert pair_of(folder / "free.png").style == style
    Image.open(style).rotate(180).save(style)
    with pytest.raises(ConfigError, match="has changed"):
        pair_of(folder / "free.png")


def test_a_blend_has_no_one_image(folder: Path) -> None:
    made = recipe(folder / "photos/cat.png", None)
    save_png(Image.new("RGB", (40, 40)), folder / "blend.png", {**made, "styles": made["styles"] * 2})
    with pytest.raises(ConfigError, match="blend of 2 styles"):
        pair_of(folder / "blend.png", style=folder / "paintings")


def test_the_library_call_is_the_scorer(folder: Path) -> None:
    result, style = folder / "results/a.png", folder / "paintings/wave.png"
    assert evaluate(result, style=style) == Scorer().score(result, folder / "photos/cat.png", style)


def test_mean() -> None:
    assert mean([Scores(0, 1, 0, 1), Scores(1, 1, 0.5, 0)]) == Scores(0.5, 1, 0.25, 0.5)


def test_the_command_scores_a_picture_and_a_folder(folder: Path) -> None:
    one = json.loads(done("evaluate", folder / "results/a.png", "--style", folder / "paintings", "--json").stdout)
    assert one["content"] < 0.01 and one["leak"] == 0 and one["style"] > 0.1
    every = done("evaluate", folder / "results", "--style", folder / "paintings", "--json")
    data = json.loads(every.stdout)
    assert [Path(row["image"]).name for row in data["images"]] == ["a.png"]
    assert data["mean"] == {name: one[name] for name in data["mean"]}
    assert "b.png is left out" in every.stderr
    shown = done("evaluate", folder / "results/a.png", "--style", folder / "paintings/wave.png").stdout
    assert f"style {one['style']:.3f}" in shown and "lower is better" in shown


def test_the_command_says_what_is_missing(folder: Path) -> None:
    assert "There is no" in refused("evaluate", folder / "none.png")
    assert "--style" in refused("evaluate", folder / "results/a.png")
    assert "can be scored" in refused("evaluate", folder / "photos", "--quiet")


@pytest.mark.parametrize("odd", [3, "x" * 5000, "a\0b", [], {"path": 3}, {"path": "x" * 5000}, [[1]], [{"path": {}}]])
def test_a_recipe_that_holds_anything_is_one_line(painting: Image.Image, tmp_path: Path, odd: object) -> None:
    save_png(painting, tmp_path / "result.png", {"content": odd, "styles": odd})
    with pytest.raises(ConfigError, match="is not where its recipe says"):
        evaluate(tmp_path / "result.png")

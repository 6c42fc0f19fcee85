"""The front door: what it takes, what it gives, and that a recipe is enough to make an image again."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from random_style import random_style

import sigstyle
from sigstyle import api
from sigstyle.api import TransferResult, capture, generate, transfer
from sigstyle.base.model import BaseModel
from sigstyle.batches.batch import plan
from sigstyle.config import CaptureConfig, TrainingFreeConfig, TransferConfig
from sigstyle.errors import BaseMismatchError, Cancelled, ConfigError, ImageError, StyleFileError
from sigstyle.imaging.images import read_recipe
from sigstyle.style import shipped
from sigstyle.style.style import Style

FEW: dict[str, Any] = {"steps": 3, "size_px": 64}


@pytest.fixture
def style_path(base: BaseModel, tmp_path: Path) -> Path:
    path = tmp_path / "wave.safetensors"
    random_style(base).save(path)
    return path


@pytest.fixture
def photo(painting: Image.Image, tmp_path: Path) -> Path:
    path = tmp_path / "tower.png"
    painting.save(path)
    return path


def same(a: Image.Image, b: Image.Image) -> bool:
    return np.array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("preset", ["default", "classic"])
def test_a_recipe_makes_the_image_again_bit_for_bit(
    base: BaseModel, photo: Path, style_path: Path, painting: Image.Image, tmp_path: Path, preset: str
) -> None:
    mask = tmp_path / "mask.png"
    Image.linear_gradient("L").resize(painting.size).save(mask)
    second = tmp_path / "two.safetensors"
    random_style(base, "two", seed=1).save(second)
    settings: dict[str, Any] = {"mask": mask, "prompt": "a tower", "seed": 5, "preset": preset, **FEW}
    made = transfer(photo, [style_path, second], weights=[0.7, 0.4], base=base, **settings)
    (path,) = made.save(tmp_path / "out.png")
    recipe = read_recipe(path)
    assert recipe == {**made.recipe, "index": 0}

    assert recipe["base"]["fingerprint"] == base.fingerprint
    assert recipe["content"]["sha256"] == api.file_entry(Path(recipe["content"]["path"]))["sha256"]
    styles = [Style.load(entry["path"]) for entry in recipe["styles"]]
    assert [style.hash for style in styles] == [entry["hash"] for entry in recipe["styles"]]
    again = transfer(
        recipe["content"]["path"],
        styles,
        weights=[entry["weight"] for entry in recipe["styles"]],
        mask=recipe["mask"]["path"],
        base=base,
        config=TransferConfig.from_recipe(recipe["settings"]),
        num_images=recipe["images"],
    )
    assert same(again.images[0], Image.open(path))


def test_a_recipe_says_what_was_used(base: BaseModel, painting: Image.Image, photo: Path) -> None:
    style = random_style(base)
    recipe = transfer(painting, style, base=base, **FEW).recipe
    assert recipe["content"]["path"] is None and len(recipe["content"]["pixels_sha256"]) == 64
    assert recipe["styles"] == [{"name": "wave", "hash": style.hash, "path": None, "weight": 1.0}]
    assert recipe["base"] | {"threads": 0} == {
        "name": "tiny",
        "path": None,
        "fingerprint": base.fingerprint,
        "device": "cpu",
        "dtype": "float32",
        "threads": 0,
    }
    assert set(recipe["versions"]) == {"sigstyle", "torch", "diffusers", "python"}
    from_bytes = transfer(photo.read_bytes(), style, base=base, **FEW).recipe["content"]
    assert from_bytes == {**api.file_entry(photo), "path": None}


def test_the_trace_of_a_result_serves_the_next_style(base: BaseModel, photo: Path) -> None:
    classic: dict[str, Any] = {"base": base, "preset": "classic", **FEW}
    first = transfer(photo, random_style(base), **classic)
    counted: list[tuple[int, int]] = []

    def on_progress(done: int, total: int) -> None:
        counted.append((done, total))

    other = random_style(base, "other", seed=1)
    second = transfer(photo, other, trace=first.trace, on_progress=on_progress, **classic)
    assert counted == [(done, 5) for done in range(1, 6)]  # 3 to denoise, 2 of the style's image
    assert second.trace is first.trace
    assert same(second.images[0], transfer(photo, other, **classic).images[0])


def test_the_trace_of_a_painted_result_serves_the_same_style(base: BaseModel, photo: Path) -> None:
    style, counted = random_style(base), []
    first = transfer(photo, style, base=base, size_px=64)
    assert first.trace is not None
    again = transfer(photo, style, base=base, size_px=64, trace=first.trace, on_progress=lambda *at: counted.append(at))
    assert counted == [(1, 1)] and again.notices == [] and same(again.images[0], first.images[0])
    counted.clear()
    other = random_style(base, "other", seed=1)
    anew = transfer(photo, other, base=base, size_px=64, trace=first.trace, on_progress=lambda *at: counted.append(at))
    assert counted == [(1, 2), (2, 2)] and "encoded anew" in anew.notices[0]
    assert same(anew.images[0], transfer(photo, other, base=base, size_px=64).images[0])


@pytest.mark.parametrize(("preset", "moments"), [("default", (1, 3)), ("classic", (1, 5))])
def test_stopping_raises_and_leaves_the_base_free(
    base: BaseModel, photo: Path, preset: str, moments: tuple[int, int]
) -> None:
    done: list[int] = []

    def stop_at(moment: int) -> TransferResult:
        done.clear()
        return transfer(
            photo,
            random_style(base),
            base=base,
            on_progress=lambda count, _total: done.append(count),
            should_stop=lambda: len(done) == moment,
            preset=preset,
            **FEW,
        )

    for moment in moments:
        with pytest.raises(Cancelled):
            stop_at(moment)
        assert len(done) == moment
    with pytest.raises(Cancelled):
        generate("a tower", random_style(base), base=base, should_stop=lambda: True, height=64, width=64, steps=3)
    assert stop_at(99).images


def test_styles_are_found_by_path_and_shipped_name(
    base: BaseModel, style_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "STYLES_FOLDER", style_path.parent)
    assert (
        shipped.open_style("wave").hash
        == shipped.open_style(style_path).hash
        == shipped.open_style(str(style_path)).hash
    )
    assert transfer(photo, "wave", base=base, **FEW).recipe["styles"][0]["path"] == "wave"
    for missing in ("unknown", "../wave", style_path.parent / "unknown.safetensors"):
        with pytest.raises(StyleFileError):
            shipped.open_style(missing)


def test_styles_and_weights_must_fit_together(base: BaseModel, photo: Path) -> None:
    one, two = random_style(base, "one"), random_style(base, "two", seed=1)
    for styles, weights, told in (
        ([], None, "no style"),
        ([one, two], [1.0], "2 styles and 1 weights"),
        (one, [0.0], "above 0"),
        (one, [1e-30], "of 0.000001 to 1000"),
        (one, [1e300], "of 0.000001 to 1000"),
        (one, [float("nan")], "above 0"),
    ):
        with pytest.raises(ConfigError, match=told):
            transfer(photo, styles, weights=weights, base=base, **FEW)
    shares = transfer(photo, [one, two], base=base, **FEW).recipe["styles"]
    assert [entry["weight"] for entry in shares] == [0.5, 0.5]


def test_bad_input_is_told_apart(make_base: Any, base: BaseModel, photo: Path, tmp_path: Path) -> None:
    style = random_style(base)
    with pytest.raises(ConfigError, match="steps"):
        transfer(photo, style, base=base, steps=0)
    with pytest.raises(ConfigError, match="Unknown setting stepz"):
        transfer(photo, style, base=base, stepz=3)
    with pytest.raises(ConfigError, match="preset"):
        transfer(photo, style, base=base, preset="unknown")
    with pytest.raises(ImageError):
        transfer(tmp_path / "missing.png", style, base=base, **FEW)
    with pytest.raises(BaseMismatchError):
        transfer(photo, style, base=make_base(seed=1), **FEW)


@pytest.mark.parametrize("preset", ["paper", "default", "unknown"])
def test_a_preset_beside_a_config_is_refused(base: BaseModel, photo: Path, painting: Image.Image, preset: str) -> None:
    style, free = random_style(base), sigstyle.transfer_training_free
    for paint in (
        lambda: transfer(photo, style, base=base, preset=preset, config=TransferConfig(**FEW)),
        lambda: capture(photo, base=base, preset=preset, config=CaptureConfig()),
        lambda: free(photo, painting, base=base, preset=preset, config=TrainingFreeConfig()),
        lambda: plan(photo, style, photo.parent / "out", preset=preset, config=TransferConfig()),
    ):
        with pytest.raises(ConfigError, match=f"Both preset='{preset}' and config= are given"):
            paint()
    with pytest.raises(ConfigError, match="a CaptureConfig; expected a TransferConfig"):
        transfer(photo, style, base=base, config=CaptureConfig())  # type: ignore[arg-type]


def test_a_style_of_a_base_elsewhere_asks_for_it_and_not_the_hub(
    base: BaseModel, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    style = random_style(base)
    asked: list[str] = []

    def noted(name: str, *_: Any, offline: bool, memory: str) -> BaseModel:
        assert offline and memory == "auto"
        asked.append(name)
        return base

    monkeypatch.setattr(shipped, "load_base", noted)
    for paint in (lambda: transfer(photo, style, **FEW), lambda: generate("a tower", style, steps=2)):
        with pytest.raises(ConfigError, match=rf"captured on the base tiny \({base.fingerprint}\).*give .* --base"):
            paint()
    assert asked == []
    (tmp_path / "tiny").mkdir()
    for name in ("tiny", "mini", "owner/some-base"):
        transfer(photo, dataclasses.replace(style, base_name=name), **FEW)
    assert asked == ["tiny", "mini", "owner/some-base"]


def test_results_are_written_as_png_with_their_recipe(tmp_path: Path) -> None:
    result = TransferResult([Image.new("RGB", (8, 8), color) for color in ("red", "blue")], {"kind": "transfer"})
    paths = result.save(tmp_path / "out.png")
    assert [path.name for path in paths] == ["out-1.png", "out-2.png"]
    assert [read_recipe(path)["index"] for path in paths] == [0, 1]
    with pytest.raises(ConfigError, match=r"ends in \.png"):
        result.save(tmp_path / "out.jpg")
    with pytest.raises(ImageError):
        result.save(tmp_path / "missing" / "out.png")


def test_a_prompt_is_painted_and_can_be_painted_again(base: BaseModel, style_path: Path) -> None:
    more: dict[str, Any] = {"height": 64, "width": 96, "steps": 3}
    result = generate("a tower", style_path, base=base, seed=4, num_images=2, **more)
    assert [image.size for image in result.images] == [(96, 64)] * 2 and result.trace is None
    recipe = result.recipe
    assert (recipe["kind"], recipe["settings"]["prompt"], recipe["settings"]["seed"]) == ("generate", "a tower", 4)
    settings = {key: value for key, value in recipe["settings"].items() if key != "prompt"}
    again = generate(
        recipe["settings"]["prompt"],
        recipe["styles"][0]["path"],
        base=base,
        height=recipe["height"],
        width=recipe["width"],
        num_images=recipe["images"],
        **settings,
    )
    assert all(same(a, b) for a, b in zip(result.images, again.images, strict=True))


def test_capture_to_image(base: BaseModel, photo: Path, painting: Image.Image) -> None:
    config = CaptureConfig(steps=3, batch_size=2, crops=2, size_px=64, autocast="off")
    style = capture(photo, base=base, config=config, seed=1)
    assert style.name == "tower" and style.metadata["config"]["seed"] == 1
    named = capture([painting, photo], base=base, config=config, name="great wave", domain="print")
    assert (named.name, named.token.token, named.domain) == ("great wave", "<great-wave>", "print")
    assert named.palette is not None and torch.isfinite(named.palette.mean).all()
    assert transfer(photo, [style, named], base=base, **FEW).images[0].size == (77, 64)
    with pytest.raises(ConfigError, match=r"does not hold its image's latents.*--preset classic"):
        transfer(photo, style, base=base, preset="classic", **FEW)
    classic = capture(photo, base=base, preset="classic", steps=3, batch_size=2, crops=2, size_px=64, autocast="off")
    assert classic.palette is None and classic.start_mean is not None and classic.start_mean.isfinite().all()
    assert transfer(photo, classic, base=base, preset="classic", **FEW).images[0].size == (77, 64)
    with pytest.raises(ConfigError, match="tower has not learned to paint"):
        transfer(photo, classic, base=base, **FEW)
    with pytest.raises(ImageError):
        capture("missing.png", base=base, config=config)

"""Input that is cut, made smaller, read otherwise or of no effect gets a notice, on every route."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakeBase, make_painting, make_parts
from PIL import Image
from random_style import random_style
from test_base_model import save_pipeline
from test_cli import done

import sigstyle
from pipelines import SigStylePipeline, SigStyleText2ImgPipeline
from sigstyle import api
from sigstyle.base.model import BaseModel, load_base
from sigstyle.base.prompts import StyleToken, fitted, tokenize
from sigstyle.batches.batch import batch as api_batch
from sigstyle.imaging.images import load_mask

FEW: dict[str, Any] = {"steps": 1, "size_px": 64}
LONG = " ".join(f"tower{i:02}" for i in range(40))
SIZE = (96, 80)


def left(white: Any, black: Any) -> np.ndarray:
    """An array of SIZE whose left half is `white` and right half `black`."""
    halves = [np.broadcast_to(np.asarray(value), (SIZE[1], SIZE[0] // 2, *np.shape(value))) for value in (white, black)]
    return np.concatenate(halves, 1)


def hole() -> Image.Image:
    """A photo whose left half was erased."""
    image = make_painting().convert("RGBA")
    image.putalpha(Image.fromarray(left(0, 255).astype(np.uint8)))
    return image


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny base, and a style of it inside."""
    folder = save_pipeline(tmp_path_factory.mktemp("bases") / "tiny", make_parts())
    random_style(load_base(folder, device="cpu")).save(folder / "wave.safetensors")
    return folder


COVERED = "what is covered is painted"
MASKS = {
    "plain": (Image.fromarray(left(255, 0).astype(np.uint8)), ""),
    "one bit": (Image.fromarray(left(True, False)), ""),
    "white on nothing": (Image.fromarray(left((255, 255, 255, 255), (0, 0, 0, 0)).astype(np.uint8)), ""),
    "0/1": (Image.fromarray(left(1, 0).astype(np.uint8)), "0 and 1"),
    "0/1 in 16 bits": (Image.fromarray(left(1, 0).astype(np.uint16)), ""),
    "0/1 as floats": (Image.fromarray(left(1, 0).astype(np.float32)), ""),
    "black stroke": (
        Image.fromarray(left((0, 0, 0, 255), (0, 0, 0, 0)).astype(np.uint8)),
        "what is covered is painted",
    ),
    "red stroke": (
        Image.fromarray(left((255, 0, 0, 255), (0, 0, 0, 0)).astype(np.uint8)),
        "what is covered is painted",
    ),
    "hole": (hole(), "what is transparent in it is painted"),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_are_read_as_they_are_meant(name: str, tmp_path: Path) -> None:
    image, words = MASKS[name]
    image.save(tmp_path / "mask.tif")
    for source in (tmp_path / "mask.tif", image):
        mask = load_mask(source)
        assert np.array_equal(np.asarray(mask), left(255, 0))
        assert words in mask.info.get("notice", "") and bool(words) == ("notice" in mask.info)


def test_a_soft_edge_stays_soft() -> None:
    soft = Image.linear_gradient("L").resize(SIZE)
    layer = Image.new("LA", SIZE)
    layer.putalpha(soft)
    assert np.array_equal(np.asarray(load_mask(soft)), np.asarray(soft))
    assert np.array_equal(np.asarray(load_mask(layer)), np.asarray(soft))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image.new("L", SIZE), "Nothing is painted"),
        (Image.new("RGBA", SIZE, (255, 0, 0, 0)), "Nothing is painted"),
        (make_painting(), "by its brightness"),
    ],
)
def test_a_mask_of_no_or_of_odd_effect_is_told(image: Image.Image, words: str) -> None:
    assert words in load_mask(image).info["notice"]


@pytest.mark.parametrize("preset", ["default", "classic"])
def test_a_mask_s_notice_comes_with_the_result(base: BaseModel, preset: str) -> None:
    made = api.transfer(make_painting(), random_style(base), base=base, mask=Image.new("L", SIZE), preset=preset, **FEW)
    assert made.images[0].tobytes() == make_painting().tobytes()
    assert made.notices == ["Nothing is painted: the mask the image is black everywhere."]


def test_the_shell_tells_of_masks_frames_prompts_and_sizes(tiny: Path, tmp_path: Path) -> None:
    out, moving, photo = (tmp_path / name for name in ("out.png", "moving.gif", "photo.png"))
    make_painting().save(photo)
    Image.new("L", SIZE).save(tmp_path / "mask.png")
    frames = [make_painting().resize((900, 750)), make_painting().resize((900, 750)).rotate(180)]
    frames[0].save(moving, save_all=True, append_images=frames[1:])
    common = ["-s", tiny / "wave.safetensors", "-o", out, "--base", tiny, "--steps", 1]
    made = done("transfer", photo, *common, "--size-px", 64, "--mask", tmp_path / "mask.png")
    assert made.stderr == "Nothing is painted: the mask mask.png is black everywhere.\n"
    few = ("--max-megapixels", 0.02)
    made = done("transfer", moving, *common, *few, "--prompt", LONG, "--json")
    notices = json.loads(made.stdout)["notices"]
    assert made.stderr.splitlines() == notices and len(notices) == 3
    assert "first frame of 2" in notices[0] and "tower39'" in notices[2] and "75 tokens" in notices[2]
    assert notices[1].startswith("The picture is 154x129 instead of 900x750; --max-megapixels")
    made = done("generate", LONG, *common, "--size-px", 64, "--json", "--overwrite")
    assert ["tower39'" in line for line in json.loads(made.stdout)["notices"]] == [True]
    assert done("transfer", moving, *common, *few, "--prompt", LONG, "--quiet", "--overwrite").stderr == ""
    assert "75 tokens" in " ".join(done("transfer", "--help").stdout.replace("│", " ").split())


@pytest.mark.parametrize("preset", ["default", "classic"])
def test_pipelines_and_python_tell_of_a_prompt_that_is_cut(base: BaseModel, preset: str) -> None:
    style = random_style(base)
    made = api.transfer(make_painting(), style, base=base, prompt=LONG, preset=preset, **FEW)
    assert len(made.notices) == 1 and made.notices[0].startswith("The prompt is longer than the 75 tokens")
    pipe = SigStylePipeline.from_base(base)
    pipe.load_style(style)
    assert pipe(make_painting(), LONG, preset=preset, size_px=64, num_inference_steps=1).notices == made.notices
    words = SigStyleText2ImgPipeline.from_base(base)
    words.load_style(style)
    assert words(LONG, height=64, width=64, num_inference_steps=1).notices == made.notices
    free = sigstyle.transfer_training_free(
        make_painting(), make_painting(), base=base, prompt=LONG, steps=2, size_px=64
    )
    assert len(free.notices) == 1 and "tower39'" in free.notices[0]


def test_a_cut_prompt_paints_what_is_left_of_it(base: BaseModel) -> None:
    style = random_style(base)
    kept = fitted(base.tokenizer, f"{LONG} in the style of <wave>", style.token)
    subject = kept.text.removesuffix(" in the style of <wave>")
    assert subject and f"{subject} {kept.dropped}" == LONG
    long, short = (api.transfer(make_painting(), style, base=base, prompt=prompt, **FEW) for prompt in (LONG, subject))
    assert long.images[0].tobytes() == short.images[0].tobytes() and short.notices == []


@pytest.mark.parametrize(
    "text", ["{} in the style of <wave>", "<wave> {}", "a cat in the style of <wave>, {}", "{} <wave> {}"]
)
@pytest.mark.parametrize("vectors", [1, 3])
def test_whatever_is_cut_the_style_s_words_stay(make_base: MakeBase, text: str, vectors: int) -> None:
    tokenizer = make_base().tokenizer
    token = StyleToken("<wave>", torch.zeros(vectors, 32))
    for words in (LONG, "x" * 400, "波" * 90):
        cut = fitted(tokenizer, text.replace("{}", words), token)
        assert cut.dropped and "<wave>" in cut.text
        found = tokenize(tokenizer, [cut.text], [token])
        assert int((found.slots >= 0).sum()) == vectors
        whole = tokenizer(cut.text.replace("<wave>", ""), add_special_tokens=False).input_ids
        assert 55 < len(whole) + vectors <= 75, "as much as fits"


def test_a_prompt_that_fits_is_not_touched(make_base: MakeBase) -> None:
    assert fitted(make_base().tokenizer, "a cat").text == "a cat"


def test_a_capture_tells_of_an_animation(tiny: Path, tmp_path: Path) -> None:
    frames = [make_painting(), make_painting().rotate(180)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    quick = ["--steps", 1, "--batch-size", 1, "--crops", 1, "--size-px", 64, "--autocast", "off"]
    made = done("capture", tmp_path / "moving.gif", "-o", tmp_path / "s.safetensors", "--base", tiny, *quick)
    assert "first frame of 2 is used" in made.stderr


def test_a_batch_keeps_them_with_its_pictures(base: BaseModel, tmp_path: Path) -> None:
    frames = [make_painting(), make_painting().rotate(180)]
    (tmp_path / "in").mkdir()
    frames[0].save(tmp_path / "in" / "moving.gif", save_all=True, append_images=frames[1:])
    random_style(base).save(tmp_path / "wave.safetensors")
    settings = {"base": base, "prompt": LONG, **FEW}
    list(api_batch(tmp_path / "in", [tmp_path / "wave.safetensors"], tmp_path / "out", **settings))
    line = json.loads((tmp_path / "out" / "manifest.jsonl").read_text(encoding="utf-8"))
    assert "first frame of 2" in line["notice"] and "tower39'" in line["notice"]

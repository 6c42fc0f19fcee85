"""Dials in people's words, faces, prompts that are painted, and luck: on tiny bases, on every route."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import typer.main
from conftest import MakeBase, make_painting
from PIL import Image
from random_style import random_style

import sigstyle
from pipelines import SigStylePipeline, SigStyleText2ImgPipeline
from sigstyle.base.model import BaseModel
from sigstyle.batches.check import difference
from sigstyle.batches.job_file import outputs_of, read_jobs
from sigstyle.batches.jobs import Look, Output, Photo
from sigstyle.cli.info import command_of
from sigstyle.cli.main import app
from sigstyle.config import CaptureConfig, GenerateConfig, TransferConfig
from sigstyle.errors import Cancelled, ConfigError
from sigstyle.imaging.faces import face_map, find_faces
from sigstyle.imaging.images import fit, load_image, thumbnail_uri
from sigstyle.learning.held_out import HeldOut, held_out_files
from sigstyle.learning.loop import capture_style
from sigstyle.painting.cost import generate_cost, transfer_cost
from sigstyle.painting.luck import WEAKER, lucky
from sigstyle.settings import resolve
from sigstyle.style.blend import Blend
from sigstyle.style.style import Style

FEW: dict[str, Any] = {"size_px": 64}
ROOT = Path(__file__).parent.parent
FACE = ROOT / "benchmarks/pairs/content/astronaut.jpg"
SAID = {"colour": 0.4, "keep": 0.6, "variation": 7}
MEANT = {"palette": 0.4, "freedom": 0.4, "seed": 7}


@pytest.fixture
def base(make_base: MakeBase) -> BaseModel:
    return make_base(prediction_type="v_prediction")


@pytest.fixture
def style(base: BaseModel) -> Style:
    return random_style(base)


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.tobytes() == other.tobytes()


def quiet(pipe: Any, *styles: Style) -> Any:
    pipe.set_progress_bar_config(disable=True)
    for style in styles:
        pipe.load_style(style)
    return pipe


# --- words


@pytest.mark.parametrize("config", [TransferConfig, GenerateConfig])
def test_other_names_mean_the_settings_and_are_never_written(config: Any) -> None:
    made = config.preset(**SAID)
    assert made == config.preset(**MEANT) == resolve(config, None, config(), SAID)
    assert not set(made.to_dict()) & set(SAID)
    assert config.preset(keep=0.7) == config.preset(freedom=0.3), "bit for bit"
    for name, meant in (("colour", "palette"), ("keep", "freedom"), ("variation", "seed")):
        with pytest.raises(ConfigError, match=f"Both {name} and {meant} are given"):
            config.preset(**{name: 1, meant: 1})
    with pytest.raises(ConfigError, match=r"keep is 1.5; expected a number from 0 to 1"):
        config.preset(keep=1.5)


def test_another_name_goes_over_a_preset_and_keep_belongs_to_painting() -> None:
    assert TransferConfig.preset("classic", colour=0.5).palette == 0.5
    with pytest.raises(ConfigError, match="keep is not used by this preset; it belongs to default"):
        TransferConfig.preset("classic", keep=0.5)


@pytest.mark.parametrize("command", ["transfer", "batch", "generate"])
def test_the_shell_has_flags_of_both_names(command: str) -> None:
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    flags = {flag for parameter in parameters for flag in parameter.opts}
    assert {f"--{name}" for name in (*SAID, *MEANT)} <= flags


def test_job_files_pipelines_and_python_take_them(
    base: BaseModel, style: Style, photo: Path, painting: Image.Image, tmp_path: Path
) -> None:
    jobs = tmp_path / "jobs.csv"
    jobs.write_text(f"content,keep,colour,variation\n{photo.name},0.6,0.4,7\n", encoding="utf-8")
    (output,) = outputs_of(read_jobs(jobs), [(style, None)], TransferConfig(), lambda name: (style, name), tmp_path)
    assert output.config == TransferConfig(**MEANT)
    expected = sigstyle.transfer(painting, style, base=base, **FEW, **MEANT)
    said = sigstyle.transfer(painting, style, base=base, **FEW, **SAID)
    assert same(said.images[0], expected.images[0])
    assert said.recipe["settings"] == expected.recipe["settings"]
    pipe = quiet(SigStylePipeline.from_base(base), style)
    seeded = torch.Generator().manual_seed(7)
    assert same(pipe(painting, keep=0.6, colour=0.4, generator=seeded, **FEW).images[0], expected.images[0])


# --- faces


def test_two_cascades_agree_on_a_face_and_on_nothing_else() -> None:
    (face,) = find_faces(load_image(FACE))
    assert abs(face.x - 0.44) < 0.05 and abs(face.y - 0.22) < 0.05
    found = face_map([face], 64, 64)[0, 0]
    assert found[14, 28] == 1 and found[60].max() == 0 and find_faces(make_painting()) == []
    assert found.diff(dim=0).abs().max() < 0.5, "soft, so that no edge of it shows"


def test_on_a_face_the_painting_stays_closer_to_the_photo(base: BaseModel, style: Style) -> None:
    pipe, photo = quiet(SigStylePipeline.from_base(base), style), fit(load_image(FACE), 192, 8)
    made = {}
    for protect in ("none", "faces"):
        output = pipe(photo, protect=protect, size_px=192, output_type="latent", margin_px=0)
        made[protect] = (output.images - output.trace.path[0]).abs().mean(1)[0]
    inside = face_map(find_faces(photo), *made["none"].shape)[0, 0] > 0.9
    assert made["faces"][inside].mean() < 0.7 * made["none"][inside].mean()
    again = [pipe(photo, protect=protect, size_px=192).images[0] for protect in ("faces", None, "none")]
    assert same(*again[:2]) and not same(*again[1:]), "by default it does"


def test_no_face_is_a_notice_and_changes_nothing(base: BaseModel, style: Style, painting: Image.Image) -> None:
    asked = sigstyle.transfer(painting, style, base=base, protect="faces", **FEW)
    assert any("No face was found" in notice for notice in asked.notices)
    usual = sigstyle.transfer(painting, style, base=base, **FEW)
    assert same(asked.images[0], usual.images[0]) and not usual.notices


def test_a_batch_says_it_with_its_picture(base: BaseModel, style: Style, photo: Path, tmp_path: Path) -> None:
    list(sigstyle.batch(photo, style, tmp_path / "out", base=base, protect="faces", best_of=2, **FEW))
    (line,) = [json.loads(text) for text in (tmp_path / "out/manifest.jsonl").read_text().splitlines()]
    assert "No face was found" in line["notice"] and "the best of 2" in line["notice"]
    again = sigstyle.batch(photo, style, tmp_path / "out", base=base, protect="faces", best_of=2, **FEW)
    assert list(again) == [], "what is there is this job's, whichever seed was chosen"


# --- prompts


def test_a_prompt_is_the_base_s_picture_painted_as_a_photo(base: BaseModel, style: Style) -> None:
    plain = sigstyle.generate("a tower", style, base=base, steps=2, strength=0, **FEW)
    made = sigstyle.generate("a tower", style, base=base, steps=2, **FEW)
    assert made.images[0].size == (64, 64) and not same(made.images[0], plain.images[0])
    kept = sigstyle.generate("a tower", style, base=base, steps=2, keep=1, colour=0, strokes=0, **FEW)
    assert not same(kept.images[0], made.images[0])
    large = sigstyle.generate("a tower", style, base=base, steps=2, height=128, width=96)
    assert large.images[0].size == (96, 128), "the base's picture has 64 px, as it was trained, and is enlarged"
    pipe = quiet(SigStyleText2ImgPipeline.from_base(base), style)
    latents = pipe("a tower", num_inference_steps=2, num_images_per_prompt=2, height=64, width=96, output_type="latent")
    assert latents.images.shape == (2, 4, 8, 12)
    assert generate_cost(GenerateConfig(steps=2), images=2).calls == 2 + 2 * transfer_cost(TransferConfig()).calls


def test_a_classic_style_is_denoised_in_as_before(base: BaseModel, style: Style) -> None:
    classic = dataclasses.replace(style, palette=None)
    with pytest.raises(ConfigError, match=r"has not learned to paint.*preset='classic'"):
        sigstyle.generate("a tower", classic, base=base, steps=2, **FEW)
    made = sigstyle.generate("a tower", classic, base=base, steps=2, preset="classic", **FEW)
    assert made.recipe["settings"]["method"] == "denoise" and "freedom" not in made.recipe["settings"]
    assert "--preset classic" in (command_of(made.recipe) or "")
    before = {name: value for name, value in made.recipe["settings"].items() if name != "method"}
    assert GenerateConfig.from_recipe(before) == GenerateConfig.from_recipe(made.recipe["settings"])


# --- luck


def test_the_best_of_several_seeds_makes_itself_again_alone(base: BaseModel, style: Style) -> None:
    calls: list[tuple[int, int]] = []
    made = sigstyle.transfer(
        make_painting(), style, base=base, best_of=3, seed=5, on_progress=lambda *at: calls.append(at), **FEW
    )
    recipe, settings = made.recipe, made.recipe["settings"]
    tried = {each["seed"]: each["score"] for each in recipe["tried"]}
    assert list(tried) == [5, 6, 7] and tried[settings["seed"]] == min(tried.values())
    assert settings["best_of"] == 1 and recipe["asked"]["best_of"] == 3
    assert calls[-1] == (6, 6) and transfer_cost(TransferConfig(best_of=3)).calls == 6
    alone = sigstyle.transfer(make_painting(), style, base=base, config=TransferConfig.from_recipe(settings))
    assert same(alone.images[0], made.images[0])
    photo = Photo(make_painting(), "p", "p")
    wanted = Output(photo, Look(style, None, "wave"), TransferConfig(best_of=3, seed=5, **FEW))
    assert difference(recipe, wanted, base, {}) == ""


def test_several_images_are_not_chosen_from(base: BaseModel, style: Style, painting: Image.Image) -> None:
    with pytest.raises(ConfigError, match="best_of is 2 with 2 images"):
        sigstyle.transfer(painting, style, base=base, best_of=2, num_images=2, **FEW)
    with pytest.raises(ConfigError, match="a pipeline paints one seed"):
        quiet(SigStylePipeline.from_base(base), style)(painting, config=TransferConfig(best_of=2, **FEW))


@pytest.mark.parametrize(("bound", "strengths"), [(0.15, [1.0, WEAKER]), (1.0, [1.0])])
def test_a_leak_is_painted_once_more_and_weaker(style: Style, bound: float, strengths: list[float]) -> None:
    photo, art = (load_image(ROOT / "examples" / name) for name in ("content/cat.jpg", "style/hokusai-great-wave.jpg"))
    styled, met = dataclasses.replace(style, thumbnail=thumbnail_uri(art)), []

    def paint(config: TransferConfig) -> list[Image.Image]:
        met.append(config.strength)
        return [art.resize(photo.size) if config.strength == 1 else photo]

    (taken,) = lucky(TransferConfig(leak_bound=bound), Blend.of([styled]), [photo], paint)
    assert met == strengths and taken.config.strength == strengths[-1]
    if bound < 1:
        assert taken.entries["leak"] < 0.05 < 0.5 < taken.entries["leak_before"]
        assert taken.entries["asked"] == {"strength": 1.0, "leak_bound": bound}
        assert "came through" in taken.notices[0]
        assert taken.config.leak_bound == 1, "so that it is made again alone"


# --- captures that end at the best

LEARNING: dict[str, Any] = {"batch_size": 2, "crops": 2, "size_px": 64, "autocast": "off", "warmup": 2}


def test_steps_auto_is_said_in_one_place() -> None:
    auto = CaptureConfig.preset(steps="auto")
    assert (auto.steps, auto.until) == (300, "best") and CaptureConfig.from_dict(auto.to_dict()) == auto
    assert CaptureConfig().until == "steps"
    with pytest.raises(ConfigError, match="steps is 'many'"):
        CaptureConfig.preset(steps="many")


def test_the_best_is_kept_and_a_stopped_capture_keeps_the_same(
    base: BaseModel, painting: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {2: 1.0, 4: 0.8, 6: 0.9, 8: 0.799, 10: 0.81}
    for module in ("loop", "held_out"):
        monkeypatch.setattr(f"sigstyle.learning.{module}.CHECK_EVERY", 2)
    monkeypatch.setattr(HeldOut, "score", lambda held, refresh: scores[held.learner.state.progression.step])
    config = CaptureConfig.preset("classic", steps=30, until="best", **LEARNING)
    whole = capture_style(base, [painting], "wave", config)
    kept = whole.metadata
    assert (kept["kept_step"], kept["kept_score"], kept["finished_at"]) == (4, 0.8, 10), "no better for three looks"
    seen: list[int] = []
    path = tmp_path / "state"
    with pytest.raises(Cancelled):
        stop = {"on_progress": lambda at: seen.append(at.step), "should_stop": lambda: len(seen) >= 7}
        capture_style(base, [painting], "wave", config, state_path=path, **stop)  # type: ignore[arg-type]
    resumed = capture_style(base, [painting], "wave", config, state_path=path, resume=True)
    assert resumed.hash == whole.hash and resumed.metadata == kept


def test_photos_and_crops_are_held_out_and_looked_at(base: BaseModel, painting: Image.Image) -> None:
    files = [Path(f"{number:02}.webp") for number in range(32)]
    learned, held = held_out_files(files, CaptureConfig(until="best"))
    assert len(held) == 4 and not set(learned) & set(held) and len(learned) == 28
    assert held_out_files(files, CaptureConfig()) == (files, files), "all are learned from otherwise"
    learning = {"painting": 1, "steps": 2, "until": "best", **LEARNING}
    found = [capture_style(base, [painting], "wave", CaptureConfig(**learning)).metadata for _ in range(2)]
    assert found[0]["kept_step"] == 2 and found[0]["kept_score"] == found[1]["kept_score"] > 0

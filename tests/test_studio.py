"""The app without its page: pictures, styles and recipes on tiny bases."""

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeBase, make_painting
from PIL import Image
from random_style import random_style

from sigstyle.base.model import BaseModel
from sigstyle.config import TransferConfig
from sigstyle.errors import Cancelled, ConfigError, ImageError
from sigstyle.imaging.images import load_image, read_recipe, save_png
from sigstyle.studio.bases import Bases, count_parameters
from sigstyle.studio.batch import paint_all
from sigstyle.studio.folder import DataFolder
from sigstyle.studio.lane import Job
from sigstyle.studio.learn import discard, learn, resumable, resume
from sigstyle.studio.paint import Picture, imagine, restyle
from sigstyle.studio.restore import repeat, restore, same_pixels
from sigstyle.studio.studio import Studio, Who
from sigstyle.studio.traces import TraceCache

ANNA, BERT = Who("key:anna", "page-a"), Who("key:bert", "page-b")
QUICK = TransferConfig(steps=3, size_px=64)
CLASSIC = TransferConfig.preset("classic", steps=3, size_px=64)
LEARNING = {"steps": 6, "batch_size": 2, "crops": 4, "size_px": 64, "warmup": 2, "autocast": "off", "preview_every": 3}


@pytest.fixture
def base(make_base: MakeBase) -> BaseModel:
    return make_base()


@pytest.fixture
def studio(tmp_path: Path, base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A studio whose 'mini' is a tiny base, with a style that everyone has."""
    monkeypatch.setattr("sigstyle.studio.library.STYLES_FOLDER", tmp_path / "none")
    monkeypatch.setattr("sigstyle.studio.bases.load_base", lambda key, device, cache, memory: base)
    studio = Studio(tmp_path / "data", device="cpu")
    random_style(base, "wave").save(studio.folder.folder("styles") / "wave.safetensors")
    random_style(base, "oil", seed=1).save(studio.folder.folder("styles") / "oil.safetensors")
    return studio


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    make_painting().save(tmp_path / "holiday.png")
    return tmp_path / "holiday.png"


def held(studio: Studio) -> Callable[[], None]:
    """Keeps the lane busy until the function that comes back is called."""
    gate = threading.Event()
    studio.lane.submit(lambda job: gate.wait())
    return gate.set


def files_outside(studio: Studio, tmp_path: Path) -> set[Path]:
    return {path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(studio.folder.root)}


def test_a_photo_is_restyled_and_carries_its_recipe(studio: Studio, photo: Path, tmp_path: Path) -> None:
    before = files_outside(studio, tmp_path)
    job = restyle(studio, ANNA, [photo], "wave", "mini", QUICK)
    updates = list(job.follow(every_s=0))
    (picture,) = job.result()
    assert picture.path.is_relative_to(studio.workspace(ANNA).root / "results")
    assert "holiday-in-wave" in picture.path.name
    recipe = read_recipe(picture.path)
    assert recipe["styles"][0]["name"] == "wave" and recipe["settings"]["steps"] == 3
    assert str(tmp_path) not in str(recipe), "a recipe tells nothing about this computer's folders"
    assert picture.before() is not None and picture.before().size == Image.open(picture.path).size  # type: ignore[union-attr]
    assert any(update.preview is not None for update in updates)
    assert files_outside(studio, tmp_path) == before


def test_a_second_style_on_a_photo_skips_the_inversion(studio: Studio, photo: Path) -> None:
    evaluations: list[int] = []

    def counted(style: str, who: Who) -> Picture:
        job = restyle(studio, who, [photo], style, "mini", CLASSIC)
        updates = list(job.follow(every_s=0))
        evaluations.append(updates[-1].total)
        return job.result()[0]

    assert [counted("wave", ANNA).reused, counted("oil", ANNA).reused, counted("oil", BERT).reused] == [0, 1, 0]
    assert evaluations == [8, 5, 8]  # 3 to invert, 3 to denoise, 2 of the style's image


@pytest.mark.parametrize(("config", "before"), [(CLASSIC, "oil"), (QUICK, "wave")])
def test_a_kept_trace_changes_no_pixel(studio: Studio, photo: Path, config: TransferConfig, before: str) -> None:
    restyle(studio, ANNA, [photo], before, "mini", config).wait()
    reused = restyle(studio, ANNA, [photo], "wave", "mini", config).wait()[0]
    alone = restyle(studio, BERT, [photo], "wave", "mini", config).wait()[0]
    assert reused.reused and not alone.reused
    assert same_pixels(reused.path, alone.path)


def test_a_painted_photo_is_read_anew_for_another_style_or_other_dials_without_a_word(
    studio: Studio, photo: Path
) -> None:
    def painted(style: str, **changes: Any) -> Picture:
        config = TransferConfig(size_px=64, **changes)
        return restyle(studio, ANNA, [photo], style, "mini", config).wait()[0]

    painted("wave")
    again = [painted("wave", prompt="a beach"), painted("oil"), painted("wave", seed=1), painted("wave", freedom=0.5)]
    assert [picture.reused for picture in again] == [True, False, False, False]
    assert all(picture.notices == () for picture in again)


def test_a_style_that_cannot_do_it_is_told_before_anything_waits(studio: Studio, base: BaseModel, photo: Path) -> None:
    old = dataclasses.replace(random_style(base, "old"), palette=None)
    old.save(studio.folder.folder("styles") / "old.safetensors")
    with pytest.raises(ConfigError, match="old has not learned to paint"):
        restyle(studio, ANNA, [photo], "old", "mini", QUICK)
    with pytest.raises(ConfigError, match="old has not learned to paint"):
        paint_all(studio, ANNA, [photo], ["wave", "old"], "mini", QUICK)
    assert restyle(studio, ANNA, [photo], "old", "mini", CLASSIC).wait()


def test_traces_go_when_there_is_no_room(studio: Studio, photo: Path) -> None:
    studio.traces = TraceCache(max_bytes=10)
    restyle(studio, ANNA, [photo], "wave", "mini", QUICK).wait()
    assert len(studio.traces) == 0


def test_bad_input_is_told_before_anything_waits(studio: Studio, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    with pytest.raises(ImageError, match=r"notes\.jpg is not a supported image"):
        restyle(studio, ANNA, [photo, tmp_path / "notes.jpg"], "wave", "mini", QUICK)
    with pytest.raises(ConfigError, match="no photo yet"):
        restyle(studio, ANNA, [], "wave", "mini", QUICK)
    with pytest.raises(ConfigError, match="no style ''"):
        restyle(studio, ANNA, [photo], "", "mini", QUICK)
    with pytest.raises(ConfigError, match="models"):
        restyle(studio, ANNA, [photo], "wave", "/etc", QUICK)


def test_two_people_at_once_get_what_they_would_get_alone(studio: Studio, photo: Path, tmp_path: Path) -> None:
    make_painting().rotate(90, expand=True).save(tmp_path / "other.png")
    let_go = held(studio)
    jobs = [
        restyle(studio, ANNA, [photo], "wave", "mini", QUICK),
        restyle(studio, BERT, [tmp_path / "other.png"], "oil", "mini", TransferConfig(steps=3, size_px=64, seed=5)),
    ]
    assert [studio.lane.before(job) for job in jobs] == [1, 2]
    let_go()
    anna, bert = (job.wait()[0] for job in jobs)
    alone = restyle(studio, BERT, [tmp_path / "other.png"], "oil", "mini", TransferConfig(steps=3, size_px=64, seed=5))
    assert same_pixels(bert.path, alone.wait()[0].path)
    assert anna.path.parents[1] == studio.workspace(ANNA).root
    assert bert.path.parents[1] == studio.workspace(BERT).root
    assert len(list((studio.workspace(ANNA).root / "photos").iterdir())) == 1


def test_stop_reaches_the_own_page_only(studio: Studio, photo: Path) -> None:
    let_go = held(studio)
    anna = restyle(studio, ANNA, [photo], "wave", "mini", QUICK)
    bert = restyle(studio, BERT, [photo], "wave", "mini", QUICK)
    assert studio.stop(ANNA, "restyle") and not studio.stop(ANNA, "restyle")
    let_go()
    with pytest.raises(Cancelled):
        anna.wait()
    assert bert.wait()


def test_stopping_a_painting_ends_it_within_a_step(studio: Studio, photo: Path) -> None:
    job = restyle(studio, ANNA, [photo], "wave", "mini", TransferConfig.preset("classic", steps=400, size_px=64))
    for update in job.follow(every_s=0):
        if update.done >= 2 and not job.should_stop():
            at = update.done
            job.stop()
    assert job.latest.state == "stopped" and job.latest.done <= at + 60


def test_prompts_are_painted_with_seeds_that_follow(studio: Studio) -> None:
    settings = {"steps": 2, "width": 64, "height": 64, "seed": 7}
    pictures = imagine(studio, ANNA, "a castle", "wave", "mini", settings, count=2).wait()
    assert [read_recipe(picture.path)["settings"]["seed"] for picture in pictures] == [7, 8]
    with pytest.raises(ConfigError, match="no prompt"):
        imagine(studio, ANNA, "  ", "wave", "mini", settings)


def test_what_is_not_said_of_a_prompt_is_as_the_bases_family_has_it(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"steps": 1, "width": 64, "height": 64}
    for family, leak, guidance in (("", 1.0, 5.0), ("sd1", 0.0, 7.5)):
        monkeypatch.setattr("sigstyle.style.style.Style.family", family)
        picture = imagine(studio, ANNA, "a castle", "wave", "mini", settings).wait()[0]
        found = read_recipe(picture.path)["settings"]
        assert (found["signal_leak"], found["guidance_scale"]) == (leak, guidance)


def learned(studio: Studio, **changes: Any) -> Job[Any]:
    return learn(studio, ANNA, [make_painting()], "Great Wave", "mini", {**LEARNING, **changes})


def test_a_style_is_learned_with_previews_and_losses(studio: Studio) -> None:
    job = learned(studio)
    updates = list(job.follow(every_s=0))
    entry = job.result()
    assert entry.own and entry.name == "Great Wave"
    assert len(updates[-1].detail) == 6
    assert any(update.preview is not None for update in updates)
    assert studio.library(ANNA).entries()[0].name == "Great Wave"
    assert "Great Wave" not in [e.name for e in studio.library(BERT).entries()]
    assert resumable(studio, ANNA) == []
    with pytest.raises(ConfigError, match="already"):
        learned(studio)


def test_good_enough_keeps_what_was_learned(studio: Studio) -> None:
    job = learned(studio, steps=100_000)
    for update in job.follow(every_s=0):
        if update.done >= 2:
            studio.finish(ANNA, "learn")
    assert 2 <= job.result().style.metadata["finished_at"] < 100_000
    assert resumable(studio, ANNA) == []


def test_a_stopped_capture_resumes_and_ends_as_if_it_had_not_been(studio: Studio) -> None:
    whole = learned(studio).wait()
    studio.library(ANNA).remove("Great Wave")
    job = learned(studio)
    following = job.follow(every_s=0)
    while next(following).done < 2:
        pass
    following.close()  # the page is closed
    if not job.ended or job.latest.state == "stopped":
        with pytest.raises(Cancelled):
            job.wait()
        (left,) = resumable(studio, ANNA)
        assert left.name == "Great Wave" and left.step >= 2
        assert resumable(studio, BERT) == []
        with pytest.raises(ConfigError, match="no unfinished"):
            resume(studio, BERT, left.id)
        entry = resume(studio, ANNA, left.id).wait()
        assert entry.style.hash == whole.style.hash
    assert resumable(studio, ANNA) == []


def test_what_is_unfinished_can_be_forgotten(studio: Studio) -> None:
    job = learned(studio, steps=100_000)
    for update in job.follow(every_s=0):
        if update.done >= 1:
            job.stop()
    (left,) = resumable(studio, ANNA)
    discard(studio, ANNA, left.id)
    assert not list((studio.workspace(ANNA).root / "captures").iterdir())


@pytest.mark.parametrize(
    "config",
    [
        TransferConfig(steps=3, size_px=64, seed=3, strength=0.7, freedom=0.6, palette=0.5, prompt="a beach"),
        TransferConfig.preset("classic", steps=3, size_px=64, seed=3, strength=0.7, swap_until=0.6, prompt="a beach"),
    ],
)
def test_a_recipe_restores_all_settings_and_repeats_the_picture(
    studio: Studio, photo: Path, config: TransferConfig
) -> None:
    picture = restyle(studio, ANNA, [photo], "wave", "mini", config).wait()[0]
    restored = restore(studio, ANNA, picture.path, "mini")
    assert restored.config == config and restored.style and restored.style.name == "wave" and not restored.missing
    again = repeat(studio, ANNA, restored, "mini").wait()[0]
    assert again.path != picture.path and same_pixels(again.path, picture.path)


def test_a_picture_of_before_painting_is_repeated_as_it_was_made(studio: Studio, photo: Path, tmp_path: Path) -> None:
    picture = restyle(studio, ANNA, [photo], "wave", "mini", CLASSIC).wait()[0]
    recipe = read_recipe(picture.path)
    for name in ("method", "palette"):
        del recipe["settings"][name]
    save_png(load_image(picture.path), tmp_path / "before.png", recipe)
    restored = restore(studio, ANNA, tmp_path / "before.png", "mini")
    assert restored.config == CLASSIC
    assert same_pixels(repeat(studio, ANNA, restored, "mini").wait()[0].path, picture.path)


def test_a_painted_prompt_is_repeated_too(studio: Studio) -> None:
    settings = {"steps": 2, "width": 128, "height": 64, "seed": 7, "negative_prompt": "rain"}
    picture = imagine(studio, ANNA, "a castle", "wave", "mini", settings).wait()[0]
    again = repeat(studio, ANNA, restore(studio, ANNA, picture.path, "mini"), "mini").wait()[0]
    assert same_pixels(again.path, picture.path)


def test_a_recipe_says_what_is_missing_and_reads_no_path_in_it(studio: Studio, photo: Path, tmp_path: Path) -> None:
    picture = restyle(studio, ANNA, [photo], "wave", "mini", QUICK).wait()[0]
    assert "photo" in restore(studio, BERT, picture.path, "mini").missing[0]
    with pytest.raises(ConfigError, match="not here"):
        repeat(studio, BERT, restore(studio, BERT, picture.path, "mini"), "mini")
    given = restore(studio, BERT, picture.path, "mini", photo)
    assert same_pixels(repeat(studio, BERT, given, "mini").wait()[0].path, picture.path)
    make_painting().rotate(180).save(tmp_path / "wrong.png")
    with pytest.raises(ConfigError, match="not the photo"):
        restore(studio, BERT, picture.path, "mini", tmp_path / "wrong.png")
    recipe = read_recipe(picture.path)
    recipe["content"] = {"path": str(photo), "pixels_sha256": "../../../holiday"}
    recipe["styles"][0]["hash"] = "0" * 12
    save_png(make_painting(), tmp_path / "forged.png", recipe)
    forged = restore(studio, ANNA, tmp_path / "forged.png", "mini")
    assert forged.photo is None and forged.style is None and len(forged.missing) == 2


def test_pictures_without_a_usable_recipe_are_refused(studio: Studio, photo: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="carries no SigStyle recipe"):
        restore(studio, ANNA, photo, "mini")
    save_png(make_painting(), tmp_path / "half.png", {"kind": "transfer"})
    with pytest.raises(ConfigError, match="lacks"):
        restore(studio, ANNA, tmp_path / "half.png", "mini")


def test_many_photos_in_many_styles_come_in_a_zip_with_a_sheet(studio: Studio, photo: Path, tmp_path: Path) -> None:
    make_painting().rotate(180).save(tmp_path / "other.png")
    made = paint_all(studio, ANNA, [photo, tmp_path / "other.png"], ["wave", "oil"], "mini", QUICK).wait()
    assert len(made.pictures) == 4 and made.sheets and made.archive and not made.problems
    assert all(path.is_relative_to(studio.workspace(ANNA).root) for path in (*made.pictures, made.archive))
    with pytest.raises(ConfigError, match="Tick one"):
        paint_all(studio, ANNA, [photo], [], "mini", QUICK)


def test_a_photo_that_cannot_be_read_does_not_keep_the_others_from_being_painted(
    studio: Studio, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    twin = tmp_path / "twins" / photo.name
    twin.parent.mkdir()
    make_painting().rotate(180).save(twin)
    given = [photo, tmp_path / "page.jpg", twin]
    made = paint_all(studio, ANNA, given, ["wave"], "mini", QUICK).wait()
    assert len(made.pictures) == 2 and len(made.problems) == 1 and "page.jpg is not a supported" in made.problems[0]
    assert str(tmp_path) not in made.problems[0]
    with pytest.raises(ImageError, match="not a supported image"):
        paint_all(studio, ANNA, given[1:2], ["wave"], "mini", QUICK)


def test_only_allowed_bases_are_ever_opened(tmp_path: Path) -> None:
    bases = Bases(DataFolder(tmp_path / "data"), device="cpu")
    own = bases.folder.folder("models") / "mine.safetensors"
    own.write_bytes(b"x")
    assert bases.check("mini") == "mini"
    assert bases.check("mine.safetensors") == str(own)
    assert bases.check("some-owner/some-base") == "some-owner/some-base"
    for wrong in ("/etc/passwd", "../../x", "..", "", "C:\\x", "a\0b", str(tmp_path)):
        with pytest.raises(ConfigError, match="models"):
            bases.check(wrong)
    strangers = Bases(DataFolder(tmp_path / "data"), device="cpu", may_download=False)
    with pytest.raises(ConfigError, match="off"):
        strangers.check("some-owner/some-base")


def test_a_base_is_described_before_it_is_loaded(tmp_path: Path) -> None:
    bases = Bases(DataFolder(tmp_path / "data"), device="cpu")
    words = bases.words("mini")
    assert "of memory" in words and "a picture takes about" in words and "rough guess" in words
    assert bases.loaded("mini") is None
    assert "downloads" in bases.words("some-owner/some-base")


def test_parameters_are_counted_from_headers(tmp_path: Path, base: BaseModel) -> None:
    path = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    base.unet.save_pretrained(path.parent)
    assert count_parameters(tmp_path) == count_parameters(path) == sum(p.numel() for p in base.unet.parameters())
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 20)
    assert count_parameters(tmp_path / "broken.safetensors") == 0


def test_capture_settings_are_the_library_s_own(studio: Studio) -> None:
    with pytest.raises(ConfigError, match="steps is 0"):
        learned(studio, steps=0)


def test_what_is_cut_or_left_out_is_said_with_the_picture(studio: Studio, photo: Path, tmp_path: Path) -> None:
    frames = [make_painting(), make_painting().rotate(180)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    prompt = " ".join(f"tower{i}" for i in range(10, 60))
    config = dataclasses.replace(QUICK, prompt=prompt)
    job = restyle(studio, ANNA, [tmp_path / "moving.gif"], "wave", "mini", config)
    list(job.follow(every_s=0))
    (picture,) = job.result()
    assert "first frame of 2" in picture.notices[0] and "tower59'" in picture.notices[1]
    job = imagine(studio, ANNA, prompt, "wave", "mini", {"steps": 1, "size_px": 64})
    list(job.follow(every_s=0))
    (picture,) = job.result()
    assert len(picture.notices) == 1 and "tower59'" in picture.notices[0]

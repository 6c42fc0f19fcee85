"""What a person has in the app: the queue with names and times, stars, LoRAs, tiles, and memory of bases."""

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from conftest import make_painting
from test_lora_in import save_lora
from test_studio import ANNA, BERT, LEARNING, QUICK, base, held, photo, studio

from sigstyle.base.model import BaseModel
from sigstyle.errors import ConfigError, SigStyleError
from sigstyle.imaging.images import load_image, read_recipe
from sigstyle.studio.batch import paint_all
from sigstyle.studio.drafts import drafts
from sigstyle.studio.lane import Job
from sigstyle.studio.learn import learn
from sigstyle.studio.loras import MOST_LORAS, Underlay
from sigstyle.studio.paint import imagine, restyle
from sigstyle.studio.queue import cancel, queue_of
from sigstyle.studio.restore import repeat, restore, same_pixels
from sigstyle.studio.studio import Studio
from sigstyle.studio.texture import surface
from sigstyle.studio.trash import Trash
from sigstyle.ui.parameters import check_parameters

__all__ = ["base", "photo", "studio"]  # fixtures


def test_the_queue_names_ones_own_jobs_with_times_and_only_counts_those_of_others(studio: Studio, photo: Path) -> None:
    restyle(studio, ANNA, [photo], "wave", "mini", QUICK).wait()
    (ended,) = queue_of(studio, ANNA).ended
    assert (ended.label.title, ended.state) == ("holiday in wave", "done") and queue_of(studio, BERT).ended == ()
    let_go = held(studio)
    jobs: list[Job] = [
        restyle(studio, ANNA, [photo, photo], "oil", "mini", QUICK),
        restyle(studio, BERT, [photo], "wave", "mini", QUICK),
        paint_all(studio, ANNA, [photo], ["wave", "oil"], "mini", QUICK),
        imagine(studio, ANNA, "waves", "wave", "mini", {"steps": 1, "width": 64, "height": 64}),
        learn(studio, ANNA, [make_painting()], "Summer", "mini", LEARNING),
    ]
    drafts(studio, ANNA, photo, ["wave"], "mini")
    queue = queue_of(studio, ANNA)
    titles = ["2 photos in oil", "Folder: 1 photo x 2 styles", "'waves' in wave", "Learning 'Summer'"]
    assert [job.title for job in queue.own] == titles and queue.others == 1, "drafts are no work that was asked for"
    assert [job.before for job in queue.own] == [1, 3, 4, 5]
    assert queue.own[1].starts_in_s is None, "nobody knows how long the gate takes"
    assert queue.own[1].words == "waiting behind 3" and queue.words == "4 jobs · waiting behind 1"
    assert "holiday" not in str(queue_of(studio, BERT)).replace("holiday in wave", ""), "of others nothing is told"
    with pytest.raises(ConfigError, match="no such work of yours"):
        cancel(studio, BERT, queue.own[0].id)
    assert cancel(studio, ANNA, queue.own[1].id) == titles[1]
    assert [job.title for job in queue_of(studio, ANNA).own] == [titles[0], *titles[2:]]
    jobs[0].report(state="running", done=1, total=4, eta_s=30.0)
    assert jobs[0].latest.eta_s == 30 and queue_of(studio, ANNA).own[0].words == "25 % done · about 30 s left"
    for who in (ANNA, BERT):
        studio.stop(who)
    let_go()
    studio.delete_all(ANNA)
    assert queue_of(studio, ANNA).ended == ()


def test_when_a_job_starts_follows_from_those_before_it(studio: Studio) -> None:
    let_go, begun = held(studio), studio.lane.standing()[0]
    for units in (1, 3):
        studio.submit(ANNA, f"kind {units}", lambda job: None, title="work", units=units)
    begun.report(state="running", done=1, total=2, eta_s=10.0)
    first, second = queue_of(studio, ANNA).own
    assert first.starts_in_s == 10 and second.starts_in_s is None
    assert first.words == "waiting behind 1 · starts in about 10 s"
    let_go()


def test_stars_come_first_and_outlive_names_deleting_and_a_restart(
    studio: Studio, base: BaseModel, tmp_path: Path
) -> None:
    library = studio.library(ANNA)
    assert [entry.name for entry in library.entries()] == ["oil", "wave"]
    assert library.star("wave", True).caption == "★ wave"
    assert [entry.name for entry in library.entries()] == ["wave", "oil"]
    assert [entry.name for entry in studio.library(BERT).entries()] == ["oil", "wave"], "stars are each person's own"
    style = library.get("oil").style.renamed("mine")
    library.add(style)
    library.star("mine", True)
    library.rename("mine", "yours")
    assert library.get("yours").favourite
    library.remove("yours")
    Trash(library.workspace).undo("styles")
    again = Studio(studio.folder.root, device="cpu").library(ANNA)
    assert {entry.name for entry in again.entries() if entry.favourite} == {"wave", "yours", "oil"}, (
        "oil paints the same"
    )
    assert not library.star("wave", False).favourite
    assert not library.get("wave").favourite
    studio.delete_all(ANNA)
    assert not any(entry.favourite for entry in studio.library(ANNA).entries())


def test_a_lora_lies_under_every_kind_of_work_and_is_told_in_its_recipe(
    studio: Studio, base: BaseModel, photo: Path, tmp_path: Path
) -> None:
    plain = restyle(studio, ANNA, [photo], "wave", "mini", QUICK).wait()[0]
    shelf = studio.loras(ANNA)
    kept = shelf.add(save_lora(tmp_path / "Ink_Lines.safetensors"), base)
    assert (kept.name, kept.on, kept.weight) == ("ink-lines", True, 1.0)
    shelf.change("ink-lines", 0.5)
    assert [lora.label for lora in studio.loras(ANNA).all(base.fingerprint)] == ["ink-lines at 0.5"]
    assert studio.loras(BERT).all() == [] == shelf.all("another-base")
    told = {"name": "ink-lines", "hash": kept.hash, "path": None, "weight": 0.5}
    over = restyle(studio, ANNA, [photo], "wave", "mini", QUICK).wait()[0]
    recipe = read_recipe(over.path)
    assert recipe["loras"] == [told] and str(tmp_path) not in str(recipe)
    assert over.notices[-1] == "Over the LoRA ink-lines at 0.5." and not same_pixels(plain.path, over.path)
    painted = imagine(studio, ANNA, "waves", "wave", "mini", {"steps": 1, "width": 64, "height": 64}).wait()[0]
    tile = surface(studio, ANNA, "wave", "mini", {"size_px": 64, "seamless": "on"}).wait()[0]
    folder = paint_all(studio, ANNA, [photo], ["wave"], "mini", QUICK).wait()
    assert [read_recipe(path)["loras"] for path in (painted.path, tile.path, *folder.pictures)] == [[told]] * 3
    style = (
        learn(studio, ANNA, [make_painting()], "Summer", "mini", {**LEARNING, "steps": 1, "painting": 0}).wait().style
    )
    assert style.metadata["loras"] == [told]
    shelf.change("ink-lines", on=False)
    assert same_pixels(restyle(studio, ANNA, [photo], "wave", "mini", QUICK).wait()[0].path, plain.path)
    for path in (over.path, tile.path):
        restored = restore(studio, ANNA, path, "mini")
        assert not restored.missing
        assert same_pixels(repeat(studio, ANNA, restored, "mini").wait()[0].path, path)
    assert shelf.match(restored.loras, base.fingerprint) == ["ink-lines at 0.5"]
    given = studio.loras(ANNA).chosen({"ink-lines": 2})
    assert restyle(studio, ANNA, [photo], "wave", "mini", QUICK, loras=given).wait()[0].notices[-1].endswith("at 2.")
    notes = restored.loras.notes
    assert shelf.noted(notes).notes == notes, "what a capture writes down is found again"
    shelf.remove("ink-lines")
    with pytest.raises(ConfigError, match="begun over the LoRA ink-lines"):
        shelf.noted(notes)
    assert "made over the LoRA ink-lines" in restore(studio, ANNA, over.path, "mini").missing[0]
    assert "ink-lines" in restore(studio, BERT, over.path, "mini").missing[-1], "each has only their own"


def foreign_lora(path: Path) -> Path:
    """A LoRA for another family."""
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_9_attn1_to_q"
    tensors = {f"{name}.lora_up.weight": torch.zeros(8, 2), f"{name}.lora_down.weight": torch.zeros(2, 8)}
    safetensors.torch.save_file(tensors, path)
    return path


def test_what_is_no_lora_or_for_another_base_is_refused_in_a_sentence(
    studio: Studio, base: BaseModel, tmp_path: Path
) -> None:
    shelf, good = studio.loras(ANNA), save_lora(tmp_path / "good.safetensors")
    (tmp_path / "notes.safetensors").write_text("these are notes")
    for file, why in (
        (tmp_path / "notes.safetensors", "notes.safetensors is no LoRA"),
        (studio.folder.root / "styles" / "wave.safetensors", "is a SigStyle style, no LoRA"),
        (foreign_lora(tmp_path / "xl.safetensors"), "xl.safetensors is a LoRA for another base than tiny"),
    ):
        with pytest.raises(SigStyleError, match=why):
            shelf.add(file, base)
    assert shelf.all() == [] and not shelf.root.exists()
    shelf.add(good, base)
    with pytest.raises(ConfigError, match="is here already"):
        shelf.add(good, base)
    wrong: list[tuple[Any, str]] = [
        ({"../styles/wave": 1.0}, "There is no LoRA"),
        ({str(good): 1.0}, "There is no LoRA"),
        ({"good": 9}, "expected a number from -2 to 2"),
        ({"good": float("nan")}, "expected a number"),
        (["good"], "expected names and weights"),
        ({f"l{n}": 1 for n in range(MOST_LORAS + 1)}, "at most"),
    ]
    for wanted, why in wrong:
        with pytest.raises(ConfigError, match=why):
            shelf.chosen(wanted)
    check_parameters({"settings": {"loras": {"good": 0.5}}, "weight": 1, "on": False})
    for given in ({"loras": "good"}, {"loras": {"good": "1"}}, {"loras": {"x" * 400: 1}}, {"steps": {"good": 1}}):
        with pytest.raises(ConfigError):
            check_parameters({"settings": given})
    assert list(shelf.chosen({})) == [] == list(Underlay())


def test_a_tile_is_painted_and_made_again_from_its_recipe(studio: Studio) -> None:
    first, second = surface(studio, ANNA, "wave", "mini", {"size_px": 128, "seamless": "on"}, count=2).wait()
    assert first.size == (128, 128) and load_image(first.path).tobytes() != load_image(second.path).tobytes()
    restored = restore(studio, ANNA, second.path, "mini")
    assert (restored.kind, restored.config.seed) == ("texture", 1)
    assert same_pixels(repeat(studio, ANNA, restored, "mini").wait()[0].path, second.path)
    with pytest.raises(ConfigError, match="size_px is 4000; expected at most 2048 here"):
        surface(studio, ANNA, "wave", "mini", {"size_px": 4000})


def test_memory_is_chosen_while_the_app_runs(studio: Studio, base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(key: str, device: Any, cache: Any, memory: str) -> BaseModel:
        asked.append(memory)
        return base

    monkeypatch.setattr("sigstyle.studio.bases.load_base", load)
    studio.load(ANNA, "mini").wait()
    words = studio.measured(BERT, "mini", "low").wait()
    assert "in float32" in words and "measured here" in words, "the tiny base is loaded as it is"
    studio.load(ANNA, "mini").wait()
    assert asked == ["auto", "low"] and studio.bases.memory_use == "low"
    with pytest.raises(ConfigError, match="memory is 'some'; expected one of auto, low, high"):
        studio.measured(ANNA, "mini", "some")

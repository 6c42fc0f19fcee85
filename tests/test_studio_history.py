"""What a person has made: found again from the files alone, compared, deleted and brought back; and drafts."""

import zipfile
from collections.abc import Hashable
from pathlib import Path

import pytest
from conftest import make_painting
from PIL import Image
from test_studio import ANNA, BERT, QUICK, base, photo, studio

from sigstyle.base.model import BaseModel
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import read_recipe, save_png
from sigstyle.studio.batch import paint_all
from sigstyle.studio.brush import brushed_mask
from sigstyle.studio.checking import checked
from sigstyle.studio.drafts import DRAFT_PX, drafts
from sigstyle.studio.export import export
from sigstyle.studio.history import History
from sigstyle.studio.keeping import usage
from sigstyle.studio.lane import Job
from sigstyle.studio.origins import origins, read_origins
from sigstyle.studio.paint import imagine, restyle
from sigstyle.studio.restore import repeat, restore, same_pixels
from sigstyle.studio.studio import Studio
from sigstyle.studio.trash import Trash
from sigstyle.style.shipped import shipped_styles

__all__ = ["base", "photo", "studio"]  # fixtures


def history(studio: Studio) -> History:
    return History(studio.workspace(ANNA))


def test_pictures_are_found_again_with_photo_style_and_size(studio: Studio, photo: Path, tmp_path: Path) -> None:
    assert history(studio).all() == []
    first = restyle(studio, ANNA, [photo], "wave", "mini", QUICK).wait()[0]
    prompt = imagine(studio, ANNA, "a castle", "oil", "mini", {"steps": 1, "width": 64, "height": 64}).wait()[0]
    folder = paint_all(studio, ANNA, [photo], ["oil"], "mini", QUICK).wait()
    restyle(studio, BERT, [photo], "wave", "mini", QUICK).wait()
    again = Studio(studio.folder.root, device="cpu")  # restarted
    kept = {entry.path: entry for entry in history(again).all()}
    assert set(kept) == {first.path, prompt.path, folder.pictures[0]}
    assert history(again).all()[-1].path == first.path, "the newest comes first"
    whole = kept[first.path]
    assert (whole.subject, whole.style, whole.seed, whole.kind) == ("holiday", "wave", 0, "transfer")
    assert whole.photo == first.photo and whole.size == Image.open(first.path).size
    before = whole.before()
    assert before is not None and before.size == whole.size
    assert kept[prompt.path].subject == "a castle" and kept[prompt.path].before() is None
    assert kept[folder.pictures[0]].photo is not None
    assert max(Image.open(history(again).thumbnail(whole)).size) <= 384
    (history(again).root / "foreign.png").write_bytes(b"no picture")
    save_png(make_painting(), history(again).root / "half.png", {"kind": "transfer", "styles": 3})
    assert len(history(again).all()) == 3


def test_a_deleted_picture_is_gone_until_it_is_brought_back(studio: Studio, photo: Path) -> None:
    made = restyle(studio, ANNA, [photo], "wave", "mini", QUICK).wait()[0]
    (kept,) = history(studio).all()
    thumb = history(studio).thumbnail(kept)
    made.path.with_suffix(".zip").write_bytes(b"a zip with it")
    history(studio).delete(kept.id)
    assert history(studio).all() == [] and not made.path.exists() and not thumb.exists()
    assert not made.path.with_suffix(".zip").exists(), "nothing else still holds it"
    with pytest.raises(ConfigError, match="not here any more"):
        history(studio).get(kept.id)
    assert Trash(studio.workspace(BERT)).undo("results") is None
    assert Trash(studio.workspace(ANNA)).undo("styles") is None
    assert Trash(studio.workspace(ANNA)).undo("results") == made.path
    assert [entry.id for entry in history(studio).all()] == [kept.id]
    history(studio).delete(kept.id)
    studio.delete_all(ANNA)
    assert usage(studio.workspace(ANNA)).files == 0 and Trash(studio.workspace(ANNA)).undo("results") is None


def test_what_lies_in_the_trash_for_long_goes_and_nothing_new_is_written_over(studio: Studio) -> None:
    workspace = studio.workspace(ANNA)
    trash, files = Trash(workspace), [workspace.folder("styles") / f"{n}.txt" for n in range(3)]
    for file in files:
        file.write_text(file.name)
        trash.put(file)
    files[2].write_text("new")
    with pytest.raises(ConfigError, match="there again"):
        trash.undo("styles")
    assert files[2].read_text() == "new"
    files[2].unlink()
    assert trash.undo("styles") == files[2] and files[2].read_text() == "2.txt"
    trash.empty(most=1)
    assert trash.undo("styles") == files[1] and trash.undo("styles") is None
    trash.put(files[1])
    trash.empty(most=9, older_s=0)
    assert trash.undo("styles") is None


def test_a_blend_and_a_masked_picture_come_back_from_their_recipes(studio: Studio, photo: Path) -> None:
    mask = Image.new("RGB", make_painting().size)
    mask.paste("white", (0, 0, 48, 80))
    blend = [("wave", 0.7), ("oil", 0.3), ("unknown", 0.0)]
    made = restyle(studio, ANNA, [photo], blend, "mini", QUICK, mask).wait()[0]
    assert [(s["name"], s["weight"]) for s in read_recipe(made.path)["styles"]] == [("wave", 0.7), ("oil", 0.3)]
    assert made.name == "holiday in wave + oil"
    restored = restore(studio, ANNA, made.path, "mini")
    assert [(entry.name, weight) for entry, weight in restored.styles] == blend[:2] and restored.mask is not None
    assert same_pixels(repeat(studio, ANNA, restored, "mini").wait()[0].path, made.path)
    assert "mask it was made with" in restore(studio, BERT, made.path, "mini").missing[0]
    right = Image.open(made.path).crop((48, 0, 96, 80))
    assert right.tobytes() == make_painting().crop((48, 0, 96, 80)).tobytes(), "outside the mask it is the photo"
    with pytest.raises(ConfigError, match="for one"):
        restyle(studio, ANNA, [photo, photo], "wave", "mini", QUICK, mask)
    with pytest.raises(ConfigError, match="Every style of the blend is at 0"):
        restyle(studio, ANNA, [photo], [("wave", 0.0)], "mini", QUICK)


def test_drafts_show_every_style_that_paints_and_are_known_the_next_time(
    studio: Studio, base: BaseModel, photo: Path
) -> None:
    names = [entry.name for entry in studio.library(ANNA).entries()]
    job = drafts(studio, ANNA, photo, names, "mini")
    updates = list(job.follow(every_s=0))
    assert [draft.style for draft in job.result()] == names == ["oil", "wave"]
    assert min(job.result()[0].image.size) == DRAFT_PX and len(updates[-1].detail) == 2
    assert history(studio).all() == [], "a draft is no picture"
    known = job.result()[0].image
    assert drafts(studio, ANNA, photo, names, "mini").wait()[0].image is known
    assert drafts(studio, BERT, photo, names, "mini").wait()[0].image is not known
    studio.delete_all(ANNA)
    assert studio.drafts.get(ANNA.person, (base.fingerprint, "", "")) is None


def test_drafts_give_way_to_a_picture(studio: Studio, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put, jobs, ended = studio.drafts.put, list[Job](), list[bool]()

    def noted(person: str, key: Hashable, image: Image.Image) -> None:
        put(person, key, image)
        ended.extend(job.ended for job in jobs)
        if not jobs:
            jobs.append(restyle(studio, BERT, [photo], "wave", "mini", QUICK))

    monkeypatch.setattr(studio.drafts, "put", noted)
    drafts(studio, ANNA, photo, ["oil", "wave"], "mini").wait()
    assert ended == [True], "the picture was made between the two drafts"


def test_strokes_of_a_brush_become_a_mask() -> None:
    stroke = Image.new("RGBA", (40, 20))
    stroke.paste((200, 0, 0, 255), (0, 0, 10, 20))
    mask = brushed_mask([Image.new("RGBA", (40, 20)), stroke])
    assert mask.mode == "RGB" and mask.getbbox() == (0, 0, 10, 20) and mask.getpixel((5, 5)) == (255, 255, 255)
    for nothing in ([], [Image.new("RGBA", (40, 20))]):
        with pytest.raises(ConfigError, match="Nothing is painted over yet"):
            brushed_mask(nothing)


def test_dropped_files_are_looked_at_one_by_one(tmp_path: Path, photo: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    frames = [make_painting(), make_painting().rotate(180)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    found = checked([photo, tmp_path / "notes.jpg", tmp_path / "gone.png", tmp_path / "moving.gif", *[photo] * 60])
    assert found.good[:2] == (photo, tmp_path / "moving.gif") and len(found.good) == 50
    assert "notes.jpg is not a supported image" in found.problems[0] and "gone.png" in found.problems[1]
    assert "at most 50 at once" in found.problems[2] and "first frame of 2" in found.notices[0]


def test_a_style_says_whose_it_is() -> None:
    table = """
| `cafe` | Vincent van Gogh, Café Terrace, at Night, 1888 | `examples/style/a.jpg` |
| `harvest` | Pieter Bruegel the Elder, The Harvesters, about 1565 | `examples/style/b.jpg` |
| `unicorn-tapestry` | The Lady and the Unicorn, tapestry, about 1500 | `examples/style/c.jpg` |
"""
    found = read_origins(table)
    captions = ["Cafe · van Gogh", "Harvest · Bruegel", "Unicorn tapestry"]
    assert [origin.caption for origin in found.values()] == captions
    assert found["harvest"].painting.name == "b.jpg"
    assert set(origins()) >= {path.stem for path in shipped_styles()}, "every shipped style is in the table"


def test_a_style_is_exported_for_other_programs(studio: Studio) -> None:
    archive = export(studio, ANNA, "wave", "mini").wait()
    assert archive.is_relative_to(studio.workspace(ANNA).root)
    names = zipfile.ZipFile(archive).namelist()
    assert len(names) == 2 and names[0].endswith("-lora.safetensors") and names[1].startswith("embeddings/")

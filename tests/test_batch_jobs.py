"""What a batch is to make: photos found, names given, job files read, jobs told apart."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import make_painting
from random_style import random_style

from sigstyle.base.model import BaseModel
from sigstyle.batches.batch import Plan, plan
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.style.style import Style

ROOT = Path(__file__).parent


@pytest.fixture
def style(base: BaseModel) -> Style:
    return random_style(base)


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    make_painting().save(path)
    return path


def names(planned: Plan) -> list[str]:
    return [output.name for output in planned.outputs]


def test_a_folder_is_taken_with_its_subfolders_and_without_what_is_no_photo(tmp_path: Path, style: Style) -> None:
    content, output = tmp_path / "photos", tmp_path / "photos" / "out"
    for name in ("b.png", "a.png", "sub/a.png", "sub/deep/a.PNG", ".hidden.png", ".cache/x.png", "out/a--wave.png"):
        photo(content / name)
    (content / "notes.txt").touch()
    planned = plan(content, style, output)
    assert names(planned) == ["a--wave.png", "b--wave.png", "sub/a--wave.png", "sub/deep/a--wave.png"]
    assert planned.notices == [f"1 file is no image by its name in {content} and left out: 1 .txt."]
    assert not list(output.glob("*.jsonl"))


def test_equal_names_stay_apart(tmp_path: Path, base: BaseModel, style: Style) -> None:
    for name in ("in/cat.png", "in/cat.tif", "in/dog.png", "in/Dog2.png"):
        photo(tmp_path / name)
    assert names(plan(tmp_path / "in", style, tmp_path / "o")) == [
        "Dog2--wave.png",
        "cat.png--wave.png",
        "cat.tif--wave.png",
        "dog--wave.png",
    ]
    files = [photo(tmp_path / place / "cat.png") for place in ("x", "y", "z/x")]
    found = names(plan(files, style, tmp_path / "o"))
    assert found[1] == "y-cat.png--wave.png" and len(set(found)) == 3
    twins = [style, random_style(base, seed=1)]
    assert len(set(names(plan(files[0], twins, tmp_path / "o")))) == 2
    odd = replace(style, name='a/b:"c"')
    assert names(plan(files[0], odd, tmp_path / "o")) == ["cat--a_b__c_.png"]


def test_photos_in_memory_have_names_too(tmp_path: Path, style: Style) -> None:
    sources = [make_painting(), photo(tmp_path / "a.png").read_bytes()]
    assert names(plan(sources, style, tmp_path / "o")) == ["image-0001--wave.png", "image-0002--wave.png"]


def test_names_do_not_depend_on_what_else_is_there(tmp_path: Path, base: BaseModel, style: Style) -> None:
    photo(tmp_path / "in" / "b.png")
    before = names(plan(tmp_path / "in", style, tmp_path / "o"))
    photo(tmp_path / "in" / "a.png")
    assert set(before) < set(names(plan(tmp_path / "in", [style, random_style(base, "ink")], tmp_path / "o")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contents": "nothing"}, "There is no nothing"),
        ({"contents": []}, "There are no photos"),
        ({"styles": []}, "There is no style"),
        ({"contents": None}, "Give either photos or a job file"),
        ({"steps": 0}, "steps is 0"),
        ({"output": __file__}, "is a file; expected a folder"),
        ({"contents": ROOT, "output": ROOT}, "is both where the photos are and where pictures go"),
    ],
)
def test_unusable_arguments_are_said_at_once(
    tmp_path: Path, style: Style, change: dict[str, Any], message: str
) -> None:
    given = {"contents": photo(tmp_path / "a.png"), "styles": style, "output": tmp_path / "o", **change}
    with pytest.raises(ConfigError, match=message):
        plan(**given)


def test_nothing_is_asked_for_twice(tmp_path: Path, style: Style) -> None:
    a = photo(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="both ask for"):
        plan([a], [style, style], tmp_path / "o")


def test_units_hold_photos_with_all_their_looks(tmp_path: Path, base: BaseModel, style: Style) -> None:
    for number in range(5):
        photo(tmp_path / "in" / f"{number}.png")
    planned = plan(tmp_path / "in", [style, random_style(base, "ink")], tmp_path / "o")
    assert [len(unit.photos) for unit in planned.units(2)] == [2, 2, 1]
    assert all(len(unit.outputs) == 2 * len(unit.photos) for unit in planned.units(2))
    assert len({unit.id for unit in planned.units(1)}) == 5


JSONL = [
    {"content": "a.png", "style": "wave.safetensors", "prompt": "a cat, „old“", "seed": 3},
    {"content": "a.png", "style": ["ink.safetensors", "wave.safetensors"], "strength": 0.5},
    {"content": "sub/b.png", "output": "deep/mine"},
]
CSV = """content,style,prompt,seed,strength,output
a.png,wave.safetensors,"a cat, „old“",3,,

a.png,ink.safetensors | wave.safetensors,,,0.5,
sub/b.png,,,,,deep/mine
"""


@pytest.fixture
def shop(tmp_path: Path, base: BaseModel) -> Path:
    """A folder with two photos and two styles."""
    for name in ("a.png", "sub/b.png"):
        photo(tmp_path / name)
    for seed, name in enumerate(("wave", "ink")):
        random_style(base, name, seed=seed).save(tmp_path / f"{name}.safetensors")
    return tmp_path


def written(shop: Path, name: str, text: str) -> Path:
    (shop / name).write_text(text, encoding="utf-8")
    return shop / name


@pytest.mark.parametrize("kind", ["jsonl", "csv", "semicolons"])
def test_a_job_file_sets_prompts_styles_strengths_and_seeds(shop: Path, kind: str) -> None:
    text = "\n".join(map(json.dumps, JSONL)) if kind == "jsonl" else CSV
    if kind == "semicolons":
        text = "\ufeff" + text.replace(",", ";").replace("cat;", "cat,")
    path = written(shop, "jobs.jsonl" if kind == "jsonl" else "jobs.csv", text)
    planned = plan(None, shop / "ink.safetensors", shop / "o", jobs=path, steps=7)
    found = [
        (o.photo.origin, o.look.style.name, o.config.prompt, o.config.seed, o.config.strength) for o in planned.outputs
    ]
    a, b = str(shop / "a.png"), str(shop / "sub/b.png")
    assert found == [
        (a, "wave", "a cat, „old“", 3, 1.0),
        (a, "ink", "", 0, 0.5),
        (a, "wave", "", 0, 0.5),
        (b, "ink", "", 0, 1.0),
    ]
    assert {output.config.steps for output in planned.outputs} == {7}
    given = names(planned)
    assert given[1] == "a--ink.png" and given[3] == "deep/mine.png"
    assert given[0] != given[2] and all(name.startswith("a--wave--") for name in (given[0], given[2]))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("j.txt", "", "ends in .csv or .jsonl"),
        ("j.csv", "content\n", "has no rows"),
        ("j.csv", "content,hue\na.png,red\n", "j.csv, header has the unknown column 'hue'"),
        ("j.csv", "content,seed\na.png,1\na.png,x\n", "j.csv, row 3: seed is 'x'; expected a whole number"),
        ("j.csv", "content,strength\na.png,9\n", "j.csv, row 2: strength is 9.0; expected a number from 0 to 4"),
        ("j.csv", "content,prompt\na.png,one, two\n", "j.csv, row 2 has more cells than the header"),
        ("j.csv", "content,eta\na.png,0.5\n", "j.csv, row 2: eta is not used by this preset; it belongs to classic"),
        ("j.csv", "content,method\na.png,swap\n", "j.csv, header has the unknown column 'method'"),
        ("j.jsonl", '{"content": "a.png", "swap": "q"}', "j.jsonl, row 1: swap is not used by this preset"),
        ("j.csv", "seed\n3\n", "j.csv, row 2: content is None"),
        ("j.csv", "content,style\na.png,none\n", "j.csv, row 2: .*none"),
        ("j.csv", 'content,prompt\na.png,"x\n', "j.csv, row 2 is no CSV"),
        ("j.csv", "content,output\na.png,../x.png\n", r"output is '\.\./x\.png'; expected a name such as"),
        ("j.csv", "content,output\na.png,contact-sheet\n", "the name of a contact sheet"),
        ("j.jsonl", '{"content": "a.png"}\n{"content"', "j.jsonl, row 2 is no usable JSON"),
        ("j.jsonl", "[1]", "j.jsonl, row 1 is '.1.'; expected an object"),
        ("j.jsonl", '{"content": "a.png", "seed": "3"}', "j.jsonl, row 1: seed is '3'; expected a whole number"),
        ("j.jsonl", '{"content": "a.png", "style": 3}', "j.jsonl, row 1: style is 3"),
        ("j.jsonl", '{"content": "a.png"}\n{"content": "a.png"}', "row 1 .wave. and j.jsonl, row 2 .wave. both ask"),
    ],
)
def test_a_bad_job_file_is_one_line_that_names_the_row(shop: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        plan(None, shop / "wave.safetensors", shop / "o", jobs=written(shop, name, text))
    assert "\n" not in str(caught.value)


def test_a_row_without_a_style_needs_one_for_all(shop: Path) -> None:
    with pytest.raises(ConfigError, match="row 1 has no style"):
        plan(None, [], shop / "o", jobs=written(shop, "j.jsonl", '{"content": "a.png"}'))
    with pytest.raises(StyleFileError):
        plan(shop / "a.png", "no-such-style", shop / "o")

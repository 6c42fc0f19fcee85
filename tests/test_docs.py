"""What the documents say about the code: every room is on the map, every module and link named is there."""

import re
from pathlib import Path

import pytest
from test_imports import PLACE

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
WALKS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs/architecture.md"]


def test_every_room_is_on_the_map() -> None:
    named = set(re.findall(r">([a-z_]+)/?</text>", (ROOT / "docs/architecture.svg").read_text(encoding="utf-8")))
    assert set(PLACE) - {"app"} <= named


@pytest.mark.parametrize("page", WALKS, ids=lambda page: page.name)
def test_modules_that_are_named_are_there(page: Path) -> None:
    for name in re.findall(r"`([\w/]+\.py)`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).is_file() or (ROOT / "sigstyle" / name).is_file(), f"{page.name} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), f"{page.name} links to {target}"


def test_promises_name_tests_that_are_there_and_each_kind_has_some() -> None:
    text = (ROOT / "docs/robustness.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+)::(test_\w+)`", text.replace("`test_x::test_y`", ""))
    for module, name in named:
        source = (ROOT / "tests" / f"{module}.py").read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", source, re.MULTILINE), f"{module}::{name}"
    kinds = re.split(r"^## \d+\. ", text, flags=re.MULTILINE)[1:]
    rows = [re.findall(r"^\| (?!promise|---)(.+) \|$", kind, re.MULTILINE) for kind in kinds]
    assert len(kinds) == 12 and all(rows)
    assert all("::" in row for kind in rows for row in kind)

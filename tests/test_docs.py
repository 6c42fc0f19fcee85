"""What the documents say about the code: every room is on the map, every module and link named is there."""

import re
from pathlib import Path

import pytest
from test_imports import PLACE

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
WALKS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs/architecture.md"]


def test_every_room_is_on_the_map() -> None:
    named = set(re.findall(r">([a-z]+)/?</text>", (ROOT / "docs/architecture.svg").read_text(encoding="utf-8")))
    assert set(PLACE) - {"app"} <= named


@pytest.mark.parametrize("page", WALKS, ids=lambda page: page.name)
def test_modules_that_are_named_are_there(page: Path) -> None:
    for name in re.findall(r"`([\w/]+\.py)`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).is_file() or (ROOT / "sigstyle" / name).is_file(), f"{page.name} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), f"{page.name} links to {target}"

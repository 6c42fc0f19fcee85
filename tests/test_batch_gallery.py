"""Contact sheet and gallery: every picture is there, from disk alone, and names are text, never markup."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from conftest import make_painting
from PIL import Image
from random_style import random_style

import sigstyle
from sigstyle.base.model import BaseModel
from sigstyle.batches.gallery import write_gallery
from sigstyle.batches.sheet import write_sheets
from sigstyle.batches.thumbs import write_before, write_thumb

EVIL = "\"><script>alert(1)</script> & 'x' {{cards}}"


class Links(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, key: str) -> list[str]:
        return [values[key] or "" for name, values in self.tags if name == tag and key in values]


def line(photo: str, look: str, output: str, **settings: Any) -> dict[str, Any]:
    return {"output": output, "photo": photo, "look": look, "status": "done", "recipe": {"settings": settings}}


@pytest.fixture
def made(base: BaseModel, tmp_path: Path) -> Path:
    """The output of two photos with difficult names, one in a subfolder, in two styles."""
    for name in ("50% #1?.png", "sub/ü&b.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        make_painting().save(tmp_path / "in" / name)
    styles = [replace(random_style(base), name=EVIL), random_style(base, "wave", seed=1)]
    results = list(sigstyle.batch(tmp_path / "in", styles, tmp_path / "out", base=base, steps=2, size_px=64))
    assert all(result.path for result in results) and len(results) == 4
    return tmp_path / "out"


def test_every_link_leads_to_a_file_beside_the_page(made: Path) -> None:
    page = Links((made / "index.html").read_text(encoding="utf-8"))
    cards = [values for tag, values in page.tags if values.get("class") == "card"]
    assert len(cards) == 4
    links = [link for key in ("href", "data-before") for link in page.all("a", key)] + page.all("img", "src")
    assert len(links) == 4 + 1 + 4 + 4
    for link in links:
        assert link.startswith("./") and (made / unquote(link)).is_file()
    assert len(page.all("img", "alt")) == 6


def test_nothing_comes_from_a_network(made: Path) -> None:
    text = (made / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text.replace("</", "<"))


def test_names_prompts_and_folders_are_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "<b>out & co"
    folder.mkdir()
    lines = [line(EVIL, EVIL, "a.png", prompt=EVIL), line("javascript:x", "wave", "javascript:alert(1).png")]
    text = write_gallery(folder, lines).read_text(encoding="utf-8")
    page = Links(text)
    assert text.count("<script") == 1 and "<b>out" not in text
    cards = [values for _, values in page.tags if values.get("class") == "card"]
    assert cards[0]["data-photo"] == cards[0]["data-look"] == EVIL and EVIL in str(cards[0]["data-about"])
    assert all(str(card["href"]).startswith("./") for card in cards)
    assert page.text.count("<b>out & co") == 2


def test_the_sheet_has_a_column_for_each_photo_and_a_row_for_each_style(made: Path) -> None:
    with Image.open(made / "contact-sheet.png") as sheet:
        small = sheet.size
        assert "kind" in sheet.info["sigstyle"]
    lines = [line(f"p{n}", look, f"p{n}--{look}.png") for n in range(15) for look in ("a", "b")]
    painting = make_painting()
    for entry in lines[:10]:
        write_thumb(made, entry["output"], painting)
        write_before(made, entry["photo"], painting, painting.size)
    painting.save(made / "contact-sheet-mine--wave.png")
    first, second = write_sheets(made, lines)
    assert (made / "contact-sheet-mine--wave.png").exists()
    assert [path.name for path in (first, second)] == ["contact-sheet-001.png", "contact-sheet-002.png"]
    assert not (made / "contact-sheet.png").exists()
    assert Image.open(first).width > Image.open(second).width > small[0]
    assert len(Image.open(first).getcolors(10**6) or []) > 1000


def test_two_pictures_of_one_photo_and_style_are_both_shown(tmp_path: Path) -> None:
    lines = [line("p", "wave", "p--wave--1.png", seed=1), line("p", "wave", "p--wave--2.png", seed=2)]
    text = write_gallery(tmp_path, lines).read_text(encoding="utf-8")
    assert text.count('class="card"') == 2 and "wave (2)" in text and "seed 2" in text

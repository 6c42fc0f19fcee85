"""The studio in a real headless Chromium, on a tiny base: drafts, the stage, history, blends, two sizes, the keyboard.

Run alone: `pytest -m browser`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from app_server import PHOTOS, Server
from axe_playwright_python.sync_playwright import Axe
from conftest import make_parts
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from random_style import random_style
from test_app_browser import PATIENCE_MS, PHONE, TABS, browser, go_to, opened, set_dials, tile, told

from sigstyle.base.model import BaseModel
from sigstyle.imaging.images import read_recipe

__all__ = ["browser"]  # a fixture
pytestmark = pytest.mark.browser
FILLED = "[...document.querySelectorAll('#drafts .caption-label')].every(e => !e.textContent.includes('…'))"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    import app

    data, base = tmp_path_factory.mktemp("studio") / "data", BaseModel.from_pipeline(make_parts(), name="tiny")
    (data / "styles").mkdir(parents=True)
    for seed, name in enumerate(("wave", "oil", "ink")):
        random_style(base, name, seed=seed).save(data / "styles" / f"{name}.safetensors")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sigstyle.studio.library.STYLES_FOLDER", data / "none")
        patched.setattr("sigstyle.studio.bases.load_base", lambda key, device, cache, memory: base)
        demo: Any = app.start(
            app.arguments(["--data", str(data), "--device", "cpu"]), prevent_thread_lock=True, quiet=True
        )
        yield Server(demo.local_url, data, base)
        demo.close()


@pytest.fixture(scope="module")
def page(browser: Browser, server: Server) -> Iterator[Page]:
    page = opened(browser, server)
    yield page
    page.context.close()


def drop(page: Page, *files: Path) -> None:
    """Drops photos in the place of those that lie there."""
    if page.locator("#photos img").count():
        page.locator("#photos button[aria-label=Clear]").click()
        expect(page.locator("#photos img")).to_have_count(0, timeout=PATIENCE_MS)
    page.locator("#photos input[type=file]").first.set_input_files([str(file) for file in files])
    expect(page.locator("#photos img").first).to_be_visible(timeout=PATIENCE_MS)


def restyled(page: Page, server: Server, button: str = "#restyle") -> None:
    made = len(server.results())
    page.locator(button).click()
    for _ in range(PATIENCE_MS // 100):
        if len(server.results()) > made:
            break
        page.wait_for_timeout(100)
    told(page, "#restyle-status", "1 picture in")
    expect(page.locator("#before-after img").first).to_be_visible(timeout=PATIENCE_MS)


def test_a_photo_is_shown_in_every_style_and_one_click_paints_it(page: Page, server: Server, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    drop(page, PHOTOS / "owl.jpg", tmp_path / "notes.jpg")
    expect(page.locator("#photos-notes")).to_contain_text("notes.jpg is not a supported image", timeout=PATIENCE_MS)
    expect(page.locator("#photos img")).to_have_count(1)
    expect(page.locator("#drafts .thumbnail-lg")).to_have_count(3, timeout=PATIENCE_MS)
    page.wait_for_function(FILLED, timeout=PATIENCE_MS)
    assert server.results() == [], "a draft is no picture"
    set_dials(page, size_px=64)
    page.locator("#drafts .thumbnail-lg").filter(has_text="ink").click()
    told(page, "#restyle-status", "1 picture in")
    (made,) = server.results()
    assert read_recipe(made)["styles"][0]["name"] == "ink"
    width, height = Image.open(made).size
    expect(page.locator("#picture-facts")).to_contain_text(f"{width} x {height} · seed 0 · in ")
    expect(page.locator("#size-hint")).to_contain_text(f"{width} x {height} pixels, in about")
    photo = Image.open(PHOTOS / "owl.jpg").size
    expect(page.locator("#larger")).to_contain_text(f"photo's size: {photo[0]} x {photo[1]}")
    expect(page.locator("#drafts")).to_be_hidden()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.locator("#before-after img").first).to_be_in_viewport(timeout=PATIENCE_MS)
    expect(page.locator("#restyle")).to_be_in_viewport()
    page.locator("#all-styles").click()
    expect(page.locator("#drafts img").first).to_be_visible(timeout=PATIENCE_MS)


def test_styles_are_blended_by_sliders(page: Page, server: Server) -> None:
    page.locator("#blend button.label-wrap").click()
    page.locator("#blend-with input").click()
    page.get_by_role("option", name="wave").click()
    expect(page.locator("#share-1")).to_contain_text("wave", timeout=PATIENCE_MS)
    share = page.locator("#share-1 input[type=number]")
    share.fill("0.25")
    share.press("Tab")
    expect(page.locator("#mix")).to_contain_text("67% ink, 33% wave", timeout=PATIENCE_MS)
    restyled(page, server)
    styles = read_recipe(server.results()[-1])["styles"]
    assert {s["name"]: round(s["weight"], 3) for s in styles} == {"ink": 0.667, "wave": 0.333}
    page.locator("#blend-with button[aria-label*=lear], #blend-with .token-remove").last.click()


def test_a_brush_says_what_is_painted(page: Page, server: Server) -> None:
    page.locator("#part button.label-wrap").click()
    page.locator("#where").get_by_text("What I paint over").click()
    canvas = page.locator("#brush canvas").first
    expect(canvas).to_be_visible(timeout=PATIENCE_MS)
    page.locator("#restyle").click()
    expect(page.locator(".toast-body").last).to_contain_text("Nothing is painted over yet", timeout=PATIENCE_MS)
    page.locator(".toast-close").last.click()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.5, steps=5)
    page.mouse.up()
    page.wait_for_timeout(1000)  # the editor tells of a stroke a little later
    restyled(page, server)
    assert read_recipe(server.results()[-1])["mask"]["pixels_sha256"]


def its_settings(page: Page) -> None:
    """Takes up the newest picture."""
    page.locator("#pictures .thumbnail-lg").first.click()
    expect(page.locator("#its-settings")).to_be_visible(timeout=PATIENCE_MS)
    page.locator("#its-settings").click()


def test_a_mask_comes_back_and_becomes_a_region_with_a_style_of_its_own(page: Page, server: Server) -> None:
    mask = read_recipe(server.results()[-1])["mask"]["pixels_sha256"]
    page.reload()
    its_settings(page)
    expect(page.locator("#brush canvas").first).to_be_attached(timeout=PATIENCE_MS)
    expect(page.locator("#size-px input")).to_have_value("64", timeout=PATIENCE_MS)
    expect(page.locator("#size-hint")).to_contain_text("the picture keeps your photo's", timeout=PATIENCE_MS)
    page.locator("#region-style input").click()  # what holds it has opened by itself
    page.get_by_role("option", name="oil").click()
    page.locator("#add-region").click()
    expect(page.locator("#region-1")).to_contain_text("1 · oil", timeout=PATIENCE_MS)
    expect(page.locator("#brush canvas")).to_have_count(0, timeout=PATIENCE_MS)
    page.locator("#rest").get_by_text("As in the photo").click()
    restyled(page, server)
    recipe = read_recipe(server.results()[-1])
    (region,) = recipe["regions"]
    assert (region["mask"]["pixels_sha256"], region["style"]["name"], recipe["styles"]) == (mask, "oil", [])
    page.locator("#region-1").get_by_role("button", name="Remove").click()
    expect(page.locator("#region-1")).to_be_hidden(timeout=PATIENCE_MS)
    its_settings(page)
    expect(page.locator("#region-1")).to_contain_text("painted by hand", timeout=PATIENCE_MS)
    for left in (3, 2):
        page.locator("#pictures .thumbnail-lg").first.click()
        page.locator("#delete-picture").click()
        expect(page.locator("#pictures .thumbnail-lg")).to_have_count(left, timeout=PATIENCE_MS)


def test_pictures_outlive_a_reload_and_are_compared_taken_up_and_deleted(page: Page, server: Server) -> None:
    page.reload()
    pictures = page.locator("#pictures .thumbnail-lg")
    expect(pictures).to_have_count(2, timeout=PATIENCE_MS)
    expect(pictures.first).to_contain_text("owl · ink + wave")
    pictures.last.click()
    expect(page.locator("#picture-facts")).to_contain_text("owl in ink ·", timeout=PATIENCE_MS)
    page.locator("#compare").click()
    pictures.first.click()
    expect(page.locator("#picture-facts")).to_contain_text("Left: owl · ink · ", timeout=PATIENCE_MS)
    page.locator("#its-settings").click()
    expect(page.locator("#photos img")).to_have_count(1, timeout=PATIENCE_MS)
    expect(page.locator("#share-1 input[type=number]")).to_have_value(re.compile(r"^0\.33"), timeout=PATIENCE_MS)
    page.locator("#delete-picture").click()
    expect(pictures).to_have_count(1, timeout=PATIENCE_MS)
    assert len(server.results()) == 1
    page.locator("#undo-delete").click()
    expect(pictures).to_have_count(2, timeout=PATIENCE_MS)
    assert len(server.results()) == 2


def test_a_new_photo_clears_the_old_picture(page: Page, server: Server) -> None:
    page.locator("#pictures .thumbnail-lg").first.click()
    expect(page.locator("#download")).to_be_visible(timeout=PATIENCE_MS)
    page.locator("#use-as-photo").click()
    expect(page.locator("#drafts .thumbnail-lg")).to_have_count(3, timeout=PATIENCE_MS)
    expect(page.locator("#download")).to_be_hidden()
    expect(page.locator("#before-after")).to_be_hidden()


def test_painting_goes_on_over_a_reload_and_keys_start_and_stop_it(page: Page, server: Server) -> None:
    made = server.results()
    set_dials(page)
    page.locator(".way:visible").get_by_text("Classic", exact=True).first.click()
    expect(page.locator("label:visible").filter(has_text="Swap until").first).to_be_visible(timeout=PATIENCE_MS)
    set_dials(page, steps=400, size_px=256)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#restyle-status")).to_contain_text(re.compile(r"\d of \d+"), timeout=PATIENCE_MS)
    page.reload()
    expect(page.locator("#restyle-status")).to_contain_text(re.compile(r"\d of \d+"), timeout=PATIENCE_MS)
    expect(page.locator("#stop-restyle")).to_be_visible(timeout=PATIENCE_MS)
    page.keyboard.press("Escape")
    expect(page.locator("#stop-restyle")).to_be_hidden(timeout=PATIENCE_MS)
    expect(page.locator("#restyle")).to_be_enabled(timeout=PATIENCE_MS)
    assert server.results() == made


def test_nobody_sees_anothers_pictures(browser: Browser, server: Server) -> None:
    other = opened(browser, server)
    expect(other.locator("#history")).to_be_hidden()
    other.context.close()


def test_a_phone_reaches_everything_and_has_room_for_fingers(browser: Browser, server: Server, tmp_path: Path) -> None:
    Image.open(PHOTOS / "cow.jpg").resize((160, 120)).save(tmp_path / "cow.png")
    page = opened(browser, server, PHONE)
    for tab in TABS:
        go_to(page, tab)
        page.wait_for_timeout(200)
        small = page.evaluate(
            "[...document.querySelectorAll('main button, main input[type=radio], main a')].filter(b => b.offsetParent)"
            ".map(b => [b.closest('label') || b, b.textContent.trim() || b.ariaLabel])"
            ".filter(([b]) => { const h = b.getBoundingClientRect().height; return h > 1 && h < 44; })"
            ".map(([, text]) => text)"  # what is 1 px high is there for measuring
        )
        assert small == [], f"{tab}: {small}"
    go_to(page, "Restyle")
    drop(page, tmp_path / "cow.png")
    expect(page.locator("#drafts img").first).to_be_in_viewport(timeout=PATIENCE_MS)
    set_dials(page, size_px=64)
    expect(page.locator("#restyle")).to_be_in_viewport()
    restyled(page, server)
    expect(page.locator("#before-after img").first).to_be_in_viewport(timeout=PATIENCE_MS)
    restyled(page, server, "#larger")
    assert Image.open(server.results()[-1]).size == (160, 120)
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_axe_looks_for_is_not_there(browser: Browser, server: Server, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(server.url)
    expect(tile(page, "wave")).to_be_visible(timeout=PATIENCE_MS)
    for tab in TABS:
        go_to(page, tab)
        page.wait_for_timeout(300)
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
        told = [(v["id"], [node["html"][:160] for node in v["nodes"]][:3]) for v in found]
        assert told == [], f"{tab}, {scheme}"
    context.close()

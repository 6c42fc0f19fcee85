"""The app in a real headless Chromium, on the embedded base: what the page shows and what lies on the disk.

Run alone: `pytest -m browser`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_server import PAINTINGS, PHOTOS, Server, running
from chromium import launched
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from sigstyle.imaging.images import read_recipe
from sigstyle.style.style import Style

pytestmark = pytest.mark.browser
PATIENCE_MS = 180_000
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
TABS = ("Restyle", "Learn", "Imagine", "Folder", "Clip", "Recipe", "Model")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patched:  # a photo is drafted in every style: here in two
        patched.setattr("sigstyle.studio.library.STYLES_FOLDER", tmp_path_factory.mktemp("no") / "styles")
        with running(tmp_path_factory.mktemp("app") / "data") as server:
            yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def opened(browser: Browser, server: Server, size: dict[str, int] = DESKTOP) -> Page:
    """A page of a new person, with the styles shown."""
    context: BrowserContext = browser.new_context(viewport=size, reduced_motion="reduce")  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(server.url)
    expect(page.locator("#restyle")).to_be_visible(timeout=PATIENCE_MS)
    expect(tile(page, "wave")).to_be_visible(timeout=PATIENCE_MS)
    return page


@pytest.fixture(scope="module")
def page(browser: Browser, server: Server) -> Iterator[Page]:
    page = opened(browser, server)
    yield page
    page.context.close()


def tile(page: Page, name: str) -> Locator:
    """The tile of a style in the open tab's gallery."""
    tiles = page.locator(".tiles:not(.examples) button.thumbnail-lg:visible")
    return tiles.filter(has_text=re.compile(rf"^\s*{name}\s*$")).first


def go_to(page: Page, tab: str) -> None:
    """Open a tab, out of the overflow menu where it is in there."""
    expect(page.locator(".tab-container button:visible").first).to_be_visible(timeout=PATIENCE_MS)
    button = page.get_by_role("tab", name=tab, exact=True).first
    if not button.is_visible():
        page.locator(".overflow-menu > button").first.click()
        button = page.locator(".overflow-dropdown button").filter(has_text=tab)
    button.click()


def set_dials(page: Page, **values: int) -> None:
    """Type numbers into the open tab's expert dials, and the size where it has a control for that."""
    if "size_px" in values and page.locator(".sizing:visible").count():
        page.locator(".sizing:visible").get_by_text("Custom").click()
        field = page.locator("#size-px input:visible, #folder-size-px input:visible")
        field.fill(str(values.pop("size_px")))
        field.press("Tab")
    dials = page.locator("button.label-wrap:visible").filter(has_text="Expert")
    if "open" not in (dials.get_attribute("class") or ""):
        dials.click()
    for name, value in values.items():
        label = name.replace("_px", " (pixels)").replace("_", " ").capitalize()
        named = page.locator(f'input[type="number"][aria-label*="{label}"]:visible')
        labelled = page.locator("label:visible").filter(has_text=label).locator('input[type="number"]')
        field = named.or_(labelled).first  # whichever the dial has, once the panel has opened
        field.fill(str(value))
        field.press("Tab")


def choose_way(page: Page, way: str) -> None:
    """Choose how photos are repainted, under the open tab's expert dials."""
    set_dials(page)
    page.locator(".way:visible").get_by_text(way, exact=True).first.click()
    expect(page.locator("label:visible").filter(has_text="Swap until").first).to_be_visible(timeout=PATIENCE_MS)


def told(page: Page, place: str, text: str) -> None:
    """Waits until a status line says so."""
    expect(page.locator(f"{place} [role=status]")).to_contain_text(text, timeout=PATIENCE_MS)


def test_an_example_is_restyled_and_downloaded(page: Page, server: Server, tmp_path: Path) -> None:
    page.locator(".examples button.thumbnail-lg:visible").first.click()
    expect(page.locator("#photos img").first).to_be_visible(timeout=PATIENCE_MS)
    tile(page, "oil").click()
    set_dials(page, steps=2, size_px=128)
    page.locator("#restyle").click()
    told(page, "#restyle-status", "1 picture in")
    page.locator("#before-after").scroll_into_view_if_needed()  # pictures below the fold are loaded when they are seen
    expect(page.locator("#before-after img").first).to_be_visible(timeout=PATIENCE_MS)
    (result,) = server.results()
    assert read_recipe(result)["styles"][0]["name"] == "oil"
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.path().read_bytes() == result.read_bytes()


def test_a_second_style_on_the_same_photo_skips_the_inversion(page: Page, server: Server) -> None:
    choose_way(page, "Classic")
    set_dials(page, steps=2)
    made = len(server.results())
    page.locator("#restyle").click()
    for _ in range(PATIENCE_MS // 100):
        if len(server.results()) > made:
            break
        page.wait_for_timeout(100)
    told(page, "#restyle-status", "1 picture in")
    tile(page, "wave").click()
    page.locator("#restyle").click()
    told(page, "#restyle-status", "a part of the work was skipped")
    assert read_recipe(server.results()[-1])["styles"][0]["name"] == "wave"


def test_a_picture_is_made_again_from_its_recipe(page: Page, server: Server) -> None:
    picture = server.results()[-1]
    go_to(page, "Recipe")
    page.locator("#recipe-picture input[type=file]").set_input_files(picture)
    expect(page.locator("#recipe-facts")).to_contain_text("wave", timeout=PATIENCE_MS)
    page.locator("#again").click()
    told(page, "#recipe-status", "The same, pixel for pixel.")
    again = server.results()[-1]
    assert again != picture and Image.open(again).tobytes() == Image.open(picture).tobytes()
    page.locator("#open-settings").click()
    expect(page.locator("#restyle")).to_be_visible(timeout=PATIENCE_MS)


def test_cancel_ends_the_painting_and_leaves_nothing_behind(page: Page, server: Server) -> None:
    made = server.results()
    go_to(page, "Restyle")
    set_dials(page, steps=100)
    page.locator("#restyle").click()
    expect(page.locator("#restyle-status")).to_contain_text(re.compile(r"\d of 2[05]0"), timeout=PATIENCE_MS)
    page.locator("#stop-restyle").click()
    expect(page.locator("#restyle")).to_be_enabled(timeout=PATIENCE_MS)
    expect(page.locator("#stop-restyle")).to_be_hidden()
    assert server.results() == made


def test_a_bad_file_gets_a_sentence_beside_it(page: Page, server: Server, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, not a painting")
    go_to(page, "Folder")
    page.locator("#folder-photos input[type=file]").set_input_files(tmp_path / "notes.txt")
    sentence = "notes.txt is not a supported image; expected PNG"
    expect(page.locator("#folder-notes")).to_contain_text(sentence, timeout=PATIENCE_MS)
    page.locator("#paint-all").click()
    expect(page.locator(".toast-body").last).to_contain_text("There is no photo yet", timeout=PATIENCE_MS)
    expect(page.locator("#paint-all")).to_be_enabled()


def drop_painting(page: Page) -> None:
    """Drop a painting into the Learn tab, unless one lies there already."""
    if not page.locator("#paintings img").count():
        page.locator("#paintings input[type=file]").first.set_input_files(PAINTINGS / "hokusai-great-wave.jpg")
        expect(page.locator("#paintings img").first).to_be_visible(timeout=PATIENCE_MS)


def test_a_style_is_learned_and_lands_in_the_galleries(page: Page, server: Server) -> None:
    go_to(page, "Learn")
    drop_painting(page)
    page.locator("#style-name textarea, #style-name input").fill("Great Wave")
    set_dials(page, steps=4, painting=1, batch_size=1, crops=2, size_px=64)
    page.locator("#learn").click()
    told(page, "#learn-status", "Learned.")
    expect(page.locator("#learn-preview img")).to_be_visible()
    (file,) = server.styles()
    assert Style.load(file).name == "Great Wave"
    expect(tile(page, "Great Wave")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#new-name input, #new-name textarea").first).to_have_value("Great Wave", timeout=PATIENCE_MS)
    go_to(page, "Restyle")
    expect(tile(page, "Great Wave")).to_be_visible(timeout=PATIENCE_MS)
    chosen = page.locator(".tiles:not(.examples) .thumbnail-lg.selected:visible")
    expect(chosen).to_contain_text("Great Wave", timeout=PATIENCE_MS)


def test_learning_is_found_again_after_a_reload_and_what_was_stopped_is_resumed(page: Page, server: Server) -> None:
    go_to(page, "Learn")
    drop_painting(page)
    page.locator("#style-name textarea, #style-name input").fill("Long Wave")
    set_dials(page, steps=5000, painting=1, batch_size=1, crops=2, size_px=64)
    page.locator("#learn").click()
    expect(page.locator("#learn-status")).to_contain_text(re.compile(r"\d of 5000"), timeout=PATIENCE_MS)
    page.goto("about:blank")
    page.goto(server.url)
    go_to(page, "Learn")
    expect(page.locator("#learn-status")).to_contain_text(re.compile(r"\d of 5000"), timeout=PATIENCE_MS)
    page.locator("#stop-learn").click()
    expect(page.locator("#unfinished")).to_contain_text("Long Wave", timeout=PATIENCE_MS)
    page.locator("#resume").click()
    expect(page.locator("#enough")).to_be_visible(timeout=PATIENCE_MS)
    page.locator("#enough").click()
    told(page, "#learn-status", "Learned.")
    assert "Long Wave" in {Style.load(file).name for file in server.styles()}


def test_two_people_at_once_never_see_each_other_s_work(browser: Browser, server: Server) -> None:
    people = [opened(browser, server), opened(browser, server)]
    photos = [PHOTOS / "owl.jpg", PHOTOS / "cow.jpg"]
    made = set(server.results())
    for person, photo, style, seed in zip(people, photos, ("wave", "oil"), (1, 2), strict=True):
        expect(tile(person, "Great Wave")).to_have_count(0)
        person.locator("#photos input[type=file]").first.set_input_files(photo)
        expect(person.locator("#photos img").first).to_be_visible(timeout=PATIENCE_MS)
        tile(person, style).click()
        set_dials(person, steps=3, size_px=128, seed=seed)
    for person in people:
        person.locator("#restyle").click()
    for person in people:
        told(person, "#restyle-status", "1 picture in")
    results = [path for path in server.results() if path not in made]
    recipes = {read_recipe(path)["settings"]["seed"]: read_recipe(path)["styles"][0]["name"] for path in results}
    assert recipes == {1: "wave", 2: "oil"}
    assert len({path.parents[1] for path in results}) == 2, "each in a folder of their own"
    for person, own in zip(people, ("owl", "cow"), strict=True):
        with person.expect_download() as download:
            person.locator("#download").click()
        assert f"-{own}-in-" in download.value.suggested_filename
        person.context.close()


def test_the_page_fits_a_phone_and_asks_nobody_else(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport=PHONE, has_touch=True, color_scheme="dark")  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    strangers: list[str] = []
    context.route(
        lambda url: "127.0.0.1" not in url and not url.startswith(("data:", "blob:")),
        lambda route: (strangers.append(route.request.url), route.abort()),
    )
    page = context.new_page()
    page.goto(server.url)
    expect(tile(page, "wave")).to_be_visible(timeout=PATIENCE_MS)
    for tab in TABS:
        go_to(page, tab)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{tab} scrolls sideways"
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(number) for number in re.findall(r"\d+", dark)[:3]) < 60
    assert strangers == []
    context.close()


def test_the_keyboard_is_enough(page: Page, server: Server) -> None:
    go_to(page, "Restyle")
    page.locator("#restyle").focus()
    assert page.evaluate("document.activeElement.id") == "restyle"
    names = page.evaluate(
        "[...document.querySelectorAll('button')].filter(b => b.offsetParent && !b.textContent.trim()"
        " && !b.getAttribute('aria-label') && !b.title).length"
    )
    assert names == 0, "every button has a name"

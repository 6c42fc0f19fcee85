"""Makes docs/app.jpg and docs/screens again: every tab, at a desk, on a phone and in the dark, on the real app.

    python docs/screens.py [STYLE.safetensors ...]

The styles given are shown beside the shipped ones. Chromium is found as for the browser tests.
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
OUTPUT = Path(__file__).resolve().parent / "screens"
TABS = ("Restyle", "Learn", "Imagine", "Folder", "Clip", "Recipe", "Model")
SIZES = {"desktop": (1280, 860, "light"), "phone": (390, 844, "light"), "dark": (1280, 860, "dark")}
PATIENCE_MS = 600_000
FILLED = "[...document.querySelectorAll('#drafts .caption-label')].every(e => !e.textContent.includes('…'))"


def main(styles: list[str]) -> None:
    """Starts the app with these styles and looks at every tab."""
    from chromium import launched

    import app

    OUTPUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        shared = Path(folder) / "styles"
        shared.mkdir()
        for style in styles:
            shutil.copy(style, shared)
        demo = app.start(app.arguments(["--data", folder]), prevent_thread_lock=True, quiet=True)
        for name, (width, height, scheme) in SIZES.items():
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            page.goto(demo.local_url)
            page.locator(".tiles:not(.examples) button.thumbnail-lg:visible").first.wait_for()
            if name == "phone":
                restyle(page, None)
            if name == "desktop":
                restyle(page, OUTPUT / "desktop-drafts.jpg")
                page.evaluate("scrollTo(0, 0)")
                page.mouse.move(0, 0)
                page.wait_for_timeout(1500)
                save(page.screenshot(), OUTPUT.parent / "app.jpg")
                learn(page)
                folder_of(page)
                recipe(page, next(Path(folder).glob("people/*/results/*.png")))
            for tab in TABS:
                shoot(page, tab, OUTPUT / f"{name}-{tab.lower()}.jpg")
            context.close()
        demo.close()


def restyle(page: Any, drafts: Path | None) -> None:
    """Shows an example in every style, and paints it in one of them, so that there is something to see."""
    page.locator(".examples button.thumbnail-lg:visible").nth(2).click()
    page.locator("#drafts img").first.wait_for()
    page.wait_for_function(FILLED)
    if drafts is not None:
        save(page.screenshot(), drafts)
    page.locator("#drafts .thumbnail-lg").filter(has_text="Great wave").click()
    page.locator("#before-after img").first.wait_for()


def folder_of(page: Any) -> None:
    """Two photos in two styles."""
    go_to(page, "Folder")
    photos = [ROOT / "examples" / "content" / name for name in ("cat.jpg", "eiffel-tower.jpg")]
    page.locator("#folder-photos input[type=file]").set_input_files(photos)
    page.locator("#folder-photos").get_by_text("eiffel-tower").wait_for()
    for style in ("Church auvers", "Great wave"):
        page.locator("#folder-styles label").filter(has_text=style).locator("input").check()
    page.locator("#paint-all").click()
    page.locator("#folder-status").get_by_text("pictures. Click one").wait_for()
    page.locator("#folder-grid .thumbnail-lg").first.click()
    page.locator("#folder-before-after img").first.wait_for()


def learn(page: Any) -> None:
    """Learns a style in a few steps, for its preview and curve."""
    go_to(page, "Learn")
    page.locator("#learn").wait_for()
    page.locator(".examples button.thumbnail-lg:visible").nth(1).click()
    page.locator("#paintings img").first.wait_for()
    page.locator("button.label-wrap:visible").filter(has_text="Expert").click()
    steps = page.locator("#learn-steps input")
    steps.fill("16")
    steps.press("Tab")
    page.locator("button.label-wrap:visible").filter(has_text="Expert").click()
    page.locator("#learn").click()
    page.locator("#learn-status").get_by_text("Learned.").wait_for()
    page.locator(".toast-body").first.wait_for(state="hidden")  # it goes by itself


def recipe(page: Any, picture: Path) -> None:
    """Drops a picture, for its recipe."""
    go_to(page, "Recipe")
    page.locator("#recipe-picture input[type=file]").set_input_files(picture)
    page.locator("#recipe-facts table").wait_for()


def go_to(page: Any, tab: str) -> None:
    """Opens a tab, out of the overflow menu where it is in there."""
    button = page.get_by_role("tab", name=tab, exact=True).first
    if not button.is_visible():
        page.locator(".overflow-menu > button").first.click()
        button = page.locator(".overflow-dropdown button").filter(has_text=tab)
    button.click()


def shoot(page: Any, tab: str, path: Path) -> None:
    """Opens a tab and writes what it looks like."""
    go_to(page, tab)
    page.wait_for_timeout(1500)
    if tab == "Model":
        page.locator("#base-words").get_by_text("measured here").wait_for()
    save(page.screenshot(full_page=True), path)


def save(shot: bytes, path: Path) -> None:
    """Writes a screenshot as JPEG."""
    Image.open(io.BytesIO(shot)).convert("RGB").save(path, quality=82, optimize=True)
    print(path)


if __name__ == "__main__":
    main(sys.argv[1:])

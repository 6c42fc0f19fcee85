"""Makes the screenshots of docs/screens again: every tab, at a desk, on a phone and in the dark, on the real app.

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
TABS = ("Restyle", "Learn", "Imagine", "Folder", "Recipe", "Model")
SIZES = {"desktop": (1280, 860, "light"), "phone": (390, 844, "light"), "dark": (1280, 860, "dark")}
PATIENCE_MS = 600_000


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
            if name == "desktop":
                restyle(page)
            for tab in TABS:
                shoot(page, tab, OUTPUT / f"{name}-{tab.lower()}.jpg")
            context.close()
        demo.close()


def restyle(page: Any) -> None:
    """Restyles an example, so that there is something to see."""
    page.locator(".examples button.thumbnail-lg:visible").nth(2).click()
    page.locator("#photos img").first.wait_for()
    page.locator("#restyle").click()
    page.locator("#before-after img").first.wait_for()


def shoot(page: Any, tab: str, path: Path) -> None:
    """Opens a tab and writes what it looks like."""
    button = page.get_by_role("tab", name=tab, exact=True).first
    if not button.is_visible():
        page.locator(".overflow-menu > button").first.click()
        button = page.locator(".overflow-dropdown button").filter(has_text=tab)
    button.click()
    page.wait_for_timeout(1500)
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    shot.convert("RGB").save(path, quality=82, optimize=True)
    print(path)


if __name__ == "__main__":
    main(sys.argv[1:])

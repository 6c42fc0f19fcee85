"""How long the web app lets people wait: python -m benchmarks.page [--size-px 512]

Loads the embedded base in a process of its own; starts the real app in another and drives it with a headless Chromium.
Prints a table in Markdown: seconds until the model is loaded, until the app's page is there with its styles, and for
one photo in three styles, of which the second and third find its inversion known.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STYLES = ("great-wave", "cafe-terrace", "poppies")
PATIENCE_MS = 600_000


def seconds_to_load() -> float:
    """Seconds of a process that only loads the base."""
    start = time.perf_counter()
    load = "from sigstyle.base.model import load_base; load_base('mini')"
    subprocess.run([sys.executable, "-c", load], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - start


@contextmanager
def served(folder: str) -> Iterator[str]:
    """The address of a fresh app, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "app.py", "--data", folder, "--port", str(port)]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def measured(size_px: int) -> dict[str, float]:
    """Seconds of each wait."""
    sys.path.insert(0, str(ROOT / "tests"))
    from chromium import launched

    waits = {"a process that only loads the model": seconds_to_load()}
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        start = time.perf_counter()
        with served(folder) as url:
            page.goto(url)
            page.locator(".tiles:not(.examples) button.thumbnail-lg:visible").nth(7).wait_for()
            waits["`python app.py` until the page shows all styles"] = time.perf_counter() - start
            waits |= restyled(page, size_px)
    return waits


def restyled(page: Any, size_px: int) -> dict[str, float]:
    """Seconds for the first example photo in each of the styles."""
    waits = {}
    page.locator(".examples button.thumbnail-lg:visible").first.click()
    page.locator("#photos img").first.wait_for()
    page.locator("button.label-wrap:visible").filter(has_text="Expert").click()
    field = page.locator("label:visible").filter(has_text="Size (pixels)").locator("input[type=number]").first
    field.fill(str(size_px))
    field.press("Tab")
    for number, style in enumerate(STYLES):
        page.locator(".tiles:not(.examples) .caption-label:visible", has_text=style).first.click()
        start = time.perf_counter()
        page.locator("#restyle").click()
        page.locator('#restyle-status:has-text("Painting")').wait_for()
        page.locator('#restyle-status:has-text("1 picture in")').wait_for()
        waits[f"a photo in style {number + 1}, {size_px} px"] = time.perf_counter() - start
        told = page.locator("#restyle-status").inner_text()
        assert ("inversion was skipped" in told) == (number > 0), told
    return waits


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-px", type=int, default=512)
    waits = measured(parser.parse_args().size_px)
    print("| | seconds |\n| --- | --- |")
    for what, seconds in waits.items():
        print(f"| {what} | {seconds:.1f} |")


if __name__ == "__main__":
    main()

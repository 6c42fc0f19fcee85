"""How long the web app lets people wait: python -m benchmarks.page

Loads the embedded base in a process of its own; starts the real app in another and walks through it, as somebody new
would, with a headless Chromium. Prints a table in Markdown: seconds until the model is loaded, until the app's page is
there with its styles, until a photo is shown in the first style and in all, and until one of them is painted.
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
STYLES = ("Great wave", "Cafe terrace", "Poppies")
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


def measured() -> dict[str, float]:
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
            waits |= walked(page)
    return waits


def walked(page: Any) -> dict[str, float]:
    """Seconds from an example photo to its drafts, and from a click on three of them to the picture."""
    waits, start = {}, time.perf_counter()
    page.locator(".examples button.thumbnail-lg:visible").first.click()
    for what, quantifier in (("the first style", "some"), ("all styles", "every")):
        page.wait_for_function(
            "quantifier => { const all = [...document.querySelectorAll('#drafts .caption-label')];"
            " return all.length > 0 && all[quantifier](tile => !tile.textContent.includes('…')); }",
            arg=quantifier,
        )
        waits[f"a photo is dropped until it is shown in {what}"] = time.perf_counter() - start
    for number, style in enumerate(STYLES):
        start = time.perf_counter()
        page.locator("#drafts .thumbnail-lg").filter(has_text=style).click()
        page.locator(f'#picture-facts:visible:has-text("in {style.lower().replace(" ", "-")} ·")').wait_for()
        waits[f"a click on draft {number + 1} until the picture is there"] = time.perf_counter() - start
        page.locator("#all-styles").click()
        page.locator("#drafts img").first.wait_for()
    return waits


def main() -> None:
    """Prints the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    waits = measured()
    print("| | seconds |\n| --- | --- |")
    for what, seconds in waits.items():
        print(f"| {what} | {seconds:.1f} |")


if __name__ == "__main__":
    main()

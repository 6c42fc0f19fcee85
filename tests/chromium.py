"""The browser of the browser tests: found, or installed by `python tests/chromium.py` (a step of `make test`)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


def executable(playwright: Playwright) -> str | None:
    """A Chromium of this machine, or Playwright's own; None when there is neither."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    own = playwright.chromium.executable_path
    return found or (own if Path(own).exists() else None)


@contextmanager
def launched() -> Iterator[Browser]:
    """A headless Chromium. Raises: FileNotFoundError, which says how to get one."""
    with sync_playwright() as playwright:
        path = executable(playwright)
        if path is None:
            raise FileNotFoundError(
                "There is no Chromium for the browser tests; 'make browser' installs one (apt-get as root, otherwise "
                "'playwright install chromium'), or put one on the PATH."
            )
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def install() -> None:
    """Install Chromium where it is missing: Debian's as root, otherwise Playwright's own into the user's cache."""
    with sync_playwright() as playwright:
        found = executable(playwright)
    if found:
        print(f"Browser for the tests: {found}")
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("No Chromium here: installing Debian's package chromium for the browser tests.")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
        if subprocess.run(command, env=environment).returncode == 0:
            return
    print("No Chromium here: 'playwright install chromium' fetches one for the browser tests.")
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


if __name__ == "__main__":
    install()

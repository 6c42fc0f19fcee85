"""The library and one's things in a real headless Chromium: what is dropped in, what is said of it, and deleting all.

Run alone: `pytest -m browser`.
"""

import dataclasses
import re
from pathlib import Path

import pytest
from app_server import Server
from playwright.sync_api import Browser, expect
from random_style import random_style
from test_app_browser import browser, go_to, opened, server, tile

from sigstyle.base.model import load_base

__all__ = ["browser", "server"]  # fixtures
pytestmark = pytest.mark.browser


def test_one_bad_file_does_not_keep_the_next_out_and_html_is_text(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    page = opened(browser, server)
    (tmp_path / "a-bad.safetensors").write_bytes(b"no style")
    style = dataclasses.replace(random_style(load_base("mini", "cpu"), "mine", seed=5), name="<b>Mine</b>")
    style.save(tmp_path / "b-good.safetensors")
    go_to(page, "Learn")
    files = [tmp_path / "a-bad.safetensors", tmp_path / "b-good.safetensors"]
    page.locator("#drop-styles input[type=file]").set_input_files(files)
    toasts = page.locator(".toast-body")
    expect(toasts.filter(has_text="a-bad.safetensors is no safetensors file")).to_be_visible()
    expect(toasts.filter(has_text="<b>Mine</b>: in the library now.")).to_be_visible()
    expect(toasts.locator("b").filter(has_text=re.compile("^Mine$"))).to_have_count(0)
    expect(tile(page, re.escape("<b>Mine</b>"))).to_be_visible()
    (own,) = {path.parent for path in server.styles()}
    (own / "broken.safetensors").write_bytes(b"{}")
    page.reload()
    go_to(page, "Learn")
    expect(page.locator("#left-out")).to_contain_text("Left out: broken.safetensors")
    go_to(page, "Model")
    page.get_by_role("button", name="Your things").click()
    expect(page.locator("#kept")).to_contain_text("2 files of yours are kept here")
    page.locator("#delete-my-things").click()
    page.locator("#delete-sure").click()
    expect(page.locator("#kept")).to_contain_text("0 files of yours are kept here")
    assert not own.exists()
    go_to(page, "Learn")
    expect(tile(page, re.escape("<b>Mine</b>"))).to_have_count(0)
    page.context.close()

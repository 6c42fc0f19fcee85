"""The queue, stars and LoRAs in a real headless Chromium, on a tiny base: found after a reload, and nobody else's.

Run alone: `pytest -m browser`.
"""

import re
from pathlib import Path

import pytest
from app_server import PHOTOS, Server
from playwright.sync_api import Browser, expect
from test_app_browser import PATIENCE_MS, browser, go_to, opened, tile
from test_app_browser_studio import FILLED, server
from test_lora_in import save_lora
from test_studio_queue import foreign_lora

__all__ = ["browser", "server"]  # fixtures
pytestmark = pytest.mark.browser


def test_jobs_stars_and_loras_are_found_again_and_are_ones_own(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    page, other = opened(browser, server), opened(browser, server)
    page.locator("#photos input[type=file]").first.set_input_files(PHOTOS / "owl.jpg")
    expect(page.locator("#photos img").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#drafts .thumbnail-lg")).to_have_count(3, timeout=PATIENCE_MS)
    page.wait_for_function(FILLED, timeout=PATIENCE_MS)
    with server.base.lock:  # nothing is painted until it is let go, so the page may take its time
        page.locator("#restyle").click()
        go_to(page, "Imagine")
        page.locator("#imagine-kind").get_by_text("Seamless tile").click()
        expect(page.locator("#prompt")).to_be_hidden(timeout=PATIENCE_MS)
        page.locator("#paint").click()
        queue, rows = page.locator("#queue"), page.locator(".queued:visible")
        expect(queue).to_contain_text(re.compile("2 jobs · "), timeout=PATIENCE_MS)
        page.reload()
        queue.locator(".label-wrap").click()
        expect(rows.nth(0)).to_contain_text(re.compile(r"owl in \w+.*(running|% done)", re.DOTALL), timeout=PATIENCE_MS)
        expect(rows.nth(1)).to_contain_text(re.compile(r"Tile in \w+.*waiting behind 1", re.DOTALL))
        expect(page.locator("#queue-tell")).to_have_text(re.compile("Tell me when it ends|no notices here"))
        expect(other.locator("#queue")).to_be_hidden()
        rows.nth(1).get_by_role("button", name="Cancel").click()
        expect(rows).to_have_count(1, timeout=PATIENCE_MS)
        rows.nth(0).get_by_role("button", name="Cancel").click()
        expect(rows.nth(0)).to_contain_text("stopping", timeout=PATIENCE_MS)
    expect(queue).to_be_hidden(timeout=PATIENCE_MS)
    assert server.results() == []

    go_to(page, "Learn")
    tile(page, "wave").click()
    page.locator("#favourite").get_by_text("Make favourite").click()
    expect(tile(page, "★ wave")).to_be_visible(timeout=PATIENCE_MS)
    go_to(page, "Model")
    files = [save_lora(tmp_path / "Ink.safetensors"), foreign_lora(tmp_path / "xl.safetensors"), tmp_path / "a.txt"]
    files[-1].write_text("no LoRA")
    page.locator("#drop-loras input[type=file]").set_input_files(files)
    notes = page.locator("#lora-notes")
    expect(notes).to_contain_text("xl.safetensors is a LoRA for another base than tiny", timeout=PATIENCE_MS)
    expect(notes).to_contain_text("a.txt is no LoRA")
    expect(page.locator("#lora-1")).to_contain_text("ink")
    page.locator("#lora-1 input[type=checkbox]").click()
    page.reload()
    first = page.locator(".tiles:not(.examples) button.thumbnail-lg:visible").first
    expect(first).to_contain_text("★ wave", timeout=PATIENCE_MS)
    go_to(page, "Model")
    expect(page.locator("#lora-1 input[type=checkbox]")).not_to_be_checked(timeout=PATIENCE_MS)
    other.reload()
    expect(tile(other, "wave")).to_be_visible(timeout=PATIENCE_MS)
    go_to(other, "Model")
    expect(other.locator("#base")).to_be_visible(timeout=PATIENCE_MS)
    expect(other.locator("#lora-1")).to_be_hidden()
    for person in (page, other):
        person.context.close()

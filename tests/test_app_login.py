"""Who may come in: with --auth only those in the file, each with a workspace of their own; on a tiny base."""

import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeBase

import app

PASSWORD = "four-words-in-a-row"


@pytest.fixture
def url(tmp_path: Path, make_base: MakeBase, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    base = make_base()
    monkeypatch.setattr("sigstyle.studio.bases.load_base", lambda key, device, cache, memory: base)
    (tmp_path / "people").write_text(f"anna:{PASSWORD}\n")
    words = ["--data", str(tmp_path / "data"), "--auth", str(tmp_path / "people"), "--device", "cpu"]
    demo: Any = app.start(app.arguments(words), prevent_thread_lock=True, quiet=True)
    yield demo.local_url
    demo.close()


def came_in(url: str, password: str) -> bool:
    """Whether somebody with this password sees the page's configuration."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    form = urllib.parse.urlencode({"username": "anna", "password": password}).encode()
    try:
        browser.open(f"{url}login", form)
        return b"SigStyle" in browser.open(f"{url}config").read()
    except urllib.error.HTTPError as refused:
        assert refused.code in (400, 401)
        return False


def test_only_those_with_a_password_come_in(url: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{url}config")
    assert came_in(url, PASSWORD) and not came_in(url, "some-other-password")

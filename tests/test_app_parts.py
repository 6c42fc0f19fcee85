"""Dials made from the configs, and the flags of the app."""

import dataclasses
from pathlib import Path

import gradio as gr
import pytest

import app
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.ui import learn, restyle
from sigstyle.ui.parts import Dials


@pytest.mark.parametrize(
    ("config", "names", "ranges"),
    [
        (TransferConfig(), restyle.ADVANCED, restyle.RANGES),
        (TransferConfig(size_px=256, prompt="a castle", seed=9), restyle.ADVANCED, restyle.RANGES),
        (CaptureConfig(), learn.ADVANCED, learn.RANGES),
    ],
)
def test_dials_show_a_config_and_give_it_back(config: TransferConfig | CaptureConfig, names, ranges) -> None:
    with gr.Blocks():
        dials = Dials.build(type(config)(), names, ranges)
    settings = dials.settings(list(dials.showing(config).values()))
    assert type(config).from_dict(settings) == type(config).from_dict({n: getattr(config, n) for n in names})


def test_restyle_has_a_dial_for_every_setting_so_that_a_recipe_is_restored_whole() -> None:
    named = {*restyle.ADVANCED, "strength"}
    assert named == {entry.name for entry in dataclasses.fields(TransferConfig)}


def test_an_empty_number_is_the_base_s_own_however_the_browser_says_it() -> None:
    with gr.Blocks():
        dials = Dials.build(TransferConfig(), ["size_px"])
    assert [dials.settings([value])["size_px"] for value in (0, None, "", 256)] == [None, None, None, 256]


def test_every_dial_has_a_sentence() -> None:
    with gr.Blocks():
        for config, names in ((TransferConfig(), restyle.ADVANCED), (CaptureConfig(), learn.ADVANCED)):
            assert all(control.info.endswith(".") for control in Dials.build(config, names).controls)


def test_sharing_needs_a_login(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--auth FILE"):
        app.main(["--share", "--data", str(tmp_path / "data")])
    assert not (tmp_path / "data").exists()


def test_logins_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "people"
    file.write_text("anna:secret:with colon\n\nbert:other\n")
    assert app.logins(file) == [("anna", "secret:with colon"), ("bert", "other")]
    file.write_text("anna\n")
    with pytest.raises(SystemExit, match="without user or password"):
        app.logins(file)


def test_without_flags_only_this_computer_can_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    options = app.arguments([])
    assert (options.host, options.base, options.share, options.mcp) == ("127.0.0.1", "mini", False, False)

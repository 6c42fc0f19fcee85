"""Dials made from the configs, and the flags of the app."""

from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

import app
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.settings import settable
from sigstyle.studio.studio import Studio
from sigstyle.ui import learn, transfer_dials
from sigstyle.ui.painted_part import PaintedPart
from sigstyle.ui.parts import Dials
from sigstyle.ui.sizing import SizeChoice
from sigstyle.ui.transfer_dials import TransferDials


@pytest.mark.parametrize(
    ("config", "names", "ranges"),
    [
        (TransferConfig(), transfer_dials.MORE, transfer_dials.RANGES),
        (TransferConfig(margin_px=16, prompt="a castle"), transfer_dials.MORE, transfer_dials.RANGES),
        (TransferConfig(size_px=256), transfer_dials.SIZE, transfer_dials.RANGES),
        (CaptureConfig(), learn.ADVANCED, learn.RANGES),
    ],
)
def test_dials_show_a_config_and_give_it_back(config: TransferConfig | CaptureConfig, names, ranges) -> None:
    with gr.Blocks():
        dials = Dials.build(type(config)(), names, ranges)
    settings = dials.settings(list(dials.showing(config).values()))
    assert type(config).from_dict(settings) == type(config).from_dict({n: getattr(config, n) for n in names})


def test_restyle_has_a_dial_for_every_setting_so_that_a_recipe_is_restored_whole() -> None:
    named = {
        "strength",
        *transfer_dials.FRONT,
        *transfer_dials.PAINTED,
        *transfer_dials.SIZE,
        *transfer_dials.MORE,
        *transfer_dials.EXPERT,
    } | {*transfer_dials.PART}
    assert named == {entry.name for entry in settable(TransferConfig)}
    assert set(transfer_dials.PRESETS.values()) == set(TransferConfig.preset_names())


def shown(dials: TransferDials, changes: dict[Any, Any]) -> list[Any]:
    """What the page sends back once it shows these changes."""
    found = [changes.get(control, control) for control in dials.controls]
    return [value.value if isinstance(value, gr.components.Component) else value for value in found]


@pytest.mark.parametrize(
    "config",
    [
        TransferConfig(),
        TransferConfig(freedom=0.7, strokes=2.0, palette=0.5, steps=3, seed=4, size_px=64, prompt="a house"),
        TransferConfig.preset("classic"),
        TransferConfig.preset("classic", eta=0.3, steps=400, negative_prompt="rain", strength=0.5),
        TransferConfig.preset("paper", margin_px=16),
    ],
)
def test_the_dials_of_a_transfer_show_a_config_and_give_it_back(config: TransferConfig) -> None:
    with gr.Blocks():
        dials = TransferDials.build(TransferDials.front())
    changes = dials.showing(config)
    assert dials.config(shown(dials, changes)) == config
    assert (changes[dials.painted].visible, changes[dials.expert].visible) == (
        config.method == "paint",
        config.method == "swap",
    )
    assert set(changes) <= set(dials.outputs)


def test_another_way_brings_its_own_dials_and_leaves_what_is_shared() -> None:
    with gr.Blocks():
        dials = TransferDials.build(TransferDials.front())
    before = dials.showing(TransferConfig(seed=5, size_px=64, prompt="a house", freedom=0.9))
    for preset in ("classic", "paper", "default"):
        after = {**before, dials.preset: preset, **dials.switched(preset)}
        wanted = TransferConfig.preset(preset, seed=5, size_px=64, prompt="a house")
        assert dials.config(shown(dials, after)) == wanted


def test_one_control_says_how_large_and_another_which_part_and_both_give_their_settings_back() -> None:
    with gr.Blocks():
        with gr.Accordion() as whole:
            size, part = SizeChoice.build(), PaintedPart.build(whole)
        dials = TransferDials.build(TransferDials.front(), part, size)
    for config, usual, chosen in (
        (TransferConfig(), 512, "photo"),
        (TransferConfig(size_px=512, where="subject", invert_mask="on"), 512, "quick"),
        (TransferConfig(size_px=1024, where="20%,30%", feather=4.0), 512, "twice"),
        (TransferConfig(size_px=300), 512, "custom"),
        (TransferConfig.preset("classic", size_px=1024), 1024, "quick"),
    ):
        changes: dict[Any, Any] = dials.showing(config) | size.showing(config, usual) | {size.usual: usual}
        assert dials.config(shown(dials, changes)) == config and changes[size.choice].value == chosen
    assert size.settings(["twice", None, 1024]) == {"size_px": 2048}
    with pytest.raises(ConfigError, match="size_px is 0"):
        TransferConfig(**size.settings(["custom", None, 512]))
    with pytest.raises(ConfigError, match="Say at which place"):
        part.settings(["place", " ", False, 0])
    assert part.settings(["brush", "", True, 0]) == {"where": "", "invert_mask": "on", "feather": 0}


def test_the_size_control_says_what_comes_out(tmp_path: Path) -> None:
    with gr.Blocks():
        size = SizeChoice.build()
    studio, photos = Studio(tmp_path / "data", device="cpu"), [tmp_path / "a.jpg", tmp_path / "b.png"]
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (600, 400)).save(photos[0], exif=turned)
    (tmp_path / "b.png").write_bytes(b"no picture")

    def said(config: TransferConfig, files: list[Path], choice: str = "photo", **more: Any) -> dict[Any, Any]:
        return size.told(studio, "mini", files, lambda: config, choice, **more)

    def hint(*asked: Any, **more: Any) -> str:
        return said(*asked, **more)[size.hint].value

    assert "within seconds" in hint(TransferConfig(), [])
    assert hint(TransferConfig(), photos) == "<p>The picture gets 400 x 600 pixels.</p>"
    assert "the picture gets 81 x 122, the most" in hint(TransferConfig(max_megapixels=0.01), photos)
    assert "pictures get 512 px on the short side" in hint(TransferConfig(size_px=512), [photos[0]] * 2)
    assert "keeps your photo's 400 x 600" in hint(TransferConfig(size_px=20), photos, parts=True)
    changed = said(TransferConfig.preset("classic"), photos)
    assert changed[size.choice].value == "quick" and len(changed[size.choice].choices) == 3
    assert said(TransferConfig(size_px=300), photos, "custom")[size.custom].visible
    late = said(TransferConfig(), photos, "quick")[size.choice]
    assert "choices" in late.constructor_args and "value" not in late.constructor_args, "a choice made meanwhile stays"


def test_how_thoroughly_is_learned_follows_the_preset() -> None:
    assert learn.steps_of("Good", "default") == CaptureConfig().steps
    assert learn.steps_of("Thorough", "classic") == 2 * CaptureConfig.preset("classic").steps


def test_an_empty_number_is_the_base_s_own_however_the_browser_says_it() -> None:
    with gr.Blocks():
        dials = Dials.build(TransferConfig(), ["size_px"])
    assert [dials.settings([value])["size_px"] for value in (0, None, "", 256)] == [None, None, None, 256]


def test_every_dial_has_a_sentence() -> None:
    with gr.Blocks():
        for config, names in ((TransferConfig(), transfer_dials.EXPERT), (CaptureConfig(), learn.ADVANCED)):
            assert all(control.info.endswith(".") for control in Dials.build(config, names).controls)


def test_sharing_needs_a_login(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--auth FILE"):
        app.main(["--share", "--data", str(tmp_path / "data")])
    assert not (tmp_path / "data").exists()


def test_logins_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "people"
    file.write_text("anna:secret:with colon\n\nbert:another long one\n")
    assert app.logins(file) == [("anna", "secret:with colon"), ("bert", "another long one")]
    file.write_text("anna\n")
    with pytest.raises(SystemExit, match="without user or password"):
        app.logins(file)


def test_without_flags_only_this_computer_can_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    options = app.arguments([])
    assert (options.host, options.base, options.share, options.mcp) == ("127.0.0.1", "mini", False, False)

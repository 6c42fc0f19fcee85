import dataclasses
import json
import math
from typing import Any

import pytest

from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.painting.cost import transfer_cost
from sigstyle.settings import field_type, settable

CONFIGS = (CaptureConfig, TransferConfig)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_setting_explains_itself_and_its_range(config: type) -> None:
    for entry in dataclasses.fields(config):
        assert entry.metadata["help"]
        assert field_type(entry) in (int, float, str)
        if field_type(entry) is not str:
            assert entry.metadata["low"] < entry.metadata["high"]


@pytest.mark.parametrize("config", CONFIGS)
def test_settings_survive_json(config: type) -> None:
    for name in config.preset_names():
        preset = config.preset(name)
        assert config.from_dict(json.loads(json.dumps(preset.to_dict()))) == preset


@pytest.mark.parametrize("config", CONFIGS)
def test_the_default_preset_is_the_defaults_and_changes_go_on_top(config: type) -> None:
    assert config.preset() == config()
    assert config.preset("paper", steps=7).steps == 7


def test_the_paper_preset_is_the_published_schedule() -> None:
    paper = TransferConfig.preset("paper")
    assert (paper.steps, paper.inversion_iterations, paper.guidance_scale) == (50, 0, 7.5)
    assert paper.swap == "q" and paper.swap_until * paper.steps == 15
    assert paper.adain == paper.noise_sigma == 0


def test_transfers_keep_their_budgets_of_evaluations() -> None:
    assert transfer_cost(TransferConfig()).evaluations <= 4
    assert transfer_cost(TransferConfig()).further <= 4
    classic = TransferConfig.preset("classic")
    assert transfer_cost(classic).evaluations <= 54
    assert transfer_cost(classic).further <= 34


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (CaptureConfig, {"steps": 0}, "steps is 0; expected a whole number from 1"),
        (CaptureConfig, {"steps": 2.0}, "whole number"),
        (CaptureConfig, {"steps": True}, "whole number"),
        (CaptureConfig, {"token_lr": math.nan}, "expected a number"),
        (CaptureConfig, {"token_lr": "fast"}, "expected a number"),
        (CaptureConfig, {"targets": "all"}, "expected one of auto, most, attention"),
        (CaptureConfig, {"domain": " "}, "a few words"),
        (CaptureConfig, {"domain": "a <token>"}, "a few words"),
        (CaptureConfig, {"domain": 3}, "expected text"),
        (TransferConfig, {"method": "swap", "swap_until": 1.1}, "from 0 to 1"),
        (TransferConfig, {"method": "swap", "guidance_scale": math.inf}, "expected a number"),
        (TransferConfig, {"freedom": 1.1}, "from 0 to 1"),
        (TransferConfig, {"steps": 9}, "painting takes 1 to 8"),
        (TransferConfig, {"swap_until": 0.5}, "swap_until is not used by this preset; it belongs to classic and paper"),
        (
            TransferConfig,
            {"method": "swap", "freedom": 0.5},
            "freedom is not used by this preset; it belongs to default",
        ),
        (TransferConfig, {"seed": -1}, "from 0"),
        (TransferConfig, {"seed": None}, "whole number"),
        (TransferConfig, {"method": "swap", "swap": "v"}, "none, q, qk"),
    ],
)
def test_bad_values_are_refused(config: type, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**values)


def test_unknown_presets_and_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="expected one of default, classic, paper\\."):
        TransferConfig.preset("fast")
    with pytest.raises(ConfigError, match="Unknown setting speed"):
        TransferConfig.from_dict({"speed": 1})


@pytest.mark.parametrize(
    ("preset", "settings", "message"),
    [
        ("default", {"eta": 1.0, "anchor": 0.75}, "eta, anchor is not used .* classic and paper.*--preset classic"),
        ("classic", {"freedom": 0.4}, "freedom is not used .* belongs to default.*--preset default"),
        ("paper", {"strokes": 1.0}, "strokes is not used"),
    ],
)
def test_a_setting_of_another_preset_is_refused_even_at_its_usual_value(
    preset: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        TransferConfig.preset(preset, **settings)


def test_recipes_of_before_the_method_are_read_as_inverting_and_swapping() -> None:
    classic = TransferConfig.preset("classic", eta=0.5)
    before = {name: value for name, value in classic.to_dict().items() if name not in ("method", "palette")}
    assert TransferConfig.from_recipe(before) == classic
    for config in (classic, TransferConfig(freedom=0.2), TransferConfig.preset("paper")):
        assert TransferConfig.from_recipe(config.to_dict()) == config


@pytest.mark.parametrize(
    ("config", "preset", "changes"),
    [
        (TransferConfig(), "default", {}),
        (TransferConfig(freedom=0.2, seed=3), "default", {"freedom": 0.2, "seed": 3}),
        (TransferConfig.preset("classic"), "classic", {}),
        (TransferConfig.preset("classic", steps=50), "classic", {"steps": 50}),
        (TransferConfig.preset("paper", size_px=64), "paper", {"size_px": 64}),
    ],
)
def test_settings_are_said_as_the_nearest_preset_and_what_differs(
    config: TransferConfig, preset: str, changes: dict[str, Any]
) -> None:
    assert (config.nearest, config.changes(config.nearest)) == (preset, changes)
    assert TransferConfig.preset(preset, **changes) == config


def test_what_the_preset_alone_decides_is_not_set_by_people() -> None:
    names = {entry.name for entry in settable(TransferConfig)}
    assert {entry.name for entry in dataclasses.fields(TransferConfig)} - names == {"method"}


def test_a_size_may_be_left_to_the_base() -> None:
    assert TransferConfig(size_px=None).size_px is None
    assert CaptureConfig(size_px=256).size_px == 256


def test_what_a_message_quotes_is_short() -> None:
    long = "k" * 5000
    for wrong in ({long: 1}, {"seed": long}, {"prompt": [0] * 5000}, {"seed": 10**400}, {"method": long}):
        with pytest.raises(ConfigError) as caught:
            TransferConfig.from_dict(wrong)
        assert len(str(caught.value)) < 1000

import dataclasses
import json
import math
from typing import Any

import pytest

from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.painting.cost import transfer_cost
from sigstyle.settings import field_type

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


def test_the_default_transfer_keeps_its_budget_of_evaluations() -> None:
    config = TransferConfig()
    assert transfer_cost(config).evaluations <= 54
    assert transfer_cost(config).further <= 34


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (CaptureConfig, {"steps": 0}, "steps is 0; expected a whole number from 1"),
        (CaptureConfig, {"steps": 2.0}, "whole number"),
        (CaptureConfig, {"steps": True}, "whole number"),
        (CaptureConfig, {"token_lr": math.nan}, "expected a number"),
        (CaptureConfig, {"token_lr": "fast"}, "expected a number"),
        (CaptureConfig, {"targets": "all"}, "expected one of auto, attention"),
        (CaptureConfig, {"domain": " "}, "a few words"),
        (CaptureConfig, {"domain": "a <token>"}, "a few words"),
        (CaptureConfig, {"domain": 3}, "expected text"),
        (TransferConfig, {"swap_until": 1.1}, "from 0 to 1"),
        (TransferConfig, {"guidance_scale": math.inf}, "expected a number"),
        (TransferConfig, {"seed": -1}, "from 0"),
        (TransferConfig, {"seed": None}, "whole number"),
        (TransferConfig, {"swap": "v"}, "none, q, qk"),
    ],
)
def test_bad_values_are_refused(config: type, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**values)


def test_unknown_presets_and_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="expected one of default, paper\\."):
        TransferConfig.preset("fast")
    with pytest.raises(ConfigError, match="Unknown setting speed"):
        TransferConfig.from_dict({"speed": 1})


def test_a_size_may_be_left_to_the_base() -> None:
    assert TransferConfig(size_px=None).size_px is None
    assert CaptureConfig(size_px=256).size_px == 256

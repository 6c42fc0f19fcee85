import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_parts
from random_style import random_style
from test_base_model import save_pipeline
from typer.testing import CliRunner

from sigstyle import doctor
from sigstyle.base import model as base_model
from sigstyle.base.model import load_base
from sigstyle.cli.main import app
from sigstyle.style import shipped


@pytest.fixture(autouse=True)
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_MEASURE_S", 0.01)


def examined(*args: Any) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["doctor", "--json", *map(str, args)])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_it_tells_what_the_machine_can_do(tmp_path: Path) -> None:
    found = examined("--base", save_pipeline(tmp_path / "tiny", make_parts()), "--device", "cpu")
    assert found["versions"]["torch"] == torch.__version__
    assert "cpu" in found["devices"] and found["device_used"] == "cpu"
    assert found["cores"]["usable"] >= 1 and found["memory_gb"]["total"] > 0
    assert found["speed_tflops"]["float32"] > 0
    estimate = found["estimate"]
    assert (estimate["base"], estimate["dtype"], estimate["size_px"]) == ("tiny", "float32", 512)
    assert estimate["unet_forward_s"] > 0 and estimate["encode_s"] > 0 and estimate["decode_s"] > 0
    assert 0 < estimate["transfer_s"] < estimate["classic_transfer_s"]
    assert 0 < estimate["classic_transfer_in_a_further_style_s"] < estimate["classic_transfer_s"]
    assert estimate["capture_s"] > 0


@pytest.mark.parametrize(("able", "arithmetic"), [(True, "bfloat16"), (False, "float32")])
def test_it_tells_how_a_style_is_learned_and_why(monkeypatch: pytest.MonkeyPatch, able: bool, arithmetic: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": able})
    learning = examined("--base", "no/such/base", "--device", "cpu")["learning"]
    assert (learning["weights"], learning["arithmetic"]) == ("float32", arithmetic)
    assert "amx_bf16" in learning["because"]


def test_without_a_base_it_says_so_and_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (base_model, doctor):
        monkeypatch.setattr(module, "EMBEDDED_FOLDER", tmp_path / "mini")
    found = examined("--device", "cpu")
    assert "embedded base is missing" in found["estimate"]["problem"]
    assert "mini" not in [entry["base"] for entry in found["bases"]]


def test_shipped_styles_are_listed_good_and_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = save_pipeline(tmp_path / "tiny", make_parts())
    monkeypatch.setattr(shipped, "STYLES_FOLDER", tmp_path)
    random_style(load_base(base)).save(tmp_path / "good.safetensors")
    (tmp_path / "bad.safetensors").write_text("no")
    bad, good = examined("--base", base)["shipped_styles"]
    assert (good["style"], good["base"]) == ("good", "tiny") and good["can"] == ["default", "classic", "paper"]
    assert bad["style"] == "bad" and "cut off" in bad["problem"]


def test_bases_in_the_hub_cache_are_found(tmp_path: Path) -> None:
    assert doctor.cached_bases(tmp_path / "nothing") == []
    for name, files in {"some--sd": ["model_index.json", "unet/config.json"], "some--bert": ["config.json"]}.items():
        snapshot = tmp_path / f"models--{name}" / "snapshots" / ("a" * 40)
        for file in files:
            (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / file).write_text("{}")
        (tmp_path / f"models--{name}" / "refs").mkdir()
        (tmp_path / f"models--{name}" / "refs" / "main").write_text("a" * 40)
    assert [entry["base"] for entry in doctor.cached_bases(tmp_path)] == ["some/sd"]


def test_words_for_people() -> None:
    result = CliRunner().invoke(app, ["doctor", "--base", "no/such/base", "--device", "cpu"])
    assert result.exit_code == 0
    assert result.stdout.startswith("python: 3.")
    assert "  problem: There is no base no/such/base" in result.stdout

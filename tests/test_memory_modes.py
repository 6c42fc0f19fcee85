"""Low memory: networks away while they do not compute, prompts read twice, samples one by one; the same is learned."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import digest, make_painting
from random_style import random_style
from tiny_sdxl import make_xl_base

from benchmarks.meters import peak_bytes
from sigstyle import api
from sigstyle.base import devices
from sigstyle.base.devices import LOSS_SCALE, MEMORY, chosen_memory, low_dtype, training_arithmetic
from sigstyle.base.fingerprints import fingerprint
from sigstyle.base.model import BaseModel, load_base, placed
from sigstyle.config import CaptureConfig
from sigstyle.errors import ConfigError
from sigstyle.learning.loop import capture_style

FEW: dict[str, Any] = {"steps": 2, "size_px": 32, "crops": 1, "autocast": "off", "painting": 0, "rank": 2}
FEW |= {"targets": "attention", "autoencoder": "off", "batch_size": 1}
SMALL: dict[str, Any] = {"size_px": 64, "margin_px": 0}


def low_base(**settings: Any) -> BaseModel:
    """A tiny XL base as it is where memory is low; on a processor it has no other place to be."""
    base = make_xl_base(**settings)
    base.memory = "low"
    return placed(base, torch.device("cpu"))


def test_a_capture_learns_the_same_with_little_memory() -> None:
    config = CaptureConfig(**dict(FEW, batch_size=2))
    usual = capture_style(make_xl_base(), [make_painting()], "wave", config)
    spared = capture_style(low_base(), [make_painting()], "wave", config)
    assert spared.metadata["checkpointing"] and not usual.metadata["checkpointing"]
    for key, tensor in usual.tensors().items():
        torch.testing.assert_close(spared.tensors()[key].float(), tensor.float(), atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("preset", ["default", "classic"])
def test_a_picture_is_the_same_with_little_memory(preset: str) -> None:
    usual, low = make_xl_base(), low_base()
    settings = {**SMALL, "preset": preset, **({"steps": 2} if preset == "classic" else {})}
    one, two = (api.transfer(make_painting(), random_style(b, scale=0.2), base=b, **settings) for b in (usual, low))
    assert low.vae.use_tiling and low.vae.use_slicing and not usual.vae.use_tiling
    assert np.array_equal(np.asarray(one.images[0]), np.asarray(two.images[0]))


def test_networks_are_moved_one_after_the_other_and_stay_while_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device of the same kind as main memory: where each is, is told by what is asked of accelerate's hooks."""
    from sigstyle.base.placement import execution_device, offload, resident

    base = make_xl_base()
    base.memory, device = "low", torch.device("cpu")
    base.offloaded = offload([*base.text_encoders, base.unet, base.vae], device)
    assert [hook.model for hook in base.offloaded] == [*base.text_encoders, base.unet, base.vae]
    assert base.offloaded[1].hook.prev_module_hook is base.offloaded[0]
    assert execution_device(base.unet) == device
    with resident([base.unet, base.vae]):
        assert not hasattr(base.unet, "_hf_hook") and hasattr(base.text_encoder, "_hf_hook")
    assert hasattr(base.unet, "_hf_hook") and fingerprint(base.unet) == base.fingerprint
    rested: list[Any] = []
    for hook in base.offloaded:
        monkeypatch.setattr(hook, "offload", lambda hook=hook: rested.append(hook.model))
    capture_style(base, [make_painting()], "wave", CaptureConfig(**dict(FEW, steps=1)))
    assert rested[-4:] == [*base.text_encoders, base.unet, base.vae]
    assert rested[:2] == base.text_encoders and base.unet not in rested[:-4]


def test_losses_are_scaled_where_gradients_would_vanish_and_less_where_they_overflow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sigstyle.learning import loop

    config = CaptureConfig(**FEW)
    plain = capture_style(make_xl_base(), [make_painting()], "wave", config)
    own = loop.Learner.arithmetic

    for scale in (LOSS_SCALE, 2.0**140):  # the second is infinite in float32

        def scaled(learner: Any, scale: float = scale) -> Any:
            return devices.Arithmetic(False, own(learner).reason, scale)

        monkeypatch.setattr(loop.Learner, "arithmetic", scaled)
        found = capture_style(make_xl_base(), [make_painting()], "wave", config)
        for key, tensor in plain.tensors().items():
            torch.testing.assert_close(found.tensors()[key].float(), tensor.float(), atol=1e-4, rtol=1e-3)


def test_a_card_without_bfloat16_learns_in_float16_with_scaled_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    card = torch.device("cuda")
    for capability, dtype in (((7, 5), torch.float16), ((8, 6), torch.bfloat16)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device, found=capability: found)
        assert low_dtype(card) == dtype
        arithmetic = training_arithmetic(card, dtype)
        assert (arithmetic.loss_scale > 1) == (dtype == torch.float16) and not arithmetic.bfloat16


def test_auto_is_low_where_a_card_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "free_bytes", lambda _device: 8 * 10**9)
    card = torch.device("cuda")
    assert [chosen_memory("auto", card, size) for size in (7 * 10**9, 2 * 10**9)] == ["low", "auto"]
    assert [chosen_memory(mode, card, 7 * 10**9) for mode in MEMORY] == ["low", "low", "high"]
    assert chosen_memory("auto", torch.device("cpu"), 7 * 10**9) == "auto"
    with pytest.raises(ConfigError, match="memory is 'little'"):
        load_base("mini", "cpu", memory="little")


def test_compiled_channels_last_and_adapted_unets_keep_their_fingerprint() -> None:
    from peft import LoraConfig

    base = make_xl_base()
    assert fingerprint(torch.compile(base.unet)) == base.fingerprint  # type: ignore[arg-type]
    base.unet.to(memory_format=torch.channels_last)
    assert fingerprint(base.unet) == base.fingerprint
    before = digest(base.unet)
    base.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "conv1"]))
    assert digest(base.unet) != before and fingerprint(base.unet) == base.fingerprint


def test_the_command_line_takes_it(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from sigstyle.cli.main import app

    make_painting().save(tmp_path / "photo.png")
    told = CliRunner().invoke(
        app,
        ["transfer", str(tmp_path / "photo.png"), "-s", "great-wave", "-o", str(tmp_path / "o.png"), "--memory", "x"],
    )
    assert told.exit_code == 2 and "memory is 'x'" in told.output


def test_peak_bytes_is_what_is_there_at_once() -> None:
    layer = torch.nn.Linear(1000, 1000, bias=False)

    def work() -> torch.Tensor:
        first = torch.ones(1000)
        second = first * 2
        del first
        return second * 2

    assert peak_bytes(work) == 8000
    assert peak_bytes(lambda: layer(torch.ones(1000)), layer) == 8000

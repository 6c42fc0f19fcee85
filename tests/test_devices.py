import subprocess
import sys

import pytest
import torch

from sigstyle.base import devices
from sigstyle.base.devices import default_dtype, device_and_dtype, training_arithmetic
from sigstyle.errors import ConfigError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_what_is_not_given_stays_open() -> None:
    assert device_and_dtype(None, None) == (None, None)
    assert device_and_dtype("cpu", None) == (CPU, None)
    assert device_and_dtype(None, "bfloat16") == (None, torch.bfloat16)


@pytest.mark.parametrize(
    ("device", "dtype", "message"),
    [
        ("nowhere", None, "no device 'nowhere'"),
        ("meta:x", None, "no device"),
        (None, "int8", "expected one of"),
    ],
)
def test_what_this_machine_cannot_is_refused(device: str | None, dtype: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        device_and_dtype(device, dtype)


def test_weights_are_float16_on_cuda_alone() -> None:
    assert default_dtype(CUDA) == torch.float16
    assert default_dtype(CPU) == default_dtype(torch.device("mps")) == torch.float32


@pytest.mark.parametrize(
    ("flags", "bfloat16", "reason"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, True, "has amx_bf16 and avx512_bf16"),
        ({"amx_bf16": False, "avx512_bf16": True}, True, "has avx512_bf16"),
        ({"avx2": True}, False, "neither amx_bf16 nor avx512_bf16"),
    ],
)
def test_the_processors_flags_decide(
    monkeypatch: pytest.MonkeyPatch, flags: dict[str, bool], bfloat16: bool, reason: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    found = training_arithmetic(CPU, torch.float32)
    assert found.bfloat16 is bfloat16 and reason in found.reason


def test_the_dtype_of_the_weights_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert training_arithmetic(CPU, torch.float16).bfloat16
    assert not training_arithmetic(CPU, torch.bfloat16).bfloat16
    assert not training_arithmetic(torch.device("mps"), torch.float32).bfloat16


@pytest.mark.parametrize(("capability", "able"), [((9, 0), True), ((7, 5), False)])
def test_the_cards_capability_decides(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], able: bool) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    found = training_arithmetic(CUDA, torch.float32)
    assert found.bfloat16 is able
    assert f"capability {capability[0]}.{capability[1]}" in found.reason


def test_asking_for_the_names_of_dtypes_does_not_wait_for_torch() -> None:
    code = f"import sys, {devices.__name__}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"

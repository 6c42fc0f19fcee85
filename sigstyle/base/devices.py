"""Where work runs and in which number format; torch is imported when asked, so that a command's help need not wait."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sigstyle.errors import ConfigError

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "float16", "bfloat16")
MEMORY = ("auto", "low", "high")
_SPARE_BYTES = 3 * 2**30  # of activations at 1024 px, where everything stays on the device
LOSS_SCALE = 2.0**12
PREDICTIONS = ("epsilon", "v_prediction", "sample")  # what a UNet may have been trained to say of noisy latents
_BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")
_BFLOAT16_CAPABILITY = 8  # Ampere; cards before it emulate bfloat16, slowly


@dataclass(frozen=True)
class Arithmetic:
    """Whether to calculate in bfloat16, by what losses are multiplied so that gradients do not vanish, and why."""

    bfloat16: bool
    reason: str
    loss_scale: float = 1.0


def default_device() -> "torch.device":
    """CUDA, then Apple's MPS, then the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def default_dtype(device: "torch.device") -> "torch.dtype":
    """What a base's weights are held in: float16 on CUDA, float32 elsewhere."""
    import torch

    return torch.float16 if device.type == "cuda" else torch.float32


def low_dtype(device: "torch.device") -> "torch.dtype":
    """The 16 bits that a base's weights are held in where memory is low: bfloat16 where the device has units for it."""
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if _of_card(device).bfloat16 else torch.float16
    if device.type == "cpu":
        return torch.bfloat16 if _of_processor().bfloat16 else torch.float32
    return torch.float16


def check_memory(memory: str) -> None:
    """Raises ConfigError for what is no way to use memory."""
    if memory not in MEMORY:
        raise ConfigError(f"memory is {memory!r}; expected one of {', '.join(MEMORY)}.")


def chosen_memory(memory: str, device: "torch.device", weights_bytes: int) -> str:
    """What was asked for, or 'low' for 'auto' where a card's free memory does not hold everything at once."""
    if memory != "auto":
        return memory
    short = device.type == "cuda" and free_bytes(device) < weights_bytes + _SPARE_BYTES
    return "low" if short else "auto"


def free_bytes(device: "torch.device") -> int:
    """Memory of a device that can still be taken."""
    import psutil
    import torch

    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # held by torch for later
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return psutil.virtual_memory().available


def device_and_dtype(device: str | None, dtype: str | None) -> "tuple[torch.device | None, torch.dtype | None]":
    """A device that works on this machine and a dtype, or None for what is not given. Raises: ConfigError."""
    if device is None and dtype is None:
        return None, None
    import torch

    if dtype is not None and dtype not in DTYPES:
        raise ConfigError(f"dtype is {dtype!r}; expected one of {', '.join(DTYPES)}.")
    try:
        chosen = torch.zeros(1, device=device).device if device is not None else None
    except (RuntimeError, AssertionError) as error:  # the latter where torch was built without the device
        raise ConfigError(f"There is no device {device!r} here; 'python -m sigstyle doctor' lists them.") from error
    return chosen, getattr(torch, dtype) if dtype is not None else None


def training_arithmetic(device: "torch.device", weights: "torch.dtype") -> Arithmetic:
    """How a style is learned on `device` by a base with `weights` of this dtype: known from the hardware, not timed.

    A clock would decide by what else the machine is doing, and the same seed would give another style.
    """
    import torch

    if weights == torch.float16:
        if device.type == "cuda" and not _of_card(device).bfloat16:
            return Arithmetic(False, "the weights are float16 and the card has no bfloat16 units", LOSS_SCALE)
        return Arithmetic(True, "the weights are float16, in which gradients vanish")
    if weights != torch.float32:
        return Arithmetic(False, f"the weights are {str(weights).removeprefix('torch.')} already")
    if device.type == "cuda":
        return _of_card(device)
    if device.type == "cpu":
        return _of_processor()
    return Arithmetic(False, f"bfloat16 is no faster on {device.type}")


def _of_card(device: "torch.device") -> Arithmetic:
    import torch

    major, minor = torch.cuda.get_device_capability(device)
    able = major >= _BFLOAT16_CAPABILITY or torch.version.hip is not None  # AMD's cards that torch runs on all can
    return Arithmetic(able, f"the card has {'' if able else 'no '}bfloat16 units (compute capability {major}.{minor})")


def _of_processor() -> Arithmetic:
    import torch

    capabilities = torch.cpu.get_capabilities()
    found = [flag for flag in _BFLOAT16_FLAGS if capabilities.get(flag)]
    if found:
        return Arithmetic(True, f"the processor has {' and '.join(found)}")
    return Arithmetic(False, f"the processor has neither {' nor '.join(_BFLOAT16_FLAGS)}")

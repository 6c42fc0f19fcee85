"""What this machine can do: versions, devices, measured speed, bases and styles found, and times to expect."""

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from sigstyle import __version__
from sigstyle.base.autoencoder import decode_latents, encode_latents, pixels_per_latent
from sigstyle.base.devices import default_device, default_dtype, training_arithmetic
from sigstyle.base.model import EMBEDDED, EMBEDDED_FOLDER, BaseModel, load_base, trained_size_px
from sigstyle.base.speed import Speed
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.diffusion.denoise import predict
from sigstyle.errors import SigStyleError, StyleFileError
from sigstyle.learning.bank import window_px
from sigstyle.learning.cost import capture_cost
from sigstyle.painting.cost import transfer_cost
from sigstyle.style.shipped import shipped_styles
from sigstyle.style.style import Style

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "safetensors", "gradio")
ESTIMATE_SIZE_PX = 512
_MEASURE_S = 0.3


def examine(base: str = EMBEDDED, device: torch.device | None = None) -> dict[str, Any]:
    """Everything found, as plain values; what cannot be had is said in words instead of raising."""
    device = device or default_device()
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"sigstyle": __version__, **{name: _version(name) for name in PACKAGES}},
        "devices": _devices(),
        "device_used": str(device),
        "cores": {"usable": _usable_cores(), "threads_of_torch": torch.get_num_threads()},
        "memory_gb": _memory_gb(),
        "speed_tflops": {
            str(dtype).removeprefix("torch."): measured_tflops(device, dtype)
            for dtype in (torch.float32, torch.bfloat16)
        },
        "learning": _learning(device),
        "bases": [*_embedded(), *cached_bases()],
        "shipped_styles": [_style(path) for path in shipped_styles()],
        "estimate": _estimate(base, device),
    }


def _learning(device: torch.device) -> dict[str, Any]:
    """In which arithmetic a style is learned here, and why."""
    weights = default_dtype(device)
    chosen = training_arithmetic(device, weights)
    calculates = "bfloat16" if chosen.bfloat16 else str(weights).removeprefix("torch.")
    return {"weights": str(weights).removeprefix("torch."), "arithmetic": calculates, "because": chosen.reason}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _devices() -> dict[str, str]:
    """Devices by the name that --device takes."""
    found = {"cpu": platform.processor() or platform.machine()}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GB"
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    return found


def _usable_cores() -> int | None:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _memory_gb() -> dict[str, float]:
    """Main memory, all and free."""
    import psutil

    memory = psutil.virtual_memory()
    return {"total": round(memory.total / 2**30, 1), "available": round(memory.available / 2**30, 1)}


def _synchronize(device: torch.device) -> None:
    """Waits until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds of one call, the best of those that fit into a short while; the first is not counted."""
    work()
    _synchronize(device)
    best, started = float("inf"), time.perf_counter()
    while best == float("inf") or time.perf_counter() - started < _MEASURE_S:
        before = time.perf_counter()
        work()
        _synchronize(device)
        best = min(best, time.perf_counter() - before)
    return best


def measured_tflops(device: torch.device, dtype: torch.dtype) -> float | str:
    """Measured speed of a matrix product, in 10^12 operations a second."""
    side = 1024 if device.type == "cpu" else 4096
    try:
        matrix = torch.ones(side, side, device=device, dtype=dtype)
        return round(2 * side**3 / _seconds(lambda: matrix @ matrix, device) / 1e12, 3)
    except RuntimeError as error:
        return f"cannot run: {str(error).splitlines()[0]}"


def _embedded() -> list[dict[str, Any]]:
    """The base that comes with the project, if it is there."""
    if not EMBEDDED_FOLDER.is_dir():
        return []
    size = sum(file.stat().st_size for file in EMBEDDED_FOLDER.rglob("*") if file.is_file())
    return [{"base": EMBEDDED, "where": str(EMBEDDED_FOLDER), "mb": round(size / 1e6)}]


def cached_bases(folder: Path | None = None) -> list[dict[str, Any]]:
    """Diffusers pipelines in the local hub cache, or in such a `folder`; nothing is asked of the network."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir(folder).repos
    except (CacheNotFound, OSError, ValueError):
        return []
    pipelines = [r for r in repositories if r.repo_type == "model" and _is_pipeline(r)]
    return [
        {"base": r.repo_id, "where": str(r.repo_path), "mb": round(r.size_on_disk / 1e6)}
        for r in sorted(pipelines, key=lambda r: r.repo_id)
    ]


def _is_pipeline(repository: Any) -> bool:
    """Whether a cached repository holds a pipeline in diffusers layout with a UNet."""
    return any(
        {"model_index.json", "unet"} <= {part for file in revision.files for part in _parts(revision, file)}
        for revision in repository.revisions
    )


def _parts(revision: Any, file: Any) -> tuple[str, ...]:
    return Path(file.file_path).relative_to(revision.snapshot_path).parts


def _style(path: Path) -> dict[str, Any]:
    """A shipped style, or why it cannot be used."""
    try:
        style = Style.load(path)
    except StyleFileError as error:
        return {"style": path.stem, "problem": str(error)}
    return {
        "style": path.stem,
        "base": style.base_name,
        "can": style.abilities,
        "kb": round(path.stat().st_size / 1000),
    }


def _estimate(base: str, device: torch.device) -> dict[str, Any]:
    """Seconds that captures and transfers take, from the measured speed of UNet and autoencoder."""
    try:
        loaded = load_base(base, device, offline=True)
        speed = measured_speed(loaded, ESTIMATE_SIZE_PX)
        capture_s = _capture_seconds(loaded, speed)
    except (SigStyleError, RuntimeError) as error:
        return {"base": base, "problem": " ".join(str(error).split())}
    default, classic = transfer_cost(TransferConfig()), transfer_cost(TransferConfig.preset("classic"))
    return {
        "base": loaded.name,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "size_px": ESTIMATE_SIZE_PX,
        "unet_forward_s": round(speed.evaluation_s, 3),
        "encode_s": round(speed.encoding_s, 3),
        "decode_s": round(speed.decoding_s, 3),
        "transfer_s": round(speed.seconds(default.evaluations, encodings=1, decodings=1), 1),
        "classic_transfer_s": round(speed.seconds(classic.evaluations, encodings=1, decodings=1), 1),
        "classic_transfer_in_a_further_style_s": round(speed.seconds(classic.further, decodings=1), 1),
        "capture_s": round(capture_s, 1),
    }


@torch.no_grad()
def measured_speed(base: BaseModel, size_px: int, bfloat16: bool = False) -> Speed:
    """How fast the base runs on one square image, with `bfloat16` in that arithmetic."""
    side = size_px // pixels_per_latent(base.vae)
    latents = torch.zeros(1, base.unet.config.in_channels, side, side, device=base.device)
    pixels = torch.zeros(1, 3, size_px, size_px)
    embeds = base.reader.encode([""])
    timestep = torch.tensor(500, device=base.device)
    with base.lock, torch.autocast(base.device.type, torch.bfloat16, enabled=bfloat16):
        return Speed(
            _seconds(lambda: predict(base.unet, latents, timestep, embeds), base.device),
            _seconds(lambda: encode_latents(base.vae, pixels), base.device),
            _seconds(lambda: decode_latents(base.vae, latents), base.device),
        )


def _capture_seconds(base: BaseModel, image: Speed) -> float:
    """Seconds of a default capture, whose steps are taken in the arithmetic of learning."""
    bfloat16 = training_arithmetic(base.device, base.dtype).bfloat16
    crop, window = (measured_speed(base, side, bfloat16) for side in (trained_size_px(base), window_px(base)))
    return capture_cost(CaptureConfig()).seconds(crop, window, image)

"""What a batch will take: counts, and time and memory from one UNet evaluation measured here."""

from pathlib import Path
from typing import Any

import psutil
import torch
from PIL import Image

from sigstyle.base.autoencoder import pixels_per_latent
from sigstyle.base.model import BaseModel, default_size_px
from sigstyle.base.speed import Speed
from sigstyle.batches.batch import TOGETHER_ON_CUDA, Plan
from sigstyle.batches.jobs import Output
from sigstyle.config import TransferConfig
from sigstyle.diffusion.attention import recorded, recording, self_attention_layers
from sigstyle.diffusion.denoise import predict
from sigstyle.diffusion.inversion import swapped_steps
from sigstyle.doctor import measured_speed
from sigstyle.imaging.opening import size_by_header
from sigstyle.painting.cost import Cost, painted_cost, transfer_cost
from sigstyle.painting.inversion import trace_key
from sigstyle.painting.sizes import FINE_TILE_PX, Sizes
from sigstyle.style.ingredients import Loading


def estimate(planned: Plan, base: str | None, loading: Loading, together: int | None) -> dict[str, Any]:
    """Counts, and the seconds and memory of what is missing, for one process on this machine; nothing is written."""
    missing = planned.missing()
    data: dict[str, Any] = {
        "output": str(planned.folder),
        "photos": len({output.photo.label for output in planned.outputs}),
        "styles": len({output.look.label for output in planned.outputs}),
        "pictures": len(planned.outputs),
        "there_already": len(planned.outputs) - len(missing),
        "to_make": len(missing),
        "cannot_be_opened": _unreadable(missing),
    }
    if not missing:
        return data
    loaded = loading.base(base, planned.outputs[0].look.style)
    rows = together or (TOGETHER_ON_CUDA if loaded.device.type == "cuda" else 1)
    tiles = {output.name: _fine_tiles(output, loaded) for output in missing}
    sides = {_side(output, loaded) for output in missing} | ({FINE_TILE_PX} if any(tiles.values()) else set())
    speeds = {side: measured_speed(loaded, side) for side in sorted(sides)}

    def speed(output: Output) -> Speed:
        return speeds[_side(output, loaded)]

    seconds = sum(speed(output).seconds(_cost(output).further, decodings=1) for output in missing)
    seconds += sum(speed(output).seconds(_cost(output).inverting, encodings=1) for output in _firsts(missing))
    if any(tiles.values()):
        seconds += sum(tiles.values()) * speeds[FINE_TILE_PX].seconds(1, encodings=1, decodings=1)
    return data | {
        "base": loaded.name,
        "device": str(loaded.device),
        "unet_evaluation_s": {f"{side} px": round(value.evaluation_s, 4) for side, value in speeds.items()},
        "encode_s": {f"{side} px": round(value.encoding_s, 4) for side, value in speeds.items()},
        "decode_s": {f"{side} px": round(value.decoding_s, 4) for side, value in speeds.items()},
        "seconds": round(seconds, 1),
        "in_words": f"about {_words(seconds)} by one process; square photos, one per evaluation, writing not counted",
        "memory_gb": _memory_gb(missing, loaded, rows),
    }


def _words(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 2:
        return f"{seconds:.0f} seconds"
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"


def _unreadable(outputs: list[Output]) -> list[str]:
    """Photos whose header alone shows that they cannot be read."""
    bad = []
    for photo in {output.photo.label: output.photo for output in outputs}.values():
        if isinstance(photo.source, str | Path):
            try:
                if not Path(photo.source).expanduser().is_file():
                    raise OSError
                Image.open(Path(photo.source).expanduser()).close()
            except Exception:  # whatever a damaged file makes of a decoder
                bad.append(photo.origin)
    return bad


def _side(output: Output, base: BaseModel) -> int:
    """The short side at which a photo is worked at."""
    size = size_by_header(output.photo.source)
    if size is None or output.config.method != "paint":
        return output.config.size_px or default_size_px(base)
    return Sizes.of(size, base, output.config).work_px


def _fine_tiles(output: Output, base: BaseModel) -> int:
    """In how many tiles a picture is refined."""
    size = size_by_header(output.photo.source)
    if size is None or output.config.method != "paint":
        return 0
    return painted_cost(output.config, base, size).refining


def _cost(output: Output) -> Cost:
    return transfer_cost(output.config, references=0 if output.look.style.reference is None else 1)


def _firsts(outputs: list[Output]) -> list[Output]:
    """One output for each trace that has to be made: those whose traces are alike share one."""
    found: dict[tuple, Output] = {}
    for output in outputs:
        key = (output.photo.label, *trace_key(output.config, output.look.label))
        found.setdefault(key, output)
    return list(found.values())


def _memory_gb(outputs: list[Output], base: BaseModel, rows: int) -> dict[str, float]:
    """Peak memory of one process: what one evaluation reached, and the traces of the photos in work."""
    largest = max(outputs, key=lambda output: (_side(output, base), output.config.steps))
    trace = _trace_bytes(base, _side(largest, base), largest.config) * rows
    if base.device.type == "cuda":
        one = torch.cuda.max_memory_allocated(base.device)
        weights = torch.cuda.memory_allocated(base.device)
        peak = weights + (one - weights) * rows * _cost(largest).rows
        return {"gpu": round((peak + trace) / 2**30, 2), "gpu_total": round(_cuda_total(base.device) / 2**30, 2)}
    peak = psutil.Process().memory_info().rss
    memory = psutil.virtual_memory()
    return {"process": round((peak + trace) / 2**30, 2), "available": round(memory.available / 2**30, 2)}


def _cuda_total(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).total_memory


@torch.no_grad()
def _trace_bytes(base: BaseModel, side_px: int, config: TransferConfig) -> int:
    """What the trace of one square photo holds: its latents, and the projections of the steps that are swapped.

    Of a painted photo it is its latents and their noise.
    """
    side = side_px // pixels_per_latent(base.vae)
    latents = torch.zeros(1, base.unet.config.in_channels, side, side, device=base.device)
    if config.method == "paint":
        return 2 * latents.nbytes
    embeds = base.reader.encode([""])
    with recording(base.unet, self_attention_layers(base.unet), config.swap == "qk") as recorders:
        predict(base.unet, latents, torch.tensor(500, device=base.device), embeds)
    projections = [tensor for layer in recorded(recorders).values() for tensor in layer if tensor is not None]
    swapped = 0 if config.swap == "none" else swapped_steps(config.swap_until, config.steps)
    return (config.steps + 1) * latents.nbytes + swapped * sum(tensor.nbytes for tensor in projections)

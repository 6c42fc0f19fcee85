"""What SigStyle costs beside the published method and plain diffusers, as Markdown tables.

python -m benchmarks.cost counts     UNet evaluations and FLOPs at the size of Stable Diffusion 1.5; no weights
python -m benchmarks.cost mini       seconds and memory on the embedded base
python -m benchmarks.cost full       seconds and memory of single steps at the size of Stable Diffusion 1.5
"""

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.meters import Kind, Kinds, evaluations, flops, median_seconds, seconds_and_memory
from benchmarks.painting_work import DefaultCapture, default_transfer
from benchmarks.random_base import NARROW, random_base
from benchmarks.work import (
    capture_step,
    decoding,
    evaluation,
    img2img,
    kinds_of,
    published_capture_step,
    swapped_transfer,
    transfers,
)
from sigstyle.base.model import BaseModel, load_base
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.learning.bank import window_px
from sigstyle.learning.checkpointing import Kept

SIZE_PX = 512
NARROW_SIZE_PX = 128
PUBLISHED_STEPS = 1500
STEP_KINDS = (Kind(1, "plain"), Kind(1, "recorded"), Kind(1, "swapped"), Kind(2, "plain"), Kind(2, "swapped"))


def weightless_base() -> BaseModel:
    """Stable Diffusion 1.5 in shapes alone: everything runs and nothing is computed, so operations can be counted."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        return random_base()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def transfer_kinds() -> dict[str, Kinds]:
    """UNet evaluations of every transfer by kind, by running them on a narrow UNet."""
    base = random_base(NARROW)
    return kinds_of(base, transfers(base, NARROW_SIZE_PX))


def transfer_flops(found: Mapping[str, Kinds], full: BaseModel) -> dict[str, tuple[int, int]]:
    """(UNet evaluations, FLOPs of the UNet at the size of Stable Diffusion 1.5) of transfers."""
    each = {kind: flops(evaluation(full, kind, SIZE_PX)) for kind in set().union(*found.values())}
    return {
        name: (evaluations(kinds), sum(each[kind] * count for kind, count in kinds.items()))
        for name, kinds in found.items()
    }


def whole_default_transfer_flops(full: BaseModel, margin_px: int) -> int:
    """FLOPs of one default transfer as it runs: autoencoder, margin and all."""
    return flops(default_transfer(full, SIZE_PX, margin_px))


def sample_flops(full: BaseModel) -> dict[str, int]:
    """FLOPs of training at the size of Stable Diffusion 1.5, for one sample."""
    default = DefaultCapture.of(full)
    crops, photos, share = default.config.batch_size, default.config.painting, default.config.subcrop
    whole, half = (flops(default.remembered(half_size)) // crops for half_size in (False, True))
    return {
        "published, rebuilt": flops(published_capture_step(full, SIZE_PX)),
        "ours, a whole crop": whole,
        "ours, a half-size window": half,
        "ours, mean of the crops": round((1 - share) * whole + share * half),
        f"ours, a photo painted ({window_px(full)} px)": flops(default.painted()) // photos,
        "ours, a photo painted, checkpointed": flops(default.painted(less=True)) // photos,
    }


def default_capture_flops(full: BaseModel, less: bool = False) -> int:
    """FLOPs of a whole default capture, from its two sorts of whole steps and what goes before."""
    default = DefaultCapture.of(full)
    whole, half = (flops(default.step(half_size, less)) for half_size in (False, True))
    steps, share = default.config.steps, default.config.subcrop
    return flops(default.prepared) + round(steps * ((1 - share) * whole + share * half))


def classic_capture_flops(full: BaseModel) -> int:
    """FLOPs of the steps of a classic capture."""
    config = CaptureConfig.preset("classic")
    whole, half = (flops(capture_step(full, config.batch_size, side)) for side in (SIZE_PX, SIZE_PX // 2))
    return round(config.steps * ((1 - config.subcrop) * whole + config.subcrop * half))


def kept_memory(full: BaseModel) -> dict[str, Kept]:
    """What a default capture keeps for the way back, by sample."""
    default = DefaultCapture.of(full)
    with default.attached():
        return {"a photo painted": default.painting.kept(), "a whole crop remembered": default.remembering.kept()}


def counts() -> None:
    """Prints what can be counted exactly."""
    full = weightless_base()
    found = transfer_flops(transfer_kinds(), full)
    published, autoencoder = found["published, rebuilt"][1], flops(decoding(full, SIZE_PX))
    rows = [[name, str(n), f"{f / 1e12:.1f}", _quotient(published, f)] for name, (n, f) in found.items()]
    _print_table(["one transfer at 512 px", "UNet evaluations", "TFLOP of the UNet", "published / this"], rows)

    margin, whole = TransferConfig().margin_px, published + autoencoder
    wholes = {"published, rebuilt": whole}
    wholes |= {f"preset default, margin of {side} px": whole_default_transfer_flops(full, side) for side in (0, margin)}
    rows = [[name, f"{f / 1e12:.1f}", _quotient(whole, f)] for name, f in wholes.items()]
    _print_table(["one transfer at 512 px with the autoencoder's way in and out", "TFLOP", "published / this"], rows)

    samples = sample_flops(full)
    one = samples["published, rebuilt"]
    rows = [[name, f"{f / 1e12:.2f}", _quotient(one, f)] for name, f in samples.items()]
    _print_table(["one training sample at 512 px", "TFLOP", "published / this"], rows)

    rows = [
        [name, f"{kept.usual / 2**20:.0f}", f"{kept.checkpointed / 2**20:.0f}"]
        for name, kept in kept_memory(full).items()
    ]
    _print_table(["kept for the way back, float32", "MB", "MB checkpointed"], rows)

    default, classic = CaptureConfig(), CaptureConfig.preset("classic")
    each = f"{default.steps} steps of {default.batch_size} remembered and {default.painting} painted"
    totals = {
        f"published, rebuilt: {PUBLISHED_STEPS} steps of 1 sample": PUBLISHED_STEPS * one,
        f"classic: {classic.steps} steps of {classic.batch_size}": classic_capture_flops(full),
        f"default: {each}": default_capture_flops(full),
        "default, checkpointed": default_capture_flops(full, less=True),
    }
    rows = [[name, f"{f / 1e12:.0f}", _quotient(PUBLISHED_STEPS * one, f)] for name, f in totals.items()]
    _print_table(["one capture", "TFLOP", "published / this"], rows)


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(table(head, rows), end="\n\n", flush=True)


def _quotient(published: float, ours: float) -> str:
    return f"{published / ours:.1f}"


def _print_steps(base: BaseModel, repeats: int, kinds: Sequence[Kind]) -> None:
    """Prints CPU seconds and peak memory of single evaluations and of training steps."""
    works = {f"{kind.rows} x {kind.attention}": evaluation(base, kind, SIZE_PX) for kind in kinds}
    memory = {name: seconds_and_memory(work)[1] for name, work in works.items()}
    seconds = median_seconds(works, repeats)
    plain = seconds["1 x plain"]
    rows = [
        [name, f"{each:.3f}", f"{each / plain:.3f}", f"{memory[name] / 2**20:.0f}"] for name, each in seconds.items()
    ]
    print(table(["one UNet evaluation at 512 px", "CPU seconds", "/ plain", "peak MB"], rows), end="\n\n", flush=True)

    steps = {
        "published, rebuilt: 1 sample": published_capture_step(base, SIZE_PX),
        "ours: 1 sample, a whole crop": capture_step(base, 1, SIZE_PX),
        "ours: 1 sample, a half-size window": capture_step(base, 1, SIZE_PX // 2),
    }
    _print_measured("one training step at 512 px", steps)


def _print_measured(title: str, works: dict[str, Callable[[], Any]]) -> None:
    """Prints CPU seconds and peak memory of each piece of work, and the first's seconds over its own."""
    rows, first = [], None
    for name, work in works.items():
        seconds, memory = seconds_and_memory(work)
        first = first or seconds
        rows.append([name, f"{seconds:.2f}", f"{first / seconds:.1f}", f"{memory / 2**20:.0f}"])
    print(table([title, "CPU seconds", "first / this", "peak MB"], rows), end="\n\n", flush=True)


def mini() -> None:
    """Prints seconds and memory on the embedded base: single steps, then whole transfers."""
    base = load_base("mini", "cpu", torch.float32)
    _print_steps(base, 5, STEP_KINDS)
    steps_of_ours, steps_of_diffusers = step_seconds(base)
    print(f"a swapped step {steps_of_ours:.3f} s, a step of diffusers' img2img {steps_of_diffusers:.3f} s: ", end="")
    print(f"{100 * (steps_of_ours / steps_of_diffusers - 1):+.1f} %", end="\n\n", flush=True)
    works = transfers(base, SIZE_PX)
    names = ("preset classic", "preset classic, one more style", "preset default", "preset default, one more style")
    names += ("diffusers img2img, steps of classic",)
    _print_measured("one transfer at 512 px", {name: works[name] for name in names})


def step_seconds(base: BaseModel, repeats: int = 3, steps: int = 6) -> tuple[float, float]:
    """Median CPU seconds of a swapped step of ours and of a step of diffusers' img2img, run by turns."""
    ends: list[float] = []

    def note(_pipe: Any, _step: int, _timestep: int, tensors: dict[str, Any]) -> dict[str, Any]:
        ends.append(time.process_time())
        return tensors

    def durations(work: Callable[[], Any]) -> list[float]:
        ends.clear()
        work()
        return [later - earlier for earlier, later in zip(ends, ends[1:], strict=False)]

    ours = swapped_transfer(base, SIZE_PX, steps, note)
    diffusers = img2img(base, SIZE_PX, steps, 1.0, note)
    found: dict[str, list[float]] = {"ours": [], "diffusers": []}
    for _ in range(repeats):
        found["ours"] += durations(ours)
        found["diffusers"] += durations(diffusers)
    return statistics.median(found["ours"]), statistics.median(found["diffusers"])


def full() -> None:
    """Prints seconds and memory of single steps with random weights of Stable Diffusion 1.5's shapes."""
    _print_steps(random_base(), 1, STEP_KINDS[:3])


def main() -> None:
    """Runs the parts named on the command line."""
    parts = {"counts": counts, "mini": mini, "full": full}
    if not sys.argv[1:] or set(sys.argv[1:]) - set(parts):
        sys.exit(f"usage: python -m benchmarks.cost {'|'.join(parts)}…")
    for name in sys.argv[1:]:
        parts[name]()


if __name__ == "__main__":
    main()

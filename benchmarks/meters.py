"""Meters: floating point operations, seconds, peak memory, and which UNet evaluations a piece of work makes."""

import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, NamedTuple

import psutil
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from sigstyle.diffusion.attention import Recorder, self_attention_layers
from sigstyle.diffusion.step_attention import SteeredProcessor

_CPU_ATTENTION = {  # what PyTorch's counter leaves out
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda grad, q, k, v, *_, **__: (
        sdpa_backward_flop_count(grad, q, k, v)
    ),
}


class Kind(NamedTuple):
    """One sort of UNet evaluation: how many latents at once, and 'plain', 'recorded' or 'swapped' attention."""

    rows: int
    attention: str


Kinds = Counter[Kind]


def evaluations(kinds: Kinds) -> int:
    """UNet evaluations, counted by latents: guidance makes two at once."""
    return sum(kind.rows * count for kind, count in kinds.items())


@contextmanager
def counted_evaluations(*unets: Any) -> Iterator[Kinds]:
    """Counts the evaluations of these UNets within the context, by kind."""
    kinds: Kinds = Counter()

    def count(unet: Any, args: tuple[Any, ...]) -> None:
        processor = unet.get_submodule(self_attention_layers(unet)[0]).processor
        swapped = isinstance(processor, SteeredProcessor) and processor.swapped is not None
        recorded = isinstance(processor, Recorder)
        kinds[Kind(len(args[0]), "swapped" if swapped else "recorded" if recorded else "plain")] += 1

    handles = [unet.register_forward_pre_hook(count) for unet in unets]
    try:
        yield kinds
    finally:
        for handle in handles:
            handle.remove()


def flops(work: Callable[[], Any]) -> int:
    """Floating point operations of matrix products, convolutions and attention in `work`, backward passes included."""
    with FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as counter:
        work()
    return counter.get_total_flops()


_identity = attrgetter("_cdata")  # of a piece of memory, also of one without any (the meta device)


def kept_bytes(work: Callable[[], Any], *models: torch.nn.Module) -> int:
    """Bytes that autograd keeps for the way back while `work` runs, those of the models' own weights left out.

    Each piece of memory counts once. What is made and dropped on the way is not counted.
    """
    weights = {_identity(tensor.untyped_storage()) for model in models for tensor in model.state_dict().values()}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no number is given out twice

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if _identity(storage) not in weights:
            kept[_identity(storage)] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        work()
    return sum(storage.nbytes() for storage in kept.values())


class _Live(TorchDispatchMode):
    """Follows which pieces of memory are there, operation by operation."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()
        self.known, self.held, self.total, self.peak = known, {}, 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._see, made)
        return made

    def _see(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        reference = StorageWeakRef(storage)
        if reference.cdata in self.known or reference.cdata in self.held:
            return
        self.held[reference.cdata] = (reference, storage.nbytes())
        self.total += storage.nbytes()
        if self.total > self.peak:
            self._drop()
            self.peak = max(self.peak, self.total)

    def _drop(self) -> None:
        for key in [key for key, (reference, _) in self.held.items() if reference.expired()]:
            self.total -= self.held.pop(key)[1]


def peak_bytes(work: Callable[[], Any], *models: torch.nn.Module) -> int:
    """Bytes of all tensors that are there at once while `work` runs, at most; those of the models' weights left out.

    What libraries take for themselves beside tensors, and what an allocator rounds up, is not counted.
    """
    weights = {tensor.untyped_storage() for model in models for tensor in model.state_dict().values()}
    with _Live({StorageWeakRef(storage).cdata for storage in weights}) as live:
        work()
    return live.peak


def median_seconds(works: Mapping[Any, Callable[[], Any]], repeats: int) -> dict[Any, float]:
    """Median CPU seconds of each piece of work, by turns: other programs on the machine count for little."""
    seconds: dict[Any, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            started = time.process_time()
            work()
            seconds[name].append(time.process_time() - started)
    return {name: statistics.median(each) for name, each in seconds.items()}


def seconds_and_memory(work: Callable[[], Any]) -> tuple[float, int]:
    """CPU seconds of `work`, and the bytes of main memory it took at its peak above what was in use before.

    Memory is sampled every 5 ms.
    """
    process, done = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    watcher, started = threading.Thread(target=watch), time.process_time()
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return time.process_time() - started, peak - before

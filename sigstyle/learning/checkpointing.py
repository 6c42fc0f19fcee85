"""Memory for the way back through the networks: kept, or gained by computing blocks once more; decided here alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.checkpoint import checkpoint

_BLOCKS = (ResnetBlock2D, BasicTransformerBlock, AutoencoderTinyBlock, Upsample2D)
_SHARE = 0.8  # of the free memory; the rest is for what is made and dropped on the way
_MB = 2**20

Forward = Callable[..., Any]


@dataclass(frozen=True)
class Kept:
    """Bytes kept for the way back, of one sample: as usual, and at most where blocks are computed once more."""

    usual: int
    checkpointed: int


@dataclass(frozen=True)
class Room:
    """Whether blocks are computed once more on the way back, whether photos are painted at all, and both in words.

    `notice` is '' where nothing is out of the ordinary.
    """

    checkpointing: bool = False
    painting: bool = True
    notice: str = ""


def room_for(photo: Kept, usual: int, device: str, free: int, begun: bool = False) -> Room:
    """How to learn in `free` bytes of a device, where a step as usual keeps `usual` and one photo in it `photo`.

    Everything is kept where it fits. Where it does not, gradients are the same with blocks computed once more, which
    takes longer. Where not even one photo fits so, none is painted, unless painting has `begun`.
    """
    room, has = int(_SHARE * free), f"on {device} {free / _MB:.0f} MB are free"
    if usual <= room:
        return Room()
    if begun or photo.checkpointed <= room:
        return Room(
            checkpointing=True,
            notice=f"A step would keep {usual / _MB:.0f} MB for its gradients, and {has}: parts of the networks are "
            "computed once more instead, which takes longer and learns the same.",
        )
    return Room(
        checkpointing=True,
        painting=False,
        notice=f"No photos are painted while learning: one takes {photo.checkpointed / _MB:.0f} MB, and {has}. The "
        "style only remembers its image, and paints weaker strokes. For photos too, use a device with more memory, "
        "float16 or the base mini.",
    )


@contextmanager
def checkpointing(*parts: nn.Module) -> Iterator[None]:
    """Within the context the blocks of `parts` keep their inputs alone for the way back, and are computed once more.

    Nothing random is in them, so values, gradients and generators are as without.
    """
    with _forwards(parts, lambda forward: partial(checkpoint, forward, use_reentrant=False, preserve_rng_state=False)):
        yield


def kept_by(work: Callable[[], Any], parts: Sequence[nn.Module], models: Sequence[nn.Module]) -> Kept:
    """What autograd would keep of `work`, counted by running it forward and keeping nothing.

    It is the blocks of `parts` that `checkpointing` would compute once more; the weights of `models` are left out.
    """
    weights = {_identity(tensor) for model in models for tensor in model.state_dict().values()}
    usual, between, largest = _Counter(weights), _Counter(weights), 0

    def counted(forward: Forward) -> Forward:
        def run(*args: Any, **named: Any) -> Any:
            nonlocal largest
            inside = _Counter(weights)
            between.add(*args, *named.values())
            with saved_tensors_hooks(lambda tensor: (usual.add(tensor), inside.add(tensor)), _never):
                made = forward(*args, **named)
            largest = max(largest, inside.total)
            return made

        return run

    outside = saved_tensors_hooks(lambda tensor: (usual.add(tensor), between.add(tensor)), _never)
    with _forwards(parts, counted), outside:
        work()
    return Kept(usual.total, between.total + largest)


class _Counter:
    """Adds up pieces of memory, each once, whether or not they are still there."""

    def __init__(self, known: set[int]) -> None:
        self._seen, self._held = set(known), []
        self.total = 0

    def add(self, *values: Any) -> None:
        """Count the memory of those of `values` that are tensors."""
        for value in values:
            if isinstance(value, Tensor) and _identity(value) not in self._seen:
                self._seen.add(_identity(value))
                self._held.append(StorageWeakRef(value.untyped_storage()))  # so that no number is given out twice
                self.total += value.untyped_storage().nbytes()


def _identity(tensor: Tensor) -> int:
    """Of the memory of a tensor, also of one without any (the meta device)."""
    return StorageWeakRef(tensor.untyped_storage()).cdata


def _never(_: Any) -> Tensor:
    raise RuntimeError("nothing was kept: this was counted, not learned")


@contextmanager
def _forwards(parts: Sequence[nn.Module], changed: Callable[[Forward], Forward]) -> Iterator[None]:
    """Within the context the blocks of `parts` have another forward."""
    blocks = [module for part in parts for module in part.modules() if isinstance(module, _BLOCKS)]
    with ExitStack() as undo:
        for block in blocks:
            own = {name: value for name, value in vars(block).items() if name == "forward"}  # accelerate puts one there
            undo.callback(vars(block).update, own)
            undo.callback(vars(block).pop, "forward")
            block.forward = changed(block.forward)
        yield

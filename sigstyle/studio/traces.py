"""What is kept in memory: traces, so that a photo again skips the first part of the work, and small pictures."""

from collections import OrderedDict
from collections.abc import Hashable

from PIL import Image

from sigstyle.config import TransferConfig
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.painting.inversion import trace_key


def kept_under(person: str, base_fingerprint: str, photo: str, config: TransferConfig, style: str) -> Hashable:
    """Tells traces apart: whose, of which photo, on which base, and all that they depend on in settings and style."""
    return (person, base_fingerprint, photo, *trace_key(config, style), config.swap, config.swap_until)


class TraceCache:
    """The traces used last, as many as fit. Units: max_bytes of tensors."""

    def __init__(self, max_bytes: int = 2**30) -> None:
        self.max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, tuple[ContentTrace, int]] = OrderedDict()

    def get(self, key: Hashable) -> ContentTrace | None:
        """The trace, or None when it is not kept (any more)."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def put(self, key: Hashable, trace: ContentTrace) -> None:
        """Keep a trace, and let those go that were not used for longest where there is no room."""
        self._kept[key] = (trace, _bytes(trace))
        self._kept.move_to_end(key)
        while self._kept and sum(size for _, size in self._kept.values()) > self.max_bytes:
            self._kept.popitem(last=False)

    def forget(self, person: str) -> None:
        """Let go of a person's traces, whose keys `kept_under` made."""
        for key in [key for key in self._kept if isinstance(key, tuple) and key[0] == person]:
            del self._kept[key]

    def __len__(self) -> int:
        return len(self._kept)


class PictureCache:
    """Small pictures looked at last, of each person's. Units: most counts pictures."""

    def __init__(self, most: int = 300) -> None:
        self.most = most
        self._kept: OrderedDict[tuple[str, Hashable], Image.Image] = OrderedDict()

    def get(self, person: str, key: Hashable) -> Image.Image | None:
        """A person's picture, or None."""
        return self._kept.get((person, key))

    def put(self, person: str, key: Hashable, image: Image.Image) -> None:
        """Keep a picture, and let the oldest go where there are too many."""
        self._kept[person, key] = image
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)

    def forget(self, person: str) -> None:
        """Let go of all of a person's."""
        for key in [key for key in self._kept if key[0] == person]:
            del self._kept[key]


def _bytes(trace: ContentTrace) -> int:
    found = [tensor for layers in trace.projections.values() for layer in layers.values() for tensor in layer]
    return sum(tensor.nbytes for tensor in [trace.path, *found] if tensor is not None)

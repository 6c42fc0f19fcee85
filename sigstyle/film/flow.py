"""Optical flow: where each pixel of a frame was in the frame before, and how far that can be trusted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

_CONSISTENT = (0.01, 0.5)  # share of the movement and square pixels by which there and back may miss
_ALIKE = 16.0  # steps of 255 by which a place may differ from where it came from: beyond, trust falls off
_ALIKE_PX = 2.0  # deviation of the window in which that is measured


@dataclass(frozen=True)
class Flow:
    """How a frame came from the one before.

    Shapes: `back` [h, w, 2], where from, in pixels (x, y); `seen` [h, w], whether that place was seen there at all;
    `trust` [h, w], 0 to 1, where it also looks the same.
    """

    back: Floats
    seen: NDArray[np.bool_]
    trust: Floats

    @property
    def share(self) -> float:
        """How much of the frame is trusted."""
        return float(self.trust.mean())

    def carried(self, image: NDArray, interpolation: str = "cubic") -> Any:
        """`image` [h, w] or [h, w, c] of the frame before, moved to where its things are now."""
        import cv2

        kinds = {"cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4, "linear": cv2.INTER_LINEAR}
        kinds["nearest"] = cv2.INTER_NEAREST
        places = pixel_grid(self.back.shape[:2]) + self.back
        return cv2.remap(image, places[..., 0], places[..., 1], kinds[interpolation], borderMode=cv2.BORDER_REFLECT_101)


def flow_between(before: Image.Image, now: Image.Image) -> Flow:
    """The flow between two frames of one size.

    Source: Kroeger et al., "Fast Optical Flow using Dense Inverse Search" (2016), as OpenCV has it; Sundaram et al.,
    "Dense Point Trajectories by GPU-accelerated Large Displacement Optical Flow" (2010), equation 5, for what is seen.
    """
    import cv2

    old, new = (cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2GRAY) for image in (before, now))
    search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    back, there = search.calc(new, old, None), search.calc(old, new, None)
    places = pixel_grid(back.shape[:2]) + back
    returned = cv2.remap(there, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    missed = np.square(back + returned).sum(-1)
    moved = np.square(back).sum(-1) + np.square(returned).sum(-1)
    height, width = missed.shape
    inside = (places > -0.5).all(-1) & (places < np.array([width - 0.5, height - 0.5])).all(-1)
    seen = inside & (missed < _CONSISTENT[0] * moved + _CONSISTENT[1])
    flow = Flow(back, seen, seen.astype(np.float32))
    return Flow(back, seen, seen * _alike(flow.carried(np.asarray(before)), np.asarray(now)))


def _alike(carried: NDArray, now: NDArray) -> Floats:
    """How much two pictures look alike at each place, 0 to 1."""
    import cv2

    difference = np.abs(carried.astype(np.float32) - now.astype(np.float32)).mean(-1)
    return np.exp(-np.square(cv2.GaussianBlur(difference, (0, 0), _ALIKE_PX) / _ALIKE)).astype(np.float32)


def pixel_grid(size: tuple[int, ...]) -> Floats:
    """Each pixel's own (x, y), [h, w, 2], for (height, width)."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    return np.stack([x, y], axis=-1)

"""Faces in a photo, found by the cascades that OpenCV ships, and soft ovals over them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sigstyle.errors import ConfigError

_FINDS = "frontalface_alt2"
_CONFIRM = ("frontalface_default", "frontalface_alt")  # by itself each takes folds and fruit for faces
_SIDE_PX = 512  # short side of the copy that is searched
_LEAST_PX = 28  # of a face in it; smaller ones are strokes whatever is done
_NEIGHBOURS = 5
_CORE, _EDGE = 0.75, 1.45  # of an oval's radii: all of it inside, nothing outside


@dataclass(frozen=True)
class Face:
    """Where a face is: its middle and its half axes, as shares of the image's width and height."""

    x: float
    y: float
    across: float
    down: float


def find_faces(image: Image.Image) -> list[Face]:
    """The upright faces in an image that two cascades agree on, from the left; the same for the same pixels.

    Raises: ConfigError where OpenCV is not installed, or comes without cascades.
    Source: Viola & Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features" (2001).
    """
    scale = min(1.0, _SIDE_PX / min(image.size))
    small = image.convert("L").resize((round(image.width * scale), round(image.height * scale)))
    grey = np.asarray(small)
    found = _boxes(_FINDS, grey)
    if not found:
        return []
    sure = [box for box in found if any(_meet(box, other) for name in _CONFIRM for other in _boxes(name, grey))]
    width, height = small.size
    return [
        Face((left + w / 2) / width, (top + 0.52 * h) / height, 0.5 * w / width, 0.66 * h / height)
        for left, top, w, h in sorted(sure)
    ]


def _boxes(cascade: str, grey: np.ndarray) -> list[tuple[int, int, int, int]]:
    """What one cascade takes for faces, as (left, top, width, height)."""
    try:
        import cv2

        finder = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{cascade}.xml")  # type: ignore[attr-defined]
    except (ImportError, AttributeError) as error:  # OpenCV 5 has none any more
        raise ConfigError(
            f"Faces cannot be found: {error}. Run: pip install 'opencv-python-headless>=4.10,<5'; or choose "
            "--protect none (in Python protect='none')."
        ) from error
    found = finder.detectMultiScale(cv2.equalizeHist(grey), 1.1, _NEIGHBOURS, minSize=(_LEAST_PX, _LEAST_PX))
    return [(int(x), int(y), int(w), int(h)) for x, y, w, h in found]


def _meet(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether the middle of each box lies in the other."""
    return _holds(one, other) and _holds(other, one)


def _holds(box: Sequence[int], other: Sequence[int]) -> bool:
    (left, top, width, height), (x, y, w, h) = box, other
    return left <= x + w / 2 <= left + width and top <= y + h / 2 <= top + height


def face_map(faces: Sequence[Face], height: int, width: int) -> Tensor:
    """1 on the faces, 0 away from them, soft between: [1, 1, height, width]."""
    y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    found = torch.zeros(height, width)
    for face in faces:
        away = torch.hypot((x - face.x) / face.across, (y - face.y) / face.down)
        share = ((_EDGE - away) / (_EDGE - _CORE)).clamp(0, 1)
        found = torch.maximum(found, share * share * (3 - 2 * share))
    return found[None, None]

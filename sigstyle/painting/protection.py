"""What is kept more than the rest of a photo: there fewer strokes are laid, and what is painted stays closer to it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sigstyle.config import TransferConfig
from sigstyle.imaging.faces import face_map
from sigstyle.painting.content import Content

_HELD = 0.45  # share of the photo's own latents on a face: its features stay, and are still drawn in the style
_BARE = 0.75  # share of the stroke seeds that is not laid on a face


def kept_map(content: Content, config: TransferConfig, like: Tensor) -> Tensor | None:
    """How much of each place is to be kept, [rows, 1, h, w] for `like` [rows, c, h, w]; None where nothing is.

    Raises: ConfigError where faces cannot be looked for.
    """
    if config.protect == "none" or not any(content.faces):
        return None
    maps = torch.cat([face_map(faces, *like.shape[-2:]) for faces in content.faces])
    return maps.to(like).expand(len(like), -1, -1, -1)


def kept_more(painted: Tensor, photo: Tensor, held: Tensor | None) -> Tensor:
    """Painted latents, on what is kept nearer to the photo's own. Shapes: all [rows, c, h, w], held [rows, 1, h, w]."""
    return painted if held is None else torch.lerp(painted, photo.to(painted), _HELD * held)


def barer(laid: Tensor, photo: Tensor, held: Tensor | None) -> Tensor:
    """Pixels with stroke seeds, fewer of them on what is kept. Shapes: [rows, 3, h, w], held [rows, 1, h, w]."""
    return laid if held is None else torch.lerp(laid, photo, _BARE * held)


def protection_notices(content: Content, config: TransferConfig) -> Sequence[str]:
    """A line where something is to be protected that is not there."""
    if config.protect != "faces" or any(content.faces):
        return []
    return ["No face was found in the photo, so nothing in it is kept more; upright ones are found, of 28 px or more."]

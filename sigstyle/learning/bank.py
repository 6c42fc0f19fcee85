"""The photographs that a capture paints while it learns, in the colours of the style."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sigstyle.data import shipped_path
from sigstyle.errors import ConfigError, ImageError
from sigstyle.imaging.images import fit, load_image, to_tensor
from sigstyle.imaging.palette import Palette, recoloured
from sigstyle.imaging.smoothing import guided_filter
from sigstyle.imaging.strokes import SMOOTHING

_PICTURES = (".webp", ".jpg", ".jpeg", ".png")
SIDE_PX = 512  # short side, at which strokes have the size that transfers paint them in


@dataclass(frozen=True, eq=False)
class Bank:
    """Photos ready to be painted: recoloured and calmed.

    Shapes: photos [3, h, w] each, in [-1, 1]; `digest` is of their files.
    """

    photos: Sequence[Tensor]
    digest: str

    @classmethod
    def of(cls, files: Sequence[Path], palette: Palette, least_px: int) -> "Bank":
        """The bank of photo files. Raises: ConfigError for a photo smaller than `least_px` once fitted."""
        digest = hashlib.sha256()
        photos = []
        for file in files:
            image = fit(load_image(file), SIDE_PX, 8)
            digest.update(repr(image.size).encode() + image.tobytes())
            if min(image.size) < least_px:
                raise ConfigError(f"{file.name} is {image.size} px; expected photos of at least {least_px} px.")
            photos.append(guided_filter(recoloured(to_tensor(image), palette), SMOOTHING)[0])
        return cls(photos, digest.hexdigest()[:12])

    def crops(self, count: int, side_px: int, generator: torch.Generator) -> Tensor:
        """Random crops [count, 3, side, side], half of them mirrored."""
        return torch.stack([self._crop(side_px, generator) for _ in range(count)])

    def _crop(self, side_px: int, generator: torch.Generator) -> Tensor:
        def below(limit: int) -> int:
            return int(torch.randint(limit, (), generator=generator))

        photo = self.photos[below(len(self.photos))]
        top, left = (below(side - side_px + 1) for side in photo.shape[1:])
        crop = photo[:, top : top + side_px, left : left + side_px]
        return crop.flip(2) if below(2) else crop


def bank_files(folder: str | Path | None = None) -> list[Path]:
    """The photos of a folder, by name; None is the bank that ships. Raises: ConfigError for a folder without photos."""
    place = shipped_path("weights/content") if folder is None else Path(folder).expanduser()
    if not place.is_dir():
        raise ConfigError(f"There is no folder {place}; expected one with photos to paint while learning.")
    files = sorted(file for file in place.iterdir() if file.suffix.lower() in _PICTURES)
    if folder is not None:
        files = [file for file in files if _readable(file)]
    if not files:
        raise ConfigError(f"{place} holds no photos; expected some that end in {', '.join(_PICTURES)}.")
    return files


def _readable(file: Path) -> bool:
    try:
        load_image(file)
    except ImageError:
        return False
    return True

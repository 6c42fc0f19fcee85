"""The photographs that a capture paints while it learns, in the colours of the style."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sigstyle.base.autoencoder import pixels_per_latent
from sigstyle.base.model import BaseModel, side_multiple_px, trained_size_px
from sigstyle.data import shipped_photos
from sigstyle.errors import ConfigError, ImageError
from sigstyle.files import expanded, reason
from sigstyle.imaging.images import fit, load_image, to_tensor
from sigstyle.imaging.palette import Palette, recoloured
from sigstyle.imaging.smoothing import guided_filter
from sigstyle.imaging.strokes import SMOOTHING

_PICTURES = (".webp", ".jpg", ".jpeg", ".png")
SMALLEST_WINDOW, LARGEST_WINDOW = 24, 32  # latents
SIDE_PX = 512  # short side, at which strokes have the size that transfers paint them in


class Prepared(Sequence[Tensor]):
    """Photos of files, each [3, h, w] in [-1, 1], recoloured and calmed when it is first looked at."""

    def __init__(self, files: Sequence[Path], palette: Palette) -> None:
        self._files, self._palette = list(files), palette
        self._ready: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, int):
            return [self[place] for place in range(*index.indices(len(self)))]
        if index not in self._ready:
            pixels = to_tensor(fit(load_image(self._files[index]), SIDE_PX, 8))
            self._ready[index] = guided_filter(recoloured(pixels, self._palette), SMOOTHING)[0]
        return self._ready[index]


@dataclass(frozen=True, eq=False)
class Bank:
    """Photos ready to be painted: recoloured and calmed.

    Shapes: photos [3, h, w] each, in [-1, 1]; `digest` is of their files.
    """

    photos: Sequence[Tensor]
    digest: str

    @classmethod
    def of(cls, files: Sequence[Path], palette: Palette, least_px: int) -> "Bank":
        """The bank of photo files. Raises: ConfigError where windows of `least_px` do not fit into the photos."""
        if least_px > SIDE_PX:
            raise ConfigError(f"{files[0].name} is {SIDE_PX} px as used; expected photos of at least {least_px} px.")
        digest = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files))
        return cls(Prepared(files, palette), digest.hexdigest()[:12])

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


def window_px(base: BaseModel) -> int:
    """Side of the windows of photos that are painted: half of what the base was trained at, within 24 to 32 latents.

    Where the UNet does not take that, it is what it takes just below.
    """
    latent, multiple = pixels_per_latent(base.vae), side_multiple_px(base)
    side = min(max(trained_size_px(base) // 2, SMALLEST_WINDOW * latent), LARGEST_WINDOW * latent)
    return max(multiple, side // multiple * multiple)


def bank_files(folder: str | Path | None = None) -> list[Path]:
    """The photos of a folder, by name; None is the bank that ships. Raises: ConfigError for a folder without photos."""
    if folder is None:
        return shipped_photos()
    try:
        place = expanded(folder)
    except OSError as error:
        raise ConfigError(f"There is no folder {folder}: {reason(error)}.") from error
    if not place.is_dir():
        raise ConfigError(f"There is no folder {place}; expected one with photos to paint while learning.")
    files = sorted(file for file in place.iterdir() if file.suffix.lower() in _PICTURES and _readable(file))
    if not files:
        raise ConfigError(f"{place} holds no photos; expected some that end in {', '.join(_PICTURES)}.")
    return files


def _readable(file: Path) -> bool:
    try:
        load_image(file)
    except ImageError:
        return False
    return True

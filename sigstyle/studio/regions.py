"""Parts of a photo in styles of their own: what is asked for, kept, told by a recipe and shown."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image, ImageEnhance, ImageOps

from sigstyle.errors import ConfigError
from sigstyle.imaging.areas import area_of
from sigstyle.imaging.images import Source, load_image
from sigstyle.parts import RegionLike
from sigstyle.places import Spot
from sigstyle.studio.folder import Workspace
from sigstyle.studio.library import Library
from sigstyle.studio.limits import MOST_REGIONS
from sigstyle.style.style import Style

SHOWN_PX = 640  # the long side of the copy that a cut is shown on


@dataclass(frozen=True)
class WantedRegion:
    """A part of a photo and the name of the style it is painted in.

    `place` is where in words ('subject', 'X,Y'); or else `mask` is the hash of a kept mask, white is where.
    """

    style: str
    place: str = ""
    mask: str | None = None

    @property
    def words(self) -> str:
        """Where it is, as one says it."""
        if self.mask is not None:
            return "painted by hand"
        if self.place in ("subject", "background"):
            return f"the {self.place}"
        return f"what is at {self.place}" if len(self.place.split(",")) == 2 else f"what is in the box {self.place}"

    def where(self, workspace: Workspace) -> Source:
        """The place, or the kept mask. Raises: ConfigError where that is gone."""
        if self.mask is None:
            return self.place
        kept = workspace.photo(self.mask)
        if kept is None:
            raise ConfigError("The mask of a region is not here any more. Remove the region and paint it again.")
        os.utime(kept)  # it is used now, so its age begins anew
        return load_image(kept)

    def opened(self, library: Library, workspace: Workspace) -> RegionLike:
        """What a transfer takes. Raises: ConfigError for an unknown style or a mask that is gone."""
        return self.where(workspace), library.get(self.style).style


def told_region(entry: Mapping[str, Any]) -> WantedRegion:
    """A region as a recipe tells it, with the hash of its style in place of the name. Raises: KeyError, TypeError."""
    style, mask = str(entry["style"]["hash"]), entry["mask"]
    if mask is None:
        return WantedRegion(style, str(entry["where"]))
    return WantedRegion(style, mask=str(mask.get("pixels_sha256", "")))


def check_regions(photos: int, mask: Source | None, regions: Sequence[WantedRegion]) -> None:
    """Raises: ConfigError for too many regions, and for what is drawn on one photo and wanted for several."""
    if len(regions) > MOST_REGIONS:
        raise ConfigError(f"These are {len(regions)} regions; at most {MOST_REGIONS} here. The shell takes more.")
    drawn = mask is not None or any(region.mask is not None for region in regions)
    if drawn and photos > 1:
        raise ConfigError(f"These are {photos} photos; a painted region is for one. Take the others out.")


def styles_of(blend: Sequence[Style], parts: Sequence[RegionLike]) -> int:
    """How often a photo is painted: once in the blend, and once in every other style."""
    alone = blend[0].hash if len(blend) == 1 else ""
    others = {style.hash for _, style in parts if isinstance(style, Style)} - {alone}
    return bool(blend) + len(others)


def cut_out(photo: Image.Image, where: Source, inverted: bool = False) -> Image.Image:
    """A copy of a photo in which what is outside of a part is pale and grey.

    Raises: ImageError where there is no such part, ConfigError for a place outside of the photo.
    """
    wanted: Source | Spot = where
    if isinstance(where, str):
        spot = Spot.parsed(where)
        wanted = replace(spot, numbers=spot.within(photo.size), shares=(True,) * len(spot.numbers))
    copy = photo.copy()
    copy.thumbnail((SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS)
    pale = ImageEnhance.Brightness(ImageOps.grayscale(copy).convert("RGB")).enhance(0.45)
    return Image.composite(copy, pale, area_of(copy, wanted, inverted))

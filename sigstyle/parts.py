"""What a transfer is told beside one style for all of the photo: regions, a gradient, other colours, a texture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from sigstyle.base.model import BaseModel, ddim
from sigstyle.config import TextureConfig, TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import Source, load_image, load_mask
from sigstyle.imaging.masks import matching
from sigstyle.painting.local import Region, check_area
from sigstyle.painting.texture import TextureRun
from sigstyle.places import Spot, direction, is_place
from sigstyle.recipe import file_entry, input_files, style_entry
from sigstyle.style.blend import Blend
from sigstyle.style.shipped import StyleLike, open_style
from sigstyle.style.style import Style

RegionLike = tuple[Source, StyleLike]  # where, and the style that is painted there
PARTS = ("regions", "gradient", "palette_from", "texture")  # in a recipe
OF_STYLE = "style"  # as a texture: a surface painted in the transfer's own styles


@dataclass(frozen=True)
class Parts:
    """The parts of a transfer, opened; `entries` are what a recipe says of them, `files` what was read."""

    regions: tuple[Region, ...] = ()
    gradient: str | None = None
    colours: Style | None = None
    texture: Source | None = None
    entries: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    @property
    def layered(self) -> bool:
        """Whether a photo is painted otherwise than in one piece of one style."""
        return bool(self.regions) or self.gradient is not None or self.texture is not None

    @classmethod
    def opened(
        cls,
        regions: Sequence[RegionLike] = (),
        gradient: str | None = None,
        palette_from: StyleLike | None = None,
        texture: Source | None = None,
    ) -> "Parts":
        """Read them. Raises: ConfigError, ImageError, StyleFileError for what cannot be used."""
        found = tuple(Region(_where(where), open_style(style)) for where, style in regions)
        colours = None if palette_from is None else open_style(palette_from)
        entries: dict[str, Any] = {}
        if found:
            pairs = zip(found, regions, strict=True)
            entries["regions"] = [_region_entry(region, _name(style)) for region, (_, style) in pairs]
        if gradient is not None:
            direction(gradient)
            entries["gradient"] = gradient
        if colours is not None:
            entries["palette_from"] = style_entry(colours, _name(palette_from))
        if texture is not None:
            entries["texture"] = OF_STYLE if texture == OF_STYLE else file_entry(texture)
        masks = [region.where for region in found if not isinstance(region.where, Spot)]
        styles = [_name(style) for style in (*(style for _, style in regions), palette_from)]
        files = input_files(*masks, *styles, None if texture == OF_STYLE else texture)
        return cls(found, gradient, colours, texture, entries, files)

    @property
    def styles(self) -> list[Style]:
        """Those of the regions."""
        return [region.style for region in self.regions]

    def check(self, photo: Image.Image, mask: Source | None, config: TransferConfig, blend: Blend | None) -> None:
        """Raises: ConfigError, ImageError for what can be known to be wrong before anything is painted."""
        check_area(mask, config.place, config.invert_mask)
        for part in (mask, config.place, *(region.where for region in self.regions)):
            if isinstance(part, Spot):
                part.within(photo.size)
            elif part is not None:
                matching(load_mask(part), photo.size)
        for one in [*([blend] if blend else []), *(Blend.of([style]) for style in self.styles)]:
            one.check_able(config)
        if self.gradient is not None and (blend is None or len(blend.styles) < 2):
            raise ConfigError(
                f"The gradient {self.gradient} leads from style to style, and there are not two; give -s twice or more."
            )
        if self.texture is not None and config.method != "paint":
            raise ConfigError("A texture is laid on by painting; leave the preset out, or the texture.")
        if self.texture is not None and blend is None:
            raise ConfigError("A texture is laid on in a style, and there are regions alone; give -s.")
        if self.texture is not None and self.texture != OF_STYLE:
            load_image(self.texture)

    def arguments(self, base: BaseModel, blend: Blend | None, config: TransferConfig) -> dict[str, Any]:
        """What a pipeline is told of them; a texture of the style is painted for it."""
        surface: Source | None = self.texture
        if surface == OF_STYLE and blend is not None:
            wanted = TextureConfig(size_px=512, seamless="on", seed=config.seed)
            surface = TextureRun(base, ddim(base.scheduler), wanted, blend).paint()
        parts = {"regions": self.regions, "gradient": self.gradient, "palette_from": self.colours}
        return {**parts, "texture": surface}


def _where(where: Source) -> Source | Spot:
    return Spot.parsed(where) if isinstance(where, str) and is_place(where) else where


def _name(style: StyleLike | None) -> str | None:
    return None if style is None or isinstance(style, Style) else str(style)


def _region_entry(region: Region, path: str | None) -> dict[str, Any]:
    is_named = isinstance(region.where, Spot)
    return {
        "where": region.where.text if isinstance(region.where, Spot) else None,
        "mask": None if is_named else file_entry(region.where),  # type: ignore[arg-type]
        "style": style_entry(region.style, path),
    }


NO_PARTS = Parts()


def without_paths(entries: Any) -> Any:
    """What a recipe says of parts, told apart by content alone: a file is the same wherever it lies."""
    if isinstance(entries, Mapping):
        return {key: without_paths(value) for key, value in entries.items() if key != "path"}
    return [without_paths(value) for value in entries] if isinstance(entries, list) else entries

"""From a picture back to what made it: the settings in its recipe, its style and its photo found again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import ImageChops

from sigstyle.config import GenerateConfig, TextureConfig, TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import load_image, read_recipe
from sigstyle.parts import PARTS
from sigstyle.recipe import file_entry
from sigstyle.studio.lane import Job
from sigstyle.studio.library import Entry
from sigstyle.studio.loras import Underlay
from sigstyle.studio.paint import Picture, imagine, restyle
from sigstyle.studio.regions import WantedRegion, told_region
from sigstyle.studio.studio import Studio, Who
from sigstyle.studio.texture import surface

_SIZES = ("width", "height")
_READ: dict[str, Callable[[Mapping[str, Any]], TransferConfig | GenerateConfig | TextureConfig]] = {
    "transfer": TransferConfig.from_recipe,
    "generate": GenerateConfig.from_recipe,
    "texture": TextureConfig.from_dict,
}


@dataclass(frozen=True)
class Restored:
    """What a recipe asks for, and what of it is here; `missing` says in sentences what is not."""

    recipe: dict[str, Any]
    kind: str
    config: TransferConfig | GenerateConfig | TextureConfig
    styles: tuple[tuple[Entry, float], ...]  # those that are here, with their weights in the blend
    photo: Path | None
    missing: tuple[str, ...]
    mask: Path | None = None
    regions: tuple[WantedRegion, ...] = ()
    loras: Underlay = field(default_factory=Underlay)

    @property
    def style(self) -> Entry | None:
        """The first of the styles that are here."""
        return next((entry for entry, _ in self.styles), None)

    def at_own_size(self) -> "Restored":
        """The same at the photo's own size. Raises: ConfigError for what has none."""
        if not isinstance(self.config, TransferConfig) or self.config.method != "paint":
            raise ConfigError("Only what was painted can be painted at the photo's size; choose the way Painted.")
        return replace(self, config=replace(self.config, size_px=None))

    @property
    def sizes(self) -> dict[str, int | None]:
        """Width and height of a painted prompt."""
        return {name: self.recipe.get(name) for name in _SIZES}


def restore(studio: Studio, who: Who, path: Path, base: str, photo: Path | None = None) -> Restored:
    """Read a picture's recipe and find what it needs; `photo` is given by hand where the kept one is not here.

    Nothing that the recipe names as a path is ever opened.
    Raises: ImageError for a picture without a recipe, ConfigError for one that cannot be repeated here.
    """
    recipe = read_recipe(path)
    try:
        kind, settings = recipe["kind"], dict(recipe["settings"])
        styles, fingerprint = list(recipe["styles"]), str(recipe["base"]["fingerprint"])
        base_name = str(recipe["base"]["name"])
        wanted = [(str(style["hash"]), str(style["name"]), float(style.get("weight", 1.0))) for style in styles]
        content, mask = dict(recipe.get("content") or {}), recipe.get("mask") and dict(recipe["mask"])
        parts = [told_region(entry) for entry in recipe.get("regions") or []]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ConfigError(
            f"{path.name} has a recipe that lacks {error}; it was made by another version, or changed since."
        ) from error
    _check_repeatable(path, kind, wanted, recipe)
    config, missing = _READ[kind](settings), []
    loaded = studio.bases.loaded(base)
    if loaded is None or loaded.fingerprint != fingerprint:
        missing.append(f"It was made with the base {base_name} ({fingerprint}). Choose that one in the Model tab.")
    known = {entry.style.hash: entry for entry in studio.library(who).entries()}
    here = tuple((known[hash_], weight) for hash_, _, weight in wanted if hash_ in known)
    lacking = [f"{name} ({hash_})" for hash_, name, _ in wanted if hash_ not in known]
    missing += [f"Its style {style} is not in your library. Drop the style file in there." for style in lacking]
    found = area = None
    masks = [region.mask for region in parts if region.mask is not None]
    if mask:
        masks.append(str(mask.get("pixels_sha256", "")))
        area = studio.workspace(who).photo(masks[-1])
    if not all(studio.workspace(who).photo(sha256) for sha256 in masks):
        missing.append("The mask it was made with is not here any more. Paint it again, in Restyle.")
    regions = tuple(replace(part, style=known[part.style].name) for part in parts if part.style in known)
    lacking = dict.fromkeys(part.style for part in parts if part.style not in known)
    missing += [
        f"A region's style ({hash_}) is not in your library. Drop the style file in there." for hash_ in lacking
    ]
    if kind == "transfer":
        found = _photo(studio, who, content, photo)
        if found is None:
            missing.append("The photo it was made from is not here. Drop the photo beside the picture.")
    loras, gone = studio.loras(who).of_recipe(recipe.get("loras"))
    return Restored(recipe, kind, config, here, found, (*missing, *gone), area, regions, loras)


def _check_repeatable(path: Path, kind: Any, styles: list[Any], recipe: Mapping[str, Any]) -> None:
    """Raises ConfigError for what the app itself cannot make."""
    if kind not in _READ:
        raise ConfigError(f"{path.name} is a {kind!r}; expected a restyled photo, a painted prompt or a surface.")
    if recipe.get("images", 1) != 1 or (kind != "transfer" and len(styles) > 1):
        raise ConfigError(
            f"{path.name} was made as one of several images at once, or as a blend without a photo, which the page "
            f"does not have. 'python -m sigstyle info {path.name}' prints the command that makes it again."
        )
    foreign = [name.replace("_", " ") for name in PARTS if name != "regions" and recipe.get(name)]
    if foreign:
        raise ConfigError(
            f"{path.name} was made with {' and '.join(foreign)}, which the page does not have. "
            f"'python -m sigstyle info {path.name}' prints the command that makes it again."
        )


def _photo(studio: Studio, who: Who, content: Mapping[str, Any], given: Path | None) -> Path | None:
    """The kept photo that a recipe's content entry means. Raises: ConfigError when another photo was given."""
    workspace = studio.workspace(who)
    pixels = str(content.get("pixels_sha256", ""))
    if given is None:
        return workspace.photo(pixels)
    kept = workspace.keep_photo(given)
    file_hash = file_entry(given)["sha256"]
    if pixels not in ("", kept.stem) or content.get("sha256", file_hash) != file_hash:
        raise ConfigError(f"{given.name} is not the photo this picture was made from. Drop the original photo.")
    return kept


def repeat(studio: Studio, who: Who, restored: Restored, base: str) -> Job[list[Picture]]:
    """Make the picture again. Raises: ConfigError when something is missing, otherwise as `restyle`."""
    config = restored.config
    if restored.missing or (restored.style is None and not restored.regions):
        raise ConfigError(" ".join(restored.missing) or "It names no style, so there is nothing to paint in.")
    if isinstance(config, TransferConfig):
        photos, blend = [restored.photo] if restored.photo else [], tuple((e.name, w) for e, w in restored.styles)
        parts = (restored.mask, restored.regions)
        return restyle(studio, who, photos, blend, base, config, *parts, own_size=True, loras=restored.loras)
    name = restored.style.name if restored.style else ""
    if isinstance(config, TextureConfig):
        return surface(studio, who, name, base, config.to_dict(), loras=restored.loras)
    settings = {key: value for key, value in config.to_dict().items() if key != "prompt"}
    return imagine(studio, who, config.prompt, name, base, settings | restored.sizes, loras=restored.loras)


def same_pixels(first: Path, second: Path) -> bool:
    """Whether two pictures show exactly the same."""
    one, other = load_image(first), load_image(second)
    return one.size == other.size and ImageChops.difference(one, other).getbbox() is None

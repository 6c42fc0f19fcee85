"""What a base's family changes of the defaults: the one place, with what is measured, counted or a guess marked.

Everything that is not listed is as in `config`, whose defaults were measured on the embedded base.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sigstyle.config import CaptureConfig, GenerateConfig, TransferConfig
from sigstyle.settings import Settings, resolve

SD1, SD2, SDXL = "sd1", "sd2", "sdxl"
_WIDTHS = {768: SD1, 1024: SD2, 768 + 1280: SDXL}  # of a style token's vectors
COUNTED, PUBLISHED, GUESS = "counted", "published", "a guess"


@dataclass(frozen=True)
class Default:
    """One default of one family: for which preset ('' is all), on what grounds, and why."""

    family: str
    kind: type[Settings]
    preset: str
    name: str
    value: Any
    grounds: str
    why: str


_WIDE = "an offset multiplies, and layers of 320 to 1280 channels add up more of it than those of the embedded base"
_USUAL = "what diffusers' pipelines of this family take"
DEFAULTS: tuple[Default, ...] = (
    *(Default(family, CaptureConfig, "default", "hypernet_lr", 2e-3, GUESS, _WIDE) for family in (SD1, SD2, SDXL)),
    *(Default(family, CaptureConfig, "classic", "hypernet_lr", 1e-3, GUESS, _WIDE) for family in (SD1, SD2, SDXL)),
    *(Default(family, CaptureConfig, "default", "token_lr", 1e-3, GUESS, _WIDE) for family in (SD1, SD2, SDXL)),
    Default(SDXL, CaptureConfig, "default", "rank", 3, COUNTED, "keeps a style below 1 MB: 737 kB of offsets"),
    Default(SDXL, CaptureConfig, "default", "subcrop", 1.0, GUESS, "half of 1024 px, at a quarter of the work"),
    Default(SDXL, TransferConfig, "default", "freedom", 0.4, GUESS, "noise hides less of a picture with more pixels"),
    Default(SD1, GenerateConfig, "default", "guidance_scale", 7.5, PUBLISHED, _USUAL),
    Default(SD2, GenerateConfig, "default", "guidance_scale", 7.5, PUBLISHED, _USUAL),
    Default(SDXL, GenerateConfig, "default", "guidance_scale", 5.0, PUBLISHED, _USUAL),
)


def family_of_width(width: int) -> str:
    """The family whose style tokens have vectors of this width; '' for the embedded base and others."""
    return _WIDTHS.get(width, "")


def family_settings(kind: type[Settings], preset: str | None, family: str) -> Mapping[str, Any]:
    """What a family changes of a preset's settings."""
    chosen = preset or "default"
    return {d.name: d.value for d in DEFAULTS if (d.family, d.kind, d.preset) == (family, kind, chosen)}


C = TypeVar("C", bound=Settings)


def resolved(kind: type[C], preset: str | None, config: C | None, settings: Mapping[str, Any], family: str) -> C:
    """As `settings.resolve`, for a base of this family: where no config is given, its defaults stand in.

    Raises: ConfigError as that does.
    """
    usual = {} if config is not None else family_settings(kind, preset, family)
    return resolve(kind, preset, config, {**usual, **settings})

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
    """One default of some families: of which config and preset, on what grounds, and why."""

    families: tuple[str, ...]
    kind: type[Settings]
    preset: str
    name: str
    value: Any
    grounds: str
    why: str


_ALL = (SD1, SD2, SDXL)
_WIDE = "an offset multiplies, and layers of 320 to 1280 channels add up more of it than those of the embedded base"
_SHORT = "the numbers in CLIP's vectors are some hundredths"
_SAMPLED = "that is how these are sampled; 1 is untried there"
_USUAL = "what diffusers' pipelines of this family take"
DEFAULTS: tuple[Default, ...] = (
    Default(_ALL, CaptureConfig, "default", "hypernet_lr", 2e-3, GUESS, _WIDE),
    Default(_ALL, CaptureConfig, "classic", "hypernet_lr", 1e-3, GUESS, _WIDE),
    Default(_ALL, CaptureConfig, "default", "token_lr", 1e-3, GUESS, _SHORT),
    Default((SDXL,), CaptureConfig, "default", "rank", 3, COUNTED, "keeps a style below 1 MB: 737 kB of offsets"),
    Default((SDXL,), CaptureConfig, "paper", "targets", "style-block", COUNTED, "all of 'attention' would be 3.4 MB"),
    Default((SDXL,), CaptureConfig, "default", "subcrop", 1.0, GUESS, "half of 1024 px, at a quarter of the work"),
    Default((SDXL,), TransferConfig, "default", "freedom", 0.4, GUESS, "noise hides less where there are more pixels"),
    Default((SD1, SD2), GenerateConfig, "default", "guidance_scale", 7.5, PUBLISHED, _USUAL),
    Default((SDXL,), GenerateConfig, "default", "guidance_scale", 5.0, PUBLISHED, _USUAL),
    Default(_ALL, GenerateConfig, "default", "signal_leak", 0.0, PUBLISHED, _SAMPLED),
)


def family_of_width(width: int) -> str:
    """The family whose style tokens have vectors of this width; '' for the embedded base and others."""
    return _WIDTHS.get(width, "")


def family_settings(kind: type[Settings], preset: str | None, family: str) -> Mapping[str, Any]:
    """What a family changes of a preset's settings."""
    chosen = preset or "default"
    mine = [found for found in DEFAULTS if family in found.families and found.kind is kind]
    return {found.name: found.value for found in mine if found.preset == chosen}


def own_defaults(kind: type[Settings], preset: str) -> set[str]:
    """The settings of a preset for which some family has a default of its own."""
    return {found.name for found in DEFAULTS if found.kind is kind and found.preset == preset}


C = TypeVar("C", bound=Settings)


def resolved(kind: type[C], preset: str | None, config: C | None, settings: Mapping[str, Any], family: str) -> C:
    """As `settings.resolve`, for a base of this family: where no config is given, its defaults stand in.

    Raises: ConfigError as that does.
    """
    usual = {} if config is not None else family_settings(kind, preset, family)
    return resolve(kind, preset, config, {**usual, **kind.plain(settings)})

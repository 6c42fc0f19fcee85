"""What may be asked for at once: the bounds that every piece of work passes before it is kept or queued."""

from dataclasses import replace
from typing import Any

from sigstyle.base.model import BaseModel, default_size_px
from sigstyle.config import CaptureConfig, GenerateConfig, TextureConfig, TransferConfig
from sigstyle.errors import ConfigError

MOST_PHOTOS, MOST_STYLES, MOST_PICTURES, MOST_COUNT = 50, 20, 200, 8
MOST_REGIONS, MOST_MEGAPIXELS = 4, 16.0
SIZES_PX = (64, 2048)
LONGEST_TEXT = 1000
MOST = {
    "size_px": SIZES_PX[1], "batch_size": 32, "painting": 16, "crops": 512, "hypernet_width": 512, "margin_px": 128,
    "best_of": 8,
}  # fmt: skip


def check_settings(config: TransferConfig | GenerateConfig | TextureConfig | CaptureConfig) -> None:
    """Raises: ConfigError for settings that are sound, but more than the app does for one person at once."""
    for name, value in config.to_dict().items():
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise ConfigError(f"{name} has {len(value)} characters; expected at most {LONGEST_TEXT}. Shorten it.")
        if isinstance(value, int) and name in MOST and value > MOST[name]:
            raise ConfigError(f"{name} is {value}; expected at most {MOST[name]} here. The command line takes more.")


def in_time(config: TransferConfig, base: BaseModel, own_size: bool = False) -> TransferConfig:
    """The settings as the app means them: where no size was chosen a photo is painted at the base's own.

    With `own_size` it is painted at the photo's, where it is painted and not inverted.
    """
    if own_size and config.method == "paint":
        return config
    return replace(config, size_px=config.size_px or default_size_px(base))


def check_own_size(config: TransferConfig) -> None:
    """Raises: ConfigError where a picture of its photo's size may be larger than the app makes them."""
    if config.method == "paint" and config.size_px is None and config.max_megapixels > MOST_MEGAPIXELS:
        raise ConfigError(
            f"max_megapixels is {config.max_megapixels:g}; expected at most {MOST_MEGAPIXELS:g} here for a picture of "
            "the photo's own size. The command line takes more."
        )


def check_counts(photos: int, styles: int = 1) -> None:
    """Raises: ConfigError for too many photos, styles or pictures of both."""
    for count, most, noun in ((photos, MOST_PHOTOS, "photos"), (styles, MOST_STYLES, "styles")):
        if count > most:
            raise ConfigError(f"These are {count} {noun}; at most {most} at once.")
    if photos * styles > MOST_PICTURES:
        raise ConfigError(
            f"{photos} photos in {styles} styles are {photos * styles} pictures; at most {MOST_PICTURES} at once. "
            "Leave some out, and paint them afterwards."
        )


def whole_number(name: str, value: Any, low: int, high: int) -> int:
    """`value` where it is a whole number in these bounds. Raises: ConfigError."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not number or value != int(value):
        raise ConfigError(f"{name} is {value!r}; expected a whole number from {low} to {high}.")
    return int(value)

"""Settings of capture and transfer; command line flags, UI controls and recipes derive from these fields.

Every field carries metadata: `help` (text), and `low`/`high` (inclusive numbers) or `choices` (strings).
"""

import dataclasses
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar, get_args

from sigstyle.errors import ConfigError

TARGET_GROUPS = ("auto", "attention", "attention+out", "decoder", "paper")
SWAPS = ("none", "q", "qk")
AUTOCAST = ("auto", "on", "off")


def _number(default: float | None, low: float, high: float, text: str) -> Any:
    return field(default=default, metadata={"help": text, "low": low, "high": high})


def _choice(default: str, choices: tuple[str, ...], text: str) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices})


def _text(default: str, text: str) -> Any:
    return field(default=default, metadata={"help": text})


def field_type(entry: dataclasses.Field) -> type:
    """The plain type (int, float or str) of a config field, without `| None`."""
    if isinstance(entry.type, types.UnionType):
        return next(kind for kind in get_args(entry.type) if kind is not type(None))
    return entry.type  # type: ignore[return-value]


def _check_number(entry: dataclasses.Field, value: Any, kind: type) -> None:
    """Raises ConfigError unless `value` is a finite number of `kind` in the field's range."""
    allowed = (int, float) if kind is float else (int,)
    low, high = entry.metadata["low"], entry.metadata["high"]
    number = isinstance(value, allowed) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:
        noun = "a number" if kind is float else "a whole number"
        raise ConfigError(f"{entry.name} is {value!r}; expected {noun} from {low} to {high}.")


def _check(entry: dataclasses.Field, value: Any) -> None:
    """Raises ConfigError when `value` does not suit the field."""
    kind = field_type(entry)
    if value is None and isinstance(entry.type, types.UnionType):
        return
    if kind is not str:
        _check_number(entry, value, kind)
    elif not isinstance(value, str):
        raise ConfigError(f"{entry.name} is {value!r}; expected text.")
    elif value not in entry.metadata.get("choices", (value,)):
        raise ConfigError(f"{entry.name} is {value!r}; expected one of {', '.join(entry.metadata['choices'])}.")


class _Config:
    """What both configs share: validation, presets and conversion."""

    _presets: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):  # type: ignore[arg-type]
            _check(entry, getattr(self, entry.name))

    @classmethod
    def preset(cls, name: str = "default", **changes: Any) -> Self:
        """The settings called `name`, with `changes` on top.

        Raises: ConfigError for an unknown preset, an unknown setting or a bad value.
        """
        if name not in cls._presets:
            raise ConfigError(f"There is no preset {name!r}; expected one of {', '.join(cls._presets)}.")
        return cls.from_dict({**cls._presets[name], **changes})

    @classmethod
    def preset_names(cls) -> tuple[str, ...]:
        """Names that `preset` takes."""
        return tuple(cls._presets)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from a mapping such as a recipe; fields left out take their defaults.

        Raises: ConfigError for an unknown setting or a bad value.
        """
        known = [entry.name for entry in dataclasses.fields(cls)]  # type: ignore[arg-type]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ConfigError(f"Unknown setting {', '.join(unknown)}; expected {', '.join(known)}.")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values, ready for JSON."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]


C = TypeVar("C", bound=_Config)


def resolve(kind: type[C], preset: str | None, config: C | None, settings: Mapping[str, Any]) -> C:
    """Settings from a preset ('default' where it is None) or from a ready config, with `settings` on top.

    Raises: ConfigError for both at once, for an unknown preset, an unknown setting or a bad value.
    """
    if config is None:
        return kind.preset(preset or "default", **settings)
    if preset is not None:
        raise ConfigError(
            f"Both preset={preset!r} and config= are given; expected one of them. A config is made from a preset with "
            f"{kind.__name__}.preset({preset!r}, …)."
        )
    if not isinstance(config, kind):
        raise ConfigError(f"config is a {type(config).__name__}; expected a {kind.__name__}.")
    return kind.from_dict({**config.to_dict(), **settings})


@dataclass(frozen=True)
class CaptureConfig(_Config):
    """How a style is learned from images."""

    steps: int = _number(240, 1, 100_000, "training steps")
    batch_size: int = _number(8, 1, 256, "samples in one step")
    rank: int = _number(3, 1, 64, "rank of the weight offsets; 3 is all the published generator can express")
    targets: str = _choice(
        "auto",
        TARGET_GROUPS,
        "decoder layers that carry the style; auto is 'decoder' where that keeps a style below 1 MB, as on the "
        "embedded base, else the published 'attention', as on Stable Diffusion 1.5",
    )
    hypernet_lr: float = _number(3e-3, 0, 1, "learning rate of the hypernetwork")
    token_lr: float = _number(3e-3, 0, 1, "learning rate of the style token")
    warmup: int = _number(20, 0, 10_000, "steps until the learning rates reach their full value")
    crops: int = _number(48, 1, 4096, "cached crops of the style images")
    crop_min: float = _number(0.5, 0.05, 1, "smallest crop, as a share of the image's short side")
    subcrop: float = _number(2 / 3, 0, 1, "share of steps on half-size windows of the cached latents")
    size_px: int | None = _number(None, 8, 4096, "side of a crop in pixels; None is the size the base was trained at")
    timestep_bias: float = _number(0.0, -4, 4, "0 draws timesteps evenly, above 0 noisier ones, below 0 cleaner ones")
    domain: str = _text("painting", "what the style images are, as the prompt names it")
    seed: int = _number(0, 0, 2**63 - 1, "seed of everything random")
    preview_every: int = _number(0, 0, 100_000, "steps between previews; 0 is none")
    autocast: str = _choice(
        "auto", ("auto", "on", "off"), "bfloat16 arithmetic: auto is on where the processor or card has units for it"
    )

    _presets = {
        "default": {},
        "paper": {"steps": 1500, "batch_size": 1, "targets": "paper", "crops": 1, "crop_min": 1.0, "subcrop": 0.0},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.domain.strip() or "<" in self.domain or len(self.domain) > 80:
            raise ConfigError(f"domain is {self.domain!r}; expected a few words such as 'painting', without '<'.")


@dataclass(frozen=True)
class TransferConfig(_Config):
    """How a content image is repainted."""

    steps: int = _number(20, 1, 1000, "denoising steps, and steps of the inversion before them")
    inversion_iterations: int = _number(
        1,
        0,
        20,
        "model evaluations in one inversion step, at the noise sought; 0 is the published plain DDIM inversion",
    )
    swap_until: float = _number(0.4, 0, 1, "share of the steps in which the content's attention is fed in")
    swap: str = _choice("q", SWAPS, "what is fed in: the content's queries, queries and keys, or nothing")
    guidance_scale: float = _number(1.0, 1, 50, "classifier-free guidance; 1 is none and costs half")
    strength: float = _number(1.0, 0, 4, "how strongly the style's weight offsets apply; 0 gives the content back")
    eta: float = _number(1.0, 0, 1, "fresh noise in the steps after the swapped ones, for strokes the photo has not")
    anchor: float = _number(0.75, 0, 1, "how firmly the photo's edges are held while the style paints all else")
    smoothing: float = _number(0.0, 0, 1, "how much fine texture the photo loses first; 0.003 gives broad forms")
    adain: float = _number(1.0, 0, 1, "how far the start latent takes the style's palette")
    reference: float = _number(1.0, 0, 1, "how much of the attention looks at the style image itself; 0 is quicker")
    noise_sigma: float = _number(0.0, 0, 64, "noise on the photo before inversion, in units of 0 to 255")
    margin_px: int = _number(32, 0, 256, "mirrored border painted along and cut off, which keeps the edges clean")
    size_px: int | None = _number(None, 8, 4096, "short side of the result in pixels; None is the base's own")
    seed: int = _number(0, 0, 2**63 - 1, "seed of everything random")
    prompt: str = _text("", "what the content shows")
    negative_prompt: str = _text("", "what the result must not show; used when guidance_scale is above 1")

    _presets = {
        "default": {},
        "paper": {
            "steps": 50,
            "inversion_iterations": 0,
            "swap_until": 0.3,
            "guidance_scale": 7.5,
            "eta": 0.0,
            "anchor": 0.0,
            "smoothing": 0.0,
            "adain": 0.0,
            "reference": 0.0,
            "margin_px": 0,
        },
    }


@dataclass(frozen=True)
class GenerateConfig(_Config):
    """How a prompt is painted without a photo."""

    steps: int = _number(30, 1, 1000, "denoising steps")
    guidance_scale: float = _number(5.0, 1, 50, "classifier-free guidance; 1 is none and costs half")
    strength: float = _number(1.0, 0, 4, "how strongly the style's weight offsets apply; 0 leaves the style out")
    size_px: int | None = _number(None, 8, 4096, "sides of the picture in pixels; None is the base's own")
    seed: int = _number(0, 0, 2**63 - 1, "seed of everything random")
    prompt: str = _text("", "what the picture shows")
    negative_prompt: str = _text("", "what the picture must not show; used when guidance_scale is above 1")

    _presets = {"default": {}}

    @classmethod
    def from_recipe(cls, settings: Mapping[str, Any]) -> Self:
        """The settings of a recipe, also of one that lists a transfer's settings too, as recipes once did.

        Raises: ConfigError for a setting that no version had, or a bad value.
        """
        once_listed, own = ({entry.name for entry in dataclasses.fields(kind)} for kind in (TransferConfig, cls))
        return cls.from_dict({name: settings[name] for name in settings if name not in once_listed - own})


@dataclass(frozen=True)
class TrainingFreeConfig(_Config):
    """How a content image is repainted after a style image that nothing was learned from."""

    steps: int = _number(20, 1, 1000, "denoising steps, and steps of each of the two inversions before them")
    inversion_iterations: int = _number(1, 0, 20, "model evaluations in one inversion step; 0 is plain DDIM inversion")
    gamma: float = _number(0.75, 0, 1, "share of the content's queries in the attention; less is more style")
    temperature: float = _number(1.5, 0.1, 10, "how sharply the style image is attended to")
    adain: float = _number(1.0, 0, 1, "how far the start latent takes the style image's statistics")
    noise_sigma: float = _number(0.0, 0, 64, "noise on the photo before inversion, in units of 0 to 255")
    size_px: int | None = _number(None, 8, 4096, "short side of the result in pixels; None is the base's own")
    seed: int = _number(0, 0, 2**63 - 1, "seed of everything random")
    prompt: str = _text("", "what the content shows")

    _presets = {"default": {}, "paper": {"steps": 50, "inversion_iterations": 0}}

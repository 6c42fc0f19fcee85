"""Settings of capture and transfer; command line flags, UI controls and recipes derive from these fields.

Every field carries metadata: `help` (text), and `low`/`high` (inclusive numbers) or `choices` (strings).
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from sigstyle.errors import ConfigError
from sigstyle.settings import Settings, choice, number, words

TARGET_GROUPS = ("auto", "most", "attention", "attention+out", "decoder", "decoder+all", "paper", "style-block")
SWAPS = ("none", "q", "qk")
AUTOCAST = ("auto", "on", "off")
METHODS = ("paint", "swap")
STARTS = ("zero", "instant")
DECAYS = ("linear", "constant")
MOST_PAINTING_STEPS = 8
_READS = "; a base reads 75 tokens, some 50 words with those of the style, and a notice quotes what is cut"
_PAINT_ONLY = ("freedom", "strokes")
_SWAP_ONLY = (
    "inversion_iterations",
    "swap_until",
    "swap",
    "guidance_scale",
    "negative_prompt",
    "eta",
    "anchor",
    "smoothing",
    "adain",
    "reference",
    "noise_sigma",
)


_REMEMBERING: Mapping[str, Any] = {
    "painting": 0,
    "rank": 3,
    "autoencoder": "off",
    "hypernet_width": 128,
    "hypernet_lr": 3e-3,
    "warmup": 20,
}


@dataclass(frozen=True)
class CaptureConfig(Settings):
    """How a style is learned from images."""

    steps: int = number(100, 1, 100_000, "training steps")
    start: str = choice(
        "zero", STARTS, "where learning begins: zero, the base itself, or instant, what the hypernetwork knows"
    )
    painting: int = number(2, 0, 64, "photos painted in one step; 0 learns by remembering alone, as published")
    batch_size: int = number(2, 1, 256, "crops of the style image remembered in one step")
    rank: int = number(4, 1, 64, "rank of the weight offsets; 3 is all the published generator can express")
    autoencoder: str = choice(
        "on", ("on", "off"), "offsets on the autoencoder's decoder too, where they fit below 1 MB: they sharpen strokes"
    )
    targets: str = choice(
        "most",
        TARGET_GROUPS,
        "decoder layers that carry the style; most is 'decoder+all' where that keeps a style below 1 MB, as on the "
        "embedded base, else auto: 'decoder' or, as on Stable Diffusion 1.5, the published 'attention', or, on XL, "
        "'style-block'",
    )
    style_weight: float = number(5.0, 0, 1000, "weight of the style against the photo while photos are painted")
    content_bound: float = number(
        0.85, 0, 2, "how far the photo's structure may go while photos are painted, 0 to 2; 0 weighs it evenly instead"
    )
    hypernet_lr: float = number(6e-3, 0, 1, "learning rate of the hypernetwork")
    hypernet_width: int = number(32, 1, 4096, "width of the hypernetwork")
    token_lr: float = number(3e-3, 0, 1, "learning rate of the style token")
    warmup: int = number(10, 0, 10_000, "steps until the learning rates reach their full value")
    decay: str = choice("linear", DECAYS, "how learning rates go on: falling to nearly 0, or constant as released")
    token_decay: float = number(0.0, 0, 1, "weight of the token's squared length in the loss; 0.01 as released")
    crops: int = number(24, 1, 4096, "cached crops of the style images")
    crop_min: float = number(0.5, 0.05, 1, "smallest crop, as a share of the image's short side")
    subcrop: float = number(2 / 3, 0, 1, "share of steps on half-size windows of the cached latents")
    size_px: int | None = number(None, 8, 4096, "side of a crop in pixels; None is the size the base was trained at")
    timestep_bias: float = number(0.0, -4, 4, "0 draws timesteps evenly, above 0 noisier ones, below 0 cleaner ones")
    domain: str = words("painting", "what the style images are, as the prompt names it")
    seed: int = number(0, 0, 2**63 - 1, "seed of everything random")
    preview_every: int = number(0, 0, 100_000, "steps between previews; 0 is none")
    autocast: str = choice(
        "auto", ("auto", "on", "off"), "bfloat16 arithmetic: auto is on where the processor or card has units for it"
    )

    _presets = {
        "default": {},
        "classic": _REMEMBERING | {"steps": 240, "batch_size": 8, "targets": "auto", "crops": 48},
        "paper": _REMEMBERING
        | {
            "steps": 1000,
            "targets": "paper",
            "crops": 100,
            "crop_min": 1.0,
            "subcrop": 0.0,
            "warmup": 0,
            "decay": "constant",
            "token_decay": 0.01,
        },
    }

    @property
    def classic(self) -> bool:
        """Whether nothing is painted while learning, so that the style is for inverting and swapping alone."""
        return self.painting == 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.domain.strip() or "<" in self.domain or len(self.domain) > 80:
            raise ConfigError(f"domain is {self.domain!r}; expected a few words such as 'painting', without '<'.")


@dataclass(frozen=True)
class TransferConfig(Settings):
    """How a content image is repainted: painted in a few evaluations, or by inverting it and swapping attention.

    Each method has settings of its own (`settings_of`); giving one that the preset's method does not use is an error.
    """

    method: str = field(default="paint", metadata={"help": "paint or swap", "choices": METHODS, "internal": True})
    steps: int = number(1, 1, 1000, "denoising steps; with classic and paper also those of the inversion before them")
    freedom: float = number(0.3, 0, 1, "how freely it is painted: low keeps letters legible, high dissolves the scene")
    palette: float = number(1.0, 0, 1, "whose colours: 0 the photo's, 1 the style's")
    strokes: float = number(1.0, 0, 3, "how many strokes are laid where the photo is calm; 1 is what the style shows")
    inversion_iterations: int = number(
        1,
        0,
        20,
        "model evaluations in one inversion step, at the noise sought; 0 is the published plain DDIM inversion",
    )
    swap_until: float = number(0.4, 0, 1, "share of the steps in which the content's attention is fed in")
    swap: str = choice("q", SWAPS, "what is fed in: the content's queries, queries and keys, or nothing")
    guidance_scale: float = number(1.0, 1, 50, "classifier-free guidance; 1 is none and costs half")
    strength: float = number(1.0, 0, 4, "how strongly the style's weight offsets apply; 0 gives the content back")
    eta: float = number(1.0, 0, 1, "fresh noise in the steps after the swapped ones, for strokes the photo has not")
    anchor: float = number(0.75, 0, 1, "how firmly the photo's edges are held while the style paints all else")
    smoothing: float = number(0.0, 0, 1, "how much fine texture the photo loses first; 0.003 gives broad forms")
    adain: float = number(1.0, 0, 1, "how far the start latent takes the style's palette")
    reference: float = number(1.0, 0, 1, "how much of the attention looks at the style image itself; 0 is quicker")
    noise_sigma: float = number(0.0, 0, 64, "noise on the photo before inversion, in units of 0 to 255")
    margin_px: int = number(32, 0, 256, "mirrored border painted along and cut off, which keeps the edges clean")
    size_px: int | None = number(None, 8, 4096, "short side of the result in pixels; None is the base's own")
    seed: int = number(0, 0, 2**63 - 1, "seed of everything random")
    prompt: str = words("", f"what the content shows{_READS}")
    negative_prompt: str = words("", "what the result must not show; used when guidance_scale is above 1")

    _presets = {
        "default": {},
        "classic": {"method": "swap", "steps": 20, "palette": 0.0},
        "paper": {
            "method": "swap",
            "palette": 0.0,
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

    def __post_init__(self) -> None:
        super().__post_init__()
        used, fields = self.settings_of(self.method), dataclasses.fields(self)
        self._refuse(f.name for f in fields if f.name not in used and getattr(self, f.name) != f.default)
        if self.method == "paint" and self.steps > MOST_PAINTING_STEPS:
            raise ConfigError(
                f"steps is {self.steps}; painting takes 1 to {MOST_PAINTING_STEPS}. More steps are for the presets "
                "classic and paper."
            )

    @staticmethod
    def paints(names: Iterable[str]) -> bool:
        """Whether painting uses all settings of these names."""
        return not set(names) & set(_SWAP_ONLY)

    @classmethod
    def settings_of(cls, method: str) -> list[str]:
        """The settings that a method uses, in the order of the fields."""
        other = _SWAP_ONLY if method == "paint" else _PAINT_ONLY
        return [entry.name for entry in dataclasses.fields(cls) if entry.name not in other]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """As for every config. Raises: ConfigError also for a setting that the method does not use."""
        method = values.get("method", METHODS[0])
        cls._refuse(name for name in values if name in (_SWAP_ONLY if method == "paint" else _PAINT_ONLY))
        return super().from_dict(values)

    @classmethod
    def _refuse(cls, unused: Iterable[str]) -> None:
        """Raises: ConfigError for settings that the method at hand does not use."""
        names = list(unused)
        if names:
            presets = cls.presets_using(names[0])
            raise ConfigError(
                f"{', '.join(names)} is not used by this preset; it belongs to {' and '.join(presets)}. Leave it "
                f"out, or choose --preset {presets[0]} (in Python preset={presets[0]!r})."
            )

    @classmethod
    def presets_using(cls, name: str) -> list[str]:
        """The presets that use a setting."""
        return [
            key for key, values in cls._presets.items() if name in cls.settings_of(values.get("method", METHODS[0]))
        ]

    @property
    def nearest(self) -> str:
        """The name of the preset to say these settings with: of its method, and with the fewest changes on top."""
        alike = [name for name in self._presets if self.preset(name).method == self.method]
        return min(alike, key=lambda name: len(self.changes(name)))

    def changes(self, preset: str) -> dict[str, Any]:
        """What is set otherwise than in a preset of the same method."""
        usual = self.preset(preset)
        return {name: value for name, value in self.to_dict().items() if value != getattr(usual, name)}

    @classmethod
    def from_recipe(cls, settings: Mapping[str, Any]) -> Self:
        """The settings of a recipe; those of before 0.2 name no method, and were made by swapping.

        Raises: ConfigError for a setting that no version had, or a bad value.
        """
        return cls.from_dict(settings if "method" in settings else {"method": "swap", "palette": 0.0, **settings})

    def to_dict(self) -> dict[str, Any]:
        """The settings that the method uses, as plain values, ready for JSON."""
        return {name: getattr(self, name) for name in self.settings_of(self.method)}


@dataclass(frozen=True)
class GenerateConfig(Settings):
    """How a prompt is painted without a photo."""

    steps: int = number(30, 1, 1000, "denoising steps")
    guidance_scale: float = number(5.0, 1, 50, "classifier-free guidance; 1 is none and costs half")
    strength: float = number(1.0, 0, 4, "how strongly the style's weight offsets apply; 0 leaves the style out")
    size_px: int | None = number(None, 8, 4096, "sides of the picture in pixels; None is the base's own")
    seed: int = number(0, 0, 2**63 - 1, "seed of everything random")
    prompt: str = words("", f"what the picture shows{_READS}")
    negative_prompt: str = words("", "what the picture must not show; used when guidance_scale is above 1")

    _presets = {"default": {}}

    @classmethod
    def from_recipe(cls, settings: Mapping[str, Any]) -> Self:
        """The settings of a recipe, also of one that lists a transfer's settings too, as recipes once did.

        Raises: ConfigError for a setting that no version had, or a bad value.
        """
        once_listed, own = ({entry.name for entry in dataclasses.fields(kind)} for kind in (TransferConfig, cls))
        return cls.from_dict({name: settings[name] for name in settings if name not in once_listed - own})


@dataclass(frozen=True)
class TrainingFreeConfig(Settings):
    """How a content image is repainted after a style image that nothing was learned from."""

    steps: int = number(20, 1, 1000, "denoising steps, and steps of each of the two inversions before them")
    inversion_iterations: int = number(1, 0, 20, "model evaluations in one inversion step; 0 is plain DDIM inversion")
    gamma: float = number(0.75, 0, 1, "share of the content's queries in the attention; less is more style")
    temperature: float = number(1.5, 0.1, 10, "how sharply the style image is attended to")
    adain: float = number(1.0, 0, 1, "how far the start latent takes the style image's statistics")
    noise_sigma: float = number(0.0, 0, 64, "noise on the photo before inversion, in units of 0 to 255")
    size_px: int | None = number(None, 8, 4096, "short side of the result in pixels; None is the base's own")
    seed: int = number(0, 0, 2**63 - 1, "seed of everything random")
    prompt: str = words("", f"what the content shows{_READS}")

    _presets = {"default": {}, "paper": {"steps": 50, "inversion_iterations": 0}}

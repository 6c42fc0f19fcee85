"""Settings of capture and transfer; command line flags, UI controls and recipes derive from these fields.

Every field carries metadata: `help` (text), and `low`/`high` (inclusive numbers) or `choices` (strings).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from sigstyle.errors import ConfigError
from sigstyle.places import Spot
from sigstyle.settings import Alias, Methodical, Settings, choice, number, switch, words

TARGET_GROUPS = ("auto", "most", "attention", "attention+out", "decoder", "decoder+all", "paper", "style-block")
SWAPS = ("none", "q", "qk")
AUTOCAST = ("auto", "on", "off")
METHODS = ("paint", "swap")
PROMPT_METHODS = ("paint", "denoise")
PROTECTED = ("auto", "faces", "none")
UNTIL = ("steps", "best")
AUTO, AUTO_STEPS = "auto", 300  # the most that `steps="auto"` takes
STARTS = ("zero", "instant")
GENERATORS = ("mip", "mlp", "recurrent")
DECAYS = ("linear", "constant")
MOST_PAINTING_STEPS = 8
MOST_TRIES = 32
_READS = "; a base reads 75 tokens, some 50 words with those of the style, and a notice quotes what is cut"
_VARIATION = Alias("seed", "another number is another set of strokes")
_WORDS = {
    "colour": Alias("palette", "whose colours: 0 the photo's, 1 the style's"),
    "keep": Alias("freedom", "how much of the photo is kept: 1 all that can be, 0 little", inverse=True),
    "variation": _VARIATION,
}
_PAINT_ONLY = ("freedom", "strokes", "stroke", "max_megapixels", "protect")
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

    steps: int = number(100, 1, 100_000, "training steps; auto takes as many as make it better", also=AUTO)
    until: str = choice(
        "steps", UNTIL, "when learning ends: after all steps, or at the best that held-out photos and crops show"
    )
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
    generator: str = choice(
        "mip", GENERATORS, "the hypernetwork: mip, plain mlp, or recurrent, where a layer knows of those before it"
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

    @classmethod
    def plain(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """As for every config; the steps may be 'auto', for at most 300 of which the best are kept."""
        found = super().plain(values)
        return {"until": "best", **found, "steps": AUTO_STEPS} if found.get("steps") == AUTO else found

    @property
    def classic(self) -> bool:
        """Whether nothing is painted while learning, so that the style is for inverting and swapping alone."""
        return self.painting == 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.domain.strip() or "<" in self.domain or len(self.domain) > 80:
            raise ConfigError(f"domain is {self.domain!r}; expected a few words such as 'painting', without '<'.")


@dataclass(frozen=True)
class CollectionConfig(Settings):
    """How a style is added to a collection."""

    steps: int = number(60, 1, 100_000, "training steps")
    hold: float = number(
        100.0, 0, 1e6, "how firmly what the network makes for earlier styles is held; 0 lets it forget them"
    )
    lr: float = number(4e-3, 0, 1, "learning rate of what all styles share; the rest of the network learns slower")
    embedding_lr: float = number(2e-2, 0, 1, "learning rate of the new style's embedding")
    painting: int = number(2, 1, 64, "photos painted in one step")
    batch_size: int = number(1, 1, 256, "crops of the style image remembered in one step")
    style_weight: float = number(5.0, 0, 1000, "weight of the style against the photo")
    content_bound: float = number(0.85, 0, 2, "how far the photo's structure may go, 0 to 2; 0 weighs it evenly")
    crops: int = number(12, 1, 4096, "cached crops of the style images")
    size_px: int | None = number(None, 8, 4096, "side of a crop in pixels; None is the size the base was trained at")
    seed: int = number(0, 0, 2**63 - 1, "seed of everything random")
    autocast: str = choice("auto", AUTOCAST, "bfloat16 arithmetic: auto is on where there are units for it")

    _presets = {"default": {}}

    @property
    def capture(self) -> CaptureConfig:
        """The same as settings of a capture, whose lessons it takes."""
        shared = {name: getattr(self, name) for name in self.names() if name in CaptureConfig.names()}
        return CaptureConfig(**shared, warmup=min(10, self.steps // 6))


@dataclass(frozen=True)
class TransferConfig(Methodical):
    """How a content image is repainted: painted in a few evaluations, or by inverting it and swapping attention.

    Each method has settings of its own (`settings_of`); giving one that the preset's method does not use is an error.
    """

    method: str = field(default="paint", metadata={"help": "paint or swap", "choices": METHODS, "internal": True})
    steps: int = number(1, 1, 1000, "denoising steps; with classic and paper also those of the inversion before them")
    freedom: float = number(0.3, 0, 1, "how freely it is painted: low keeps letters legible, high dissolves the scene")
    palette: float = number(1.0, 0, 1, "whose colours: 0 the photo's, 1 the style's")
    strokes: float = number(1.0, 0, 3, "how many strokes are laid where the photo is calm; 1 is what the style shows")
    stroke: float = number(1.0, 0.25, 4, "how large strokes are against the picture, however many pixels it has")
    inversion_iterations: int = number(
        1,
        0,
        20,
        "model evaluations in one inversion step, at the noise sought; 0 is the published plain DDIM inversion",
    )
    protect: str = choice(
        "auto", PROTECTED, "what is painted more closely: auto, faces where there are any; faces says if there are none"
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
    size_px: int | None = number(
        None,
        8,
        4096,
        "short side of the result in pixels; None is the photo's own, and with classic and paper the base's own",
    )
    max_megapixels: float = number(16.0, 0.01, 80, "most million pixels of the result, which else is made smaller")
    where: str = words(
        "",
        "what of the photo is painted: subject, background, what is at a point X,Y or in a box X,Y,W,H (pixels or %); "
        "empty is all of it",
    )
    invert_mask: str = switch("paint what a mask, or where, leaves out, and leave what it paints")
    feather: float = number(0.0, 0, 1000, "how softly a mask ends, inwards from its edge, in pixels of the photo")
    seed: int = number(0, 0, 2**63 - 1, "seed of everything random")
    best_of: int = number(1, 1, MOST_TRIES, "paint with so many seeds, and keep the best by structure, style and leak")
    leak_bound: float = number(
        0.15, 0, 1, "the most that may show of the style image's own objects; above it, once more and weaker; 1 never"
    )
    prompt: str = words("", f"what the content shows{_READS}")
    negative_prompt: str = words("", "what the result must not show; used when guidance_scale is above 1")

    _aliases = _WORDS
    _only = {"paint": _PAINT_ONLY, "swap": _SWAP_ONLY}
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
        if self.where:
            Spot.parsed(self.where)
        if self.method == "paint" and self.steps > MOST_PAINTING_STEPS:
            raise ConfigError(
                f"steps is {self.steps}; painting takes 1 to {MOST_PAINTING_STEPS}. More steps are for the presets "
                "classic and paper."
            )

    @staticmethod
    def paints(names: Iterable[str]) -> bool:
        """Whether painting uses all settings of these names."""
        return not set(names) & set(_SWAP_ONLY)

    @property
    def place(self) -> Spot | None:
        """What of the photo is painted; None where that is all of it, or what a mask says."""
        return Spot.parsed(self.where) if self.where else None

    @classmethod
    def from_recipe(cls, settings: Mapping[str, Any]) -> Self:
        """The settings of a recipe; those of before 0.2 name no method, and were made by swapping.

        Earlier ones neither protected faces nor looked for leaks; where no stroke is named, strokes had their size in
        pixels, and a picture 512 of them unless it was asked for.
        Raises: ConfigError for a setting that no version had, or a bad value.
        """
        made = settings if "method" in settings else {"method": "swap", "palette": 0.0, **settings}
        older: dict[str, Any] = {"leak_bound": 1.0}
        if made["method"] == "paint":
            older["protect"] = "none"
            if "stroke" not in made:
                size_px = made.get("size_px") or 512
                older["stroke"] = min(1.0, max(0.25, 512 / size_px)) if isinstance(size_px, int) else 1.0
                made = {**made, "size_px": size_px}
        return cls.from_dict({**older, **made})


@dataclass(frozen=True)
class GenerateConfig(Methodical):
    """How a prompt is painted without a photo: the base's own picture painted in the style, or denoised in it."""

    method: str = field(
        default="paint", metadata={"help": "paint or denoise", "choices": PROMPT_METHODS, "internal": True}
    )
    steps: int = number(30, 1, 1000, "denoising steps of the picture that is painted")
    guidance_scale: float = number(5.0, 1, 50, "classifier-free guidance; 1 is none and costs half")
    strength: float = number(1.0, 0, 4, "how strongly the style's weight offsets apply; 0 leaves the style out")
    freedom: float = number(0.3, 0, 1, "how freely the base's picture is painted")
    palette: float = number(1.0, 0, 1, "whose colours: 0 the base's picture's, 1 the style's")
    strokes: float = number(1.0, 0, 3, "how many strokes are laid where that is calm; 1 is what the style shows")
    margin_px: int = number(32, 0, 256, "mirrored border painted along and cut off, which keeps the edges clean")
    size_px: int | None = number(None, 8, 4096, "sides of the picture in pixels; None is the base's own")
    seed: int = number(0, 0, 2**63 - 1, "seed of everything random")
    prompt: str = words("", f"what the picture shows{_READS}")
    negative_prompt: str = words("", "what the picture must not show; used when guidance_scale is above 1")

    _aliases = _WORDS
    _only = {"paint": ("freedom", "palette", "strokes", "margin_px"), "denoise": ()}
    _presets = {"default": {}, "classic": {"method": "denoise"}}

    @classmethod
    def from_recipe(cls, settings: Mapping[str, Any]) -> Self:
        """The settings of a recipe, also of one that lists a transfer's settings too, as recipes once did.

        Those that name no method were denoised in the style.
        Raises: ConfigError for a setting that no version had, or a bad value.
        """
        method = settings.get("method", "denoise")
        others = set(TransferConfig.names()) - set(cls.settings_of(method))
        return cls.from_dict({"method": method, **{n: settings[n] for n in settings if n not in others}})


@dataclass(frozen=True)
class TextureConfig(Settings):
    """How a surface is painted in a style, without a photo."""

    size_px: int = number(1024, 64, 8192, "side of the picture in pixels")
    seamless: str = switch("make a tile: its edges fit each other, so that copies side by side show no seam")
    steps: int = number(1, 1, MOST_PAINTING_STEPS, "denoising steps of each part")
    freedom: float = number(0.5, 0, 1, "how freely it is painted")
    strokes: float = number(1.5, 0, 3, "how many strokes are laid; 1 is what the style shows")
    variety: float = number(0.7, 0, 3, "how far colours go apart over the surface; 1 is as far as in the style image")
    grain_px: int = number(160, 16, 2048, "how large the fields of one colour are")
    strength: float = number(1.0, 0.01, 4, "how strongly the style's weight offsets apply")
    seed: int = number(0, 0, 2**63 - 1, "seed of everything random")

    _presets = {"default": {}}


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

    _aliases = {"variation": _VARIATION}
    _presets = {"default": {}, "paper": {"steps": 50, "inversion_iterations": 0}}

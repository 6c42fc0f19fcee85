"""How a content image is repainted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from sigstyle.config.wording import MOST_PAINTING_STEPS, READS, WORDS
from sigstyle.errors import ConfigError
from sigstyle.places import Spot
from sigstyle.settings import Methodical, choice, number, switch, words

SWAPS = ("none", "q", "qk")
METHODS = ("paint", "swap")
PROTECTED = ("auto", "faces", "none")
MOST_TRIES = 32
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
    prompt: str = words("", f"what the content shows{READS}")
    negative_prompt: str = words("", "what the result must not show; used when guidance_scale is above 1")

    _aliases = WORDS
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

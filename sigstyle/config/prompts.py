"""How a prompt is painted without a photo."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from sigstyle.config.transfer import TransferConfig
from sigstyle.config.wording import READS, WORDS
from sigstyle.settings import Methodical, number, words

PROMPT_METHODS = ("paint", "denoise")


@dataclass(frozen=True)
class GenerateConfig(Methodical):
    """How a prompt is painted without a photo: the base's own picture painted in the style, or denoised in it."""

    method: str = field(
        default="paint", metadata={"help": "paint or denoise", "choices": PROMPT_METHODS, "internal": True}
    )
    steps: int = number(30, 1, 1000, "denoising steps of the picture that is painted")
    guidance_scale: float = number(5.0, 1, 50, "classifier-free guidance; 1 is none and costs half")
    signal_leak: float = number(
        1.0, 0, 2, "light and colour of photographs in the noise to start from; 0 is noise alone, which comes out grey"
    )
    strength: float = number(1.0, 0, 4, "how strongly the style's weight offsets apply; 0 leaves the style out")
    freedom: float = number(0.3, 0, 1, "how freely the base's picture is painted")
    palette: float = number(1.0, 0, 1, "whose colours: 0 the base's picture's, 1 the style's")
    strokes: float = number(1.0, 0, 3, "how many strokes are laid where that is calm; 1 is what the style shows")
    margin_px: int = number(32, 0, 256, "mirrored border painted along and cut off, which keeps the edges clean")
    size_px: int | None = number(None, 8, 4096, "sides of the picture in pixels; None is the base's own")
    seed: int = number(0, 0, 2**63 - 1, "seed of everything random")
    prompt: str = words("", f"what the picture shows{READS}")
    negative_prompt: str = words("", "what the picture must not show; used when guidance_scale is above 1")

    _aliases = WORDS
    _only = {"paint": ("freedom", "palette", "strokes", "margin_px"), "denoise": ()}
    _presets = {"default": {}, "classic": {"method": "denoise", "signal_leak": 0.0}}

    @classmethod
    def from_recipe(cls, settings: Mapping[str, Any]) -> Self:
        """The settings of a recipe, also of one that lists a transfer's settings too, as recipes once did.

        Those that name no method were denoised in the style, those that name no signal leak started from noise alone.
        Raises: ConfigError for a setting that no version had, or a bad value.
        """
        method = settings.get("method", "denoise")
        others = set(TransferConfig.names()) - set(cls.settings_of(method))
        known = {name: settings[name] for name in settings if name not in others}
        return cls.from_dict({"method": method, "signal_leak": 0.0, **known})

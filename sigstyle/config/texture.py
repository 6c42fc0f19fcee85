"""How a surface is painted in a style, without a photo."""

from dataclasses import dataclass

from sigstyle.config.wording import MOST_PAINTING_STEPS
from sigstyle.settings import Settings, number, switch


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

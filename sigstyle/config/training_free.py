"""How a content image is repainted after a style image that nothing was learned from."""

from dataclasses import dataclass

from sigstyle.config.wording import READS, VARIATION
from sigstyle.settings import Settings, number, words


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
    prompt: str = words("", f"what the content shows{READS}")

    _aliases = {"variation": VARIATION}
    _presets = {"default": {}, "paper": {"steps": 50, "inversion_iterations": 0}}

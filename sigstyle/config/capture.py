"""How a style is learned from images, and how it is added to a collection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sigstyle.config.wording import AUTOCAST, HOLDINGS
from sigstyle.errors import ConfigError
from sigstyle.settings import Settings, choice, number, words

TARGET_GROUPS = ("auto", "most", "attention", "attention+out", "decoder", "decoder+all", "paper", "style-block")
UNTIL = ("steps", "best")
AUTO, AUTO_STEPS = "auto", 300  # the most that `steps="auto"` takes
STARTS = ("zero", "instant")
GENERATORS = ("mip", "mlp", "recurrent")
DECAYS = ("linear", "constant")

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
    holding: str = choice(
        "exact", HOLDINGS,
        "how earlier styles stay: as they are, as only what is the new one's own is trained; or about so, by a penalty "
        "on their drift, while the whole network is trained",
    )  # fmt: skip
    hold: float = number(100.0, 0, 1e6, "weight of that penalty; 0 lets the network forget earlier styles")
    own_lr: float = number(1e-2, 0, 1, "learning rate of a style's own, held exactly")
    lr: float = number(4e-3, 0, 1, "with the penalty: learning rate of what all styles share; all else learns slower")
    embedding_lr: float = number(2e-2, 0, 1, "with the penalty: learning rate of the new style's embedding")
    painting: int = number(2, 1, 64, "photos painted in one step")
    batch_size: int = number(1, 1, 256, "crops of the style image remembered in one step")
    style_weight: float = number(5.0, 0, 1000, "weight of the style against the photo")
    content_bound: float = number(0.85, 0, 2, "how far the photo's structure may go, 0 to 2; 0 weighs it evenly")
    crops: int = number(12, 1, 4096, "cached crops of the style images")
    size_px: int | None = number(None, 8, 4096, "side of a crop in pixels; None is the size the base was trained at")
    seed: int = number(0, 0, 2**63 - 1, "seed of everything random")
    autocast: str = choice("auto", AUTOCAST, "bfloat16 arithmetic: auto is on where there are units for it")

    _presets = {"default": {}}

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in {"exact": ("hold", "lr", "embedding_lr"), "penalty": ("own_lr",)}[self.holding]:
            if getattr(self, name) != getattr(type(self), name):
                raise ConfigError(
                    f"{name} is not used with holding {self.holding!r}. Leave it out, or choose the other holding."
                )

    @property
    def capture(self) -> CaptureConfig:
        """The same as settings of a capture, whose lessons it takes."""
        shared = {name: getattr(self, name) for name in self.names() if name in CaptureConfig.names()}
        return CaptureConfig(**shared, warmup=min(10, self.steps // 6))

"""What both pipelines share: their output, the styles they hold, and how a run is watched and stopped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from sigstyle.base.model import BaseModel, decode
from sigstyle.diffusion.denoise import OnStep
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import to_pil
from sigstyle.style.blend import Blend
from sigstyle.style.style import Style

OnStepEnd = Callable[[Any, int, int, dict[str, Tensor]], dict[str, Tensor] | None]
OUTPUT_TYPES = ("pil", "np", "pt", "latent")


@dataclass
class SigStyleOutput(BaseOutput):
    """What a run made; `interrupted` says that it was stopped, early on without any image.

    Shapes: images are PIL images, or [b, h, w, 3] for 'np' and [b, 3, h, w] for 'pt' in [0, 1], or latents.
    """

    images: Any
    trace: ContentTrace | None = None
    notices: list[str] = field(default_factory=list)
    interrupted: bool = False


class StyleMixin:
    """Styles loaded into a pipeline, and the pipeline's parts as a base."""

    _base: BaseModel | None = None
    _interrupt: bool = False
    _loaded: dict[str, tuple[Style, float | None]]

    @classmethod
    def from_base(cls, base: BaseModel) -> Self:
        """The pipeline around a base, sharing its modules."""
        pipe = cls(base.vae, base.text_encoder, base.tokenizer, base.unet, base.scheduler)  # type: ignore[call-arg]
        pipe._base = base
        return pipe

    @property
    def base(self) -> BaseModel:
        """The parts of this pipeline as a base. Raises: ConfigError when they are no Stable Diffusion 1.x or 2.x."""
        if self._base is None or self._base.unet is not self.unet:  # type: ignore[attr-defined]
            self._base = BaseModel.from_pipeline(self)
        return self._base

    @property
    def styles(self) -> dict[str, Style]:
        """The loaded styles by name."""
        return {name: style for name, (style, _) in self._loaded.items()}

    def load_style(self, style: Style | str | Path, weight: float | None = None) -> Style:
        """Add a style, or replace the one of the same name; without a weight, styles share evenly.

        Raises: StyleFileError for an unusable file, BaseMismatchError for a style of another base.
        """
        loaded = style if isinstance(style, Style) else Style.load(style)
        loaded.check_base(self.base)
        self._loaded[loaded.name] = (loaded, weight)
        return loaded

    def unload_style(self, name: str | None = None) -> None:
        """Take out the style called `name`, or all of them. Raises: ConfigError when there is none of that name."""
        if name is None:
            self._loaded.clear()
        elif name not in self._loaded:
            raise ConfigError(f"No style {name!r} is loaded; loaded are {', '.join(self._loaded) or 'none'}.")
        else:
            del self._loaded[name]

    @property
    def blend(self) -> Blend:
        """The loaded styles at their weights. Raises: ConfigError when there are none."""
        loaded = self._loaded.values()
        return Blend.of([style for style, _ in loaded], [weight for _, weight in loaded])

    @property
    def interrupt(self) -> bool:
        """Whether the run is to stop; set `_interrupt` from a callback or another thread."""
        return self._interrupt

    def _step_callback(self, callback: OnStepEnd | None, inputs: Sequence[str]) -> OnStep:
        """`callback_on_step_end` as the denoising loop calls it. Raises: ConfigError for inputs it cannot give.

        It can give the latents that a step led to, and `clean`, the clean latents that the step predicted.
        """
        if set(inputs) - {"latents", "clean"}:
            raise ConfigError(
                f"callback_on_step_end_tensor_inputs is {list(inputs)}; expected some of ['latents', 'clean']."
            )

        def on_step(step: int, timestep: int, latents: Tensor, clean: Tensor) -> Tensor:
            given = {name: tensor for name, tensor in (("latents", latents), ("clean", clean)) if name in inputs}
            changed = callback(self, step, timestep, given) if callback is not None else None
            return (changed or {}).get("latents", latents)

        return on_step

    def _bar(self, total: int) -> Any:
        """The pipeline's progress bar."""
        return self.progress_bar(total=total)  # type: ignore[attr-defined]

    def _decoded(self, latents: Tensor) -> list[Image.Image]:
        """Images of latents [b, c, h, w], decoded one by one to save memory."""
        return [to_pil(decode(self.base.vae, row.unsqueeze(0))) for row in latents]


def check_output_type(output_type: str) -> None:
    """Raises ConfigError for an output type that does not exist."""
    if output_type not in OUTPUT_TYPES:
        raise ConfigError(f"output_type is {output_type!r}; expected one of {', '.join(OUTPUT_TYPES)}.")


def as_output_type(images: list[Image.Image], output_type: str) -> Any:
    """PIL images as they are, or in [0, 1] as an array [b, h, w, 3] ('np') or a tensor [b, 3, h, w] ('pt')."""
    if output_type == "pil":
        return images
    stacked = np.stack([np.asarray(image, dtype=np.float32) / 255 for image in images])
    return stacked if output_type == "np" else torch.from_numpy(stacked).permute(0, 3, 1, 2)

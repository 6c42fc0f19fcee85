"""What both pipelines share: their output, the styles they hold, and how a run is watched and stopped."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from pipelines.calls import check_bare_embeds, joined
from sigstyle.base.model import BaseModel, ddim, load_base
from sigstyle.diffusion.denoise import OnStep
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.errors import ConfigError
from sigstyle.painting.evaluations import OnEvaluation
from sigstyle.style.blend import Blend
from sigstyle.style.foreign import opened_with
from sigstyle.style.style import Style

OnStepEnd = Callable[[Any, int, int, dict[str, Tensor]], dict[str, Tensor] | None]
OnPipeEvaluation = Callable[[Any, int, int], None]  # (pipe, done, total)
OUTPUT_TYPES = ("pil", "np", "pt", "latent")
STEP_TENSORS = ["latents", "pred_x0"]  # what `callback_on_step_end` can be given
ONLY_XL = ["text_encoder_2", "tokenizer_2"]
_PARTS = ("unet", "vae", "text_encoder", "tokenizer", *ONLY_XL)


@dataclass
class SigStyleOutput(BaseOutput):
    """What a run made; `interrupted` says that it was stopped, and then nothing was decoded.

    Shapes: images are PIL images, or [b, h, w, 3] for 'np' and [b, 3, h, w] for 'pt' in [0, 1], or latents, those
    reached so far where a run was stopped. `trace` is a list where several images were repainted.
    """

    images: Any
    trace: ContentTrace | list[ContentTrace | None] | None = None
    notices: list[str] = field(default_factory=list)
    interrupted: bool = False


class StyleMixin:
    """Styles loaded into a pipeline, and the pipeline's parts as a base."""

    model_cpu_offload_seq = "text_encoder->text_encoder_2->unet->vae"
    _optional_components = ONLY_XL
    _callback_tensor_inputs = STEP_TENSORS
    _base: BaseModel | None = None
    _bar: Any = None
    _interrupt: bool = False
    _loaded: dict[str, tuple[Style, float | None]]

    def __init__(
        self,
        vae: AutoencoderKL | AutoencoderTiny,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: UNet2DConditionModel,
        scheduler: DDIMScheduler,
        text_encoder_2: CLIPTextModelWithProjection | None = None,
        tokenizer_2: CLIPTokenizer | None = None,
        force_zeros_for_empty_prompt: bool = True,
    ) -> None:
        super().__init__()
        self.register_modules(  # type: ignore[attr-defined]
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=ddim(scheduler),
            text_encoder_2=text_encoder_2,
            tokenizer_2=tokenizer_2,
        )
        self.register_to_config(  # type: ignore[attr-defined]
            force_zeros_for_empty_prompt=force_zeros_for_empty_prompt
        )
        self._loaded = {}

    @classmethod
    def from_base(cls, base: BaseModel) -> Self:
        """The pipeline around a base, sharing its modules."""
        parts = {"text_encoder_2": base.text_encoder_2, "tokenizer_2": base.tokenizer_2}
        parts |= {"force_zeros_for_empty_prompt": base.zero_empty}
        pipe = cls(base.vae, base.text_encoder, base.tokenizer, base.unet, base.scheduler, **parts)  # type: ignore[call-arg]
        pipe._base = base
        return pipe

    @classmethod
    def from_single_file(
        cls,
        path: str | Path,
        torch_dtype: torch.dtype = torch.float32,
        prediction_type: str | None = None,
        device: str | torch.device = "cpu",
        compile: bool = False,
    ) -> Self:
        """The pipeline around a checkpoint in one .safetensors file; nothing is fetched for it. See `load_base`.

        Raises: ConfigError for what is no Stable Diffusion checkpoint, as `load_base`.
        """
        return cls.from_base(load_base(path, device, torch_dtype, prediction_type=prediction_type, compile=compile))

    @classmethod
    def from_pipe(cls, pipeline: Any, **more: Any) -> Self:
        """The pipeline around another's modules, with the styles that are loaded there.

        Raises: ConfigError for a pipeline with a ControlNet or an IP-Adapter.
        """
        if getattr(pipeline, "controlnet", None) is not None:
            raise ConfigError("The pipeline has a ControlNet, which these do not use; give one without it.")
        if getattr(pipeline.unet, "encoder_hid_proj", None) is not None:
            raise ConfigError("The pipeline has an IP-Adapter on; call its unload_ip_adapter() first.")
        made = super().from_pipe(pipeline, **more)  # type: ignore[misc]
        if isinstance(pipeline, StyleMixin):
            made._loaded, made._base = dict(pipeline._loaded), pipeline._base
        return made

    def load_ip_adapter(self, *_: Any, **__: Any) -> None:
        """Raises ConfigError: an IP-Adapter and a style both need the attention's processors."""
        raise ConfigError(
            "IP-Adapters are not supported: they take the attention that a style steers. Capture a style of that image."
        )

    def encode_prompt(self, prompt: str, strength: float = 1.0) -> Tensor:
        """Embeddings [1, tokens, dim] of a prompt in the loaded styles, as `prompt_embeds` takes them.

        Raises: ConfigError for XL, which reads more of a prompt than these.
        """
        base = self.base
        with torch.no_grad(), base.lock:
            check_bare_embeds(base)
            return self.blend.embed(base.reader, prompt, strength).embeds

    @property
    def base(self) -> BaseModel:
        """The parts of this pipeline, as they are now, as a base.

        Raises: ConfigError when they are no Stable Diffusion 1.x, 2.x or XL.
        """
        known = self._base
        if known is None or any(getattr(known, part) is not getattr(self, part) for part in _PARTS):
            same_unet = known is not None and known.unet is self.unet  # type: ignore[attr-defined]
            self._base = BaseModel.from_pipeline(self, known.name if known is not None and same_unet else None)
        return self._base  # type: ignore[return-value]

    @property
    def styles(self) -> dict[str, Style]:
        """The loaded styles by name."""
        return {name: style for name, (style, _) in self._loaded.items()}

    def load_style(self, style: Style | str | Path, weight: float | None = None, name: str | None = None) -> Style:
        """Add a style, or replace the one of the same name; without a weight, styles share evenly.

        `name` is what it is held under here, its own unless given: so two styles of one name are blended.
        A LoRA or a textual inversion for this base is a style too.
        Raises: StyleFileError for an unusable file, BaseMismatchError for a style of another base.
        """
        loaded = opened_with(style, self.base)
        loaded.check_base(self.base)
        self._loaded[name or loaded.name] = (loaded, weight)
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
        """The loaded styles at their weights.

        Raises: ConfigError when there are none, BaseMismatchError when the pipeline's parts are another base by now.
        """
        loaded = self._loaded.values()
        for style, _ in loaded:
            style.check_base(self.base)
        return Blend.of([style for style, _ in loaded], [weight for _, weight in loaded])

    @property
    def interrupt(self) -> bool:
        """Whether the run is to stop."""
        return self._interrupt

    def stop(self) -> None:
        """Stop the run in progress after its present UNet evaluation; from a callback or another thread."""
        self._interrupt = True

    def _step_callback(self, callback: OnStepEnd | None, inputs: Sequence[str]) -> OnStep:
        """`callback_on_step_end` as a run calls it. Raises: ConfigError for inputs it cannot give.

        It can give the latents that a step led to, and `pred_x0`, the clean latents that the step predicted.
        """
        if set(inputs) - set(STEP_TENSORS):
            raise ConfigError(f"callback_on_step_end_tensor_inputs is {list(inputs)}; expected some of {STEP_TENSORS}.")

        def on_step(step: int, timestep: int, latents: Tensor, pred_x0: Tensor) -> Tensor:
            given = {name: tensor for name, tensor in (("latents", latents), ("pred_x0", pred_x0)) if name in inputs}
            changed = callback(self, step, timestep, given) if callback is not None else None
            return (changed or {}).get("latents", latents)

        return on_step

    @contextmanager
    def _running(self, total: int) -> Iterator[None]:
        """The base locked for one run and a progress bar, with no stop asked for; offloaded parts go back after it."""
        with self.base.lock:
            self._interrupt = False  # not before: until here another run may be the one that is to stop
            try:
                with self.progress_bar(total=total) as self._bar:  # type: ignore[attr-defined]
                    yield
            finally:
                self._bar = None
                self.maybe_free_model_hooks()  # type: ignore[attr-defined]
                self.base.rest()

    def _made(self, calls: Sequence[dict[str, Any]]) -> SigStyleOutput | Any:
        """What the calls make, as the output of one, or as the tuple that was asked for; a stop ends them all."""
        how, outputs = calls[0], []
        for call in calls:
            outputs.append(self._single(call))  # type: ignore[attr-defined]
            if outputs[-1].interrupted:
                break
        made = outputs[0]
        if len(calls) > 1:
            images = joined([output.images for output in outputs], how["output_type"])
            traces = [output.trace for output in outputs]
            notices = list(dict.fromkeys(line for output in outputs for line in output.notices))
            made = SigStyleOutput(images, traces if any(traces) else None, notices, outputs[-1].interrupted)
        if how["return_dict"]:
            return made
        return (made.images, made.trace) if "image" in how else (made.images,)

    def _counting(self, callback: OnPipeEvaluation | None = None) -> OnEvaluation:
        """What a run calls after every UNet evaluation: the progress bar moves, and `callback` hears of it."""

        def evaluated(done: int, total: int) -> None:
            if self._bar is not None:
                self._bar.update()
            if callback is not None:
                callback(self, done, total)

        return evaluated

    def _is_stopped(self) -> bool:
        return self.interrupt


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

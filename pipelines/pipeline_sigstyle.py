"""Content and style to images: painted in a few evaluations, or by inverting the photo and swapping its attention."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DiffusionPipeline,
    UNet2DConditionModel,
)
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from pipelines.calls import on_device, refuse, single_calls
from pipelines.style_mixin import (
    OFFLOAD_ORDER,
    ONLY_XL,
    STEP_TENSORS,
    OnPipeEvaluation,
    OnStepEnd,
    SigStyleOutput,
    StyleMixin,
    as_output_type,
    check_output_type,
)
from sigstyle.base.model import ddim
from sigstyle.config import TransferConfig
from sigstyle.defaults import resolved
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import Source, load_mask
from sigstyle.imaging.masks import matching
from sigstyle.painting.content import Content
from sigstyle.painting.inversion import ContentInversion
from sigstyle.painting.run import Run, run_of
from sigstyle.painting.seeds import Generators, check_generators, spent

_SETTINGS = {"steps": "num_inference_steps"} | {
    name: name for name in TransferConfig.names() if name not in ("steps", "seed", "method")
}  # setting: argument


class SigStylePipeline(StyleMixin, DiffusionPipeline):
    """Repaints a content image in one or several captured styles.

    Load styles with `load_style`; UNet weights and attention processors are as they were after every call, also
    after an exception or an interrupt.
    Source: SigStyle, arXiv 2502.13997.
    """

    model_cpu_offload_seq = OFFLOAD_ORDER
    _optional_components = ONLY_XL
    _callback_tensor_inputs = STEP_TENSORS

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
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=ddim(scheduler),
            text_encoder_2=text_encoder_2,
            tokenizer_2=tokenizer_2,
        )
        self.register_to_config(force_zeros_for_empty_prompt=force_zeros_for_empty_prompt)
        self._loaded = {}

    @torch.no_grad()
    def __call__(
        self,
        image: Source | Tensor | np.ndarray | Sequence[Any],
        prompt: str | Sequence[str] | None = None,
        *,
        config: TransferConfig | None = None,
        preset: str | None = None,
        num_inference_steps: int | None = None,
        strength: float | None = None,
        freedom: float | None = None,
        palette: float | None = None,
        strokes: float | None = None,
        swap_until: float | None = None,
        swap: str | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        eta: float | None = None,
        anchor: float | None = None,
        smoothing: float | None = None,
        adain: float | None = None,
        reference: float | None = None,
        noise_sigma: float | None = None,
        inversion_iterations: int | None = None,
        margin_px: int | None = None,
        size_px: int | None = None,
        mask: Source | Tensor | np.ndarray | Sequence[Any] | None = None,
        trace: ContentTrace | Sequence[ContentTrace] | None = None,
        prompt_embeds: Tensor | None = None,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: OnStepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        callback_on_evaluation: OnPipeEvaluation | None = None,
        **others: Any,
    ) -> SigStyleOutput | Any:  # Any: the tuple that return_dict=False asks for
        """Repaint `image`; what is left None is as in `config` or the `preset`, by default painting.

        `freedom` and `strokes` are for painting; all between `swap_until` and `inversion_iterations` is for inverting
        and swapping, and starts from the preset 'paper' where neither preset nor config is given.
        `trace` is the trace of an earlier result: with the same content and settings that count for it, the evaluations
        before the first step are saved, otherwise they are made anew and `notices` says why. `mask` (white is where the
        style goes) keeps all else as it is, pixel for pixel, and gives a result of the content's own size. Several
        images of one prompt differ by fresh noise and, when painting, by their strokes. Without a `generator` the
        config's seed counts; with one, a second call gives other pictures, as of any pipeline. Lists of images,
        prompts, masks or traces, tensors and arrays are repainted one by one, each as it would be alone.
        `prompt_embeds` (see `encode_prompt`) are read in place of the prompt. `callback_on_evaluation(pipe, done,
        total)` is called after every UNet evaluation.

        Shapes: prompt_embeds [b, tokens, dim].
        Units: size_px is the short side of the result; noise_sigma counts in steps of 0 to 255.
        Raises: ConfigError for unusable settings, also those that the method at hand does not use, for a style that
        lacks what it needs, or when none is loaded; ImageError for unusable images.
        """
        refuse(others)
        return self._made(single_calls(locals()))

    def _single(self, call: Mapping[str, Any]) -> SigStyleOutput:
        """One call's image repainted. Raises: ConfigError, ImageError."""
        settings, images = _settings(call, self.base.family), call["num_images_per_prompt"]
        on_step = self._step_callback(call["callback_on_step_end"], call["callback_on_step_end_tensor_inputs"])
        check_output_type(call["output_type"])
        self._check_scheduler(settings)
        given = call["generator"]
        generator = spent(given) if given else torch.Generator().manual_seed(settings.seed)
        wanted = self._wanted(call["image"], settings, images, generator)
        mask = call["mask"]
        region = None if mask is None else matching(load_mask(mask), wanted.content.image.size)
        watch = self._counting(call["callback_on_evaluation"])
        blend = dataclasses.replace(self.blend, embeds=on_device(call["prompt_embeds"], self.base))
        run = run_of(wanted, blend, region, call["trace"], on_step, watch, self._is_stopped)
        with self._running(run.total):
            return self._painted(run, call["output_type"])

    def _check_scheduler(self, settings: TransferConfig) -> None:
        """Raises ConfigError for a sampler that cannot be undone, where the photo is inverted."""
        if settings.method == "swap" and not isinstance(self.scheduler, DDIMScheduler):
            raise ConfigError(
                f"The scheduler is {type(self.scheduler).__name__}; inverting a photo takes DDIM: set pipe.scheduler = "
                "DDIMScheduler.from_config(pipe.scheduler.config), or paint with the preset default."
            )

    def _painted(self, run: Run, output_type: str) -> SigStyleOutput:
        """What a run makes, decoded unless it was stopped or latents are wanted."""
        made, images = run.paint(), []
        if output_type == "latent" and made.latents is not None:
            images = run.wanted.content.latents_without_margin(made.latents, self.base)
        elif made.latents is not None and not made.interrupted:
            images = as_output_type(run.finished(run.decoded(made.latents)), output_type)
        return SigStyleOutput(images=images, trace=made.trace, notices=made.notices, interrupted=made.interrupted)

    def _wanted(self, image: Source, settings: TransferConfig, images: int, generator: Generators) -> ContentInversion:
        """The inversion these settings call for. Raises: ConfigError, ImageError."""
        check_generators(generator, images)
        return ContentInversion(
            base=self.base,
            scheduler=ddim(self.scheduler),
            content=Content.load(image, self.base, settings.size_px, settings.margin_px),
            prompt=self.blend.source_prompt(settings.prompt),
            config=settings,
            generator=generator,
            images=images,
            amount=self.blend.amount(settings.strength),
        )


def _settings(arguments: Mapping[str, Any], family: str) -> TransferConfig:
    """The settings that a call's arguments ask for, else those of preset or config. Raises: ConfigError."""
    given = {name: arguments[key] for name, key in _SETTINGS.items() if arguments[key] is not None}
    config, preset = arguments["config"], arguments["preset"]
    if config is None and preset is None and not TransferConfig.paints(given):
        preset = "paper"
    return resolved(TransferConfig, preset, config, given, family)

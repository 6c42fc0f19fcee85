"""Content and style to images: painted in a few evaluations, or by inverting the photo and swapping its attention."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.style_mixin import (
    OFFLOAD_ORDER,
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
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import Source, load_mask
from sigstyle.imaging.masks import matching
from sigstyle.painting.content import Content
from sigstyle.painting.inversion import ContentInversion
from sigstyle.painting.run import Run, run_of
from sigstyle.painting.seeds import Generators, check_generators
from sigstyle.settings import resolve

_NO_ARGUMENTS = {"steps", "seed", "method", "best_of", "leak_bound"}
_SETTINGS = {"steps": "num_inference_steps"} | {
    name: name for name in [*TransferConfig.names(), "colour", "keep"] if name not in _NO_ARGUMENTS
}  # setting: argument


class SigStylePipeline(StyleMixin, DiffusionPipeline):
    """Repaints a content image in one or several captured styles.

    Load styles with `load_style`; UNet weights and attention processors are as they were after every call, also
    after an exception or an interrupt.
    Source: SigStyle, arXiv 2502.13997.
    """

    model_cpu_offload_seq = OFFLOAD_ORDER
    _callback_tensor_inputs = STEP_TENSORS

    def __init__(
        self,
        vae: AutoencoderKL | AutoencoderTiny,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: UNet2DConditionModel,
        scheduler: DDIMScheduler,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=ddim(scheduler)
        )
        self._loaded = {}

    @torch.no_grad()
    def __call__(
        self,
        image: Source,
        prompt: str | None = None,
        *,
        config: TransferConfig | None = None,
        preset: str | None = None,
        num_inference_steps: int | None = None,
        strength: float | None = None,
        freedom: float | None = None,
        palette: float | None = None,
        strokes: float | None = None,
        stroke: float | None = None,
        max_megapixels: float | None = None,
        colour: float | None = None,
        keep: float | None = None,
        protect: str | None = None,
        swap_until: float | None = None,
        swap: str | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | None = None,
        eta: float | None = None,
        anchor: float | None = None,
        smoothing: float | None = None,
        adain: float | None = None,
        reference: float | None = None,
        noise_sigma: float | None = None,
        inversion_iterations: int | None = None,
        margin_px: int | None = None,
        size_px: int | None = None,
        mask: Source | None = None,
        trace: ContentTrace | None = None,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: OnStepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        callback_on_evaluation: OnPipeEvaluation | None = None,
    ) -> SigStyleOutput | Any:  # Any: the tuple that return_dict=False asks for
        """Repaint `image`; what is left None is as in `config` or the `preset`, by default painting.

        `freedom` to `protect` are for painting; `colour` is `palette`, `keep` is 1 - `freedom`. All from `swap_until`
        to `inversion_iterations` is for inverting and swapping, from the preset 'paper' where neither is given. With
        the `trace` of an earlier result, evaluations before the first step are saved where all that counts is the same;
        else `notices` says why not. `mask` (white is where the style goes) keeps all else. Images of one prompt differ
        by fresh noise and strokes. Without a `generator` the seed counts. `callback_on_evaluation(pipe, done, total)`
        hears of each. Units: size_px is the short side of the result, None the photo's own; noise_sigma is of 0 to 255.
        Raises: ConfigError for unusable settings, also those that the method at hand does not use, for a style that
        lacks what it needs, or when none is loaded; ImageError for unusable images.
        """
        settings = _settings(locals())
        on_step = self._step_callback(callback_on_step_end, callback_on_step_end_tensor_inputs)
        check_output_type(output_type)
        wanted = self._wanted(image, settings, num_images_per_prompt, generator)
        region = None if mask is None else matching(load_mask(mask), wanted.content.image.size)
        watch = self._counting(callback_on_evaluation)
        run = run_of(wanted, self.blend, region, trace, on_step, watch, self._is_stopped)
        output = self._painted(run, output_type)
        return output if return_dict else (output.images, output.trace)

    def _painted(self, run: Run, output_type: str) -> SigStyleOutput:
        """What a run makes, decoded unless it was stopped or latents are wanted."""
        with self._running(run.total):
            return self._output(run, output_type)

    def _output(self, run: Run, output_type: str) -> SigStyleOutput:
        made, images = run.paint(), []
        if output_type == "latent" and made.latents is not None:
            images = run.without_margin(made.latents)
        elif made.latents is not None and not made.interrupted:
            images = as_output_type(run.finished(run.decoded(made.latents)), output_type)
        return SigStyleOutput(images=images, trace=made.trace, notices=made.notices, interrupted=made.interrupted)

    def _wanted(
        self, image: Source, settings: TransferConfig, images: int, generator: Generators | None
    ) -> ContentInversion:
        """The inversion these settings call for. Raises: ConfigError, ImageError."""
        generator = generator or torch.Generator().manual_seed(settings.seed)
        check_generators(generator, images)
        return ContentInversion(
            base=self.base,
            scheduler=ddim(self.scheduler),
            content=Content.wanted(image, self.base, settings),
            prompt=self.blend.source_prompt(settings.prompt),
            config=settings,
            generator=generator,
            images=images,
            amount=self.blend.amount(settings.strength),
        )


def _settings(arguments: Mapping[str, Any]) -> TransferConfig:
    """The settings that a call's arguments ask for, else those of preset or config. Raises: ConfigError."""
    given = {name: arguments[key] for name, key in _SETTINGS.items() if arguments[key] is not None}
    config, preset = arguments["config"], arguments["preset"]
    if config is None and preset is None and not TransferConfig.paints(given):
        preset = "paper"
    settings = resolve(TransferConfig, preset, config, given)
    if settings.best_of > 1:
        raise ConfigError(f"best_of is {settings.best_of}; a pipeline paints one seed. sigstyle.transfer chooses.")
    return settings

"""Content and style to images: painted in a few evaluations, or by inverting the photo and swapping its attention."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

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
from sigstyle.imaging.images import Source, load_image
from sigstyle.painting.content import Content
from sigstyle.painting.inversion import ContentInversion
from sigstyle.painting.local import Local, Region
from sigstyle.painting.run import Run
from sigstyle.painting.seeds import Generators, check_generators
from sigstyle.style.blend import Blend
from sigstyle.style.style import Style


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
        image: Source,
        prompt: str | None = None,
        *,
        config: TransferConfig | None = None,
        preset: str | None = None,
        num_inference_steps: int | None = None,
        mask: Source | None = None,
        regions: Sequence[Region] = (),
        gradient: str | None = None,
        palette_from: Style | None = None,
        texture: Source | None = None,
        trace: ContentTrace | None = None,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: OnStepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        callback_on_evaluation: OnPipeEvaluation | None = None,
        **changes: Any,
    ) -> SigStyleOutput | Any:  # Any: the tuple that return_dict=False asks for
        """Repaint `image`; `changes` are settings of TransferConfig, as strength=0.5, on top of `config` or `preset`.

        Those that no preset but classic and paper uses start from 'paper' where neither preset nor config is given.
        With the `trace` of an earlier result, evaluations before the first step are saved where all that counts is the
        same; else `notices` says why not. `mask` (white is where the style goes), or a place named by `where`, keeps
        all else as it is, pixel for pixel, and gives a result of the content's own size. `regions` are painted in
        styles of their own, the later over the earlier; `gradient` (left-right, top-bottom or an angle) leads from each
        loaded style to the next, whatever their weights; `palette_from` is the style whose colours are wanted instead
        of the loaded ones'; `texture`, a picture of a surface, is laid on what is painted, whose shading and form stay.
        Images of one prompt differ by fresh noise and strokes. Without a `generator` the seed counts.
        `callback_on_evaluation(pipe, done, total)` hears of every evaluation of the UNet.

        Units: size_px is the short side of the result, None the photo's own; noise_sigma is in steps of 0 to 255.
        Raises: ConfigError for unusable settings, also those that the method at hand does not use, for a style that
        lacks what it needs, or when none is loaded; ImageError for unusable images.
        """
        given = {"prompt": prompt, "steps": num_inference_steps, **changes}
        given = {name: value for name, value in given.items() if value is not None}
        settings = _settings(given, preset, config, self.base.family)
        on_step = self._step_callback(callback_on_step_end, callback_on_step_end_tensor_inputs)
        check_output_type(output_type)
        local = Local(mask, tuple(regions), gradient, None if texture is None else load_image(texture))
        for region in local.regions:
            region.style.check_base(self.base)
        blend = replace(self.blend, colours=palette_from) if self.styles or not local.regions else None
        read_by = blend or Blend.of([local.regions[0].style])
        wanted = self._wanted(image, settings, num_images_per_prompt, generator, read_by)
        watch = self._counting(callback_on_evaluation)
        run = local.run(wanted, blend, trace, on_step, watch, self._is_stopped)
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
        self, image: Source, settings: TransferConfig, images: int, generator: Generators | None, blend: Blend
    ) -> ContentInversion:
        """The inversion these settings call for. Raises: ConfigError, ImageError."""
        generator = generator or torch.Generator().manual_seed(settings.seed)
        check_generators(generator, images)
        return ContentInversion(
            base=self.base,
            scheduler=ddim(self.scheduler),
            content=Content.wanted(image, self.base, settings),
            prompt=blend.source_prompt(settings.prompt),
            config=settings,
            generator=generator,
            images=images,
            amount=blend.amount(settings.strength),
        )


def _settings(
    given: Mapping[str, Any], preset: str | None, config: TransferConfig | None, family: str
) -> TransferConfig:
    """The settings that a call's arguments ask for, on top of preset or config. Raises: ConfigError."""
    if config is None and preset is None and not TransferConfig.paints(given):
        preset = "paper"
    settings = resolved(TransferConfig, preset, config, given, family)
    if settings.best_of > 1:
        raise ConfigError(f"best_of is {settings.best_of}; a pipeline paints one seed. sigstyle.transfer chooses.")
    return settings

"""Content and style to images: painted in a few evaluations, or by inverting the photo and swapping its attention."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DiffusionPipeline,
)
from torch import Tensor

from pipelines.calls import on_device, refuse, single_calls
from pipelines.style_mixin import (
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
from sigstyle.painting.seeds import Generators, check_generators, spent
from sigstyle.style.blend import Blend
from sigstyle.style.style import Style

_SETTINGS = {*TransferConfig.names(), *TransferConfig.aliases()} - {"steps", "method"}


class SigStylePipeline(StyleMixin, DiffusionPipeline):
    """Repaints a content image in one or several captured styles.

    Load styles with `load_style`; UNet weights and attention processors are as they were after every call, also
    after an exception or an interrupt.
    Source: SigStyle, arXiv 2502.13997.
    """

    @torch.no_grad()
    def __call__(
        self,
        image: Source | Tensor | np.ndarray | Sequence[Any],
        prompt: str | Sequence[str] | None = None,
        *,
        config: TransferConfig | None = None,
        preset: str | None = None,
        num_inference_steps: int | None = None,
        mask: Source | Tensor | np.ndarray | Sequence[Any] | None = None,
        regions: Sequence[Region] = (),
        gradient: str | None = None,
        palette_from: Style | None = None,
        texture: Source | None = None,
        trace: ContentTrace | Sequence[ContentTrace] | None = None,
        prompt_embeds: Tensor | None = None,
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
        Images of one prompt differ by fresh noise and strokes. Without a `generator` the seed counts; with one, a
        second call gives other pictures, as of any pipeline. Lists of images, prompts, masks or traces, tensors and
        arrays are repainted one by one, each as it would be alone. `prompt_embeds` (see `encode_prompt`) are read in
        place of the prompt. `callback_on_evaluation(pipe, done, total)` hears of every evaluation of the UNet.

        Shapes: prompt_embeds [b, tokens, dim].
        Units: size_px is the short side of the result, None the photo's own; noise_sigma is in steps of 0 to 255.
        Raises: ConfigError for unusable settings, also those that the method at hand does not use, for a style that
        lacks what it needs, or when none is loaded; ImageError for unusable images.
        """
        given = {name: value for name, value in locals().items() if name != "changes"}
        refuse({name for name in changes if name not in _SETTINGS})
        return self._made(single_calls(given | changes))

    def _single(self, call: Mapping[str, Any]) -> SigStyleOutput:
        """One call's image repainted. Raises: ConfigError, ImageError."""
        settings, images = _settings(call, self.base.family), call["num_images_per_prompt"]
        on_step = self._step_callback(call["callback_on_step_end"], call["callback_on_step_end_tensor_inputs"])
        check_output_type(call["output_type"])
        self._check_scheduler(settings)
        texture = None if call["texture"] is None else load_image(call["texture"])
        local = Local(call["mask"], tuple(call["regions"]), call["gradient"], texture)
        for region in local.regions:
            region.style.check_base(self.base)
        embeds = on_device(call["prompt_embeds"], self.base)
        blend = None
        if self.styles or not local.regions:
            blend = replace(self.blend, colours=call["palette_from"], embeds=embeds)
        given = call["generator"]
        generator = spent(given) if given else torch.Generator().manual_seed(settings.seed)
        read_by = blend or Blend.of([local.regions[0].style])
        wanted = self._wanted(call["image"], settings, images, generator, read_by)
        watch = self._counting(call["callback_on_evaluation"])
        return self._painted(
            local.run(wanted, blend, call["trace"], on_step, watch, self._is_stopped), call["output_type"]
        )

    def _check_scheduler(self, settings: TransferConfig) -> None:
        """Raises ConfigError for a sampler that cannot be undone, where the photo is inverted."""
        if settings.method == "swap" and not isinstance(self.scheduler, DDIMScheduler):
            raise ConfigError(
                f"The scheduler is {type(self.scheduler).__name__}; inverting a photo takes DDIM: set pipe.scheduler = "
                "DDIMScheduler.from_config(pipe.scheduler.config), or paint with the preset default."
            )

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
        self, image: Source, settings: TransferConfig, images: int, generator: Generators, blend: Blend
    ) -> ContentInversion:
        """The inversion these settings call for. Raises: ConfigError, ImageError."""
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


def _settings(call: Mapping[str, Any], family: str) -> TransferConfig:
    """The settings that a call's arguments ask for, on top of preset or config. Raises: ConfigError."""
    given = {name: call[name] for name in call if name in _SETTINGS and call[name] is not None}
    given |= {} if call["num_inference_steps"] is None else {"steps": call["num_inference_steps"]}
    config, preset = call["config"], call["preset"]
    if config is None and preset is None and not TransferConfig.paints(given):
        preset = "paper"
    settings = resolved(TransferConfig, preset, config, given, family)
    if settings.best_of > 1:
        raise ConfigError(f"best_of is {settings.best_of}; a pipeline paints one seed. sigstyle.transfer chooses.")
    return settings

"""Prompt and style to images: the styled UNet from random noise, without a content image."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DiffusionPipeline,
)
from torch import Tensor

from pipelines.calls import EMBEDS, on_device, refuse, single_calls
from pipelines.style_mixin import (
    OnPipeEvaluation,
    OnStepEnd,
    SigStyleOutput,
    StyleMixin,
    as_output_type,
    check_output_type,
)
from sigstyle.base.model import ddim
from sigstyle.config import GenerateConfig
from sigstyle.defaults import resolved
from sigstyle.diffusion.sampling import own_sampler
from sigstyle.painting.content import decoded
from sigstyle.painting.generate import Generation, check_noise, random_noise, sizes_of
from sigstyle.painting.repainting import at_size
from sigstyle.painting.signal_leak import with_signal_leak

_SETTINGS = {*GenerateConfig.names(), *GenerateConfig.aliases()} - {"steps", "seed", "size_px", "method", "variation"}


class SigStyleText2ImgPipeline(StyleMixin, DiffusionPipeline):
    """Paints a prompt in one or several captured styles; UNet weights are as they were after every call.

    Source: SigStyle, arXiv 2502.13997 (style-guided text-to-image generation).
    """

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        *,
        config: GenerateConfig | None = None,
        preset: str | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        strength: float | None = None,
        signal_leak: float | None = None,
        freedom: float | None = None,
        palette: float | None = None,
        strokes: float | None = None,
        margin_px: int | None = None,
        colour: float | None = None,
        keep: float | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: OnStepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        callback_on_evaluation: OnPipeEvaluation | None = None,
        **others: Any,
    ) -> SigStyleOutput | Any:  # Any: the tuple that return_dict=False asks for
        """Paint `prompt`; what is left None is as in `config` or the `preset`.

        By default the base makes a picture of it, no larger than it was trained at, which is enlarged and painted as
        SigStylePipeline paints a photo: `freedom` to `keep` are for that. With preset='classic' noise is denoised in
        the style, which any style can do. At strength 0 it is the base's picture. Without `generator` the seed counts.
        A list of prompts is painted one by one. `prompt_embeds` and `negative_prompt_embeds` (see `encode_prompt`) are
        read in place of the prompts, by the base and by what paints. Any scheduler of diffusers that evaluates once a
        step will do, once it is set as `pipe.scheduler`; the one that a pipeline comes with becomes DDIM.

        The noise carries as much of photographs' light as `signal_leak` says; latents that are given are left alone.

        Shapes: embeds [b, tokens, dim]; latents [images, c, height / 8, width / 8], the noise to start from; as many
        as num_images_per_prompt for each prompt.
        Units: height and width in pixels, rounded to what the base can paint.
        Raises: ConfigError for unusable settings, for a style that has not learned to paint, or when none is loaded.
        """
        refuse(others)
        return self._made(single_calls(locals()))

    def _single(self, call: Mapping[str, Any]) -> SigStyleOutput:
        """One call's prompt painted. Raises: ConfigError."""
        given = {name: call[name] for name in _SETTINGS if call.get(name) is not None}
        given |= {} if call["num_inference_steps"] is None else {"steps": call["num_inference_steps"]}
        settings = resolved(GenerateConfig, call["preset"], call["config"], given, self.base.family)
        on_step = self._step_callback(call["callback_on_step_end"], call["callback_on_step_end_tensor_inputs"])
        output_type, size, images = call["output_type"], (call["height"], call["width"]), call["num_images_per_prompt"]
        check_output_type(output_type)
        generator, larger = call["generator"] or torch.Generator().manual_seed(settings.seed), None
        leak = settings.signal_leak if call["latents"] is None else 0.0
        if call["latents"] is None:
            size, larger = sizes_of(self.base, settings, size)
            noise = random_noise(self.base, settings, size, images, generator)
        else:
            noise = check_noise(self.base, call["latents"], size, images)
        embeds, negative = (on_device(call[name], self.base) for name in EMBEDS)
        blend, watch = replace(self.blend, embeds=embeds), self._counting(call["callback_on_evaluation"])
        run = Generation(self.base, self._sampler(), settings, blend, on_step, watch, self._is_stopped, images)
        run.negative_embeds, run.generator = negative, generator
        with self._running(run.total):
            noise = with_signal_leak(self.base.vae, noise, run.scheduler, settings.steps, leak)
            made, pictures = run.paint(noise, generator, larger)
            shown: Any = made if output_type == "latent" else []
            if output_type != "latent" and not run.interrupted:
                pictures = pictures or [at_size(picture, larger) for picture in decoded(self.base.vae, made)]
                shown = as_output_type(pictures, output_type)
        return SigStyleOutput(images=shown, notices=run.notices, interrupted=run.interrupted)

    def _sampler(self) -> Any:
        """What denoises this call: DDIM as a base has it, or another scheduler that was set. Raises: ConfigError."""
        plain = ddim(self.scheduler)
        return plain if isinstance(self.scheduler, DDIMScheduler) else own_sampler(self.scheduler)

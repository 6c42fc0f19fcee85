"""Prompt and style to images: the styled UNet from random noise, without a content image."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.style_mixin import OnStepEnd, SigStyleOutput, StyleMixin, as_output_type, check_output_type
from sigstyle.base.model import ddim, default_size_px, pixels_per_latent, side_multiple_px
from sigstyle.base.prompts import encode_prompts
from sigstyle.config import TransferConfig
from sigstyle.diffusion.denoise import OnStep, denoise
from sigstyle.errors import ConfigError
from sigstyle.style.attach import styled

_MIN_SIDE_PX, _MAX_SIDE_PX = 8, 4096


class SigStyleText2ImgPipeline(StyleMixin, DiffusionPipeline):
    """Paints a prompt in one or several captured styles; UNet weights are as they were after every call.

    Source: SigStyle, arXiv 2502.13997 (style-guided text-to-image generation).
    """

    _callback_tensor_inputs = ["latents", "clean"]

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
        prompt: str | None = None,
        *,
        config: TransferConfig | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        strength: float | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | None = None,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: OnStepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> SigStyleOutput | Any:  # Any: the tuple that return_dict=False asks for
        """Paint `prompt`; what is left None is as in `config`, whose default is the preset 'generate'.

        At strength 0 the base itself paints the prompt without the style. Without a `generator` the config's seed
        counts.

        Shapes: latents [images, c, height / 8, width / 8], the noise to start from.
        Units: height and width in pixels, rounded to what the base can paint.
        Raises: ConfigError for unusable settings or when no style is loaded.
        """
        changes = {"prompt": prompt, "steps": num_inference_steps, "strength": strength}
        changes |= {"guidance_scale": guidance_scale, "negative_prompt": negative_prompt}
        given = {key: value for key, value in changes.items() if value is not None}
        settings = dataclasses.replace(config or TransferConfig.preset("generate"), **given)
        on_step = self._step_callback(callback_on_step_end, callback_on_step_end_tensor_inputs)
        check_output_type(output_type)
        generator = generator or torch.Generator().manual_seed(settings.seed)
        start = self._start(settings, (height, width), num_images_per_prompt, generator) if latents is None else latents
        self._interrupt = False
        with self.base.lock:
            finished = self._denoised(start.to(self.base.device), settings, on_step)
            images = finished if output_type == "latent" else as_output_type(self._decoded(finished), output_type)
        output = SigStyleOutput(images=images, interrupted=self.interrupt)
        return output if return_dict else (output.images,)

    def _start(
        self, settings: TransferConfig, size: tuple[int | None, int | None], images: int, generator: Any
    ) -> Tensor:
        """Random noise [images, c, h, w] for an image of (height, width), or square where a side is None."""
        if images < 1 or (isinstance(generator, list) and len(generator) != images):
            raise ConfigError(
                f"num_images_per_prompt is {images}; expected at least one image, and one generator or as many as "
                "images."
            )
        for name, side in zip(("height", "width"), size, strict=True):
            if side is not None and not _MIN_SIDE_PX <= side <= _MAX_SIDE_PX:
                raise ConfigError(f"{name} is {side}; expected {_MIN_SIDE_PX} to {_MAX_SIDE_PX} pixels.")
        base, multiple = self.base, side_multiple_px(self.base)
        sides_px = [side or settings.size_px or default_size_px(base) for side in size]
        sides = [max(1, round(side / multiple)) * multiple // pixels_per_latent(base.vae) for side in sides_px]
        shape = (images, base.unet.config.in_channels, *sides)
        return randn_tensor(shape, generator=generator, device=base.device)

    def _denoised(self, start: Tensor, settings: TransferConfig, on_step: OnStep) -> Tensor:
        """Latents [images, c, h, w] denoised from `start` by the styled UNet."""
        base, blend = self.base, self.blend
        cond = blend.embed(base.tokenizer, base.text_encoder, settings.prompt, settings.strength)
        uncond = encode_prompts(base.tokenizer, base.text_encoder, [settings.negative_prompt])
        with self._bar(settings.steps) as bar, styled(base.unet, blend.offsets(settings.strength)):

            def counted(step: int, timestep: int, latents: Tensor, clean: Tensor) -> Tensor:
                bar.update()
                return on_step(step, timestep, latents, clean)

            return denoise(
                base.unet,
                ddim(self.scheduler),
                start,
                cond.expand(len(start), -1, -1),
                uncond.expand(len(start), -1, -1),
                steps=settings.steps,
                guidance_scale=settings.guidance_scale,
                on_step=counted,
                should_stop=lambda: self.interrupt,
            )

"""Content and style to images: inversion, then denoising with the styled UNet and the content's attention."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DiffusionPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.style_mixin import OnStepEnd, SigStyleOutput, StyleMixin, as_output_type, check_output_type
from sigstyle.base.model import ddim, pixels_per_latent
from sigstyle.base.prompts import encode_prompts
from sigstyle.config import TransferConfig
from sigstyle.diffusion.denoise import OnStep, adain, denoise
from sigstyle.diffusion.inversion import ContentTrace, swapped_steps
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import Source, load_mask, mirrored_margin, unfit
from sigstyle.imaging.masks import latent_mask, matching
from sigstyle.painting.content import Content, Inversion
from sigstyle.painting.reference import References, reference_evaluations
from sigstyle.style.attach import styled
from sigstyle.style.blend import Blend

OnEvaluation = Callable[[Any, int, int], None]
_NEXT_IMAGE = 0x9E3779B97F4A7C15  # far from seeds that people choose


class SigStylePipeline(StyleMixin, DiffusionPipeline):
    """Repaints a content image in one or several captured styles.

    Load styles with `load_style`; UNet weights and attention processors are as they were after every call, also
    after an exception or an interrupt.
    Source: SigStyle, arXiv 2502.13997.
    """

    _callback_tensor_inputs = ["latents"]

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
        num_inference_steps: int | None = None,
        strength: float | None = None,
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
        callback_on_evaluation: OnEvaluation | None = None,
    ) -> SigStyleOutput | Any:  # Any: the tuple that return_dict=False asks for
        """Repaint `image`; what is left None is as in `config`, whose default is `TransferConfig()`.

        `trace` is the trace of an earlier result: with the same content, prompt, steps and seed the inversion is
        saved, otherwise it is made anew and `notices` says why. `mask` (white is where the style goes) keeps all
        else as it is, pixel for pixel, and gives a result of the content's own size. Several images of one prompt
        differ by the fresh noise (`eta`) and the noise on the photo. Without a `generator` the config's seed counts.
        `callback_on_evaluation(pipe, done, total)` is called after every UNet evaluation, of the inversion too.

        Units: size_px is the short side of the result; noise_sigma counts in steps of 0 to 255.
        Raises: ConfigError for unusable settings or when no style is loaded, ImageError for unusable images.
        """
        changes = {"prompt": prompt, "steps": num_inference_steps, "strength": strength, "swap_until": swap_until}
        changes |= {"swap": swap, "guidance_scale": guidance_scale, "negative_prompt": negative_prompt}
        changes |= {"adain": adain, "noise_sigma": noise_sigma, "inversion_iterations": inversion_iterations}
        changes |= {"size_px": size_px, "margin_px": margin_px, "eta": eta, "anchor": anchor, "smoothing": smoothing}
        changes |= {"reference": reference}
        given = {key: value for key, value in changes.items() if value is not None}
        settings = dataclasses.replace(config or TransferConfig(), **given)
        on_step = self._step_callback(callback_on_step_end, callback_on_step_end_tensor_inputs)
        check_output_type(output_type)
        generator = generator or torch.Generator().manual_seed(settings.seed)
        wanted = self._wanted(image, settings, num_images_per_prompt, generator)
        region = None if mask is None else matching(load_mask(mask), wanted.content.image.size)
        run = Run(self, wanted, self.blend, region, on_step, callback_on_evaluation)
        self._interrupt = False
        with self.base.lock:
            output = run.repaint(trace, output_type)
        if output_type == "latent" and not output.interrupted:
            output.images = self._without_margin(output.images, wanted.content.margin_px)
        return output if return_dict else (output.images, output.trace)

    def _without_margin(self, latents: Tensor, margin_px: int) -> Tensor:
        """Latents [b, c, h, w] of a working copy without its margin."""
        cut = margin_px // pixels_per_latent(self.base.vae)
        return latents[:, :, cut : latents.shape[2] - cut, cut : latents.shape[3] - cut]

    def _wanted(self, image: Source, settings: TransferConfig, images: int, generator: Any) -> Inversion:
        """The inversion these settings call for. Raises: ConfigError, ImageError."""
        if images < 1 or (isinstance(generator, list) and len(generator) != images):
            count = len(generator) if isinstance(generator, list) else 1
            raise ConfigError(
                f"num_images_per_prompt is {images}, with {count} generators; expected at least one image, and one "
                "generator or as many as images."
            )
        return Inversion(
            base=self.base,
            scheduler=ddim(self.scheduler),
            content=Content.load(image, self.base, settings.size_px, settings.margin_px),
            prompt=self.blend.source_prompt(settings.prompt),
            config=settings,
            generator=generator,
            images=images,
            amount=self.blend.amount(settings.strength),
        )


@dataclasses.dataclass
class Run:
    """One call of the pipeline: invert or take the trace, denoise, finish."""

    pipe: SigStylePipeline
    wanted: Inversion
    blend: Blend
    mask: Image.Image | None  # as large as the content
    on_step: OnStep
    on_evaluation: OnEvaluation | None
    done: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        self.fresh = fresh_generators(self.wanted.generator, self.wanted.images)

    def repaint(self, trace: ContentTrace | None, output_type: str) -> SigStyleOutput:
        """Make the images, with the base locked."""
        problem = self.wanted.mismatch(trace) if trace is not None else None
        notices = [f"The content was inverted anew: {problem}."] if problem else []
        if "notice" in self.wanted.content.image.info:
            notices.append(self.wanted.content.image.info["notice"])
        reused = trace if problem is None else None
        config = self.wanted.config
        beside = len(self._references) * reference_evaluations(config.reference, config.steps)
        self.total = config.steps + beside + (0 if reused is not None else self.wanted.evaluations)
        with self.pipe._bar(self.total) as bar:
            trace = reused if reused is not None else self.wanted.run(lambda: self._evaluated(bar), self._stopped)
            if trace is None:
                return SigStyleOutput(images=[], notices=notices, interrupted=True)
            latents = self._denoised(trace, bar)
        images = latents if output_type == "latent" else as_output_type(self.finished(latents), output_type)
        return SigStyleOutput(images=images, trace=trace, notices=notices, interrupted=self._stopped())

    @property
    def _references(self) -> list[tuple[Tensor, float]]:
        return self.blend.references(self.wanted.config.reference * self.wanted.amount)

    def _denoised(self, trace: ContentTrace, bar: Any) -> Tensor:
        """Latents [images, c, h, w] denoised from the trace's start by the styled UNet."""
        base, config, amount = self.wanted.base, self.wanted.config, self.wanted.amount
        start = trace.start.expand(self.wanted.images, -1, -1, -1)
        cond = self.blend.embed(base.tokenizer, base.text_encoder, config.prompt, config.strength)
        uncond = encode_prompts(base.tokenizer, base.text_encoder, [config.negative_prompt])
        references = References(self._references, lambda: self._evaluated(bar))
        own = self._region(start)
        anchor = config.anchor * amount

        def on_step(step: int, timestep: int, latents: Tensor, clean: Tensor) -> Tensor:
            if own is not None:
                latents = torch.lerp(trace.latents_after(step), latents, own)
            latents = self.on_step(step, timestep, latents, clean)
            self._evaluated(bar)
            return latents

        with styled(base.unet, self.blend.offsets(config.strength)):
            return denoise(
                base.unet,
                self.wanted.scheduler,
                adain(start, self.blend.start_mean(), None, config.adain * amount),
                cond.expand(len(start), -1, -1),
                uncond.expand(len(start), -1, -1),
                steps=config.steps,
                guidance_scale=1 + (config.guidance_scale - 1) * amount,
                features=self.wanted.features(trace),
                refer=references.seen_by(base.unet, self.wanted.scheduler, cond) if references.images else None,
                eta=config.eta * amount,
                eta_from=swapped_steps(config.swap_until, config.steps),
                generators=self.fresh,
                draw=self.wanted.content.anchor(base, anchor) if anchor else None,
                on_step=on_step,
                should_stop=self._stopped,
            )

    def _region(self, latents: Tensor) -> Tensor | None:
        """How much of each latent is styled, [1, 1, h, w]; None without a mask."""
        if self.mask is None:
            return None
        content = self.wanted.content
        mask = self.mask.resize(content.without_margin(content.work).size, Image.Resampling.BOX)
        return latent_mask(mirrored_margin(mask, content.margin_px), latents)

    def finished(self, latents: Tensor) -> list[Image.Image]:
        """Images in the content's aspect; outside a mask they are the content, pixel for pixel."""
        content, config = self.wanted.content, self.wanted.config
        images = [content.without_margin(image) for image in self.pipe._decoded(latents)]
        if self.mask is None:
            size = content.result_size(config.size_px, self.wanted.base)
            return [unfit(image, size) for image in images]
        return [Image.composite(unfit(image, content.image.size), content.image, self.mask) for image in images]

    def _evaluated(self, bar: Any) -> None:
        self.done += 1
        bar.update()
        if self.on_evaluation is not None:
            self.on_evaluation(self.pipe, self.done, self.total)

    def _stopped(self) -> bool:
        return self.pipe.interrupt


def fresh_generators(generator: Any, images: int) -> list[torch.Generator]:
    """A CPU generator of fresh noise for each image, the first drawn from the seed of `generator` alone.

    It does not follow the state of `generator`, so a picture is the same whether its inversion was made or reused.
    """
    if isinstance(generator, torch.Generator):
        seeds = [generator.initial_seed() + _NEXT_IMAGE * i for i in range(images)]
    else:
        seeds = [own.initial_seed() for own in generator]
    return [torch.Generator().manual_seed((seed + _NEXT_IMAGE) % 2**63) for seed in seeds]

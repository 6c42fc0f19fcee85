"""The pieces of work whose cost is measured: transfers, single UNet evaluations and training steps."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import StableDiffusionImg2ImgPipeline
from PIL import Image

from benchmarks.meters import Kind, Kinds, counted_evaluations
from benchmarks.published import GUIDANCE, PublishedCapture, published_transfer
from benchmarks.random_base import random_style
from pipelines import SigStylePipeline
from sigstyle.base.autoencoder import decode_latents, encode_latents, pixels_per_latent
from sigstyle.base.conditioning import Conditioning
from sigstyle.base.model import BaseModel
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.diffusion.attention import Projections, recorded, recording, self_attention_layers
from sigstyle.diffusion.attention_swap import Swap
from sigstyle.diffusion.denoise import predict
from sigstyle.learning.batches import noisy_batch
from sigstyle.learning.learner import Learner
from sigstyle.style.attach import frozen, styled, training

Work = Callable[[], Any]


def transfers(base: BaseModel, size_px: int) -> dict[str, Work]:
    """Whole transfers of a plain square photo, the published one and diffusers' img2img beside ours."""
    pipe: Any = SigStylePipeline.from_base(base)
    photo = Image.new("RGB", (size_px, size_px), "gray")
    pipe.set_progress_bar_config(disable=True)
    style = random_style(base)
    pipe.load_style(style)
    further: Any = SigStylePipeline.from_base(base)
    further.set_progress_bar_config(disable=True)
    further.load_style(random_style(base, "another", seed=1))
    classic = TransferConfig.preset("classic")
    traces: dict[str, Any] = {}

    def cold(preset: str) -> None:
        config = TransferConfig.preset(preset, size_px=size_px)
        traces[preset] = pipe(photo, config=config, output_type="latent").trace

    def repainted(preset: str) -> None:
        config = TransferConfig.preset(preset, size_px=size_px)
        further(photo, config=config, trace=traces[preset], output_type="latent")

    def published() -> None:
        latents, embeds = torch.zeros(1, *_latent_shape(base, size_px)), _embeds(base, 2)
        with styled(base.unet, [(style.offsets, 1.0)]):
            published_transfer(base.unet, base.unet, base.scheduler, latents, embeds)

    return {
        "published, rebuilt": published,
        "preset paper": lambda: cold("paper"),
        "preset classic": lambda: cold("classic"),
        "preset classic, one more style": lambda: repainted("classic"),
        "preset default": lambda: cold("default"),
        "preset default, one more style": lambda: repainted("default"),
        "diffusers img2img, steps of classic": img2img(base, size_px, classic.steps, classic.guidance_scale),
        "diffusers img2img, guided": img2img(base, size_px, classic.steps, GUIDANCE),
    }


def swapped_transfer(base: BaseModel, size_px: int, steps: int, on_step_end: Any) -> Work:
    """The denoising of a transfer, whose every step is swapped; the photo is inverted before."""
    pipe: Any = SigStylePipeline.from_base(base)
    photo = Image.new("RGB", (size_px, size_px), "gray")
    pipe.set_progress_bar_config(disable=True)
    pipe.load_style(random_style(base))
    settings: dict[str, Any] = {"output_type": "latent", "noise_sigma": 0.0}
    settings["config"] = TransferConfig.preset("classic", steps=steps, swap_until=1.0, size_px=size_px)
    trace = pipe(photo, **settings).trace
    return lambda: pipe(photo, trace=trace, callback_on_step_end=on_step_end, **settings)


def img2img(base: BaseModel, size_px: int, steps: int, guidance_scale: float, on_step_end: Any = None) -> Work:
    """Diffusers' own image to image with the same parts."""
    pipe: Any = StableDiffusionImg2ImgPipeline(
        vae=base.vae,
        text_encoder=base.text_encoder,
        tokenizer=base.tokenizer,
        unet=base.unet,
        scheduler=base.scheduler,
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    photo = Image.new("RGB", (size_px, size_px), "gray")
    settings = {"strength": 1.0, "num_inference_steps": steps, "guidance_scale": guidance_scale}
    settings |= {"output_type": "latent", "callback_on_step_end": on_step_end}
    return lambda: pipe("a photo", image=photo, **settings)


def kinds_of(base: BaseModel, works: dict[str, Work]) -> dict[str, Kinds]:
    """The UNet evaluations that each piece of work makes, by running it."""
    found = {}
    for name, work in works.items():
        with counted_evaluations(base.unet) as kinds:
            work()
        found[name] = kinds
    return found


def evaluation(base: BaseModel, kind: Kind, size_px: int) -> Work:
    """One UNet evaluation of this kind."""
    unet, layers = base.unet, self_attention_layers(base.unet)
    latents, embeds = torch.zeros(kind.rows, *_latent_shape(base, size_px)), _embeds(base, kind.rows)
    timestep = torch.tensor(500)

    def record() -> dict[str, Projections]:
        with recording(unet, layers) as recorders:
            predict(unet, latents[:1], timestep, embeds[:1])
        return recorded(recorders)

    swap = Swap({int(timestep): record()} if kind.attention == "swapped" else {})

    @torch.no_grad()
    def work() -> None:
        if kind.attention == "recorded":
            record()
            return
        with swap.installed(unet):
            swap.prepare(0, int(timestep), rows=1)
            predict(unet, latents, timestep, embeds)

    return work


def capture_step(base: BaseModel, samples: int, size_px: int, autocast: str = "off") -> Work:
    """Our training step, without the optimiser, on this many samples of this size."""
    with frozen(*base.text_encoders):
        learner = Learner(base, CaptureConfig(autocast=autocast), "<style>")
    learner.state.progression.autocast = autocast == "on"
    clean = torch.zeros(samples, *_latent_shape(base, size_px))
    batch = noisy_batch(clean, torch.ones_like(clean), torch.full((samples,), 500), base.scheduler)

    def work() -> None:
        with frozen(*base.text_encoders), training(base.unet, learner.state.hypernet):
            F.mse_loss(learner.predict(batch), batch.target).backward()

    return work


def decoding(base: BaseModel, size_px: int) -> Work:
    """The autoencoder's part of a transfer: a photo encoded, a picture decoded."""

    @torch.no_grad()
    def work() -> None:
        encode_latents(base.vae, torch.zeros(1, 3, size_px, size_px))
        decode_latents(base.vae, torch.zeros(1, *_latent_shape(base, size_px)))

    return work


def published_capture_step(base: BaseModel, size_px: int) -> Work:
    """The published training step, without the optimiser, on its one sample."""
    capture, pixels = PublishedCapture(base), torch.zeros(1, 3, size_px, size_px)

    def work() -> None:
        with frozen(*base.text_encoders):
            capture.step(pixels)
        base.unet.zero_grad(set_to_none=True)

    return work


def _latent_shape(base: BaseModel, size_px: int) -> tuple[int, int, int]:
    side = size_px // pixels_per_latent(base.vae)
    return base.unet.config.in_channels, side, side


def _embeds(base: BaseModel, rows: int) -> Conditioning:
    return Conditioning(torch.zeros(rows, base.tokenizer.model_max_length, base.unet.config.cross_attention_dim))

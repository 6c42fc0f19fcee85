"""Bases: Stable Diffusion checkpoints as this library uses them, found, checked and loaded."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch

from sigstyle.base.autoencoder import pixels_per_latent
from sigstyle.base.candidates import check_exists, check_folder, path_of
from sigstyle.base.compiling import check_compiler, compile_blocks, is_compiled
from sigstyle.base.devices import check_memory, chosen_memory, default_device, default_dtype, low_dtype
from sigstyle.base.families import few_steps_kind
from sigstyle.base.fingerprints import fingerprint, latents_fingerprint, text_fingerprint
from sigstyle.base.headers import EMBEDDED
from sigstyle.base.kinds import check_kind, reads_empty_as_zeros
from sigstyle.base.loading import align, check_prediction, downloaded, from_folder, from_single_file, quiet
from sigstyle.base.locks import lock_of
from sigstyle.base.memory import is_out_of_memory, tile
from sigstyle.base.placement import execution_device, offload, rest
from sigstyle.base.reader import PromptReader
from sigstyle.data import shipped_path
from sigstyle.defaults import family_of_width
from sigstyle.errors import ConfigError, first_line

EMBEDDED_FOLDER = shipped_path(f"weights/{EMBEDDED}")
_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
_LEAST_SIZE_PX = 512


@dataclass(eq=False)
class BaseModel:
    """The parts of a Stable Diffusion pipeline, ready for capture and transfer.

    `scheduler` is always DDIM. `fingerprint` tells bases apart whatever dtype they are loaded in: its part before the
    hyphen is the architecture, the part after it the weights; so do `vae_fingerprint`, of what makes latents, and
    `text_fingerprint`, where '' is unknown. XL has a second text encoder and tokenizer, and with `zero_empty` reads an
    empty prompt as zeros. `memory` is 'low' where as little as possible is on the device at once; `offloaded` are then
    the hooks of networks that are in main memory while they do not compute. `few_steps` is 'Turbo', 'Lightning' or the
    like for a base that was distilled to paint in a few steps without guidance; `under` tells apart the LoRAs that it
    carries for a while; `compiled` says that its UNet is. Hold `lock` while weights or processors are changed: it is
    the UNet's, so bases and pipelines that share the UNet wait for each other.
    """

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Any
    name: str
    fingerprint: str
    vae_fingerprint: str = ""
    text_fingerprint: str = ""
    few_steps: str = ""
    under: str = ""
    compiled: bool = False

    @property
    def identity(self) -> str:
        """What tells what it makes from what others make: its fingerprint, and the LoRAs it carries for now."""
        return f"{self.fingerprint}+{self.under}" if self.under else self.fingerprint

    text_encoder_2: Any = None
    tokenizer_2: Any = None
    zero_empty: bool = False
    memory: str = "auto"
    offloaded: list[Any] = field(default_factory=list)

    @property
    def reader(self) -> PromptReader:
        """How it reads prompts."""
        if self.text_encoder_2 is None:
            return PromptReader((self.tokenizer,), (self.text_encoder,))
        tokenizers = (self.tokenizer, self.tokenizer_2)
        return PromptReader(tokenizers, (self.text_encoder, self.text_encoder_2), self.zero_empty)

    @property
    def family(self) -> str:
        """Which family's defaults hold for it; '' for the embedded base's."""
        return family_of_width(sum(self.reader.widths))

    @property
    def text_encoders(self) -> list[Any]:
        """The one text encoder, or XL's two."""
        return list(self.reader.encoders)

    @property
    def modules(self) -> list[Any]:
        """All networks."""
        return [self.unet, self.vae, *self.text_encoders]

    def rest(self) -> None:
        """Send the networks that are offloaded back to main memory."""
        rest(self.offloaded)

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

        Raises: ConfigError when the pipeline is not Stable Diffusion 1.x, 2.x or XL.
        """
        name = name or Path(getattr(pipe, "name_or_path", "") or type(pipe).__name__).name
        check_kind(pipe, name)
        second = getattr(pipe, "text_encoder_2", None)
        encoders = [pipe.text_encoder, *([] if second is None else [second])]
        for module in (pipe.unet, pipe.vae, *encoders):
            align(module.eval())
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
            vae_fingerprint=latents_fingerprint(pipe.vae),
            text_fingerprint=text_fingerprint(*encoders),
            few_steps=few_steps_kind(name, getattr(pipe, "schedule", pipe.scheduler.config)),
            compiled=is_compiled(pipe.unet),
            text_encoder_2=second,
            tokenizer_2=getattr(pipe, "tokenizer_2", None),
            zero_empty=second is not None and reads_empty_as_zeros(pipe),
        )


def ddim(scheduler: Any) -> Any:
    """A DDIM scheduler with the noise schedule of `scheduler` and nothing clipped, so that it can be inverted.

    Raises: ConfigError for a scheduler without betas, such as a flow-matching one.
    """
    from diffusers import DDIMScheduler

    if "beta_schedule" not in scheduler.config:
        raise ConfigError(
            f"The base's scheduler is {type(scheduler).__name__}; expected one with betas (DDIM, PNDM, Euler, DPM…). "
            "Use a Stable Diffusion 1.x, 2.x or XL base."
        )
    return DDIMScheduler.from_config(scheduler.config, clip_sample=False, thresholding=False)


def load_base(
    base: "BaseLike" = EMBEDDED,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    offline: bool = False,
    cache: str | Path | None = None,
    prediction_type: str | None = None,
    memory: str = "auto",
    compile: bool = False,
) -> BaseModel:
    """Load a base: 'mini' (embedded), a diffusers folder, a `.safetensors` checkpoint or a hub id.

    Units: dtype None is float16 on CUDA and float32 elsewhere, and with `memory` 'low' bfloat16 where there are units
    for it; then as little as possible is on the device at once, which 'auto' chooses where a card's memory is short.
    `offline` keeps a hub id to what is cached. `cache` is the folder for what the hub sends, None the hub's own.
    `prediction_type` is what the UNet predicts ('epsilon', 'v_prediction' or 'sample'), None what the checkpoint says
    or, for a 2.x file, what its UNet shows. With `compile` its UNet's blocks are compiled (torch.compile) as they are
    first used.
    Raises: ConfigError when the base cannot be found, read or used, with what to do instead.
    """
    if isinstance(base, BaseModel):
        return base
    device = torch.device(device) if device is not None else default_device()
    check_memory(memory)
    if compile:
        check_compiler(device)
    try:
        check_prediction(prediction_type)
        usual = low_dtype(device) if memory == "low" else default_dtype(device)
        parts = _load_parts(str(base), dtype or usual, offline, cache, prediction_type)
        loaded = BaseModel.from_pipeline(parts, name=base_name(str(base)))
        bytes_ = sum(tensor.nbytes for module in loaded.modules for tensor in module.state_dict().values())
        loaded.memory = chosen_memory(memory, device, bytes_)
        if loaded.memory == "low" and dtype is None:
            for module in loaded.modules:
                module.to(low_dtype(device))
        if compile:
            compile_blocks(loaded.unet)
            loaded.compiled = True
        return placed(loaded, device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ConfigError(
            f"The base {base} does not fit into the memory of {device} ({first_line(error)}). Close other programs, or "
            "choose --dtype float16, another --device, or a smaller base."
        ) from error


def placed(base: BaseModel, device: torch.device) -> BaseModel:
    """`base` with its networks on `device`, or, where memory is low, ready to be there one at a time."""
    if base.memory == "low":
        tile(base.vae)
    if base.memory == "low" and device.type != "cpu":
        base.offloaded = offload([*base.text_encoders, base.unet, base.vae], device)
        return base
    for module in base.modules:
        module.to(device)
    return base


def base_name(base: str) -> str:
    """What a base is called in style files: the embedded one's name, a file's or folder's, or the hub id."""
    path = path_of(base)
    if not path.exists():
        return base
    return path.resolve().stem if path.is_file() else path.resolve().name


def _load_parts(
    base: str, dtype: torch.dtype, offline: bool, cache: str | Path | None, prediction_type: str | None
) -> Any:
    """Something with the parts of the pipeline behind `base` as attributes. Raises: ConfigError."""
    path = EMBEDDED_FOLDER if base == EMBEDDED else path_of(base)
    check_exists(base, path)
    try:
        with quiet():
            if path.is_file():
                return from_single_file(path, dtype, prediction_type)
            if not path.is_dir():
                path = downloaded(base, offline, cache, half=dtype != torch.float32)
                check_folder(path)
            return from_folder(path, dtype, prediction_type)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise MemoryError(first_line(error)) from error
        reason = first_line(error)
        raise ConfigError(
            f"The base {base} cannot be loaded: {reason}. Expected '{EMBEDDED}' (embedded, needs no download), a "
            "diffusers folder, a whole .safetensors checkpoint, or a hub id while online."
        ) from error


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


BaseLike = BaseModel | str | Path

"""What a base is asked for by, checked before anything is imported, loaded or fetched."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sigstyle.base.headers import CHECKPOINT, EMBEDDED, LORA, STYLE, kind_of_tensors, read_header
from sigstyle.base.layouts import config_at, kind_of_folder, kind_of_names
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.files import expanded, reason

_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
_PICKLES = {".ckpt", ".pt", ".pth", ".bin", ".pkl"}
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_HINTS = {STYLE: " Give it with -s.", LORA: " Give it with --lora, and the base that it was made for as the base."}


def path_of(base: str) -> Path:
    """What a base was asked for by, as a path. Raises: ConfigError for what no path can be."""
    try:
        return expanded(base)
    except OSError as error:
        raise ConfigError(
            f"There is no base {base[:80]!r}: {reason(error)}. Expected '{EMBEDDED}', a folder, a .safetensors file "
            "or a hub id."
        ) from error


def is_hub_id(base: str) -> bool:
    """Whether `base` has the form 'owner/name', by which the hub can be asked for it."""
    return "/" in base and _HUB_ID.fullmatch(base) is not None


def check_checkpoint(path: Path) -> None:
    """Raises ConfigError for a .safetensors file that is no checkpoint: known at once, without asking a network."""
    try:
        kind = kind_of_tensors(read_header(path))
    except OSError as error:
        raise ConfigError(f"The base {path} cannot be read: {reason(error)}.") from error
    except ValueError as error:
        raise ConfigError(f"The base {path.name} cannot be loaded: {error}. Get the file again.") from error
    if kind in ("", CHECKPOINT):
        return
    raise ConfigError(
        f"{path.name} is {kind}, no checkpoint; expected a whole Stable Diffusion 1.x, 2.x or XL checkpoint, a "
        f"diffusers folder, or '{EMBEDDED}'.{_HINTS.get(kind, '')}"
    )


def check_folder(folder: Path) -> None:
    """Raises ConfigError for a folder that is no Stable Diffusion pipeline, by its files' names and its configs."""
    kind = kind_of_folder(folder)
    if kind:
        raise ConfigError(_no_pipeline(str(folder), kind))
    missing = [part for part in _PARTS if not (folder / part).is_dir()]
    if missing:
        raise ConfigError(
            f"{folder} has no folder {', '.join(missing)}; expected a Stable Diffusion pipeline in diffusers layout."
        )
    problem = _unet_problem(config_at(folder / "unet/config.json"), config_at(folder / "vae/config.json"))
    if problem:
        raise ConfigError(
            f"The base {folder.name} {problem}; expected a text-to-image Stable Diffusion 1.x, 2.x or XL pipeline."
        )


def check_repository(repository: str, names: Collection[str]) -> None:
    """Raises ConfigError for a hub repository that is no Stable Diffusion pipeline, by its files' names."""
    kind = kind_of_names(names)
    if kind:
        raise ConfigError(_no_pipeline(repository, kind))


def _no_pipeline(place: str, kind: str) -> str:
    return (
        f"{place} is {kind}, no pipeline; expected a Stable Diffusion 1.x, 2.x or XL pipeline in diffusers layout, one "
        f"whole .safetensors checkpoint, or '{EMBEDDED}'.{_HINTS.get(kind, '')}"
    )


def _unet_problem(unet: dict[str, Any], vae: dict[str, Any]) -> str:
    """Why a pipeline with these configs cannot be used, as the rest of a sentence; '' where nothing is known."""
    channels, latent = unet.get("in_channels"), vae.get("latent_channels")
    if unet.get("time_cond_proj_dim") is not None:
        return "is an LCM with the guidance distilled into it, on which no style can be learned; use what it is made of"
    if channels is not None and latent is not None and channels != latent:
        return f"takes {channels} channels for {latent} latent ones"
    if unet.get("class_embed_type") is not None or unet.get("num_class_embeds") is not None:
        return "is conditioned on classes"
    return ""


def check_exists(base: str, path: Path) -> None:
    """Raises ConfigError for a path that is not there or not a base; a possible hub id passes."""
    if path.suffix.lower() in _PICKLES:
        raise ConfigError(
            f"{path.name} is a pickle, which can run code when opened; expected .safetensors. Convert it first."
        )
    if path.is_dir():
        check_folder(path)
    elif path.is_file() and path.suffix.lower() != ".safetensors":
        raise ConfigError(f"{path.name} is no base; expected a diffusers folder or a .safetensors checkpoint.")
    elif path.is_file():
        check_checkpoint(path)
    elif base == EMBEDDED:
        raise ConfigError(f"The embedded base is missing; expected it at {path}. Get the repository whole.")
    elif not _HUB_ID.fullmatch(base):
        raise ConfigError(f"There is no base {base}; expected '{EMBEDDED}', a folder, a .safetensors file or a hub id.")


def check_base(base: str) -> None:
    """Raises ConfigError for what cannot be a base, as far as that is known before anything is imported or loaded."""
    path = path_of(base)
    if base == EMBEDDED:
        return
    if path.is_file() and path.suffix.lower() == ".safetensors":
        check_checkpoint(path)
    elif path.is_dir():
        check_folder(path)


def lora_path(source: str | Path) -> Path:
    """Where a LoRA is, known by its header to be one. Raises: StyleFileError."""
    try:
        path = expanded(source)
        if path.exists() and not path.is_file():
            raise StyleFileError(f"{source} is no file; expected a LoRA in a .safetensors file.")
        kind = kind_of_tensors(read_header(path))
    except OSError as error:
        raise StyleFileError(f"There is no LoRA {str(source)[:80]!r}: {reason(error)}.") from error
    except ValueError as error:
        raise StyleFileError(f"{Path(source).name} is no LoRA: {error}.") from error
    if kind != LORA:
        hint = " A style is given with -s." if kind.startswith("a SigStyle") else ""
        raise StyleFileError(f"{path.name} is {kind or 'something unknown'}, no LoRA.{hint}")
    return path

"""Where a base's parts are read from: folders, single files and the hub, safetensors only."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from sigstyle.text import parsed_json

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_HUB_FILES: tuple[str, ...] = (
    "model_index.json",
    "*/*.json",
    "tokenizer/*.txt",
    "tokenizer_2/*.txt",
    f"unet/{_WEIGHTS}",
    f"vae/{_WEIGHTS}",
    "text_encoder/model.safetensors",
    "text_encoder_2/model.safetensors",
)
_ALIGNMENT = 64  # bytes, what torch itself allocates at


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no warnings about harmless config entries while a base loads."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = [(library, library.get_verbosity()) for library in (diffusers_logging, transformers_logging)]
    shown = [library for library, _ in libraries if library.is_progress_bar_enabled()]
    try:
        for library, _ in libraries:
            library.set_verbosity_error()
            library.disable_progress_bar()
        yield
    finally:
        for library, verbosity in libraries:
            library.set_verbosity(verbosity)
        for library in shown:
            library.enable_progress_bar()


def downloaded(repository: str, offline: bool, cache: str | Path | None) -> Path:
    """The folder with a hub repository's pipeline: safetensors only, one copy of each part, fetched when not cached.

    Raises: OSError, at once, when it is neither cached nor to be had.
    """
    from huggingface_hub import snapshot_download

    with _bars_on_terminals_alone():
        return Path(
            snapshot_download(repository, cache_dir=cache, allow_patterns=list(_HUB_FILES), local_files_only=offline)
        )


@contextmanager
def _bars_on_terminals_alone() -> Iterator[None]:
    """The hub's bars show how far a download is, which is of use to somebody who sees them only."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def from_folder(folder: Path, dtype: torch.dtype) -> Any:
    """The parts in a folder of diffusers layout, from safetensors only."""
    from diffusers import AutoModel, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    source = str(folder)
    model: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, "local_files_only": True}
    return SimpleNamespace(
        **_second(folder, model),
        unet=UNet2DConditionModel.from_pretrained(source, subfolder="unet", **model),
        vae=AutoModel.from_pretrained(source, subfolder="vae", **model),
        text_encoder=CLIPTextModel.from_pretrained(source, subfolder="text_encoder", **model),
        tokenizer=CLIPTokenizer.from_pretrained(source, subfolder="tokenizer", local_files_only=True),
        scheduler=DDIMScheduler.from_pretrained(source, subfolder="scheduler", local_files_only=True),
    )


def _second(folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    """XL's second text encoder and tokenizer, and how it reads an empty prompt; nothing for 1.x and 2.x."""
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer

    if not (folder / "text_encoder_2").is_dir():
        return {}
    source = str(folder)
    index = folder / "model_index.json"
    return {
        "text_encoder_2": CLIPTextModelWithProjection.from_pretrained(source, subfolder="text_encoder_2", **model),
        "tokenizer_2": CLIPTokenizer.from_pretrained(source, subfolder="tokenizer_2", local_files_only=True),
        "config": parsed_json(index.read_text(encoding="utf-8")) if index.is_file() else {},
    }


def from_single_file(path: Path, dtype: torch.dtype, offline: bool, cache: str | Path | None) -> Any:
    from diffusers import StableDiffusionPipeline

    kept = {} if cache is None else {"cache_dir": str(cache)}
    return StableDiffusionPipeline.from_single_file(str(path), torch_dtype=dtype, local_files_only=offline, **kept)


def align(module: nn.Module) -> None:
    """Move weights on the CPU to addresses that are multiples of 64 bytes.

    Loaders leave them wherever the file's bytes happen to lie, and matrix products round by the address: without this
    two processes do not make the same image.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.device.type == "cpu" and tensor.data_ptr() % _ALIGNMENT:
            tensor.data = tensor.data.clone()

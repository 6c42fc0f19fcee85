"""Where a base's parts are read from: folders, single files and the hub, safetensors only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from sigstyle.base.candidates import check_repository
from sigstyle.base.devices import PREDICTIONS
from sigstyle.base.families import SD2, SDXL, family_folder, family_tokenizers, few_steps_kind
from sigstyle.base.headers import family_of, read_header, told_prediction
from sigstyle.base.layouts import config_at, holds_all_weights, names_in, variant_of, wanted_files
from sigstyle.errors import ConfigError, first_line

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


def downloaded(repository: str, offline: bool, cache: str | Path | None, half: bool = False) -> Path:
    """The folder with a hub repository's pipeline: safetensors only, one copy of each part.

    What is cached whole is used as it is, in whatever precision, and nothing is asked; else it is fetched, with `half`
    in 16 bits where the repository has that.
    Raises: OSError, at once, when it is neither cached nor to be had; ConfigError for what is no pipeline, by its
    files' names.
    """
    from huggingface_hub import list_repo_files, snapshot_download

    known = _cached(repository, cache)
    if known is not None and (offline or holds_all_weights(names_in(known))):
        return known
    if offline:
        raise OSError("it is not in the cache")
    with _bars_on_terminals_alone():
        try:
            names = list_repo_files(repository)
        except Exception as error:  # of its client's own kinds, some of which are no OSError
            raise OSError(first_line(error)) from error
        check_repository(repository, names)
        return Path(snapshot_download(repository, cache_dir=cache, allow_patterns=wanted_files(names, half)))


def _cached(repository: str, cache: str | Path | None) -> Path | None:
    """The folder of a repository in the cache, whole or not; None where there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, cache_dir=cache, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


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


def check_prediction(prediction_type: str | None) -> None:
    """Raises ConfigError for a prediction type that there is not."""
    if prediction_type not in (None, *PREDICTIONS):
        raise ConfigError(f"prediction_type is {prediction_type!r}; expected one of {', '.join(PREDICTIONS)}.")


def from_folder(folder: Path, dtype: torch.dtype, prediction_type: str | None = None) -> Any:
    """The parts in a folder of diffusers layout, from safetensors only: whole or in shards, of whatever precision."""
    from diffusers import AutoModel, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    names = names_in(folder)
    schedule: Any = DDIMScheduler.load_config(str(folder), subfolder="scheduler", local_files_only=True)

    def loaded(kind: Any, part: str) -> Any:
        how: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, "local_files_only": True}
        return kind.from_pretrained(str(folder), subfolder=part, variant=variant_of(names, part), **how)

    return SimpleNamespace(
        **_second(folder, loaded),
        unet=loaded(UNet2DConditionModel, "unet"),
        vae=loaded(AutoModel, "vae"),
        text_encoder=loaded(CLIPTextModel, "text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(str(folder), subfolder="tokenizer", local_files_only=True),
        scheduler=predicting(DDIMScheduler.from_config(schedule), prediction_type),
        schedule=schedule,
    )


def _second(folder: Path, loaded: Callable[[Any, str], Any]) -> dict[str, Any]:
    """XL's second text encoder and tokenizer, and how it reads an empty prompt; nothing for 1.x and 2.x."""
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer

    if not (folder / "text_encoder_2").is_dir():
        return {}
    return {
        "text_encoder_2": loaded(CLIPTextModelWithProjection, "text_encoder_2"),
        "tokenizer_2": CLIPTokenizer.from_pretrained(str(folder), subfolder="tokenizer_2", local_files_only=True),
        "config": config_at(folder / "model_index.json"),
    }


def predicting(scheduler: Any, prediction_type: str | None) -> Any:
    """The same schedule for a UNet that predicts this; None leaves it as it is."""
    if prediction_type is None:
        return scheduler
    return type(scheduler).from_config(scheduler.config, prediction_type=prediction_type)


def from_single_file(path: Path, dtype: torch.dtype, prediction_type: str | None = None) -> Any:
    """The parts in one file of the original layout; what it leaves out comes with us, so no network is asked.

    A 2.x checkpoint that does not say what its UNet predicts is asked by an evaluation of it: with v-prediction it was
    trained at 768 pixels, without at 512.
    """
    header = read_header(path)
    family = family_of(header)
    pipe = _read_file(path, family, dtype)
    known = prediction_type or told_prediction(header)
    if family == SD2:
        known = known or shown_prediction(pipe.unet)
        pipe.unet.register_to_config(sample_size=64 if known == "epsilon" else 96)
    if few_steps_kind(path.stem, {}):
        pipe.scheduler.register_to_config(timestep_spacing="trailing")
    pipe.scheduler = predicting(pipe.scheduler, known)
    return pipe


def _read_file(path: Path, family: str, dtype: torch.dtype) -> Any:
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    if family == SDXL:
        return StableDiffusionXLPipeline.from_single_file(
            str(path),
            config=str(family_folder(family)),
            torch_dtype=dtype,
            local_files_only=True,
            add_watermarker=False,
            **family_tokenizers(family),
        )
    unchecked: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return StableDiffusionPipeline.from_single_file(
        str(path),
        config=str(family_folder(family)),
        torch_dtype=dtype,
        local_files_only=True,
        **family_tokenizers(family),
        **unchecked,
    )


@torch.no_grad()
def shown_prediction(unet: Any) -> str:
    """What a UNet predicts, by what it makes of noise alone at the last timestep.

    There the noise is all there is to see: a prediction of the noise is nearly its input again, while `v` is nearly the
    clean latents turned over, which have nothing to do with it.
    """
    side = 2 ** (len(unet.config.block_out_channels) + 2)
    noise = torch.randn(1, unet.config.in_channels, side, side, generator=torch.Generator().manual_seed(0))
    empty = torch.zeros(1, 77, unet.config.cross_attention_dim)
    place = {"device": unet.device, "dtype": unet.dtype}
    output = unet(noise.to(**place), 999, encoder_hidden_states=empty.to(**place)).sample.float().cpu()
    alike = torch.nn.functional.cosine_similarity(output.flatten(), noise.flatten(), dim=0)
    return "epsilon" if alike > 0.5 else "v_prediction"


def align(module: nn.Module) -> None:
    """Move weights on the CPU to addresses that are multiples of 64 bytes.

    Loaders leave them wherever the file's bytes happen to lie, and matrix products round by the address: without this
    two processes do not make the same image.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.device.type == "cpu" and tensor.data_ptr() % _ALIGNMENT:
            tensor.data = tensor.data.clone()

"""What a safetensors file is, told by its header alone: nothing else of it is read."""

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sigstyle.errors import ConfigError
from sigstyle.files import expanded, reason
from sigstyle.text import parsed_json

EMBEDDED = "mini"
CHECKPOINT, STYLE, STATE, LORA = "a Stable Diffusion checkpoint", "a SigStyle style", "the state of a capture", "a LoRA"
COLLECTION = "a SigStyle collection"
_MOST_BYTES = 64 * 2**20
_UNET = ("model.diffusion_model.",)
_TEXT = ("cond_stage_model.", "conditioner.embedders.")
_VAE = ("first_stage_model.",)
_LORA = re.compile(r"(^lora_|\.lora_|\.lora\.|\.hada_w|\.lokr_|\.oft_|\.dora_scale|_lora\.)")
_BY_PREFIX = (
    ("a ControlNet", ("control_model.", "controlnet_", "input_hint_block.", "lllite_")),
    ("an IP-Adapter", ("image_proj.", "ip_adapter.")),
    ("a Flux transformer", ("double_blocks.", "model.diffusion_model.double_blocks.")),
    ("a Stable Diffusion 3 transformer", ("joint_blocks.", "model.diffusion_model.joint_blocks.")),
    ("a UNet alone", ("down_blocks.", "conv_in.", "input_blocks.")),
    ("an autoencoder (VAE) alone", ("encoder.down", "decoder.up", "decoder.mid", "decoder.layers.", "encoder.layers.")),
    ("a text encoder alone", ("text_model.", "encoder.layer")),
)


def read_header(path: str | Path) -> dict[str, Any]:
    """The entries of a safetensors file with their dtypes and shapes, and its texts under '__metadata__'.

    Raises: OSError when it cannot be read, ValueError when it is no safetensors file.
    """
    with expanded(path).open("rb") as file:
        first = file.read(8)
        size = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= size <= _MOST_BYTES:
            raise ValueError("it is no safetensors file or is cut off")
        data = file.read(size)
    try:
        header = parsed_json(data)
    except ValueError as error:
        raise ValueError(f"its header is damaged: {error}") from None
    if len(data) < size or not isinstance(header, dict):
        raise ValueError("its header is damaged or cut off")
    return header


def made_by_sigstyle(header: dict[str, Any]) -> bool:
    """Whether a header says that the file was written here."""
    texts = header.get("__metadata__")
    own = ("sigstyle", "sigstyle_capture", "sigstyle_collection")
    return isinstance(texts, dict) and (
        any(key in texts for key in own) or texts.get("modelspec.implementation") == "sigstyle"
    )


def kind_of_tensors(header: dict[str, Any]) -> str:
    """What a file with this header is, in words with their article; '' where nothing of it is known."""
    texts, names = header.get("__metadata__"), [name for name in header if name != "__metadata__"]
    if isinstance(texts, dict) and "sigstyle" in texts:
        return STYLE
    if isinstance(texts, dict) and "sigstyle_capture" in texts:
        return STATE
    if isinstance(texts, dict) and "sigstyle_collection" in texts:
        return COLLECTION
    if any(_LORA.search(name) for name in names):
        return LORA

    def has(prefixes: tuple[str, ...]) -> bool:
        return any(name.startswith(prefixes) for name in names)

    for kind, prefixes in _BY_PREFIX[:4]:
        if has(prefixes):
            return kind
    if has(_UNET) or has(_VAE) or has(_TEXT):
        return _of_parts(has)
    if _is_embedding(header, names):
        return "a textual inversion"
    return next((kind for kind, prefixes in _BY_PREFIX[4:] if has(prefixes)), "")


def _of_parts(has: Callable[[tuple[str, ...]], bool]) -> str:
    """What a file with some parts of a checkpoint under their usual names is."""
    parts = {"UNet": has(_UNET), "autoencoder": has(_VAE), "text encoder": has(_TEXT)}
    missing = [part for part, there in parts.items() if not there]
    if has(("conditioner.embedders.",)):
        return "an XL checkpoint"
    return CHECKPOINT if not missing else f"a checkpoint without its {' and '.join(missing)}"


def _is_embedding(header: dict[str, Any], names: list[str]) -> bool:
    """Whether the entries are a few vectors of a token, as a textual inversion has."""
    shapes = [header[name].get("shape") if isinstance(header[name], dict) else None for name in names]
    flat = all(isinstance(shape, list) and len(shape) <= 2 for shape in shapes)
    return flat and (len(names) == 1 or (len(names) == 2 and {"clip_l", "clip_g"} >= set(names)))


def path_of(base: str) -> Path:
    """What a base was asked for by, as a path. Raises: ConfigError for what no path can be."""
    try:
        return expanded(base)
    except OSError as error:
        raise ConfigError(
            f"There is no base {base[:80]!r}: {reason(error)}. Expected '{EMBEDDED}', a folder, a .safetensors file "
            "or a hub id."
        ) from error


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
    hint = {STYLE: " Give it with -s.", LORA: " Give the base that it was made for."}.get(kind, "")
    raise ConfigError(
        f"{path.name} is {kind}, no checkpoint; expected a whole Stable Diffusion 1.x or 2.x checkpoint, a diffusers "
        f"folder, or '{EMBEDDED}'.{hint}"
    )


def check_base(base: str) -> None:
    """Raises ConfigError for what cannot be a base, as far as that is known before anything is imported or loaded."""
    path = path_of(base)
    if base != EMBEDDED and path.is_file() and path.suffix.lower() == ".safetensors":
        check_checkpoint(path)

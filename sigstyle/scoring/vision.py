"""Vision transformers that the user has, with the image processors they came with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.candidates import is_hub_id
from sigstyle.base.loading import align, quiet
from sigstyle.errors import ConfigError, first_line
from sigstyle.files import possible

HUB_FILES = ("*.json", "model*.safetensors")


@dataclass(frozen=True)
class ImageEncoder:
    """A vision transformer and its image processor."""

    model: Any
    processor: Any

    def pixels(self, image: Image.Image) -> Tensor:
        """One image [1, 3, h, w] as the model takes it: resized, cropped and normalised as its processor does it."""
        return self.processor(images=image, return_tensors="pt")["pixel_values"].to(self.model.device)


def load_encoder(
    kind: str,
    source: str | Path,
    classes: Mapping[str, Any],
    device: torch.device | str = "cpu",
    may_miss: str = "",
) -> ImageEncoder:
    """The model of a folder in transformers layout or of a hub id, float32; `kind` is its name in messages.

    `classes` are the classes to load models of each type with; weights with `may_miss` in their names are not needed.
    Raises: ConfigError for what cannot be found, fetched or read, or is of another kind.
    """
    from transformers import AutoConfig, AutoImageProcessor

    try:
        with quiet():
            folder = str(_folder(source))
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            _check_type(kind, source, config.model_type, list(classes))
            model, report = classes[config.model_type].from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
            processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    except ConfigError:
        raise
    except Exception as error:  # a damaged configuration or file may raise anything
        problem = first_line(error)
        raise ConfigError(
            f"The {kind} model {source} cannot be loaded: {problem}. Expected a folder with config.json, "
            "preprocessor_config.json and model.safetensors, or a hub id that is cached or can be fetched."
        ) from error
    missing = sorted(key for key in report["missing_keys"] if not may_miss or may_miss not in key)
    if missing:
        raise ConfigError(f"The {kind} model {source} lacks {len(missing)} of its weights, such as {missing[0]}.")
    align(model.to(device).eval())
    return ImageEncoder(model, processor)


def _folder(source: str | Path) -> Path:
    """The folder itself, or the cached one of a hub id, fetched where needed. Raises: OSError, ValueError."""
    path = possible(source)
    if path.is_dir():
        return path
    if not is_hub_id(str(source)):
        raise ValueError("there is no such folder, and it is no hub id of the form owner/name")
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(str(source), allow_patterns=list(HUB_FILES)))


def _check_type(kind: str, source: str | Path, found: str, expected: Sequence[str]) -> None:
    if found not in expected:
        raise ConfigError(f"{source} is no {kind} model but of type {found!r}; expected {' or '.join(expected)}.")

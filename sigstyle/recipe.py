"""Recipes: everything needed to make an image again, as plain values that go into its PNG."""

import hashlib
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from PIL import Image

import sigstyle
from sigstyle.base.model import BaseModel
from sigstyle.imaging.opening import Source, read_picture
from sigstyle.style.blend import Blend
from sigstyle.style.shipped import style_file
from sigstyle.style.style import Style

FORMAT = 1


def file_entry(source: Source) -> dict[str, Any]:
    """Where an image came from, as the caller named it, and a hash of the file (of the pixels for a PIL image).

    Raises: ImageError for a file that cannot be read.
    """
    if isinstance(source, Image.Image):
        return {"path": None, "pixels_sha256": hashlib.sha256(source.tobytes()).hexdigest()}
    if isinstance(source, bytes):
        return {"path": None, "sha256": hashlib.sha256(source).hexdigest()}
    return {"path": str(source), "sha256": hashlib.sha256(read_picture(Path(source))).hexdigest()}


def input_files(*sources: Source | None) -> tuple[Path, ...]:
    """Those of the sources that are files or shipped styles, wherever the program goes later."""
    return tuple(style_file(source).absolute() for source in sources if isinstance(source, str | Path))


def style_entries(blend: Blend, paths: Sequence[str | None]) -> list[dict[str, Any]]:
    """The styles with their hashes and weights; a path is None for a style that came from memory."""
    return [
        {"name": style.name, "hash": style.hash, "path": path, "weight": weight}
        for style, weight, path in zip(blend.styles, blend.weights, paths, strict=True)
    ]


def style_entry(style: Style, path: str | None) -> dict[str, Any]:
    """A style that has no weight."""
    return {"name": style.name, "hash": style.hash, "path": path}


def asked_for(base: Any) -> str | None:
    """What a base was asked for by, where that is not an object in memory."""
    return str(base) if isinstance(base, str | Path) else None


def base_entry(base: BaseModel, path: str | None) -> dict[str, Any]:
    """The base, and how it was run: other devices, dtypes and numbers of threads round otherwise.

    The path is what the caller asked for, None where it was the styles' own base or came from memory.
    """
    return {
        "name": base.name,
        "path": path,
        "fingerprint": base.fingerprint,
        "device": base.device.type,
        "dtype": str(base.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        **({"compiled": True} if base.compiled else {}),
    }


def recipe(
    kind: str,
    settings: dict[str, Any],
    base: BaseModel,
    base_path: str | None,
    blend: Blend | None,
    style_paths: Sequence[str | None],
) -> dict[str, Any]:
    """The recipe of a picture in captured styles; there is no blend where regions alone are painted."""
    styles = [] if blend is None else style_entries(blend, style_paths)
    return recipe_with(kind, settings, base_entry(base, base_path), styles)


def recipe_with(
    kind: str, settings: dict[str, Any], base: dict[str, Any], styles: list[dict[str, Any]]
) -> dict[str, Any]:
    """What every recipe holds: what was made, with which settings, base, styles and versions."""
    return {
        "format": FORMAT,
        "kind": kind,
        "settings": settings,
        "base": base,
        "styles": styles,
        "versions": {
            "sigstyle": sigstyle.__version__,
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "python": platform.python_version(),
        },
    }

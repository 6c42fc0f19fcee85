"""Whether pictures that are already there are the ones this job would make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sigstyle.base.model import BaseModel
from sigstyle.batches.jobs import Output
from sigstyle.batches.present import damage, found_at, left_alone, there
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError, ImageError
from sigstyle.painting.luck import asked_settings
from sigstyle.parts import PARTS, without_paths
from sigstyle.recipe import file_entry
from sigstyle.style.ingredients import PLAIN, Loading

_SHOWN = 80  # letters of a foreign value


@dataclass(frozen=True)
class Standing:
    """How a job's places stand, each with the reason: `damaged` pictures are made again, `blocked` by foreign files."""

    damaged: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)


def check_existing(folder: Path, outputs: Sequence[Output], base: BaseModel, loading: Loading = PLAIN) -> Standing:
    """What is there already, each picture decoded whole.

    Raises: ConfigError when a picture in `folder` was made otherwise, saying how: jobs are never mixed.
    """
    hashes: dict[str, str | None] = {}
    standing, different = Standing(), []
    for output in outputs:
        path = folder / output.name
        if not there(path):
            continue
        found = found_at(path)
        if found.foreign:
            standing.blocked[output.name] = left_alone(path, found)
        elif found.damaged:
            standing.damaged[output.name] = found.damaged
        elif reason := difference(found.recipe or {}, output, base, hashes, loading):
            different.append((output.name, reason))
        elif reason := damage(path):
            standing.damaged[output.name] = reason
    if different:
        name, reason = different[0]
        others = f", and {len(different) - 1} more are not this job's either" if len(different) > 1 else ""
        raise ConfigError(
            f"{folder / name} is there already but {reason}{others}; expected pictures of this job alone. "
            "Choose another output folder, or delete the old pictures."
        )
    return standing


def difference(
    recipe: dict[str, Any],
    output: Output,
    base: BaseModel,
    hashes: dict[str, str | None],
    loading: Loading = PLAIN,
) -> str:
    """How the picture with `recipe` differs from the one wanted, or ''; `hashes` of photos are kept for the next."""
    wanted, found = _wanted(output, base, loading), _found(recipe)
    if recipe.get("tiled") is True:  # memory was short then, and the picture may be smaller than was wished
        del wanted["size_px"]
    for key, value in wanted.items():
        if found.get(key) != value:
            return f"was made with {key} {_shown(found.get(key))} instead of {value}"
    label = output.photo.label
    if label not in hashes:
        hashes[label] = _hash(output)
    if hashes[label] is not None and hashes[label] != found["content"]:
        return f"was made from another {output.photo.origin}"
    return ""


def _shown(value: Any) -> str:
    """A value from a foreign recipe, however large or deep it is."""
    try:
        return str(value)[:_SHOWN]
    except RecursionError:
        return "something deep"


def _wanted(output: Output, base: BaseModel, loading: Loading) -> dict[str, Any]:
    style, parts = output.look.style, without_paths(output.look.parts.entries)
    known = {"base": base.fingerprint, "style": [[style.name, style.hash, 1.0]]}
    known |= _prepared(replace(loading, loras=output.look.loras).entries(base))
    return {**output.config.to_dict(), **known, **{name: parts.get(name) for name in PARTS}}


def _prepared(entries: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe says of how a base was prepared."""
    loras = [[lora["name"], lora["hash"], lora["weight"]] for lora in entries.get("loras") or []]
    return {"loras": loras, "prediction_type": entries.get("prediction_type")}


def _found(recipe: dict[str, Any]) -> dict[str, Any]:
    """What a recipe says about the same things, and the hash of its content; a foreign recipe says nothing."""
    try:
        styles = [[style["name"], style["hash"], style["weight"]] for style in recipe["styles"]]
        content = recipe["content"].get("sha256") or recipe["content"].get("pixels_sha256")
        settings = TransferConfig.from_recipe(asked_settings(recipe)).to_dict()
        parts = {name: without_paths(recipe.get(name)) for name in PARTS}
        parts |= _prepared(recipe)
        return {**settings, **parts, "base": recipe["base"]["fingerprint"], "style": styles, "content": content}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, ConfigError):
        return {"content": None}


def _hash(output: Output) -> str | None:
    """The hash of the photo as it is now; None when it cannot be read, which is reported when its turn comes."""
    try:
        entry = file_entry(output.photo.source)
    except (ImageError, OSError, RuntimeError, ValueError):
        return None
    return entry.get("sha256") or entry.get("pixels_sha256")

"""The offsets of a style as entries of its file: factors of each layer, and what the shared hypernetwork says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.style.instant import DECODER, Instant, hypernetwork_named
from sigstyle.style.offsets import Added, Offset

INSTANT_ENTRIES = {"embedding", "coefficients"}
_ADDED = "added"
_KINDS = {"offsets": "offsets", "decoder": "decoder_offsets"}  # prefix in the file: field of a style
_READ = _KINDS | {_ADDED: "offsets"}
Fields = Mapping[str, Mapping[str, Offset]]


def factor_tensors(fields: Fields, instant: Instant | None) -> dict[str, Tensor]:
    """Entries, in float16, of the offsets in `offsets` and `decoder_offsets`.

    Of a style that has an `instant` part, the first columns of each offset are what the hypernetwork makes of it again;
    only what was learned beside them is written.
    """
    found: dict[str, Tensor] = {}
    given = 0 if instant is None else instant.coefficients.shape[1]
    for prefix, name in _KINDS.items():
        for path, offset in fields[name].items():
            if isinstance(offset, Added):
                found |= {f"{_ADDED}.{path}.up": offset.up.half(), f"{_ADDED}.{path}.down": offset.down.half()}
            elif offset.rank > given:
                found[f"{prefix}.{path}.up"] = offset.up[:, given:].half()
                found[f"{prefix}.{path}.down"] = offset.down[given:].half()
    if instant is not None:
        found |= {"embedding": instant.embedding.half(), "coefficients": instant.coefficients.half()}
    return found


def factors_in(path: Path, tensors: Mapping[str, Tensor], network: str, others: set[str]) -> dict[str, Any]:
    """The fields `offsets`, `decoder_offsets` and `instant` of a style from the entries of its file.

    `network` is the hash of the hypernetwork that the file names, or nothing; `others` are entries that are no factors.
    Raises: StyleFileError for unknown entries, a lone factor, or a hypernetwork that is not here.
    """
    found = _factors(path, tensors, others | INSTANT_ENTRIES)
    instant = _instant(path, tensors, network)
    if instant is None:
        return found
    try:
        given = dict(zip(found, split_offsets(hypernetwork_named(network).offsets(instant)), strict=True))
    except ConfigError as error:
        raise StyleFileError(f"{path.name} does not fit its hypernetwork: {error} Capture it again.") from error
    return {**{name: with_more(given[name], found[name]) for name in given}, "instant": instant}


def split_offsets(offsets: Mapping[str, Offset]) -> tuple[dict[str, Offset], dict[str, Offset]]:
    """The UNet's offsets, and those of the autoencoder's decoder by their path in it."""
    unet = {path: offset for path, offset in offsets.items() if not path.startswith(DECODER)}
    decoder = {path.removeprefix(DECODER): offset for path, offset in offsets.items() if path not in unet}
    return unet, decoder


def with_more(given: Mapping[str, Offset], more: Mapping[str, Offset]) -> dict[str, Offset]:
    """Each layer's offsets added up, those of `given` in the first columns.

    Raises: ConfigError for offsets of different shapes.
    """
    joined = dict(more) | dict(given)
    for path in given.keys() & more.keys():
        first, second = given[path], more[path]
        if first.shape != second.shape:
            raise ConfigError(f"The layer {path} has offsets of shapes {first.shape} and {second.shape}.")
        ups, downs = torch.cat([first.up, second.up], dim=1), torch.cat([first.down, second.down])
        joined[path] = Offset(ups, downs)
    return {path: joined[path] for path in (*given, *(key for key in more if key not in given))}


def _instant(path: Path, tensors: Mapping[str, Tensor], network: str) -> Instant | None:
    found = [key for key in sorted(INSTANT_ENTRIES) if key in tensors]
    if not found and not network:
        return None
    if len(found) < len(INSTANT_ENTRIES) or not network:
        raise StyleFileError(f"{path.name} has only part of what a hypernetwork said of it. Capture the style again.")
    embedding, coefficients = tensors["embedding"].float(), tensors["coefficients"].float()
    if embedding.ndim != 1 or coefficients.ndim != 2:
        raise StyleFileError(f"{path.name} has an embedding or coefficients of a wrong shape. Capture it again.")
    return Instant(embedding, coefficients, network)


def _factors(path: Path, tensors: Mapping[str, Tensor], others: set[str]) -> dict[str, dict[str, Offset]]:
    """Offsets from entries `offsets.<layer>.up/down`, `decoder.<layer>.up/down` and `added.<layer>.up/down`."""
    layers: dict[tuple[str, str], dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key in others:
            continue
        prefix, _, rest = key.partition(".")
        layer, _, factor = rest.rpartition(".")
        if prefix not in _READ or factor not in ("up", "down") or not layer:
            raise StyleFileError(
                f"{path.name} has an unknown entry {key[:80]!r}; expected offsets.<layer>.up and .down."
            )
        layers.setdefault((prefix, layer), {})[factor] = tensor
    found: dict[str, dict[str, Offset]] = {kind: {} for kind in _KINDS.values()}
    for (prefix, layer), factors in layers.items():
        if len(factors) < 2:
            raise StyleFileError(f"{path.name} has only one factor for {layer}; expected up and down.")
        found[_READ[prefix]][layer] = (Added if prefix == _ADDED else Offset)(**factors)
    return found

"""The file of a collection: one network, and a few hundred numbers for each of its styles."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sigstyle.base.content_hash import content_hash
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.style.collection import Collection, Member
from sigstyle.style.drift import PROBES
from sigstyle.style.instant import network_of, written_form
from sigstyle.style.shared_hypernet import EMBEDDING
from sigstyle.style.statistics_file import statistics_in
from sigstyle.style.style import is_thumbnail
from sigstyle.style.tensor_file import read_tensors, write_tensors
from sigstyle.text import parsed_json

FORMAT = 1
KEY = "sigstyle_collection"
_NETWORK = "network."
_MEMBER = {"embedding": (EMBEDDING,), "offsets_then": (PROBES,), "picture_then": (PROBES,)}
_THUMBNAIL = "thumbnail"


def save_collection(path: Path, collection: Collection) -> None:
    """Write a collection, whole or not at all. Raises: StyleFileError; an older file stays as it was."""
    network, header = written_form(collection.network.net)
    tensors = {_NETWORK + name: tensor for name, tensor in network.items()} | {"start": collection.start}
    for index, member in enumerate(collection.members):
        tensors |= {f"style{index}.{name}": tensor for name, tensor in _tensors(member).items()}
    header |= {"format": FORMAT, "base": collection.network.base_fingerprint, "base_name": collection.base_name}
    header["styles"] = [{"name": m.name, "domain": m.domain, "metadata": m.metadata} for m in collection.members]
    header["checksum"] = content_hash("", tensors)
    write_tensors(path, tensors, {KEY: json.dumps(header, sort_keys=True)})


def load_collection(path: Path) -> Collection:
    """Read a collection, checking everything in it. Raises: StyleFileError when it is missing, damaged or foreign."""
    tensors, metadata = read_tensors(path, dtypes=("F16", "F32", "U8"))
    try:
        header = parsed_json(metadata[KEY])
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']!r}; this version reads {FORMAT}")
        if header["checksum"] != content_hash("", tensors):
            raise ValueError("its tensors are not those that were saved")
        own = {name.removeprefix(_NETWORK): t for name, t in tensors.items() if name.startswith(_NETWORK)}
        network = network_of(own, header, str(header["base"]))
        members = tuple(_member(path, index, entry, tensors) for index, entry in enumerate(header["styles"]))
        start = tensors["start"]
        if tuple(start.shape) != tuple(network.net.token_shape):
            raise ValueError(f"a start of shape {list(start.shape)}")
        return Collection(network, str(header["base_name"]), start, members)
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, ConfigError) as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise StyleFileError(
            f"{path.name} is no usable collection ({said}). Expected a file that 'sigstyle collection new' wrote; get "
            "it again."
        ) from error


def _tensors(member: Member) -> dict[str, Tensor]:
    """A member's numbers: some 1.3 kB, and the thumbnail's text."""
    return {
        "embedding": member.embedding.half(),
        "palette_mean": member.palette.mean,
        "palette_covariance": member.palette.covariance,
        **member.brushwork.tensors(),
        "offsets_then": member.offsets_then,
        "picture_then": member.picture_then,
        _THUMBNAIL: torch.tensor(list(member.thumbnail.encode("ascii")), dtype=torch.uint8),
    }


def _member(path: Path, index: int, entry: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Member:
    """Raises: StyleFileError, KeyError, ValueError, TypeError or ConfigError for what is none."""
    own = f"style{index}."
    found = {name.removeprefix(own): tensor for name, tensor in tensors.items() if name.startswith(own)}
    for name, shape in _MEMBER.items():
        if tuple(found[name].shape) != shape:
            raise ValueError(f"a {name} of shape {list(found[name].shape)}")
    if not isinstance(entry["metadata"], dict):
        raise TypeError("metadata that are no object")
    measured, thumbnail = statistics_in(path, found), bytes(found[_THUMBNAIL].tolist()).decode("ascii")
    return Member(
        name=entry["name"],
        embedding=found["embedding"].float(),
        palette=measured["palette"],
        brushwork=measured["brushwork"],
        offsets_then=found["offsets_then"].float(),
        picture_then=found["picture_then"].float(),
        domain=str(entry["domain"]),
        thumbnail=thumbnail if is_thumbnail(thumbnail) else "",
        metadata=entry["metadata"],
    )

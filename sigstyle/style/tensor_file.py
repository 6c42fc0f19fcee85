"""Safetensors files read with suspicion and written whole or not at all."""

import json
import re
import struct
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from sigstyle.errors import StyleFileError
from sigstyle.files import read_regular, reason, write_atomically
from sigstyle.text import parsed_json

_MAX_FILE_BYTES = 64 * 2**20
_MAX_HEADER_BYTES = 2**20
_MAX_ENTRIES = 8192
_NAME = re.compile(r"\w+(\.\w+)*", re.ASCII)
_STYLE_DTYPES = ("F16", "F32")
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically. Raises: StyleFileError; an older file stays as it was."""
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    data = _with_sorted_header(safetensors.torch.save(plain, dict(metadata)))
    try:
        write_atomically(path, data)
    except OSError as error:
        raise StyleFileError(
            f"{path} cannot be written: {reason(error)}. {len(data)} bytes are needed in an existing, "
            "writable folder; what was there before is untouched."
        ) from error


def _with_sorted_header(data: bytes) -> bytes:
    """The same safetensors file with its header in order, so that equal content gives equal bytes."""
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data[end:]


def read_tensors(
    path: Path, dtypes: Collection[str] = _STYLE_DTYPES, max_bytes: int = _MAX_FILE_BYTES
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file, after checking size, header, names, dtypes and values.

    Raises: StyleFileError.
    """
    try:
        data = read_regular(path, max_bytes)
    except OSError as error:
        raise StyleFileError(f"{path} cannot be read as a style: {reason(error)}.") from error
    metadata = _checked_header(path, data, dtypes)
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise StyleFileError(f"{path.name} is damaged: {error}. Get the file again.") from error
    bad = [key for key, tensor in tensors.items() if not tensor.isfinite().all()]
    if bad:
        raise StyleFileError(f"{path.name} holds NaN or infinite values in {bad[0]}. Capture the style again.")
    return tensors, metadata


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of JSON pairs. Raises: ValueError when a key comes twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def _checked_header(path: Path, data: bytes, dtypes: Collection[str]) -> dict[str, str]:
    """The metadata of a safetensors file whose header is sound. Raises: StyleFileError."""
    if data.startswith(_PICKLE_STARTS) and data[8:9] != b"{":  # a header of 640 bytes is spelt like a pickle's start
        raise StyleFileError(f"{path.name} is a pickle or archive, which can run code; it is never opened.")
    size = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
    if not 2 <= size <= min(_MAX_HEADER_BYTES, len(data) - 8):
        raise StyleFileError(f"{path.name} is no safetensors file or is cut off ({len(data)} bytes). Get it again.")
    try:
        header = parsed_json(data[8 : 8 + size], object_pairs_hook=_no_duplicates)
    except ValueError as error:
        raise StyleFileError(f"{path.name} has a damaged header: {error}.") from error
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise StyleFileError(f"{path.name} has a damaged header; expected a JSON object of entries and texts.")
    if len(header) > _MAX_ENTRIES:
        raise StyleFileError(f"{path.name} has {len(header)} entries; a style has at most {_MAX_ENTRIES}.")
    for name, entry in header.items():
        if not _NAME.fullmatch(name) or not isinstance(entry, dict) or entry.get("dtype") not in dtypes:
            raise StyleFileError(
                f"{path.name} has an entry {name[:80]!r} that does not belong there; it is not loaded."
            )
    return metadata

"""Styles without a capture: what the shared hypernetwork says of an image, and the file of the network itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from sigstyle.base.content_hash import content_hash
from sigstyle.data import shipped_path
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.style.offsets import Offset
from sigstyle.style.shared_hypernet import EMBEDDING, SharedHypernet
from sigstyle.style.tensor_file import read_tensors, write_tensors
from sigstyle.text import parsed_json

HYPERNETWORK_FILE = shipped_path("weights/hypernetworks/mini.safetensors")
DECODER = "vae.decoder."  # before the paths of the autoencoder's decoder


@dataclass(frozen=True, eq=False)
class Instant:
    """The part of a style that the shared hypernetwork knows.

    Shapes: embedding [64]; coefficients [layers, basis]; both at float16 precision. `network` is the network's hash.
    """

    embedding: Tensor
    coefficients: Tensor
    network: str


@dataclass(frozen=True, eq=False)
class Hypernetwork:
    """A trained hypernetwork, the fingerprint of the base it was trained on, and 12 hex digits of its values."""

    net: SharedHypernet
    base_fingerprint: str
    hash: str

    @torch.no_grad()
    def instant(self, measured: Tensor) -> tuple[Instant, Tensor]:
        """What it says of a measured style image, and the shift [n, dim] of the style token."""
        embedding = self.net.embed(measured.cpu().float()).half().float()
        return self.at(embedding)

    @torch.no_grad()
    def at(self, embedding: Tensor) -> tuple[Instant, Tensor]:
        """The same for an embedding [64]. Raises: ConfigError for one of another size."""
        if embedding.shape != (EMBEDDING,):
            raise ConfigError(f"The embedding has shape {list(embedding.shape)}; this hypernetwork reads another.")
        predicted = self.net.predict(embedding)
        return Instant(embedding, predicted.coefficients.half().float(), self.hash), predicted.token

    @torch.no_grad()
    def offsets(self, instant: Instant) -> dict[str, Offset]:
        """The offsets by layer path. Raises: ConfigError for coefficients of another network."""
        expected = [len(self.net.shapes), self.net.basis]
        if list(instant.coefficients.shape) != expected:
            raise ConfigError(f"The coefficients have shape {list(instant.coefficients.shape)}; expected {expected}.")
        return self.net.offsets(instant.coefficients)


def save_hypernetwork(path: Path, net: SharedHypernet, base_fingerprint: str, facts: Mapping[str, float]) -> None:
    """Write a network in float16, with the base it belongs to. Raises: StyleFileError."""
    header = {"shapes": net.shapes, "basis": net.basis, "token": net.token_shape, "base": base_fingerprint, **facts}
    tensors = {name: tensor.half() for name, tensor in net.state_dict().items()}
    write_tensors(path, tensors, {"sigstyle_hypernetwork": json.dumps(header, sort_keys=True)})


@lru_cache(maxsize=2)
def load_hypernetwork(path: Path) -> Hypernetwork:
    """The network in a file. Raises: StyleFileError when it is missing, damaged or something else."""
    tensors, metadata = read_tensors(path)
    try:
        header = parsed_json(metadata["sigstyle_hypernetwork"])
        shapes = {name: (int(out), int(inner)) for name, (out, inner) in header["shapes"].items()}
        measures, width = tensors["centre"].shape[0], tensors["trunk.0.weight"].shape[0]
        net = SharedHypernet(shapes, measures, tuple(header["token"]), header["basis"], width)
        net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        base = str(header["base"])
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise StyleFileError(f"{path.name} is no hypernetwork for styles ({error}). Get the file again.") from error
    return Hypernetwork(net.eval().requires_grad_(False), base, content_hash("", tensors)[:12])


def hypernetwork_of(base_fingerprint: str) -> Hypernetwork | None:
    """The network that was trained for a base; None where there is none."""
    if not HYPERNETWORK_FILE.exists():
        return None
    found = load_hypernetwork(HYPERNETWORK_FILE)
    return found if found.base_fingerprint == base_fingerprint else None


def hypernetwork_named(digest: str) -> Hypernetwork:
    """The network with this hash. Raises: StyleFileError where it is not here."""
    found = load_hypernetwork(HYPERNETWORK_FILE) if HYPERNETWORK_FILE.exists() else None
    if found is None or found.hash != digest:
        here = "there is none here" if found is None else f"the one here is {found.hash}"
        raise StyleFileError(f"The style needs the hypernetwork {digest}; {here}. Capture the style again.")
    return found

"""Styles without a capture: what the shared hypernetwork says of an image, and the file of the network itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

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
    """A trained hypernetwork, the fingerprint of the base it was trained on, and 12 hex digits of its values.

    `space` is 12 hex digits of what makes embeddings: networks that have it in common compare the same embeddings.
    """

    net: SharedHypernet
    base_fingerprint: str
    hash: str
    space: str

    @torch.no_grad()
    def embed(self, measured: Tensor) -> Tensor:
        """The embedding [64] of a measured style image, at float16 precision."""
        return self.net.embed(measured.cpu().float()).half().float()

    @torch.no_grad()
    def instant(self, measured: Tensor) -> tuple[Instant, Tensor]:
        """What it says of a measured style image, and the shift [n, dim] of the style token."""
        return self.at(self.embed(measured))

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


def written_form(net: SharedHypernet) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A network as a file holds it: tensors in float16, and the plain values that they need beside them."""
    tensors = {name: tensor.half() for name, tensor in net.state_dict().items()}
    return tensors, {"shapes": net.shapes, "basis": net.basis, "token": net.token_shape}


def network_of(tensors: Mapping[str, Tensor], header: Mapping[str, Any], base_fingerprint: str) -> Hypernetwork:
    """The network of its written form. Raises: KeyError, ValueError, TypeError or RuntimeError for anything else."""
    shapes = {str(name): (int(out), int(inner)) for name, (out, inner) in header["shapes"].items()}
    measures, width = tensors["centre"].shape[0], tensors["trunk.0.weight"].shape[0]
    net = SharedHypernet(shapes, measures, tuple(header["token"]), header["basis"], width)
    net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    space = content_hash("", {name: tensors[name] for name in ("centre", "spread", "components")})[:12]
    return Hypernetwork(net.eval().requires_grad_(False), base_fingerprint, content_hash("", tensors)[:12], space)


def save_hypernetwork(path: Path, net: SharedHypernet, base_fingerprint: str, facts: Mapping[str, float]) -> None:
    """Write a network in float16, with the base it belongs to. Raises: StyleFileError."""
    tensors, header = written_form(net)
    header |= {"base": base_fingerprint, **facts}
    write_tensors(path, tensors, {"sigstyle_hypernetwork": json.dumps(header, sort_keys=True)})


@lru_cache(maxsize=2)
def load_hypernetwork(path: Path) -> Hypernetwork:
    """The network in a file. Raises: StyleFileError when it is missing, damaged or something else."""
    tensors, metadata = read_tensors(path)
    try:
        header = parsed_json(metadata["sigstyle_hypernetwork"])
        return network_of(tensors, header, str(header["base"]))
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise StyleFileError(f"{path.name} is no hypernetwork for styles ({error}). Get the file again.") from error


def hypernetwork_here() -> Hypernetwork | None:
    """The network that ships, whatever its base; None where there is none."""
    return load_hypernetwork(HYPERNETWORK_FILE) if HYPERNETWORK_FILE.exists() else None


def hypernetwork_of(base_fingerprint: str) -> Hypernetwork | None:
    """The network that was trained for a base; None where there is none."""
    found = hypernetwork_here()
    return found if found is not None and found.base_fingerprint == base_fingerprint else None


def hypernetwork_named(digest: str) -> Hypernetwork:
    """The network with this hash. Raises: StyleFileError where it is not here."""
    found = hypernetwork_here()
    if found is None or found.hash != digest:
        here = "there is none here" if found is None else f"the one here is {found.hash}"
        raise StyleFileError(f"The style needs the hypernetwork {digest}; {here}. Capture the style again.")
    return found

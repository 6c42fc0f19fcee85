"""A style as other programs read it: a LoRA for the weights, a textual inversion for the token."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sigstyle.base.headers import read_header
from sigstyle.base.model import BaseModel
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.files import reason
from sigstyle.style.attach import base_weight
from sigstyle.style.offsets import Offset
from sigstyle.style.style import Style
from sigstyle.style.tensor_file import write_tensors

EMBEDDINGS = "embeddings"
XL_ENCODERS = ("clip_l", "clip_g")
_OURS = "sigstyle.embedding"  # the header key by which an export of ours is known


@dataclass(frozen=True, eq=False)
class Lora:
    """A style as a LoRA of a base.

    `tensors` has kohya's names, which diffusers reads too. `error` is what the rank leaves out: the Frobenius norm of
    the missing change of all weights, relative to the whole change. `widths` are those of the base's text encoders.
    """

    style: Style
    tensors: Mapping[str, Tensor]
    rank: int
    error: float
    widths: Sequence[int] = ()

    def save(self, path: Path) -> Path:
        """Write the LoRA to `path` and the token to `embedding_place`; gives the token's path.

        Raises: StyleFileError when one cannot be written; older files stay as they were.
        """
        token = embedding_place(self.style, path)
        try:
            token.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise StyleFileError(f"{token} cannot be written: {reason(error)}. Choose a writable folder.") from error
        write_tensors(path, self.tensors, self._metadata())
        metadata = {"format": "pt", _OURS: self.style.hash}
        write_tensors(token, self._embedding(), metadata)
        return token

    def _embedding(self) -> dict[str, Tensor]:
        """The token's vectors under its name; of XL's two text encoders as readers of such files call them."""
        embedding = self.style.token.embedding
        if len(self.widths) < 2:
            return {self.style.token.token: embedding}
        return dict(zip(XL_ENCODERS, embedding.split(list(self.widths), dim=1), strict=True))

    def _metadata(self) -> dict[str, str]:
        """The header keys that programs which load LoRAs read."""
        return {
            "format": "pt",
            "modelspec.sai_model_spec": "1.0.0",
            "modelspec.architecture": f"{self.style.base_name}/lora",
            "modelspec.implementation": "sigstyle",
            "modelspec.title": self.style.name,
            "modelspec.trigger_phrase": f"in the style of {self.style.token.token}",
            "modelspec.thumbnail": self.style.thumbnail,
            "ss_network_module": "networks.lora",
            "ss_network_dim": str(self.rank),
            "ss_network_alpha": str(self.rank),
        }


def trigger_by_file_name(style: Style) -> str:
    """What calls a style where an embedding's file name does, as in A1111: the token without <>."""
    return style.token.token.strip("<>")


def embedding_place(style: Style, path: Path) -> Path:
    """Where the token goes with a LoRA at `path`: a file called like its trigger, in a folder of its own.

    Beside the LoRA it would meet the style, which mostly has that name.
    Raises: StyleFileError when something is there that no export of ours wrote.
    """
    token = path.parent / EMBEDDINGS / f"{trigger_by_file_name(style)}.safetensors"
    if os.path.lexists(token) and _OURS not in _metadata_of(token):
        raise StyleFileError(
            f"{token} is there already and is no embedding that sigstyle exported; it stays as it is. Export into "
            "another folder, or move that file."
        )
    return token


def _metadata_of(path: Path) -> Mapping[str, str]:
    """The texts in the header of a safetensors file; none for anything else."""
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return {}
        texts = read_header(path).get("__metadata__")
    except (OSError, ValueError):
        return {}
    return texts if isinstance(texts, dict) else {}


@torch.no_grad()
def lora_of(style: Style, base: BaseModel, rank: int) -> Lora:
    """The LoRA of `rank` nearest to what `style` does to the weights of its base at strength 1.

    A style multiplies, `W * (1 + up @ down)`, and a LoRA adds, so its change `W * (up @ down)` has a higher rank than
    the offset and is cut at `rank`. All layers get the same rank, as readers expect: those smaller than it have zeros.
    Raises: ConfigError for a rank below 1, BaseMismatchError for another base.
    """
    if rank < 1:
        raise ConfigError(f"The rank of the LoRA is {rank}; expected a whole number from 1.")
    style.check_base(base, latents=False)
    tensors: dict[str, Tensor] = {}
    missing = whole = 0.0
    rank = min(rank, max((min(offset.shape) for offset in style.offsets.values()), default=rank))
    with base.lock:
        for path, offset in style.offsets.items():
            weight = base_weight(base.unet, path)
            change = _change(weight, offset)
            up, down, lost = truncated(change, rank)
            tensors |= _entries(path, up, down, weight)
            missing, whole = missing + lost, whole + change.square().sum().item()
    return Lora(style, tensors, rank, (missing / whole) ** 0.5 if whole else 0.0, base.reader.widths)


def _change(weight: Tensor, offset: Offset) -> Tensor:
    """What the style adds to a weight, as a float64 matrix [out, in]."""
    return weight.detach().cpu().flatten(1).double() * offset.delta().double()


def truncated(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """Factors of the nearest matrix of `rank`, of equal norm, and the squared Frobenius norm of what is left out.

    The leading left singular vectors come from the smaller matrix `M M^T`; projecting on them gives the right factor.
    Shapes: matrix [out, in], factors [out, r] and [r, in]. Source: the Eckart-Young theorem.
    """
    squares, vectors = (values.flip(-1) for values in torch.linalg.eigh(matrix @ matrix.T))  # now descending
    own = min(rank, *matrix.shape)
    scale = squares[:own].clamp_min(0).pow(0.25)
    up = vectors[:, :own] * scale
    down = vectors[:, :own].T @ matrix / scale.clamp_min(1e-12).unsqueeze(1)
    lost = squares[own:].clamp_min(0).sum().item()
    return F.pad(up, (0, rank - own)), F.pad(down, (0, 0, 0, rank - own)), lost


def _entries(path: str, up: Tensor, down: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """One layer's entries, float16; a convolution's `down` has its kernel, its `up` a kernel of 1."""
    rank, name = up.shape[1], f"lora_unet_{path.replace('.', '_')}"
    kernel = weight.shape[2:]
    return {
        f"{name}.lora_up.weight": up.half().reshape(-1, rank, *(1 for _ in kernel)),
        f"{name}.lora_down.weight": down.half().reshape(rank, -1, *kernel),
        f"{name}.alpha": torch.tensor(float(rank)),
    }

"""A style as other programs read it: a LoRA for the weights, a textual inversion for the token."""

import hashlib
import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from sigstyle.base.headers import read_header
from sigstyle.base.model import BaseModel, trained_size_px
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.files import reason
from sigstyle.style.attach import base_weight
from sigstyle.style.style import Style
from sigstyle.style.tensor_file import write_tensors
from sigstyle.style.truncate import Spectrum, ranks_for

EMBEDDINGS = "embeddings"
XL_ENCODERS = ("clip_l", "clip_g")
LAYOUTS = ("kohya", "peft")
DEFAULT_ERROR = 0.02
_OURS = "sigstyle.embedding"  # the header key by which an export of ours is known
_ARCHITECTURES = {768: "stable-diffusion-v1", 1024: "stable-diffusion-v2", 2048: "stable-diffusion-xl-v1-base"}
_VERSIONS = {768: "sd_v1", 1024: "sd_v2", 2048: "sdxl_base_v1-0"}


@dataclass(frozen=True, eq=False)
class Lora:
    """A style as a LoRA of a base.

    `tensors` has kohya's names or, of the layout 'peft', those of diffusers and PEFT. `rank` is the highest of its
    layers, 0 where whole differences are held. `error` is what is left out: the Frobenius norm of the missing change of
    all weights, relative to the whole change. `facts` are header keys about the base, `widths` those of its text
    encoders.
    """

    style: Style
    tensors: Mapping[str, Tensor]
    rank: int
    error: float
    facts: Mapping[str, str]
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
        write_tensors(path, self.tensors, {**self._metadata(path.stem), **_hashes(self.tensors)})
        metadata = {"format": "pt", _OURS: self.style.hash}
        write_tensors(token, self._embedding(), metadata)
        return token

    def _embedding(self) -> dict[str, Tensor]:
        """The token's vectors under its name; of XL's two text encoders as readers of such files call them."""
        embedding = self.style.token.embedding
        if len(self.widths) < 2:
            return {self.style.token.token: embedding}
        return dict(zip(XL_ENCODERS, embedding.split(list(self.widths), dim=1), strict=True))

    def _metadata(self, name: str) -> dict[str, str]:
        """The header keys that programs which load LoRAs read."""
        trigger = f"in the style of {self.style.token.token}"
        return {
            "format": "pt",
            "modelspec.sai_model_spec": "1.0.0",
            "modelspec.implementation": "sigstyle",
            "modelspec.title": self.style.name,
            "modelspec.trigger_phrase": trigger,
            "modelspec.thumbnail": self.style.thumbnail,
            "ss_network_module": "networks.lora",
            "ss_network_dim": str(self.rank),
            "ss_network_alpha": str(self.rank),
            "ss_output_name": name,
            "ss_sd_model_name": self.style.base_name,
            "ss_tag_frequency": json.dumps({self.style.name: {trigger: 1}}),
            **self.facts,
        }


def _hashes(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """The digest of the tensors' bytes as they lie in the file, by which browsers of models tell files apart."""
    data = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    digest = hashlib.sha256(data[8 + struct.unpack("<Q", data[:8])[0] :]).hexdigest()
    return {"modelspec.hash_sha256": f"0x{digest}", "sshs_model_hash": digest}


def base_facts(base: BaseModel) -> dict[str, str]:
    """Header keys that say which bases a LoRA is for: the architecture's own id where it has one."""
    width, side_px = base.unet.config.cross_attention_dim, trained_size_px(base)
    predicts_v = base.scheduler.config.prediction_type == "v_prediction"
    architecture = _ARCHITECTURES.get(width, base.name)
    if width == 1024:
        architecture += "-768-v" if predicts_v else "-512"
    return {
        "modelspec.architecture": f"{architecture}/lora",
        "modelspec.resolution": f"{side_px}x{side_px}",
        "modelspec.prediction_type": "v" if predicts_v else "epsilon",
        "ss_base_model_version": _VERSIONS.get(width, base.name) + "_v" * (width == 1024 and predicts_v),
        "ss_v2": str(width == 1024),
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
def lora_of(
    style: Style,
    base: BaseModel,
    rank: int | None = None,
    error: float = DEFAULT_ERROR,
    layout: str = "kohya",
    full: bool = False,
) -> Lora:
    """What `style` does to the weights of its base at strength 1, as a LoRA.

    A style multiplies, `W * (1 + up @ down)`, and a LoRA adds, so its change has a higher rank than the offset. Each
    layer gets as many ranks as `error` asks for in all, or at most `rank`; `full` holds the whole differences, which
    A1111 and ComfyUI read and diffusers does not.
    Raises: ConfigError for a rank below 1, an error out of range or an unknown layout, BaseMismatchError for another
    base.
    """
    _check_wanted(rank, error, layout, full)
    style.check_base(base, latents=False)
    with base.lock:
        weights = {path: base_weight(base.unet, path) for path in style.offsets}
        changes = {path: offset.change(weights[path]) for path, offset in style.offsets.items()}
    facts = base_facts(base)
    if full:
        whole = {f"{_kohya(path)}.diff": change.half().view_as(weights[path]) for path, change in changes.items()}
        return Lora(style, whole, 0, 0.0, facts, base.reader.widths)
    spectra = {path: Spectrum(change) for path, change in changes.items()}
    energy = sum(spectrum.squares.sum().item() for spectrum in spectra.values())
    ranks = [rank or 1] * len(spectra) if rank or not energy else ranks_for(list(spectra.values()), error)
    wanted = {path: min(rank, *spectra[path].matrix.shape) for path, rank in zip(spectra, ranks, strict=True)}
    own = {path: count for path, count in wanted.items() if count}
    highest = max(own.values(), default=1)
    tensors: dict[str, Tensor] = {}
    for path, count in own.items():
        tensors |= _entries(path, *spectra[path].factors(count), weights[path], highest, layout)
    missing = sum(spectrum.squares[own.get(path, 0) :].sum().item() for path, spectrum in spectra.items())
    error = (missing / energy) ** 0.5 if energy else 0.0
    return Lora(style, tensors, highest, error, facts, base.reader.widths)


def _check_wanted(rank: int | None, error: float, layout: str, full: bool) -> None:
    if rank is not None and rank < 1:
        raise ConfigError(f"The rank of the LoRA is {rank}; expected a whole number from 1.")
    if not 0 <= error < 1:
        raise ConfigError(f"The error of the LoRA is {error}; expected a share of 0 to 1, such as {DEFAULT_ERROR}.")
    if layout not in LAYOUTS:
        raise ConfigError(f"The layout of the LoRA is {layout!r}; expected one of {', '.join(LAYOUTS)}.")
    if full and (rank is not None or layout != "kohya"):
        raise ConfigError("Whole differences have neither a rank nor the layout peft; leave these out, or --full.")


def _kohya(path: str) -> str:
    return f"lora_unet_{path.replace('.', '_')}"


def _entries(path: str, up: Tensor, down: Tensor, weight: Tensor, alpha: int, layout: str) -> dict[str, Tensor]:
    """One layer's entries, float16; a convolution's `down` has its kernel, its `up` a kernel of 1.

    Readers multiply by alpha / rank. The alpha is the same for all layers, since diffusers takes but one of a file in
    kohya's names; PEFT's names have none, where each layer's is its rank.
    """
    rank, kernel = up.shape[1], weight.shape[2:]
    shape_up, shape_down = (-1, rank, *(1 for _ in kernel)), (rank, -1, *kernel)
    if layout == "peft":
        names = (f"unet.{path}.lora_B.weight", f"unet.{path}.lora_A.weight")
        return {names[0]: up.half().reshape(shape_up), names[1]: down.half().reshape(shape_down)}
    return {
        f"{_kohya(path)}.lora_up.weight": (up * (rank / alpha)).half().reshape(shape_up),
        f"{_kohya(path)}.lora_down.weight": down.half().reshape(shape_down),
        f"{_kohya(path)}.alpha": torch.tensor(float(alpha)),
    }

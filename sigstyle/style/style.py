"""A captured style and its file: factors, a token and a few statistics in one small safetensors file."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor

from sigstyle.base.content_hash import content_hash
from sigstyle.base.headers import COLLECTION, kind_of_tensors, read_header
from sigstyle.base.prompts import StyleToken, token_for
from sigstyle.defaults import family_of_width
from sigstyle.errors import BaseMismatchError, ConfigError, StyleFileError
from sigstyle.imaging.brushwork import Brushwork
from sigstyle.imaging.palette import Palette
from sigstyle.style.factors_file import factor_tensors, factors_in
from sigstyle.style.instant import Instant
from sigstyle.style.offsets import Offset
from sigstyle.style.statistics_file import KNOWN, STATISTICS, statistics_in
from sigstyle.style.tensor_file import read_tensors, write_tensors
from sigstyle.text import check_style_name, parsed_json

if TYPE_CHECKING:
    from sigstyle.base.model import BaseModel

FORMAT = 1
_THUMBNAIL = re.compile(r"data:image/(jpeg|png|webp);base64,[A-Za-z0-9+/=]+")
_TEXTS = ("name", "token", "domain", "base_name", "base_fingerprint")


@dataclass(frozen=True, eq=False)
class Style:
    """What a capture learned.

    One that the shared hypernetwork knows has an `instant` part: the first columns of its offsets are that network's.
    A capture that paints gives a `palette`, a `brushwork` (how stroke seeds are laid, see `imaging.brushwork`)
    and offsets for the autoencoder's decoder; a classic one what inverting and swapping refers to.

    Shapes: offsets by module path of the UNet, decoder_offsets by that of the autoencoder's decoder; latent_mean/std
    [c] are channel statistics of the style images' latents, start_mean/std [c] those of the noise their DDIM inversion
    ends in; reference [c, h, w] are latents of the first style image itself, which a transfer refers to.
    Factors, token vectors and reference are held at float16 precision (as float32), so a saved style is the same style.
    Raises: ConfigError for values that are not finite or do not fit float16.
    """

    name: str
    token: StyleToken
    offsets: Mapping[str, Offset]
    domain: str
    base_fingerprint: str
    base_name: str
    start_mean: Tensor | None = None
    start_std: Tensor | None = None
    latent_mean: Tensor | None = None
    latent_std: Tensor | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    thumbnail: str = ""
    reference: Tensor | None = None
    palette: Palette | None = None
    brushwork: Brushwork = field(default_factory=Brushwork)
    decoder_offsets: Mapping[str, Offset] = field(default_factory=dict)
    instant: Instant | None = None

    def __post_init__(self) -> None:
        for kind in ("offsets", "decoder_offsets"):
            rounded = {path: Offset(_half(o.up), _half(o.down)) for path, o in getattr(self, kind).items()}
            object.__setattr__(self, kind, rounded)
        if self.reference is not None:
            object.__setattr__(self, "reference", _half(self.reference))
        object.__setattr__(self, "token", StyleToken(self.token.token, _half(self.token.embedding)))
        for key in STATISTICS:
            found = getattr(self, key)
            object.__setattr__(self, key, None if found is None else found.detach().float().cpu())
        check_style_name(self.name)
        bad = [key for key, tensor in self.tensors().items() if not tensor.isfinite().all()]
        if bad:
            raise ConfigError(f"The style {self.name} has values that are not finite or too large in {bad[0]}.")

    @property
    def rank(self) -> int:
        """The highest rank among the offsets."""
        return max((offset.rank for offset in self.offsets.values()), default=0)

    @property
    def family(self) -> str:
        """The family of bases that it was captured on, as `BaseModel.family`."""
        return family_of_width(self.token.embedding.shape[1])

    @property
    def abilities(self) -> list[str]:
        """The presets of a transfer that this style has what it takes for."""
        classic = self.reference is not None and self.start_mean is not None
        return [*["default"] * (self.palette is not None), *["classic"] * classic, "paper"]

    @property
    def hash(self) -> str:
        """12 hex digits over the token's name and every tensor."""
        return content_hash(self.token.token, self.tensors())[:12]

    def __eq__(self, other: object) -> bool:
        """Whether both paint the same: the same `hash`, whatever their names and metadata."""
        return self.hash == other.hash if isinstance(other, Style) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.hash)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by its name in the file: factors, token and reference in float16, the rest in float32."""
        fields = {"offsets": self.offsets, "decoder_offsets": self.decoder_offsets}
        factors = factor_tensors(fields, self.instant)
        statistics = {key: getattr(self, key) for key in STATISTICS if getattr(self, key) is not None}
        if self.reference is not None:
            statistics["reference"] = self.reference.half()
        if self.palette is not None:
            statistics |= {"palette_mean": self.palette.mean, "palette_covariance": self.palette.covariance}
            statistics |= self.brushwork.tensors()
        return {**factors, "token": self.token.embedding.half(), **statistics}

    @property
    def vae_fingerprint(self) -> str:
        """Of the autoencoder whose latents the statistics and the reference are; '' in styles of before."""
        return str(self.metadata.get("vae_fingerprint", ""))

    @property
    def text_fingerprint(self) -> str:
        """Of the text encoder that the token was learned in; '' in styles of before."""
        return str(self.metadata.get("text_fingerprint", ""))

    def check_base(self, base: "BaseModel", same_weights: bool = True, latents: bool = True) -> None:
        """Raises: BaseMismatchError unless `base` is the base of this style.

        With `same_weights=False` a fine-tune of that base will do: only UNet and text encoder must be built alike. With
        `latents=False` the autoencoder may be any, where neither statistics nor reference are used. A part whose
        fingerprint is not known on both sides passes.
        """
        parts = [
            ("", self.base_fingerprint, base.fingerprint, same_weights),
            ("a text encoder", self.text_fingerprint, base.text_fingerprint, same_weights),
            ("an autoencoder", self.vae_fingerprint if latents else "", base.vae_fingerprint, True),
        ]
        for part, own, found, whole in parts:
            same_architecture = own.split("-")[0] == found.split("-")[0]
            if own == found or (part and not (own and found)) or (same_architecture and not whole):
                continue
            difference = "other weights" if same_architecture else "another architecture"
            difference = f"{part} of {difference}" if part else difference
            raise BaseMismatchError(
                f"The style {self.name} was captured on {self.base_name} ({own}); "
                f"the base in use is {base.name} ({found}), which has {difference}. "
                "Load the style's base, or capture the style again on this one."
            )

    def renamed(self, name: str) -> Self:
        """The same style under another name; its token and its hash stay, and so all recipes and prompts go on working.

        Raises: ConfigError for a name that a capture would not take.
        """
        token_for(name)
        return replace(self, name=name)

    def save(self, path: str | Path) -> None:
        """Write the style to `path`, whole or not at all.

        Raises: StyleFileError when the place cannot be written or the disk is full; an older file stays as it was.
        """
        header = {"format": FORMAT, "name": self.name, "token": self.token.token, "domain": self.domain}
        header |= {"base_name": self.base_name, "base_fingerprint": self.base_fingerprint, "metadata": self.metadata}
        header |= {"checksum": content_hash("", self.tensors())}
        header |= {} if self.instant is None else {"hypernetwork": self.instant.network}
        metadata = {"sigstyle": json.dumps(header, sort_keys=True), **self._modelspec()}
        write_tensors(Path(path), self.tensors(), metadata)

    def _modelspec(self) -> dict[str, str]:
        """The header keys that style and model browsers read (Stability AI's Model Metadata Standard)."""
        return {
            "modelspec.sai_model_spec": "1.0.0",
            "modelspec.architecture": f"{self.base_name}/sigstyle",
            "modelspec.implementation": "sigstyle",
            "modelspec.title": self.name,
            "modelspec.trigger_phrase": self.token.token,
            "modelspec.thumbnail": self.thumbnail,
        }

    @classmethod
    def load(cls, path: str | Path) -> "Style":
        """Read a style file, checking everything in it; nothing in it is ever executed.

        Raises: StyleFileError when it is missing, damaged, foreign or unsafe.
        """
        path = Path(path)
        _check_is_one(path)
        tensors, metadata = read_tensors(path)
        header = _header(path, metadata)
        if "token" not in tensors:
            raise StyleFileError(f"{path.name} lacks token. Capture the style again.")
        fields: dict[str, Any] = {key: header[key] for key in (*_TEXTS, "metadata")}
        fields |= {**statistics_in(path, tensors), "thumbnail": _thumbnail(metadata)}
        try:
            fields["token"] = StyleToken(header["token"], tensors["token"])
            fields |= factors_in(path, tensors, str(header.get("hypernetwork", "")), KNOWN)
            style = cls(**fields)
        except ConfigError as error:
            raise StyleFileError(f"{path.name} is not a usable style: {error}") from error
        _check_sum(path, header, tensors)
        return style


def _check_is_one(path: Path) -> None:
    """Raises: StyleFileError for a file of many styles; all else is for its reader to say."""
    try:
        kind = kind_of_tensors(read_header(path)) if path.is_file() else ""
    except (OSError, ValueError):
        return
    if kind == COLLECTION:
        raise StyleFileError(
            f"{path.name} is a collection of styles; take one out of it: sigstyle collection take {path.name} NAME -o "
            "STYLE.safetensors."
        )


def _thumbnail(metadata: Mapping[str, str]) -> str:
    """The thumbnail's data URI, or '' when it is anything but a small embedded picture."""
    found = metadata.get("modelspec.thumbnail", "")
    return found if is_thumbnail(found) else ""


def is_thumbnail(uri: str) -> bool:
    """Whether a text is the data URI of a small embedded picture, and nothing else."""
    return _THUMBNAIL.fullmatch(uri) is not None


def _half(tensor: Tensor) -> Tensor:
    """`tensor` on the CPU, rounded to float16 precision, as float32."""
    return tensor.detach().cpu().half().float()


def _header(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The style's own header. Raises: StyleFileError when it is not ours or incomplete."""
    if "sigstyle" not in metadata:
        raise StyleFileError(
            f"{path.name} is a safetensors file but not a SigStyle style (a LoRA or checkpoint?). Expected a file that "
            "'sigstyle capture' wrote."
        )
    try:
        header = parsed_json(metadata["sigstyle"])
    except ValueError as error:
        raise StyleFileError(f"{path.name} has a damaged header: {error}.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else header
        raise StyleFileError(f"{path.name} has style format {found!r}; this version reads {FORMAT}. Update SigStyle.")
    texts = all(isinstance(header.get(key), str) and header[key] for key in _TEXTS)
    if not texts or not isinstance(header.get("metadata"), dict):
        raise StyleFileError(f"{path.name} has an incomplete header; expected {', '.join(_TEXTS)} and metadata.")
    return header


def _check_sum(path: Path, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Raises StyleFileError when the tensors are not those that were saved; files of before version 0.2 do not say."""
    found = content_hash("", tensors)
    known = header.get("checksum", found)
    if known != found:
        raise StyleFileError(
            f"{path.name} is damaged or was changed: its tensors have the checksum {found[:12]}, its header says "
            f"{str(known)[:12]!r}. Get the file again."
        )

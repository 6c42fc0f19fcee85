"""LoRAs that other programs made, as changes of a base's weights."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sigstyle.base.candidates import lora_path
from sigstyle.base.content_hash import content_hash
from sigstyle.base.model import BaseModel
from sigstyle.base.original_names import original_names
from sigstyle.base.wrapped import bare_layers
from sigstyle.errors import ConfigError, StyleFileError, first_line
from sigstyle.style.lora_forms import LOHA, added_by, all_there
from sigstyle.style.offsets import Added
from sigstyle.style.tensor_file import read_tensors
from sigstyle.text import brief, parsed_json

_MOST_BYTES = 4 * 2**30
_DTYPES = ("F16", "BF16", "F32")
_UNET, _TEXT, _SECOND = "unet", "text_encoder", "text_encoder_2"
_OLDER = re.compile(r"\.processor\.to_(q|k|v|out)_lora\.")
_FACTORS = {
    "down": re.compile(r"(.+)\.(?:lora_down|lora\.down|lora_linear_layer\.down|lora_A|lora_A\.\w+)\.weight"),
    "up": re.compile(r"(.+)\.(?:lora_up|lora\.up|lora_linear_layer\.up|lora_B|lora_B\.\w+)\.weight"),
    "alpha": re.compile(r"(.+)\.alpha"),
    "magnitude": re.compile(r"(.+)\.(?:dora_scale|lora_magnitude_vector(?:\.\w+)*)"),
    **{part: re.compile(rf"(.+)\.hada_{part}") for part in sorted(LOHA)},
    **{f"k{part}": re.compile(rf"(.+)\.lokr_w{part}") for part in ("1", "2", "1_a", "1_b", "2_a", "2_b")},
}


@dataclass(frozen=True, eq=False)
class LoraFile:
    """A LoRA that fits a base: for each of its networks what is added to the weights, by layer path.

    `trigger` are the words that call it, '' where its file does not say; `hash` is of its tensors; `path` is what it
    was asked for by.
    """

    name: str
    parts: Mapping[str, Mapping[str, Added]]
    trigger: str
    hash: str
    path: str | None = None

    @property
    def rank(self) -> int:
        """The highest rank among its layers."""
        return max(added.rank for layers in self.parts.values() for added in layers.values())


def read_lora(source: str | Path, base: BaseModel) -> LoraFile:
    """A LoRA, DoRA, LoHa or LoKr in kohya's, diffusers' or PEFT's names, for a base it was made for.

    Raises: StyleFileError for an unusable file, another kind of adapter, or one that is for another base.
    """
    path = lora_path(source)
    tensors, texts = read_tensors(path, _DTYPES, _MOST_BYTES)
    layers = _by_layer(path, tensors)
    known = dict(_names_of(base))
    parts: dict[str, dict[str, Added]] = {}
    for name, factors in layers.items():
        if name not in known:
            raise StyleFileError(_foreign(path, base, f"it changes {name[:80]!r}, which this base does not have"))
        part, layer, weight = known[name]
        added = _added(path, name, factors, weight)
        if added.shape != (weight.shape[0], weight[0].numel()):
            told = f"its {name[:80]} is for a weight of {list(added.shape)}, this base's has {list(weight.shape)}"
            raise StyleFileError(_foreign(path, base, told))
        parts.setdefault(part, {})[layer] = added
    return LoraFile(path.stem, parts, trigger_in(texts), content_hash("", tensors)[:12], str(source))


def _foreign(path: Path, base: BaseModel, told: str) -> str:
    return f"{path.name} is a LoRA for another base than {base.name}: {told}. Give the base that it was made for."


def _by_layer(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Factors of each layer. Raises: StyleFileError for an entry that belongs to another kind of adapter."""
    layers: dict[str, dict[str, Tensor]] = {}
    for entry, tensor in tensors.items():
        name = _OLDER.sub(lambda found: f".to_{found[1]}{'.0' * (found[1] == 'out')}.lora.", entry)
        found = [(kind, match) for kind, pattern in _FACTORS.items() if (match := pattern.fullmatch(name))]
        if not found:
            raise StyleFileError(
                f"{path.name} has an entry {entry[:80]!r}; expected a LoRA, DoRA, LoHa or LoKr without more (Tucker "
                "forms are not read). Have it converted to a plain LoRA."
            )
        layers.setdefault(found[0][1][1], {})[found[0][0]] = tensor
    return layers


def _added(path: Path, name: str, factors: Mapping[str, Tensor], weight: Tensor) -> Added:
    """What a layer's factors add to its weight. Raises: StyleFileError when they are not whole."""
    if not all_there(set(factors) - {"alpha", "magnitude"}):
        raise StyleFileError(f"{path.name} has only {', '.join(sorted(factors))} of {name[:80]}. Get the file again.")
    try:
        return added_by(factors, weight)
    except (ConfigError, RuntimeError) as error:
        raise StyleFileError(f"{path.name} has a damaged layer {name[:80]}: {first_line(error)}") from error


def _names_of(base: BaseModel) -> Iterator[tuple[str, tuple[str, str, Tensor]]]:
    """Every name that a LoRA may have for a layer of the base, with the network, the path and the weight it means."""
    unet = {path: weight for path, weight in _weights(base.unet)}
    originals = original_names(unet, base.unet.config.layers_per_block)
    for path, weight in unet.items():
        flat = {f"lora_unet_{name.replace('.', '_')}" for name in (path, originals[path])}
        for name in (*flat, f"unet.{path}", f"base_model.model.{path}"):
            yield name, (_UNET, path, weight)
    for part, prefixes in ((_TEXT, ("lora_te_", "lora_te1_")), (_SECOND, ("lora_te2_",))):
        encoder = getattr(base, part, None)
        for path, weight in () if encoder is None else _weights(encoder):
            plain = path.removeprefix("text_model.")
            flat = [f"{prefix}text_model_{plain.replace('.', '_')}" for prefix in prefixes]
            flat += [f"{prefix}{plain.replace('.', '_')}" for prefix in prefixes]  # a projection stands outside
            for name in (*flat, f"{part}.{plain}", f"{part}.text_model.{plain}"):
                yield name, (part, path, weight)


def _weights(network: nn.Module) -> list[tuple[str, Tensor]]:
    """Layers with a weight that is a matrix or a kernel."""
    layers = [(path, getattr(module, "weight", None)) for path, module in bare_layers(network)]
    return [(path, weight) for path, weight in layers if isinstance(weight, Tensor) and weight.ndim > 1]


def trigger_in(texts: Mapping[str, str]) -> str:
    """The words that call a LoRA, as far as its header says: what its maker wrote, or its most frequent caption."""
    if texts.get("modelspec.trigger_phrase"):
        return texts["modelspec.trigger_phrase"].strip()
    try:
        frequencies = parsed_json(texts.get("ss_tag_frequency", ""))
    except ValueError:
        return ""
    counts: dict[str, int] = {}
    for tags in frequencies.values() if isinstance(frequencies, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            counts[tag.strip()] = counts.get(tag.strip(), 0) + (count if isinstance(count, int) else 0)
    return max(counts, key=lambda tag: counts[tag]) if counts else ""


LoraLike = LoraFile | str | Path | tuple[Any, float]
Weighted = tuple[tuple[LoraFile | str | Path, float], ...]


def weighted(wanted: Sequence[LoraLike]) -> Weighted:
    """LoRAs with their weights, of files, of `LoraFile`s, or of pairs of one of these and a weight, which is 1 else.

    Files are known by their headers; no base is needed.
    Raises: StyleFileError for what is no LoRA, ConfigError for a weight that is no number of -10 to 10.
    """
    pairs = [(entry[0], entry[1]) if isinstance(entry, tuple) else (entry, 1.0) for entry in wanted]
    for given, weight in pairs:
        if not isinstance(weight, int | float) or not -10 <= weight <= 10:
            raise ConfigError(f"The weight of a LoRA is {brief(weight)}; expected a number of -10 to 10.")
        if not isinstance(given, LoraFile):
            lora_path(given)
    return tuple((given, float(weight)) for given, weight in pairs)


def loras_of(wanted: Sequence[LoraLike], base: BaseModel) -> list[tuple[LoraFile, float]]:
    """LoRAs as `weighted` has them, read for a base. Raises: StyleFileError also as `read_lora`; ConfigError."""
    pairs = weighted(wanted)
    return [(given if isinstance(given, LoraFile) else read_lora(given, base), weight) for given, weight in pairs]

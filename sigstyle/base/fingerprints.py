"""What tells the parts of bases apart, whatever dtype they are loaded in."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

_SAMPLES = 64
_DECODER = ("decoder.", "post_quant_conv.")
_OLDER_PREFIX = "text_model."  # transformers 5 no longer has it
_COMPILED, _WRAPPED, _ADAPTER = "_orig_mod.", ".base_layer.", re.compile(r"\.(lora_|hada_|lokr_|oft_|boft_|vera_)")


def fingerprint(unet: nn.Module) -> str:
    """'architecture-weights', 8 hex digits each: names and shapes, and the signs of a sample of each parameter.

    Signs survive rounding, so float32, float16 and bfloat16 copies of one base agree; fine-tunes do not. A compiled one
    and one that carries adapters have that of the base itself.
    """
    return "-".join(_digests(unet.named_parameters()))


def latents_fingerprint(vae: Any) -> str:
    """As `fingerprint`, of what makes latents: the autoencoder's encoder and its scaling.

    Its decoder does not count: fine-tuned ones read the same latents.
    """
    architecture, weights = _digests((n, p) for n, p in vae.named_parameters() if not n.startswith(_DECODER))
    scaling = [vae.config.get("shift_factor") or 0.0, vae.config.scaling_factor]
    return f"{architecture}-{hashlib.sha256((weights + json.dumps(scaling)).encode()).hexdigest()[:8]}"


def text_fingerprint(*text_encoders: Any) -> str:
    """As `fingerprint`, of text encoders. The vocabulary does not count: tokens may be added to it at any time."""
    named: list[tuple[str, Tensor]] = []
    for number, text_encoder in enumerate(text_encoders):
        table, prefix = text_encoder.get_input_embeddings().weight, f"{number + 1}." if number else ""
        for name, parameter in text_encoder.named_parameters():
            if parameter is not table:
                named.append((prefix + name.removeprefix(_OLDER_PREFIX), parameter))
    return "-".join(_digests(named))


def _digests(named: Iterable[tuple[str, Tensor]]) -> tuple[str, str]:
    """Architecture and weights of parameters, 8 hex digits each."""
    shapes, signs = hashlib.sha256(), hashlib.sha256()
    for name, parameter in sorted(_own(named), key=lambda entry: entry[0]):
        shapes.update(json.dumps([name, list(parameter.shape)]).encode())
        values = parameter.detach().flatten()
        sample = values[:: max(1, values.numel() // _SAMPLES)][:_SAMPLES]
        signs.update(bytes(torch.signbit(sample).cpu().tolist()))
    return shapes.hexdigest()[:8], signs.hexdigest()[:8]


def _own(named: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """The parameters without those of adapters, by the names they have when nothing is wrapped or compiled."""
    for name, parameter in named:
        if not _ADAPTER.search(name):
            yield name.replace(_COMPILED, "").replace(_WRAPPED, "."), parameter

"""LoRAs under the style: a base that carries them for a while."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from sigstyle.base.model import BaseModel
from sigstyle.style.attach import styled
from sigstyle.style.lora_file import LoraFile

Loras = Sequence[tuple[LoraFile, float]]


@contextmanager
def under(base: BaseModel, loras: Loras) -> Iterator[BaseModel]:
    """Within the context the base's networks carry `loras`; yields that base, which has the base's own fingerprints.

    Styles of the base fit it, and what is remembered of pictures is told apart by `BaseModel.under`. The base is locked
    meanwhile; afterwards its weights are bit-equal to what they were, also after an exception.
    """
    if not loras:
        yield base
        return
    with base.lock, ExitStack() as undo:
        for part in dict.fromkeys(part for lora, _ in loras for part in lora.parts):
            pairs = [(lora.parts[part], weight) for lora, weight in loras if part in lora.parts]
            undo.enter_context(styled(getattr(base, part), pairs))
        digest = hashlib.sha256(repr([(lora.hash, weight) for lora, weight in loras]).encode()).hexdigest()[:8]
        yield replace(base, under=digest)


def lora_entries(loras: Loras) -> list[dict[str, Any]]:
    """What a recipe says of LoRAs; a path is None for one that came from memory."""
    return [{"name": lora.name, "hash": lora.hash, "path": lora.path, "weight": weight} for lora, weight in loras]

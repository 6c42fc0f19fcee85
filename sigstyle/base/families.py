"""What a family of Stable Diffusion has in common and single files leave out: configs, schedules, tokenizers."""

import gzip
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

FOLDER = Path(__file__).parent / "families"
SD1, SD2, SDXL = "sd1", "sd2", "sdxl"
END_OF_TEXT = "<|endoftext|>"
_LENGTH = 77
_FEW_STEPS = re.compile(r"(?<![a-z])(lcm|turbo|lightning|hyper[-_ ]?sd)(?![a-z])")
_SPOKEN = {"lcm": "LCM", "turbo": "Turbo", "lightning": "Lightning"}


def family_folder(family: str) -> Path:
    """A pipeline in diffusers layout without weights and tokenizers, for single files of `family`."""
    return FOLDER / family


@cache
def _clip_vocabulary() -> tuple[dict[str, int], list[tuple[str, ...]]]:
    """Entries and merges of CLIP's vocabulary: every byte, every byte that ends a word, then what merges make of them.

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", section 2.4.
    """
    text = gzip.decompress((FOLDER / "clip" / "merges.txt.gz").read_bytes()).decode()
    merges = [tuple(line.split()) for line in text.splitlines()]
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = [chr(code) for code in printable] + [chr(0x100 + place) for place in range(0x100 - len(printable))]
    entries = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *("".join(pair) for pair in merges)]
    return {entry: place for place, entry in enumerate([*entries, "<|startoftext|>", END_OF_TEXT])}, merges


def clip_tokenizer(padding: str = END_OF_TEXT) -> Any:
    """CLIP's tokenizer as Stable Diffusion uses it; OpenCLIP's encoders were trained with '!' as `padding`."""
    from transformers import CLIPTokenizer

    vocabulary, merges = _clip_vocabulary()
    return CLIPTokenizer(
        vocab=dict(vocabulary),
        merges=cast(Any, [*merges]),
        pad_token=padding,
        unk_token=END_OF_TEXT,
        model_max_length=_LENGTH,
    )


def family_tokenizers(family: str) -> dict[str, Any]:
    """The tokenizers of `family` by the names that pipelines have for them."""
    if family == SDXL:
        return {"tokenizer": clip_tokenizer(), "tokenizer_2": clip_tokenizer("!")}
    return {"tokenizer": clip_tokenizer("!" if family == SD2 else END_OF_TEXT)}


def few_steps_kind(name: str, schedule: Mapping[str, Any]) -> str:
    """What a base is called that was distilled to paint in a few steps without guidance, '' for all others.

    No file says it: known by the base's name, and by the sampler that LCM and Turbo models come with.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
    if found := _FEW_STEPS.search(words):
        return _SPOKEN.get(found[1], "Hyper-SD")
    if schedule.get("_class_name") == "LCMScheduler":
        return "LCM"
    trailing = schedule.get("timestep_spacing") == "trailing" and not schedule.get("rescale_betas_zero_snr")
    return "Turbo" if trailing and str(schedule.get("_class_name")).startswith("Euler") else ""

"""What a folder or a hub repository holds, told by its files' names alone: nothing is read or fetched for it."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sigstyle.base.headers import LORA
from sigstyle.text import parsed_json

PARTS = ("unet", "vae", "text_encoder")
_STEMS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}
_VARIANTS = ("", "fp16", "bf16")
_HALF_FIRST = ("fp16", "bf16", "")
_SHARD = r"(-\d+-of-\d+)?"
_CONFIGS = re.compile(r"(unet|vae|text_encoder(_2)?|tokenizer(_2)?|scheduler)/[^/]+\.(json|txt)|model_index\.json")
_MOST_BYTES = 2**20
_SINGLE = {"ControlNetModel": "a ControlNet", "UNet2DConditionModel": "a UNet alone"}
_SINGLE |= {
    "AutoencoderKL": "an autoencoder (VAE) alone",
    "MultiAdapter": "a T2I-Adapter",
    "T2IAdapter": "a T2I-Adapter",
}


def variants_of(names: Collection[str], part: str) -> dict[str, list[str]]:
    """The weight files of a part by their variant ('' is the plain one), also where they are cut into shards."""
    pattern = re.compile(rf"{part}/{_STEMS.get(part, 'model')}(\.(\w+))?{_SHARD}(\.(\w+))?\.safetensors")
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        if match := pattern.fullmatch(name):
            found.setdefault(match[2] or match[5] or "", []).append(name)
    return found


def variant_of(names: Collection[str], part: str, half: bool = False) -> str | None:
    """Which variant of a part to read: the plain one where it is there, with `half` rather one of 16 bits.

    None is the plain one, also where no variant is known, so that whoever loads it says what is missing.
    """
    found = variants_of(names, part)
    return next((variant for variant in (_HALF_FIRST if half else _VARIANTS) if variant in found), "") or None


def wanted_files(names: Collection[str], half: bool) -> list[str]:
    """What to fetch of a repository: configs, tokenizers, each part's weights once; with `half` those of 16 bits."""
    wanted = [name for name in names if _CONFIGS.fullmatch(name)]
    for part in (*PARTS, "text_encoder_2"):
        wanted += variants_of(names, part).get(variant_of(names, part, half) or "", [])
    return sorted(wanted)


def holds_all_weights(names: Collection[str]) -> bool:
    """Whether files of these names are all of a pipeline: no part without weights, no shard missing."""
    parts = [*PARTS, *(["text_encoder_2"] if any(name.startswith("text_encoder_2/") for name in names) else [])]
    chosen = {part: variants_of(names, part).get(variant_of(names, part) or "", []) for part in parts}
    cut = [re.search(r"-of-0*(\d+)", files[0]) if files else None for files in chosen.values()]
    counts = [int(found[1]) if found else 1 for found in cut]
    return "model_index.json" in names and [len(files) for files in chosen.values()] == counts


def kind_of_names(names: Collection[str]) -> str:
    """What files of these names are when they are no pipeline with a UNet, in words with their article, or ''."""
    tops = {name.partition("/")[0] for name in names if "/" in name}
    top_files = [name for name in names if "/" not in name]
    weights = [name for name in top_files if name.endswith(".safetensors")]
    if {"unet", "vae"} <= tops:
        return ""
    if "adapter_config.json" in top_files or any("lora" in name.lower() for name in weights):
        return LORA
    if "learned_embeds.safetensors" in weights:
        return "a textual inversion"
    if "transformer" in tops:
        return "a pipeline with a transformer (Stable Diffusion 3, Flux or the like)"
    if "model_index.json" not in top_files and "config.json" in top_files:
        return "a single network (a ControlNet, a UNet, an autoencoder or the like)"
    if weights:
        return f"a collection of single files ({', '.join(weights[:3])}{' …' * (len(weights) > 3)})"
    return ""


def names_in(folder: Path) -> list[str]:
    """Files of a folder and of the folders in it, as a repository names them."""
    inside = list(folder.iterdir())
    deeper = [path for part in inside if part.is_dir() for path in part.iterdir()]
    return [path.relative_to(folder).as_posix() for path in (*inside, *deeper) if path.is_file()]


def kind_of_folder(folder: Path) -> str:
    """As `kind_of_names`, for a folder, whose own config says which network is in it."""
    names = names_in(folder)
    return _SINGLE.get(str(config_at(folder / "config.json").get("_class_name")), "") or kind_of_names(names)


def config_at(path: Path) -> dict[str, Any]:
    """What a JSON file of a pipeline says; nothing for one that cannot be read, which loading will tell."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return {}
        found = parsed_json(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

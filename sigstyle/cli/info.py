"""What a picture made here, or a style file, says about itself."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sigstyle.base.headers import EMBEDDED
from sigstyle.config import GenerateConfig, TextureConfig, TrainingFreeConfig, TransferConfig
from sigstyle.defaults import own_defaults
from sigstyle.errors import ConfigError
from sigstyle.film.encoding import KINDS, film_recipe
from sigstyle.imaging.images import read_recipe
from sigstyle.settings import SWITCH, settable
from sigstyle.style.shipped import existing_style, open_style
from sigstyle.style.similar import LOOK
from sigstyle.style.style import Style
from sigstyle.text import shown

_COMMANDS = {
    "transfer": ["transfer"],
    "video": ["video"],
    "generate": ["generate"],
    "texture": ["texture"],
    "training-free": ["transfer", "--training-free"],
}
_SWITCHES = {
    entry.name
    for kind in (TransferConfig, TextureConfig)
    for entry in settable(kind)
    if entry.metadata.get("choices") == SWITCH
}
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def describe(file: str) -> dict[str, Any]:
    """The recipe of a PNG or a film with the command that makes it again, or the contents of a style, as plain values.

    Raises: ImageError for a picture without a recipe, StyleFileError for what is neither picture nor style.
    """
    path = Path(existing_style(file)).expanduser()
    if path.suffix.lower() in KINDS and (recipe := film_recipe(path)):
        return {**recipe, "command": command_of({**recipe, "images": 1})}
    if not _head(path).startswith(_PICTURES):
        return describe_style(open_style(file))
    recipe = read_recipe(path)
    return {**recipe, "command": command_of(recipe)}


def _head(path: Path) -> bytes:
    """The first bytes of a file, or none; why it cannot be read is for its own loader to say."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(4)
    except OSError:
        return b""


def command_of(recipe: Mapping[str, Any]) -> str | None:
    """The command line that makes the picture of `recipe` again; None when only Python can."""
    try:
        kind, settings, base = recipe["kind"], recipe["settings"], recipe["base"]
        if kind not in _COMMANDS or recipe["images"] != 1 or not _has_flags(kind, settings):
            return None
        words = ["python", "-m", "sigstyle", *_COMMANDS[kind]]
        words += [] if kind == "texture" else [_subject(kind, recipe)]
        for style in recipe["styles"]:
            words += [*([] if kind == "texture" else ["-s"]), _style_word(kind, style)]
        for lora in recipe.get("loras", []):
            words += ["--lora", f"{lora['path'] or lora['name']}:{lora['weight']:g}"]
        words += ["-o", "again.mp4" if kind == "video" else "again.png"]
        words += [*_part_words(recipe), *_flags(kind, settings, base["name"])]
        extras: dict[str, Any] = {"from": recipe.get("start_s"), "to": recipe.get("end_s"), "fps": recipe.get("fps")}
        extras |= {"width": recipe.get("width"), "height": recipe.get("height"), "mask": recipe.get("mask")}
        extras["mask"] = (extras["mask"] or {}).get("path")
        extras["prediction-type"] = recipe.get("prediction_type")
        extras |= {"base": base["name"], "device": base["device"], "dtype": base["dtype"]}
        words += ["--compile"] if base.get("compiled") else []
        words += [word for name, value in extras.items() if value for word in (f"--{name}", str(value))]
        return " ".join(map(_shell_word, words))
    except (KeyError, TypeError, AttributeError, UnicodeError, ConfigError):
        return None


def _subject(kind: str, recipe: Mapping[str, Any]) -> str:
    """What is painted: a prompt or a photo."""
    return recipe["settings"]["prompt"] if kind == "generate" else recipe["content"]["path"] or "CONTENT"


def _part_words(recipe: Mapping[str, Any]) -> list[str]:
    """The flags of regions, gradient, colours and texture."""
    words = []
    for region in recipe.get("regions") or []:
        where = region["where"] or region["mask"]["path"] or "MASK"
        words += ["--region", f"{where}={region['style']['path'] or region['style']['name']}"]
    if colours := recipe.get("palette_from"):
        words += ["--palette-from", colours["path"] or colours["name"]]
    if texture := recipe.get("texture"):
        words += ["--texture", texture if isinstance(texture, str) else texture["path"] or "TEXTURE"]
    return words + (["--gradient", recipe["gradient"]] if recipe.get("gradient") else [])


def _shell_word(word: str) -> str:
    """A word as a shell takes it; bytes of a file name that cannot be shown as bash and zsh write them."""
    if shown(word) == word:
        return shlex.quote(word)
    written = word.encode(errors="surrogateescape")
    return "$'" + "".join(chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\x{b:02x}" for b in written) + "'"


def _style_word(kind: str, style: Mapping[str, Any]) -> str:
    """What -s takes: a picture where nothing was captured, else a style with its weight."""
    if kind == "training-free":
        return style["path"] or "STYLE"
    return f"{style['path'] or style['name']}:{style['weight']}"


def _has_flags(kind: str, settings: Mapping[str, Any]) -> bool:
    """Whether the command line can say these settings; of a training-free transfer it cannot say all."""
    if kind != "training-free":
        return True
    known, usual = {entry.name for entry in settable(TransferConfig)}, TrainingFreeConfig().to_dict()
    return all(name in known or value == usual[name] for name, value in settings.items())


def _flags(kind: str, settings: Mapping[str, Any], base: str) -> list[str]:
    """The settings as flags: the preset and what differs from it; without training and of a surface, every one."""
    if kind == "texture":
        given = {"size": settings["size_px"], **settings}
        del given["size_px"]
    elif kind == "training-free":
        given = {
            name: settings[name] for name in (entry.name for entry in settable(TransferConfig)) if name in settings
        }
    else:
        given = _over_preset(GenerateConfig if kind == "generate" else TransferConfig, settings, base)
    if kind == "generate":
        given.pop("prompt", None)
    given = {name: value for name, value in given.items() if value not in (None, "")}
    words = []
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        words += [flag] * (value == SWITCH[1]) if name in _SWITCHES else [flag, str(value)]
    return words


def _over_preset(kind: type[TransferConfig | GenerateConfig], settings: Mapping[str, Any], base: str) -> dict[str, Any]:
    """Settings as those that a preset needs on top of it.

    On other bases than the embedded one also what a family may have defaults of its own for.
    Raises: KeyError for a recipe that lacks some, ConfigError for one with others.
    """
    config = kind.from_recipe(settings)
    new = {"method", "palette", "stroke", "max_megapixels", "protect", "best_of"} - settings.keys()
    new |= {"leak_bound", "where", "invert_mask", "feather", "signal_leak"} - settings.keys()
    if lacking := [name for name in config.to_dict() if name not in {*settings, *new}]:
        raise KeyError(lacking[0])
    preset = config.nearest
    changes = config.changes(preset)
    if base != EMBEDDED:
        own = own_defaults(kind, preset)
        changes |= {name: value for name, value in config.to_dict().items() if name in own}
    return {"preset": preset, **changes} if preset != "default" else changes


def describe_style(style: Style) -> dict[str, Any]:
    """What a style holds, as plain values."""
    return {
        "kind": "style",
        "name": style.name,
        "token": style.token.token,
        "domain": style.domain,
        "hash": style.hash,
        "base": {"name": style.base_name, "fingerprint": style.base_fingerprint},
        "can": style.abilities,
        "palette": _palette(style),
        "brushwork": style.brushwork.to_dict() if style.palette is not None else None,
        "layers": len(style.offsets),
        "decoder_layers": len(style.decoder_offsets),
        "rank": style.rank,
        "numbers": sum(tensor.numel() for tensor in style.tensors().values()),
        **{key: value for key, value in style.metadata.items() if key != LOOK},
    }


def _palette(style: Style) -> dict[str, Any] | None:
    """The style's mean colour and the way its colours spread, both as people write them; None where it has none."""
    if style.palette is None:
        return None
    mean = [min(255, max(0, round((value + 1) * 127.5))) for value in style.palette.mean.tolist()]
    spread = (style.palette.covariance.diagonal().clamp_min(0).sqrt() * 127.5).round().int().tolist()
    return {"mean": "#" + "".join(f"{value:02x}" for value in mean), "deviation_of_red_green_blue": spread}

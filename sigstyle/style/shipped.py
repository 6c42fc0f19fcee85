"""Styles by file or by name: opening them, the ones that come with the project, and the base each wants."""

from contextlib import suppress
from pathlib import Path

import torch

from sigstyle.base.candidates import is_hub_id
from sigstyle.base.model import EMBEDDED, BaseModel, load_base
from sigstyle.data import shipped_path
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.files import expanded, reason
from sigstyle.style.style import Style

STYLES_FOLDER = shipped_path("weights/styles")

StyleLike = Style | str | Path


def shipped_styles() -> list[Path]:
    """Files of the styles that come with the project."""
    return sorted(STYLES_FOLDER.glob("*.safetensors"))


def existing_style(style: str) -> str:
    """`style`, when it is a file or the name of a shipped style. Raises: StyleFileError, which lists the shipped."""
    shipped = [path.stem for path in shipped_styles()]
    try:
        there = style in shipped or expanded(style).exists()
    except OSError as error:
        raise StyleFileError(f"There is no style {style[:80]!r}: {reason(error)}.") from error
    if not there:
        known = ", ".join(shipped) or "none"
        raise StyleFileError(f"There is no file {style!r} and no shipped style of that name; shipped are: {known}.")
    return style


def open_style(style: StyleLike) -> Style:
    """A style from its file, or from the name of a shipped one.

    Raises: StyleFileError when it is missing or cannot be used.
    """
    return style if isinstance(style, Style) else Style.load(style_file(style))


def style_file(style: str | Path) -> Path:
    """Where a style is that was asked for by its file or by the name of a shipped one.

    Raises: StyleFileError for what no path can be.
    """
    try:
        path = expanded(style)
    except OSError as error:
        raise StyleFileError(f"There is no style {str(style)[:80]!r}: {reason(error)}.") from error
    shipped = STYLES_FOLDER / f"{path.name}.safetensors"
    is_name = isinstance(style, str) and path.name == style and not path.exists()
    return shipped if is_name and shipped.is_file() else path


def own_base(style: Style) -> str:
    """What to load the style's own base by: the embedded base, a path that is here, or a hub id 'owner/name'.

    Raises: ConfigError, without asking the hub, for a base that was a folder or a file elsewhere.
    """
    name = style.base_name
    with suppress(OSError):
        if name == EMBEDDED or is_hub_id(name) or expanded(name).exists():
            return name
    raise ConfigError(
        f"The style {style.name} was captured on the base {name[:200]} ({style.base_fingerprint}), which is neither "
        "embedded nor a path here; give that base with --base (in Python base=)."
    )


def load_own_base(
    style: Style,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    *,
    prediction_type: str | None = None,
    memory: str = "auto",
) -> BaseModel:
    """The style's own base, if this computer has it: no file ever makes the hub be asked for what it names.

    `prediction_type` is as in `load_base`, None what the style was captured with.
    Raises: ConfigError, also for a base on the hub that was not fetched before.
    """
    name = own_base(style)
    prediction_type = prediction_type or style.metadata.get("prediction_type")
    try:
        return load_base(name, device, dtype, offline=True, prediction_type=prediction_type, memory=memory)
    except ConfigError as error:
        if not is_hub_id(name) or Path(name).exists():
            raise
        raise ConfigError(
            f"The style {style.name} was captured on the base {name}, which is not on this computer and is not fetched "
            f"because a file says so; where you trust it, fetch it with --base {name} (in Python base={name!r})."
        ) from error

"""Styles by file or by name: opening them, the ones that come with the project, and the base each wants."""

from pathlib import Path

from sigstyle.base.model import EMBEDDED, EMBEDDED_FOLDER, is_hub_id
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.style.style import Style

STYLES_FOLDER = EMBEDDED_FOLDER.parent / "styles"

StyleLike = Style | str | Path


def shipped_styles() -> list[Path]:
    """Files of the styles that come with the project."""
    return sorted(STYLES_FOLDER.glob("*.safetensors"))


def existing_style(style: str) -> str:
    """`style`, when it is a file or the name of a shipped style. Raises: StyleFileError, which lists the shipped."""
    shipped = [path.stem for path in shipped_styles()]
    if style not in shipped and not Path(style).expanduser().exists():
        known = ", ".join(shipped) or "none"
        raise StyleFileError(f"There is no file {style!r} and no shipped style of that name; shipped are: {known}.")
    return style


def open_style(style: StyleLike) -> Style:
    """A style from its file, or from the name of a shipped one.

    Raises: StyleFileError when it is missing or cannot be used.
    """
    if isinstance(style, Style):
        return style
    shipped = STYLES_FOLDER / f"{style}.safetensors"
    is_name = isinstance(style, str) and Path(style).name == style and not Path(style).exists()
    return Style.load(shipped if is_name and shipped.is_file() else style)


def own_base(style: Style) -> str:
    """What to load the style's own base by: the embedded base, a path that is here, or a hub id 'owner/name'.

    Raises: ConfigError, without asking the hub, for a base that was a folder or a file elsewhere.
    """
    name = style.base_name
    if name == EMBEDDED or is_hub_id(name) or Path(name).exists():
        return name
    raise ConfigError(
        f"The style {style.name} was captured on the base {name} ({style.base_fingerprint}), which is neither embedded "
        "nor a path here; give that base with --base (in Python base=)."
    )

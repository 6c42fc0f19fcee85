"""Search: the styles that look most like an image, or like another style."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.files import expanded, reason
from sigstyle.imaging.images import Source, load_image
from sigstyle.learning.measured import Measured
from sigstyle.scoring.features import style_features
from sigstyle.style.instant import hypernetwork_here
from sigstyle.style.shipped import StyleLike, open_style, shipped_styles
from sigstyle.style.similar import by_likeness, look_of
from sigstyle.style.style import Style


@dataclass(frozen=True, eq=False)
class Similar:
    """A style, where it was found (None for one in memory), and how alike it is: 1 the same, about 0 unrelated."""

    style: Style
    path: Path | None
    likeness: float


def looks_like(like: Source | Style) -> Tensor:
    """The embedding [64] of an image, or of a style.

    Raises: ImageError; ConfigError for a style that does not say what it looks like, or without the network that ships.
    """
    network = hypernetwork_here()
    if network is None:
        raise ConfigError("There is no hypernetwork here, which search measures with; install SigStyle anew.")
    if not isinstance(like, Style):
        return network.embed(Measured.on([load_image(like)], style_features(), torch.device("cpu")).vector)
    found = look_of(like, network)
    if found is None:
        raise ConfigError(
            f"The style {like.name} does not say what it looks like: its capture painted nothing, or did not note it "
            "yet. Search by its image, or capture it again."
        )
    return found


def similar_styles(
    like: Source | Style, styles: Iterable[StyleLike] | None = None, count: int | None = None
) -> list[Similar]:
    """Styles by how much they look like an image or a style, likest first; None looks among those that ship.

    What is compared are feature statistics of the images, so bases and settings of the captures play no part. Styles
    that do not say what they look like are left out.
    Raises: ImageError, ConfigError, StyleFileError.
    """
    wanted = looks_like(like)
    opened: Sequence[StyleLike] = list(shipped_styles() if styles is None else styles)
    pairs = [(entry, open_style(entry)) for entry in opened]
    found = by_likeness(wanted, (((entry, style), style) for entry, style in pairs))
    places = [(None if isinstance(entry, Style) else Path(entry), style, value) for (entry, style), value in found]
    return [Similar(style, path, value) for path, style, value in places[:count]]


def styles_in(folder: str | Path) -> tuple[list[tuple[Path, Style]], list[str]]:
    """The styles of a folder by file name, and a sentence on each file that is none. Raises: ConfigError."""
    try:
        files = sorted(path for path in expanded(folder).iterdir() if path.suffix == ".safetensors")
    except OSError as error:
        raise ConfigError(f"The folder {folder} cannot be read: {reason(error)}. Expected one with styles.") from error
    found, unusable = [], []
    for path in files:
        try:
            found.append((path, Style.load(path)))
        except StyleFileError as error:
            unusable.append(str(error))
    return found, unusable

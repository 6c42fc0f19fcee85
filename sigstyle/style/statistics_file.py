"""What a style file may hold of its images beside factors and token: statistics, a reference, a palette."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sigstyle.errors import StyleFileError
from sigstyle.imaging.brushwork import Brushwork
from sigstyle.imaging.palette import Palette

STATISTICS = ("start_mean", "start_std", "latent_mean", "latent_std")
_PALETTE = {"palette_mean": (3,), "palette_covariance": (3, 3), "brushwork": (1,)}
_STROKES = "strokes"  # their shape, which first styles that paint do not have
KNOWN = {"token", "reference", *STATISTICS, *_PALETTE, _STROKES}


def statistics_in(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The fields of a style that are found among the tensors of its file.

    Raises: StyleFileError for part of the statistics or of the palette, or for wrong shapes.
    """
    return {**_statistics(path, tensors), **_palette(path, tensors)}


def _statistics(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """Channel statistics and reference, all None where there are none."""
    found = {key: tensors.get(key) for key in (*STATISTICS, "reference")}
    missing = [key for key in STATISTICS if found[key] is None]
    if (missing and len(missing) < len(STATISTICS)) or (missing and found["reference"] is not None):
        raise StyleFileError(f"{path.name} lacks {', '.join(missing)}. Capture the style again.")
    reference, channels = found["reference"], found["latent_mean"]
    fits = reference is None or channels is None or (reference.ndim == 3 and len(reference) == len(channels))
    if reference is not None and (not fits or 0 in reference.shape):
        shape = list(reference.shape)
        raise StyleFileError(f"{path.name} has a reference of shape {shape}; expected latents [c, h, w].")
    return found


def _palette(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Palette and brushwork; nothing where there is no palette."""
    found = {key: tensors[key].float() for key in _PALETTE if key in tensors}
    if not found:
        return {}
    for key, shape in _PALETTE.items():
        if key not in found or tuple(found[key].shape) != shape:
            has = list(found[key].shape) if key in found else "none"
            raise StyleFileError(f"{path.name} has a {key} of shape {has}; expected {list(shape)}. Capture it again.")
    palette = Palette(found["palette_mean"], found["palette_covariance"])
    if not palette.possible:
        raise StyleFileError(f"{path.name} has numbers that are no palette of colours. Capture it again.")
    try:
        strokes = Brushwork.from_tensors(found["brushwork"], tensors.get(_STROKES))
    except ValueError as error:
        raise StyleFileError(f"{path.name} has {error}. Capture it again.") from error
    return {"palette": palette, "brushwork": strokes}

"""Colour: what a picture's numbers mean, and the way from there to sRGB."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Floats = NDArray[np.floating]
Convert = Callable[[Image.Image], Image.Image]

_D65 = (0.3127, 0.3290)
_SRGB = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_PRIMARIES = {  # x and y of red, green and blue by their code in cICP (ITU-T H.273)
    1: _SRGB,
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_USUAL_GAMMA = (0.44, 0.47)  # 1 / 2.2, with which encoders mean sRGB
_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}


@dataclass(frozen=True)
class Encoding:
    """What RGB numbers mean where no profile says it: how bright they are, and the matrix to linear sRGB, if any."""

    linear: Callable[[Floats], Floats]
    matrix: Floats | None = None


def encoding_of(image: Image.Image, cicp: bytes = b"") -> Encoding | None:
    """What cICP, gAMA and cHRM say of a PNG's numbers; None where they are sRGB, or where an ICC profile says it."""
    if len(cicp) == 4 and cicp[2:] == b"\0\1" and cicp[0] in _PRIMARIES and cicp[1] in _TRANSFERS:
        if cicp[:2] == b"\1\x0d":
            return Encoding(_srgb_linear)
        return Encoding(_TRANSFERS[cicp[1]], _matrix(_PRIMARIES[cicp[0]], _D65))
    if image.info.get("icc_profile") or "srgb" in image.info:
        return None
    gamma, points = image.info.get("gamma"), image.info.get("chromaticity")
    own = isinstance(gamma, float) and 0.01 < gamma < 100 and not _USUAL_GAMMA[0] < gamma < _USUAL_GAMMA[1]
    matrix = _chromaticities(points)
    if not own and matrix is None:
        return None
    return Encoding((lambda values: values ** (1 / gamma)) if own else _srgb_linear, matrix)  # type: ignore[operator]


def _chromaticities(points: object) -> Floats | None:
    """The matrix of a cHRM chunk (white, red, green, blue); None where it is sRGB's own or makes no sense."""
    if not isinstance(points, tuple) or len(points) != 8:
        return None
    if np.abs(np.subtract(points, (*_D65, *_SRGB))).max() < 0.005 or min(points[1::2]) <= 0:
        return None
    try:
        matrix = _matrix(points[2:], points[:2])
    except np.linalg.LinAlgError:
        return None
    return matrix if np.isfinite(matrix).all() else None


def _to_xyz(primaries: tuple[float, ...], white: tuple[float, ...]) -> Floats:
    """The matrix from linear RGB of these primaries to XYZ."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in zip(primaries[::2], primaries[1::2], strict=True)]).T
    return columns * np.linalg.solve(columns, _xyz(white))


def _xyz(white: tuple[float, ...]) -> Floats:
    return np.array([white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1]])


def _matrix(primaries: tuple[float, ...], white: tuple[float, ...]) -> Floats:
    """From linear RGB of these primaries to linear sRGB, the white adapted."""
    ratio = (_BRADFORD @ _xyz(_D65)) / (_BRADFORD @ _xyz(white))
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(ratio) @ _BRADFORD
    return np.linalg.inv(_to_xyz(_SRGB, _D65)) @ adapted @ _to_xyz(primaries, white)


def _srgb_linear(values: Floats) -> Floats:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb_encoded(linear: Floats) -> Floats:
    """sRGB's numbers, 0 to 1, of linear ones."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _pq(values: Floats) -> Floats:
    """SMPTE ST 2084, as shares of the 203 cd/m² that white paper has."""
    power = values ** (1 / 78.84375)
    return (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125) * 10000 / 203


def _hlg(values: Floats) -> Floats:
    """Hybrid log-gamma, as shares of what 75 % signal shows."""
    low, high = values**2 / 3, (np.exp((values - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(values <= 0.5, low, high) / 0.2650


_TRANSFERS: dict[int, Callable[[Floats], Floats]] = {
    1: lambda values: values**2.4,  # as its displays show it (ITU-R BT.1886)
    4: lambda values: values**2.2,
    5: lambda values: values**2.8,
    6: lambda values: values**2.4,
    8: lambda values: values,
    13: _srgb_linear,
    14: lambda values: values**2.4,
    15: lambda values: values**2.4,
    16: _pq,
    18: _hlg,
}


def converter(image: Image.Image, encoding: Encoding | None) -> Convert:
    """What turns parts of `image`, in its own mode or as 'L', into RGB; transparency is left out."""
    if encoding is not None:
        return _by_encoding(encoding)
    plain: Convert = lambda part: part.convert("RGB")  # noqa: E731
    return _by_profile(image) or plain


def _by_encoding(encoding: Encoding) -> Convert:
    linear = encoding.linear(np.arange(256) / 255)
    table = _eight_bits(srgb_encoded(linear))
    if encoding.matrix is None:
        return lambda part: part.convert("RGB").point([*table] * 3)
    fine = _eight_bits(srgb_encoded(np.arange(65536) / 65535))
    matrix, light = encoding.matrix.T.astype(np.float32), linear.astype(np.float32)

    def convert(part: Image.Image) -> Image.Image:
        mixed = light[np.asarray(part.convert("RGB"))] @ matrix
        return Image.fromarray(fine[(mixed.clip(0, 1) * 65535).round().astype(np.uint16)])

    return convert


def _eight_bits(values: Floats) -> NDArray[np.uint8]:
    return (values * 255).round().astype(np.uint8)


def _by_profile(image: Image.Image) -> Convert | None:
    """By the ICC profile, or by Lab's definition; None without one, or where it is broken or of another kind."""
    srgb = ImageCms.createProfile("sRGB")
    try:
        if image.mode == "LAB":
            known, mode = ImageCms.createProfile("LAB"), "LAB"
        elif profile := image.info.get("icc_profile"):
            known = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            mode = _SPACES.get(known.profile.xcolor_space, "")  # type: ignore[attr-defined]
        else:
            return None
        own = image.mode if image.mode in ("CMYK", "LAB") else "L" if _is_grey(image.mode) else "RGB"
        if mode not in (own, "RGB" if own == "L" else own):
            return None
        transform = ImageCms.buildTransform(known, srgb, mode, "RGB")  # type: ignore[arg-type]
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # a broken profile: the plain numbers are the best guess
    return lambda part: transform.apply(part if part.mode == mode else part.convert(mode))


def _is_grey(mode: str) -> bool:
    return mode in ("1", "L", "LA", "La", "I", "F") or mode.startswith("I;16")


def deep_table(convert: Convert, encoding: Encoding | None) -> NDArray[np.uint8]:
    """[65536, 3] sRGB for every 16-bit grey."""
    fine = np.arange(65536) / 65535
    if encoding is not None:
        return np.repeat(_eight_bits(srgb_encoded(encoding.linear(fine)))[:, None], 3, 1)
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    coarse = np.asarray(convert(ramp), dtype=np.float64)[0]
    between = [np.interp(fine * 255, np.arange(256), channel) for channel in coarse.T]
    return np.stack(between, 1).round().astype(np.uint8)

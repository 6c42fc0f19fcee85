"""Decoding a film by ffmpeg's libraries: which of its streams is the picture, and how its frames become sRGB."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sigstyle.errors import ImageError, first_line
from sigstyle.imaging.tone import Toned, toned, tones_of

MAX_PIXELS = 40_000_000  # of a frame: 8K has 33
_MOST_FPS, _USUAL_FPS = 120, Fraction(25)
_MIN_SIDE_PX, _MAX_ASPECT = 32, 6
_SEEK_S = 10.0  # what begins later is sought, what begins earlier is reached by decoding
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,gif,avi,mpegts,mpeg,ogg,flv,asf,apng"
_HEADER_BYTES = 64 * 2**20  # of a file that is searched for marks of encryption

Size = tuple[int, int]


def opened_film(path: Path, name: str) -> Any:
    """An open container; nothing but this file is read, whatever it refers to. Raises: ImageError."""
    import av
    from av.error import FFmpegError

    try:
        return av.open(str(path), options={"protocol_whitelist": "file", "format_whitelist": _CONTAINERS})
    except (FFmpegError, OSError, ValueError) as error:
        kinds = "an mp4, mov, webm, mkv or gif that is whole"
        raise ImageError(f"{name} cannot be read as a film: {first_line(error)}. Expected {kinds}.") from error


@dataclass(frozen=True)
class Decoder:
    """How the pictures of a film are decoded.

    Units: `quarters` are quarter turns counter-clockwise that bring a frame upright, `zero_s` is the time of the first.
    """

    stream: int
    size: Size  # upright, with square pixels
    rate: Fraction
    quarters: int
    zero_s: float
    tones: Toned | None

    def timed(self, container: Any, size: Size, start_s: float) -> Iterator[tuple[float, Callable[[], Image.Image]]]:
        """(seconds, what makes the picture) of each frame, at least of those from `start_s` on. Raises: FFmpegError."""
        stream = container.streams.video[self.stream]
        if start_s > _SEEK_S:
            container.seek(int((start_s + self.zero_s) / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            if frame.time is not None:
                yield frame.time - self.zero_s, lambda frame=frame: self.picture(frame, size)

    def picture(self, frame: Any, size: Size) -> Image.Image:
        """A frame, upright and in sRGB, at a size."""
        width, height = size if self.quarters % 2 == 0 else size[::-1]
        how = {"width": width, "height": height, "src_colorspace": _colours(frame), "interpolation": "LANCZOS"}
        if self.tones is not None:
            pixels = toned(frame.reformat(format="rgb48le", **how).to_ndarray(), self.tones)
        elif _transparent(frame):
            clear = Image.fromarray(frame.reformat(format="rgba", **how).to_ndarray())
            pixels = np.asarray(Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB"))
        else:
            pixels = frame.reformat(format="rgb24", **how).to_ndarray()
        return Image.fromarray(np.ascontiguousarray(np.rot90(pixels, self.quarters)))


def decoder_of(container: Any, name: str) -> Decoder:
    """How a film is decoded, after a look at its first frame. Raises: ImageError for what cannot be."""
    from av.error import FFmpegError

    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not streams:
        raise ImageError(f"{name} has no pictures, only {_kinds(container)}; expected a film.")
    if _encrypted(Path(container.name)):
        raise ImageError(f"{name} is encrypted; expected a film without copy protection.")
    stream = streams[0]
    try:
        frame = next((frame for frame in container.decode(stream) if frame.time is not None), None)
    except FFmpegError as error:
        raise ImageError(f"{name} is damaged or encrypted: {first_line(error)}. Export it again.") from error
    if frame is None:
        raise ImageError(f"{name} has no frames; expected a film with at least one. Export it again.")
    quarters = round(frame.rotation / 90) % 4
    size = _upright(frame, stream, quarters)
    _check_size(name, size)
    rate = stream.average_rate or stream.guessed_rate or _USUAL_FPS
    rate = Fraction(rate) if 0 < rate <= _MOST_FPS else _USUAL_FPS
    place = list(container.streams.video).index(stream)
    return Decoder(place, size, rate, quarters, float(frame.time), tones_of(int(frame.color_trc)))


def _upright(frame: Any, stream: Any, quarters: int) -> Size:
    """(width, height) with square pixels, upright."""
    aspect = stream.sample_aspect_ratio or 1
    width = round(frame.width * aspect) if aspect > 0 else frame.width
    return (width, frame.height) if quarters % 2 == 0 else (frame.height, width)


def _check_size(name: str, size: Size) -> None:
    """Raises: ImageError for frames too small, too long or too large to paint."""
    short, long = sorted(size)
    told = f"The frames of {name} are {size[0]}x{size[1]}"
    if short < _MIN_SIDE_PX:
        raise ImageError(f"{told}; their short side needs at least {_MIN_SIDE_PX} pixels.")
    if long > _MAX_ASPECT * short:
        raise ImageError(f"{told}; at most {_MAX_ASPECT} to 1 is supported. Crop them.")
    if short * long > MAX_PIXELS:
        raise ImageError(f"{told}; at most {MAX_PIXELS // 10**6} million pixels are read. Shrink them.")


def _colours(frame: Any) -> int:
    """Which matrix a frame's colours are coded by; where none is named, HD's or that of before."""
    import av.video.reformatter as reformatter

    known = {int(space) for space in reformatter.Colorspace}
    if int(frame.colorspace) in known:
        return int(frame.colorspace)
    high = frame.height >= 720
    return int(reformatter.Colorspace.ITU709 if high else reformatter.Colorspace.ITU601)


def _transparent(frame: Any) -> bool:
    return frame.format.name in ("bgra", "rgba", "argb", "abgr", "pal8") or frame.format.name.startswith("yuva")


def _is_cover(stream: Any) -> bool:
    """Whether a stream is the cover picture of a piece of music."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _kinds(container: Any) -> str:
    kinds = sorted({"sound" if stream.type == "audio" else str(stream.type) for stream in container.streams})
    return " and ".join(kinds) or "nothing"


def _encrypted(path: Path) -> bool:
    """Whether an MP4 names its pictures as encrypted (ISO 14496-12, "encv"), which decoders would show as noise."""
    with path.open("rb") as file:
        place = 0
        while len(head := file.read(16)) >= 8:
            length, kind = int.from_bytes(head[:4]), head[4:8]
            if length == 1:
                length = int.from_bytes(head[8:])
            if kind == b"moov":
                file.seek(place)
                return b"encv" in file.read(min(length, _HEADER_BYTES))
            if length < 8 or not kind.isalnum():
                return False
            place += length
            file.seek(place)
    return False

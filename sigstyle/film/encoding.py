"""Encoding a film: even frames into mp4, mov, mkv, webm or gif, and the sound of the film they were made from."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from sigstyle.errors import ConfigError
from sigstyle.film.sound import Sound
from sigstyle.imaging.images import load_image
from sigstyle.text import json_text, parsed_json

_H264 = ("libx264", {"crf": "16", "preset": "medium"})
KINDS: dict[str, tuple[str, str, dict[str, str]]] = {  # by suffix: container, encoder and its settings
    ".mp4": ("mp4", *_H264),
    ".m4v": ("mp4", *_H264),
    ".mov": ("mov", *_H264),
    ".mkv": ("matroska", *_H264),
    ".webm": ("webm", "libvpx-vp9", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}),
    ".gif": ("gif", "gif", {}),
}
_GIF_SAMPLES = 12  # frames that a GIF's colours are taken from
_BT709 = 1


def check_container(path: Path) -> None:
    """Raises: ConfigError for a name that is neither a film's nor, without an ending, a folder's."""
    if path.suffix and path.suffix.lower() not in KINDS:
        raise ConfigError(
            f"The output is {path}; expected a name that ends in {', '.join(KINDS)}, or one without an ending for a "
            "folder of pictures."
        )


def write_film(
    path: Path, suffix: str, frames: Sequence[Path], fps: Fraction, recipe: dict[str, Any] | None, sound: Sound | None
) -> list[str]:
    """Write a film of pictures of one size with even sides, in the container of `suffix`; lines on what was left out.

    `recipe` goes into the container's comment, where it has a place for one. Raises: OSError.
    """
    import av
    from av.error import FFmpegError

    container_format, encoder, options = KINDS[suffix]
    faststart = {"movflags": "+faststart+use_metadata_tags"} if container_format in ("mp4", "mov") else {}
    try:
        with av.open(str(path), "w", format=container_format, options=faststart) as output:
            if recipe is not None and container_format != "gif":
                output.metadata["comment"] = json_text(recipe, sort_keys=True)
            stream = _stream(output, encoder, options, fps, load_image(frames[0]).size)
            told = sound.into(output, container_format) if sound is not None else []
            for place, frame in enumerate(_prepared(frames, fps, suffix == ".gif")):
                if sound is not None:
                    sound.write(output, until_s=float(place / fps))
                frame.pts, frame.time_base = place, 1 / fps
                output.mux(stream.encode(frame))
            if sound is not None:
                sound.write(output, until_s=float(len(frames) / fps), last=True)
            output.mux(stream.encode())
        return told
    except FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error


def _stream(output: Any, encoder: str, options: dict[str, str], fps: Fraction, size: tuple[int, int]) -> Any:
    stream = output.add_stream(encoder, rate=fps, options=options)
    stream.width, stream.height = size
    stream.time_base = stream.codec_context.time_base = 1 / fps
    stream.pix_fmt = "pal8" if encoder == "gif" else "yuv420p"
    if encoder != "gif":
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = 1  # of broadcast, as players expect
    return stream


def _prepared(frames: Sequence[Path], fps: Fraction, as_gif: bool) -> Iterator[Any]:
    """The frames as an encoder takes them."""
    import av

    colours = _FewColours(frames, fps) if as_gif else None
    for path in frames:
        frame = av.VideoFrame.from_image(load_image(path))
        yield colours(frame) if colours is not None else frame.reformat(format="yuv420p", dst_colorspace=_BT709)


def film_recipe(path: Path) -> dict[str, Any] | None:
    """The recipe that `write_film` wrote into a film; None where there is none, or the file is no film."""
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            comments = {key.lower(): value for key, value in container.metadata.items()}
        found = parsed_json(comments.get("comment", "null"))
    except (FFmpegError, OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


class _FewColours:
    """Brings frames to one palette of 256 colours, with a dither that holds still."""

    def __init__(self, frames: Sequence[Path], fps: Fraction) -> None:
        import av
        from av.filter import Graph

        palette = _common_palette(frames)
        width, height = load_image(frames[0]).size
        graph: Any = Graph()
        base = 1 / fps
        picture = graph.add_buffer(width=width, height=height, format="bgra", time_base=base)
        table = graph.add_buffer(width=16, height=16, format="bgra", time_base=base)
        use, self._sink = graph.add("paletteuse", "dither=bayer:bayer_scale=3"), graph.add("buffersink")
        picture.link_to(use, 0, 0)
        table.link_to(use, 0, 1)
        use.link_to(self._sink)
        graph.configure()
        self._graph, self._picture, self._place = graph, picture, 0
        colours = av.VideoFrame.from_image(palette).reformat(format="bgra")
        colours.pts, colours.time_base = 0, base
        table.push(colours)
        table.push(None)

    def __call__(self, frame: Any) -> Any:
        converted = frame.reformat(format="bgra")
        converted.pts, self._place = self._place, self._place + 1
        self._picture.push(converted)
        return self._sink.pull()


def _common_palette(frames: Sequence[Path]) -> Image.Image:
    """16x16 colours that suit all frames."""
    step = max(1, len(frames) // _GIF_SAMPLES)
    small = [load_image(path).resize((96, 96)) for path in frames[::step]]
    sheet = Image.new("RGB", (96 * len(small), 96))
    for place, picture in enumerate(small):
        sheet.paste(picture, (96 * place, 0))
    found = sheet.quantize(256).getpalette() or []
    table = Image.new("RGB", (16, 16))
    colours = [tuple(found[i : i + 3]) for i in range(0, len(found), 3)] or [(0, 0, 0)]
    table.putdata([colours[i % len(colours)] for i in range(256)])
    return table

"""Sound: that of a film's part, copied as it is where the new container takes it, else encoded anew."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sigstyle.film.decoding import opened_film

_AS_IT_IS = {
    "mp4": ("aac", "mp3", "ac3", "eac3", "alac"),
    "mov": ("aac", "mp3", "ac3", "eac3", "alac"),
    "webm": ("opus", "vorbis"),
    "matroska": ("aac", "mp3", "ac3", "eac3", "alac", "opus", "vorbis", "flac", "mp2"),
}
_ENCODERS = {"mp4": "aac", "mov": "aac", "webm": "libopus", "matroska": "aac"}
_OPUS_HZ = 48_000


class Sound:
    """The first sound of a film from `start_s` to `end_s`, counted from its first picture, which shows at `zero_s`."""

    def __init__(self, path: Path, zero_s: float, start_s: float, end_s: float) -> None:
        self.path, self.shift_s, self.length_s = path, zero_s + start_s, end_s - start_s
        self._packets: Iterator[tuple[float, Any]] = iter(())
        self._next: tuple[float, Any] | None = None

    def into(self, output: Any, container_format: str) -> list[str]:
        """Get ready to write into an open container; a line where it takes no sound."""
        if container_format not in _AS_IT_IS:
            return [f"The sound of {self.path.name} is left out: a {container_format} has none."]
        container = opened_film(self.path, self.path.name)
        source = container.streams.audio[0]
        if source.codec_context.name in _AS_IT_IS[container_format]:
            self._packets = self._copied(container, source, output.add_stream_from_template(source))
        else:
            stream = output.add_stream(_ENCODERS[container_format], rate=_rate(source, container_format))
            stream.layout = "mono" if source.layout.nb_channels == 1 else "stereo"
            self._packets = self._encoded(container, source, stream)
        self._next = next(self._packets, None)
        return []

    def write(self, output: Any, until_s: float, last: bool = False) -> None:
        """Write what sounds before a time; with `last` all that is left."""
        while self._next is not None and (last or self._next[0] <= until_s):
            output.mux(self._next[1])
            self._next = next(self._packets, None)

    def _copied(self, container: Any, source: Any, stream: Any) -> Iterator[tuple[float, Any]]:
        from av.error import FFmpegError

        shift = round(self.shift_s / source.time_base)
        try:
            for packet in container.demux(source):
                if packet.pts is None or packet.dts is None:
                    continue
                time_s = float(packet.pts * source.time_base) - self.shift_s
                if time_s >= self.length_s:
                    return
                if time_s >= 0 or packet.pts - shift >= 0:
                    packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                    yield time_s, packet
        except FFmpegError:  # a damaged film's sound ends where the damage begins, as its pictures do
            return
        finally:
            container.close()

    def _encoded(self, container: Any, source: Any, stream: Any) -> Iterator[tuple[float, Any]]:
        import av
        from av.error import FFmpegError

        context = stream.codec_context
        resampler = av.AudioResampler(context.format or "fltp", stream.layout, stream.rate)
        time_s, samples = 0.0, 0
        try:
            for frame in container.decode(source):
                time_s = float(frame.time or 0.0) - self.shift_s
                if time_s >= self.length_s:
                    break
                if time_s < 0:
                    continue
                for ready in resampler.resample(frame):
                    ready.pts, samples = samples, samples + ready.samples
                    ready.time_base = 1 / _fraction(stream.rate)
                    yield from ((time_s, packet) for packet in stream.encode(ready))
        except FFmpegError:
            pass  # as above; what was decoded is kept
        finally:
            container.close()
        yield from ((time_s, packet) for packet in stream.encode())


def _fraction(rate: int) -> Any:
    from fractions import Fraction

    return Fraction(rate)


def _rate(source: Any, container_format: str) -> int:
    return _OPUS_HZ if container_format == "webm" else min(source.rate or _OPUS_HZ, 96_000)

"""Reading and writing clips: even frames of any film, upright, in sRGB; what cannot be read is told in one line."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from test_film import moving, read, sounds, write_clip

from sigstyle.errors import ConfigError, ImageError
from sigstyle.film.clip import Clip
from sigstyle.film.encoding import film_recipe, write_film
from sigstyle.film.footage import footage_of
from sigstyle.film.sound import Sound
from sigstyle.imaging.tone import toned, tones_of


def numbered(count: int = 8, size: tuple[int, int] = (48, 32)) -> list[Image.Image]:
    """Grey frames, each brighter than the one before."""
    return [Image.new("RGB", size, (20 + 25 * place,) * 3) for place in range(count)]


def numbers(clip: Clip, first: int = 0) -> list[int]:
    """Which of `numbered` the frames of a clip are."""
    return [round((float(np.asarray(frame).mean()) - 20) / 25) for frame in clip.frames(clip.footage.size, first)]


def pngs(folder: Path, frames: list[Image.Image]) -> list[Path]:
    folder.mkdir()
    for place, frame in enumerate(frames):
        frame.save(folder / f"{place}.png")
    return [folder / f"{place}.png" for place in range(len(frames))]


# --- time


def test_an_even_film_comes_frame_by_frame_from_any_number(tmp_path: Path) -> None:
    clip = Clip.open(write_clip(tmp_path / "clip.mp4", numbered()))
    assert numbers(clip) == list(range(8)) and clip.fps == 8
    assert numbers(clip, first=5) == [5, 6, 7]


def test_a_film_of_uneven_times_is_shown_at_them(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", numbered(4), times=[0, 0.1, 0.6, 0.7])
    assert numbers(Clip.open(path, fps=10)) == [0, 1, 1, 1, 1, 1, 2, 3]
    shown = list(Clip.open(path, fps=10).frames((48, 32)))
    assert shown[1] is shown[2] and shown[1] is not shown[0]


@pytest.mark.parametrize(
    ("start", "end", "fps", "expected"),
    [
        (0.25, None, None, [2, 3, 4, 5, 6, 7]),
        (None, 0.5, None, [0, 1, 2, 3]),
        (0.25, 0.75, None, [2, 3, 4, 5]),
        (None, None, 4, [0, 2, 4, 6]),
        (None, 0.5, 16, [0, 0, 1, 1, 2, 2, 3, 3]),
    ],
)
def test_a_part_and_another_rate(
    tmp_path: Path, start: float | None, end: float | None, fps: float | None, expected: list[int]
) -> None:
    found = numbers(Clip.open(write_clip(tmp_path / "clip.mp4", numbered()), fps, start, end))
    assert len(found) == len(expected) and all(
        abs(a - b) <= (fps is not None) for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("part", [{"fps": 0.0}, {"fps": 1000.0}, {"start_s": -1.0}, {"start_s": 2.0, "end_s": 1.0}])
def test_parts_and_rates_that_cannot_be(tmp_path: Path, part: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Clip.open(tmp_path, **part)


# --- pictures


def test_a_turned_film_comes_upright(tmp_path: Path) -> None:
    corner = Image.new("RGB", (48, 32), "black")
    corner.paste("white", (0, 0, 12, 12))
    turned = tmp_path / "turned.mp4"
    write_clip(turned, [corner] * 3, prepare=lambda stream: stream.set_display_rotation(-90))
    with av.open(str(turned)) as container:
        rotation = next(container.decode(video=0)).rotation
    assert abs(rotation) == 90
    footage = footage_of(turned)
    assert footage.size == (32, 48)
    shown = np.asarray(next(Clip.open(turned).frames(footage.size))).mean(-1)
    bright = (shown[:10, -10:], shown[-10:, :10])[rotation > 0]  # clockwise for a negative angle
    assert bright.mean() > 200 and shown.mean() < 60


def test_wide_pixels_are_made_square_and_odd_sides_even(tmp_path: Path) -> None:
    def wide(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)

    path = write_clip(tmp_path / "wide.mkv", numbered(2, (47, 33)), prepare=wide)
    clip = Clip.open(path)
    assert clip.footage.size == (70, 33)  # 47 * 1.5
    assert clip.size(33) == (70, 32) and clip.size(64) == (136, 64)


def test_a_film_keeps_its_colours(tmp_path: Path) -> None:
    colours = Image.new("RGB", (48, 32), (200, 60, 30))
    files = pngs(tmp_path / "in", [colours] * 2)
    for suffix in (".mp4", ".webm", ".gif", ".mov", ".mkv"):
        path = tmp_path / f"film{suffix}"
        write_film(path, suffix, files, Fraction(8), {"a": 1}, None)
        frames = list(Clip.open(path).frames((48, 32)))
        assert len(frames) == 2
        assert np.abs(np.asarray(frames[1]).mean((0, 1)) - (200, 60, 30)).max() < 4, suffix
        assert film_recipe(path) == ({"a": 1} if suffix != ".gif" else None)


def test_a_folder_is_a_film_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    pngs(tmp_path / "frames", numbered(12)[:11])
    clip = Clip.open(tmp_path / "frames", fps=None)
    assert clip.fps == 24 and numbers(clip)[:9] == list(range(9)) and len(numbers(clip)) == 11
    Image.new("RGB", (64, 40)).save(tmp_path / "frames/11.png")
    assert "resized, such as 11.png" in Clip.open(tmp_path / "frames").notices((48, 32), True)[0]


def test_hdr_keeps_what_is_dark_and_rolls_off_what_is_bright() -> None:
    for transfer in (16, 18):
        tones = tones_of(transfer)
        assert tones is not None
        ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)[:, None].repeat(3, 1)[None]
        shown = toned(ramp, tones)[0].astype(int)
        assert (np.diff(shown[:, 0]) >= 0).all() and shown[0].max() == 0 and shown[-1].min() > 240
        assert len(set(shown[:, 0])) > 60
    assert tones_of(1) is None


# --- sound


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "aac"), (".mov", "aac"), (".webm", "opus"), (".mkv", "aac")])
def test_sound_goes_into_each_container_for_as_long_as_the_pictures(tmp_path: Path, suffix: str, codec: str) -> None:
    clip = write_clip(tmp_path / "clip.mp4", numbered(16), sound="aac")
    files = pngs(tmp_path / "in", numbered(8))
    told = write_film(tmp_path / f"a{suffix}", suffix, files, Fraction(8), None, Sound(clip, 0.0, 0.5, 1.5))
    found, seconds = sounds(tmp_path / f"a{suffix}")
    assert found.startswith(codec) and abs(seconds - 1) < 0.08 and told == []
    assert "left out" in write_film(tmp_path / "a.gif", ".gif", files, Fraction(8), None, Sound(clip, 0.0, 0, 1))[0]


# --- bad input


def test_what_is_no_film_is_told_in_one_line(tmp_path: Path) -> None:
    text, music, empty = tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c"
    text.write_text("no film")
    empty.mkdir()
    with av.open(str(music), "w") as output:
        stream = output.add_stream("aac", rate=48_000, layout="mono")
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        heard.rate = 48_000
        output.mux([*stream.encode(heard), *stream.encode()])
    for path, told in (
        (text, "cannot be read"),
        (music, "only sound"),
        (empty, "no pictures"),
        (tmp_path / "d", "no film"),
    ):
        with pytest.raises(ImageError, match=told) as caught:
            footage_of(path)
        assert "\n" not in str(caught.value)


def test_a_playlist_that_names_other_files_is_no_film(tmp_path: Path) -> None:
    write_clip(tmp_path / "other.mp4", numbered(2))
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    with pytest.raises(ImageError, match="cannot be read"):
        footage_of(tmp_path / "list.mp4")


def test_a_film_cut_off_ends_there_with_a_notice_or_is_refused(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", moving(24))
    data = whole.read_bytes()
    short = tmp_path / "short.mkv"
    short.write_bytes(data[: 7 * len(data) // 8])
    clip = Clip.open(short)
    count = len(list(clip.frames((48, 32))))
    assert 0 < count < 22 and "cut off" in clip.footage.ended(count / 8)[0]
    headless = tmp_path / "headless.mp4"
    headless.write_bytes(write_clip(tmp_path / "mp4.mp4", moving()).read_bytes()[:-900])
    with pytest.raises(ImageError, match=r"headless\.mp4"):
        footage_of(headless)


def test_an_encrypted_film_is_named_so(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", numbered(2))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"encv"))
    with pytest.raises(ImageError, match="encrypted"):
        footage_of(path)


def test_frames_too_small_or_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImageError, match="at least 32"):
        footage_of(write_clip(tmp_path / "small.mp4", numbered(2, (48, 16))))
    path = write_clip(tmp_path / "large.mp4", numbered(2, (96, 64)))
    assert "painted at 48x32" in Clip.open(path).notices((48, 32), False)[0]
    assert Clip.open(path).notices((48, 32), True) == []
    monkeypatch.setattr("sigstyle.film.decoding.MAX_PIXELS", 6000)
    with pytest.raises(ImageError, match="Shrink"):
        footage_of(path)


def test_a_film_written_is_read_back_frame_for_frame(tmp_path: Path) -> None:
    files = pngs(tmp_path / "in", moving(6))
    write_film(tmp_path / "film.mp4", ".mp4", files, Fraction(24000, 1001), None, None)
    found = read(tmp_path / "film.mp4")
    assert len(found) == 6
    assert all(
        np.abs(a.astype(int) - np.asarray(Image.open(b)).astype(int)).mean() < 16
        for a, b in zip(found, files, strict=True)
    )
    assert Clip.open(tmp_path / "film.mp4").fps == Fraction(24000, 1001)

"""Films: clips of every kind read evenly, painted still, restartable to the bit, written whole with their sound."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import MakeBase
from PIL import Image
from random_style import random_style
from typer.testing import CliRunner

import sigstyle
from sigstyle.base.model import BaseModel
from sigstyle.batches import film_work
from sigstyle.batches.film import FilmProgress, video
from sigstyle.batches.film_plan import film_plan
from sigstyle.cli.main import app
from sigstyle.errors import Cancelled, ConfigError, ImageError
from sigstyle.film.encoding import film_recipe
from sigstyle.style.style import Style
from sigstyle.text import parsed_json

SMALL: dict[str, Any] = {"size_px": 32, "margin_px": 0}


@pytest.fixture
def base(make_base: MakeBase) -> BaseModel:
    return make_base(prediction_type="v_prediction")


@pytest.fixture
def style(base: BaseModel) -> Style:
    return random_style(base)


def moving(count: int = 8, size: tuple[int, int] = (48, 32), seed: int = 0) -> list[Image.Image]:
    """Frames of a pan over smooth colours."""
    noise = np.random.default_rng(seed).integers(0, 255, (8, 16, 3), dtype=np.uint8)
    wide = Image.fromarray(noise).resize((size[0] + 4 * count, size[1]), Image.Resampling.BICUBIC)
    return [wide.crop((2 * place, 0, 2 * place + size[0], size[1])) for place in range(count)]


def write_clip(
    path: Path,
    frames: Sequence[Image.Image],
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    rate: int = 8,
    sound: str | None = None,
    prepare: Callable[[Any], object] = lambda stream: None,
    pix_fmt: str = "yuv444p",
) -> Path:
    """A film of these frames, at these seconds where they are not even."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=rate, options={"crf": "4"})
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = pix_fmt
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        prepare(stream)
        heard: Any = output.add_stream(sound, rate=48_000, layout="mono") if sound else None
        for place, picture in enumerate(frames):
            frame = av.VideoFrame.from_image(picture).reformat(format=pix_fmt)
            time_s = times[place] if times else place / rate
            frame.pts, frame.time_base = round(1000 * time_s), Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        if heard is not None:
            tone = np.sin(np.arange(48_000 * len(frames) // rate) / 20).astype(np.float32)[None]
            ready = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
            ready.rate = 48_000
            for part in av.AudioResampler(heard.format, "mono", 48_000, heard.frame_size or None).resample(ready):
                output.mux(heard.encode(part))
            output.mux(heard.encode())
    return path


def read(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def sounds(path: Path) -> tuple[str, float]:
    """The codec and the seconds of a film's sound."""
    with av.open(str(path)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        stream = container.streams.audio[0]
        return stream.codec_context.name, samples / stream.rate


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


# --- painting


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", moving(), sound="aac")


def test_a_film_has_the_clips_frames_rate_sound_and_recipe(
    clip: Path, tmp_path: Path, base: BaseModel, style: Style
) -> None:
    told: list[FilmProgress] = []
    made = video(clip, style, tmp_path / "out.mp4", base=base, on_progress=told.append, **SMALL)
    assert len(read(made.path)) == made.frames == 8 and made.fps == 8 and made.shots == 1
    codec, seconds = sounds(made.path)
    assert codec == "aac" and abs(seconds - 1) < 0.06
    assert [progress.done for progress in told] == list(range(9)) and told[0].eta_s is None and told[-1].eta_s == 0
    found = film_recipe(made.path)
    assert (
        found is not None
        and found["kind"] == "video"
        and found["settings"]["size_px"] == 32
        and found["styles"][0]["hash"] == style.hash
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]


def test_a_stopped_film_goes_on_to_the_same_bits(clip: Path, tmp_path: Path, base: BaseModel, style: Style) -> None:
    whole = video(clip, style, tmp_path / "whole", base=base, **SMALL)
    counted = 0

    def stop_at(progress: FilmProgress) -> None:
        nonlocal counted
        counted = progress.done

    with pytest.raises(Cancelled):
        video(clip, style, tmp_path / "part", base=base, on_progress=stop_at, should_stop=lambda: counted == 3, **SMALL)
    assert not (tmp_path / "part").exists()
    told: list[FilmProgress] = []
    parts = video(clip, style, tmp_path / "part", base=base, on_progress=told.append, **SMALL)
    assert told[0].there_before == told[0].done == 3 and len(told) == 6
    assert kept(parts.path) == kept(whole.path) and len(kept(whole.path)) == 8


def test_a_crash_between_a_frame_and_what_the_next_needs_loses_nothing(
    clip: Path, tmp_path: Path, base: BaseModel, style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = video(clip, style, tmp_path / "whole", base=base, **SMALL)
    written: list[Path] = []
    write = film_work.write_atomically

    def dying(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) == 6:
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(film_work, "write_atomically", dying)
    with pytest.raises(KeyboardInterrupt):
        video(clip, style, tmp_path / "part", base=base, **SMALL)
    assert written[-1].suffix == ".safetensors" and written[-2].name == "000002.png"
    parts = video(clip, style, tmp_path / "part", base=base, **SMALL)
    assert kept(parts.path) == kept(whole.path)
    assert sum(path.suffix == ".png" for path in written) == 8 + 1  # the frame at hand once more, the same


def test_what_is_left_of_a_shot_and_damaged_is_painted_again(
    clip: Path, tmp_path: Path, base: BaseModel, style: Style
) -> None:
    whole = video(clip, style, tmp_path / "whole", base=base, **SMALL)
    count = iter(range(100))
    with pytest.raises(Cancelled):
        video(clip, style, tmp_path / "part", base=base, should_stop=lambda: next(count) > 12, **SMALL)
    state = next(tmp_path.glob(".part.*.film/shot-*.safetensors"))
    state.write_bytes(state.read_bytes()[:200])
    assert kept(video(clip, style, tmp_path / "part", base=base, **SMALL).path) == kept(whole.path)


def test_shots_are_found_painted_apart_and_claimed(tmp_path: Path, base: BaseModel, style: Style) -> None:
    dark = [Image.new("RGB", (48, 32), (10, 20, 30 + place)) for place in range(3)]
    path = write_clip(tmp_path / "two.mp4", [*moving(4), *dark])
    plan = film_plan(path, style, **SMALL)
    assert [(shot.first, shot.end) for shot in plan.shots] == [(0, 4), (4, 7)] and plan.frames == 7
    work = film_work.FilmWork(tmp_path / "out.mp4", "job")
    work.enter()
    with work.claimed("shot-1", wait=False) as mine, work.claimed("shot-1", wait=False) as again:
        assert mine and not again
    made = video(path, style, tmp_path / "out.gif", base=base, **SMALL)
    assert made.shots == 2 and len(read(made.path)) == 7
    work.clear()
    assert not work.folder.exists()


def test_a_part_at_another_rate_of_a_folder(tmp_path: Path, base: BaseModel, style: Style) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for place, frame in enumerate(moving(8)):
        frame.save(folder / f"{place}.png")
    made = video(folder, style, tmp_path / "out.webm", base=base, fps=12, start_s=0, end_s=0.25, **SMALL)
    assert made.frames == 3 and made.recipe["fps"] == 12 and made.recipe["end_s"] == 0.25
    assert made.recipe["content"]["path"] == "frames"


# --- input


def test_what_cannot_be_is_told_before_anything_is_painted(clip: Path, tmp_path: Path, style: Style) -> None:
    def refused(match: str, output: Path = tmp_path / "out.mp4", **more: Any) -> None:
        with pytest.raises((ConfigError, ImageError), match=match):
            video(clip, more.pop("style", style), output, base="nowhere", **more)

    refused("ends in", tmp_path / "out.avi")
    refused("is an input", clip)
    refused("preset default", preset="classic")
    refused("no frames in the part", start_s=5.0)
    refused("behind the begin", start_s=1.0, end_s=0.5)
    refused("existing folder", tmp_path / "no/out.mp4")
    (tmp_path / "there.mp4").write_bytes(b"mine")
    refused("was not made by this command", tmp_path / "there.mp4")
    (tmp_path / "folder").mkdir()
    refused("is there already", tmp_path / "folder")
    refused("There is no style", style=[])
    with pytest.raises(ImageError, match="no film"):
        video(tmp_path / "none.mp4", style, tmp_path / "out.mp4")
    assert not list(tmp_path.glob(".*"))


def test_a_film_of_this_command_is_replaced_and_another_with_overwrite(
    clip: Path, tmp_path: Path, base: BaseModel, style: Style
) -> None:
    output = tmp_path / "out.mp4"
    part: dict[str, Any] = {"base": base, "end_s": 0.25, **SMALL}
    video(clip, style, output, **part)
    video(clip, style, output, seed=1, **part)
    output.write_bytes(b"mine")
    made = video(clip, style, output, overwrite=True, **part)
    assert len(read(made.path)) == 2


def test_the_command_paints_and_says_what_it_made(
    clip: Path, tmp_path: Path, base: BaseModel, style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    style.save(tmp_path / "wave.safetensors")
    monkeypatch.setattr("sigstyle.style.ingredients.load_own_base", lambda *_, **__: base)
    named = [str(clip), "-s", str(tmp_path / "wave.safetensors"), "-o", str(tmp_path / "out.mp4")]
    said = CliRunner().invoke(app, ["video", *named, "--to", "0.25", "--size-px", "32", "--margin-px", "0", "--json"])
    assert said.exit_code == 0, said.output
    found = parsed_json(said.stdout)
    assert found["frames"] == 2 and found["film"].endswith("out.mp4") and found["recipe"]["end_s"] == 0.25
    told = parsed_json(CliRunner().invoke(app, ["info", str(tmp_path / "out.mp4"), "--json"]).stdout)
    assert told["kind"] == "video" and "sigstyle video clip.mp4" in told["command"]
    assert "--to 0.25 --fps 8.0" in told["command"] and "--size-px 32" in told["command"]
    bad = CliRunner().invoke(app, ["video", str(tmp_path), "-s", "nobody", "-o", "x.mp4"])
    assert bad.exit_code == 2


def test_the_library_has_it() -> None:
    assert sigstyle.video is video

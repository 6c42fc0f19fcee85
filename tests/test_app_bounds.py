"""What one person may ask for and keep, what the app says of it, and what it starts with; without a server."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import make_painting
from random_style import random_style
from test_studio import ANNA, BERT, LEARNING, QUICK, base, held, learned, photo, studio

import app
from sigstyle.base.model import BaseModel
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import read_recipe
from sigstyle.studio.batch import paint_all
from sigstyle.studio.keeping import Keeping, delete_all, usage
from sigstyle.studio.learn import learn, resumable
from sigstyle.studio.limits import MOST, check_counts, check_settings, whole_number
from sigstyle.studio.paint import restyle
from sigstyle.studio.studio import Studio
from sigstyle.ui import serve
from sigstyle.ui.gate import problem_of
from sigstyle.ui.messages import as_markdown, as_text, placeless
from sigstyle.ui.parameters import check_parameters

__all__ = ["base", "photo", "studio"]  # fixtures
DAY_S = 86_400
ROOT = Path(__file__).parent.parent


def test_settings_are_bounded_where_the_command_line_takes_more() -> None:
    for name, most in MOST.items():
        kind = CaptureConfig if name in ("batch_size", "painting", "crops", "hypernet_width") else TransferConfig
        check_settings(kind.from_dict({name: most}))
        with pytest.raises(ConfigError, match=f"{name} is {most + 1}; expected at most {most} here"):
            check_settings(kind.from_dict({name: most + 1}))
    with pytest.raises(ConfigError, match="prompt has 1001 characters"):
        check_settings(TransferConfig(prompt="x" * 1001))
    with pytest.raises(ConfigError, match="240 pictures"):
        check_counts(24, 10)
    for wrong in (True, 1.5, "1", None, float("nan"), float("inf"), 9, 0, [1]):
        with pytest.raises(ConfigError, match="expected a whole number from 1 to 8"):
            whole_number("count", wrong, 1, 8)
    assert whole_number("count", 2.0, 1, 8) == 2


def test_what_is_refused_keeps_nothing(studio: Studio, photo: Path) -> None:
    large = TransferConfig(size_px=4000)
    with pytest.raises(ConfigError, match="size_px"):
        restyle(studio, ANNA, [photo], "wave", "mini", large)
    with pytest.raises(ConfigError, match="size_px"):
        paint_all(studio, ANNA, [photo], ["wave"], "mini", large)
    with pytest.raises(ConfigError, match="batch_size"):
        learn(studio, ANNA, [make_painting()], "x", "mini", {**LEARNING, "batch_size": 256})
    with pytest.raises(ConfigError, match="51 photos"):
        restyle(studio, ANNA, [photo] * 51, "wave", "mini", QUICK)
    assert usage(studio.workspace(ANNA)).files == 0


def test_who_keeps_the_most_there_may_be_begins_nothing_more(studio: Studio, photo: Path, tmp_path: Path) -> None:
    restyle(studio, ANNA, [photo], "wave", "mini", QUICK).wait()
    studio.keeping = Keeping(most_bytes=usage(studio.workspace(ANNA)).bytes)
    file = tmp_path / "x.safetensors"
    random_style(studio.bases.get("mini"), "mine", seed=9).save(file)
    for begin in (
        lambda: restyle(studio, ANNA, [photo], "wave", "mini", QUICK),
        lambda: paint_all(studio, ANNA, [photo], ["wave"], "mini", QUICK),
        lambda: learned(studio),
        lambda: studio.library(ANNA).add_file(file),
    ):
        with pytest.raises(ConfigError, match="is the most one person may"):
            begin()
    assert restyle(studio, BERT, [photo], "wave", "mini", QUICK).wait(), "each person has room of their own"
    studio.delete_all(ANNA)
    assert restyle(studio, ANNA, [photo], "wave", "mini", QUICK).wait()


def test_what_is_too_old_goes_and_what_is_in_use_stays(studio: Studio, photo: Path) -> None:
    make_painting().rotate(180).save(photo)  # another one than what is learned
    picture = restyle(studio, ANNA, [photo], "wave", "mini", QUICK).wait()[0]
    job = learned(studio, steps=100_000)
    for update in job.follow(every_s=0):
        if update.done >= 1:
            job.stop()
    (left,) = resumable(studio, ANNA)
    workspace, people = studio.workspace(ANNA), studio.folder.root / "people"
    own = studio.library(ANNA).add(random_style(studio.bases.get("mini"), "mine", seed=9)).path
    keeping, now = Keeping(days=2), time.time()
    assert keeping.sweep(people, now) == 0 == Keeping().sweep(people, now + 1000 * DAY_S)
    assert picture.photo is not None
    for path in (picture.path, picture.photo, *left.photos):
        os.utime(path, (now - 3 * DAY_S, now - 3 * DAY_S))
    assert keeping.sweep(people, now) == 2, "the picture and its photo"
    assert left.photos[0].exists() and own.exists()
    assert [capture.id for capture in resumable(studio, ANNA)] == [left.id]
    assert keeping.sweep(people, now + 3 * DAY_S) == usage(workspace).files + 4 == 4, "nobody was here: all of it"
    assert not own.exists()


def test_all_of_a_person_is_deleted_and_nothing_of_others(studio: Studio, photo: Path, tmp_path: Path) -> None:
    for who in (ANNA, BERT):
        restyle(studio, who, [photo], "wave", "mini", TransferConfig.preset("classic", steps=3, size_px=64)).wait()
    foreign = tmp_path / "mine.txt"
    foreign.write_text("x")
    (studio.workspace(ANNA).root / "results" / "link").symlink_to(foreign)
    (studio.workspace(ANNA).root / "notes.txt").write_text("not the app's")
    let_go = held(studio)
    waiting = restyle(studio, ANNA, [photo], "wave", "mini", QUICK)
    other = restyle(studio, BERT, [photo], "wave", "mini", QUICK)
    kept_traces = len(studio.traces)
    gone = studio.delete_all(ANNA)
    assert len(studio.traces) == kept_traces - 1
    let_go()
    assert gone.files == 3 and waiting.ended and other.wait()
    assert foreign.exists() and (studio.workspace(ANNA).root / "notes.txt").exists()
    assert [path.name for path in studio.workspace(ANNA).root.iterdir()] == ["notes.txt"]
    assert usage(studio.workspace(BERT)).files == 3
    assert delete_all(studio.workspace(ANNA)).files == 0


def test_no_file_that_is_there_is_written_over(studio: Studio, base: BaseModel) -> None:
    library = studio.library(ANNA)
    folder = studio.workspace(ANNA).folder("styles")
    for name in ("mine.safetensors", "mine-2.safetensors"):
        (folder / name).write_bytes(b"foreign")
    (folder / "mine-3.safetensors").symlink_to(folder / "nowhere")
    assert library.add(random_style(base, "mine")).path.name == "mine-4.safetensors"
    assert (folder / "mine.safetensors").read_bytes() == b"foreign" == (folder / "mine-2.safetensors").read_bytes()
    assert [line.split()[0] for line in library.unusable()] == [f"mine{n}.safetensors" for n in ("-2", "-3", "")]
    assert library.rename("mine", "other").path.name == "other.safetensors"
    assert not (folder / "mine-4.safetensors").exists()


def test_two_captures_of_one_name_at_once_have_files_of_their_own(studio: Studio) -> None:
    let_go = held(studio)
    jobs = [learn(studio, who, [make_painting()], "Great Wave", "mini", LEARNING) for who in (ANNA, ANNA_ELSEWHERE)]
    let_go()
    assert [job.wait().name for job in jobs] == ["Great Wave", "Great Wave 2"]


ANNA_ELSEWHERE = type(ANNA)(ANNA.person, "page-of-anna-elsewhere")


def test_a_recipe_made_in_the_folder_tab_tells_no_place(studio: Studio, photo: Path, tmp_path: Path) -> None:
    made = paint_all(studio, ANNA, [photo], ["wave"], "mini", QUICK).wait()
    assert str(tmp_path) not in str(read_recipe(made.pictures[0]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/data/my/x.png is no image", "x.png is no image"),
        (f"{Path.cwd()}/a b/x.png is no image", "a b/x.png is no image"),
        ("C:\\Users\\anna\\x.png is no image", "x.png is no image"),
        ("'/srv/app/data/people/ab12/styles/x' is damaged", "'x' is damaged"),
        ("give owner/name, and/or see https://a.example/b/c", "give owner/name, and/or see https://a.example/b/c"),
        ("12/20 of ../Big Wave", "12/20 of ../Big Wave"),
    ],
)
def test_messages_tell_no_place(text: str, said: str) -> None:
    assert placeless(text) == said


def test_html_in_a_name_is_shown_as_text() -> None:
    name = '<img src=x onerror="alert(1)"> & co'
    assert as_text(name) == '&lt;img src=x onerror="alert(1)"&gt; &amp; co'
    assert "<" not in as_markdown(f"{name} [a](javascript:b) **c**") and "[" not in as_markdown("[a](b)")


def test_requests_that_are_fine_pass() -> None:
    assert problem_of(b'{"data": [["a"], "b", 1.0, {"seed": 3}, "", "key"], "fn_index": 3}') is None
    assert problem_of(b"null") is None
    check_parameters({"key": None, "styles": [], "settings": {}, "strength": 1, "photos": ["a"], "name": "x"})
    with pytest.raises(ConfigError, match="half a character"):
        check_parameters({"prompt": "\ud800"})


def taken_port() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


def test_a_taken_port_is_one_line_before_anything_is_loaded(tmp_path: Path) -> None:
    with taken_port() as listening:
        port = listening.getsockname()[1]
        words = [sys.executable, "app.py", "--port", str(port), "--data", str(tmp_path / "data")]
        ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    line = f"app.py: port {port} is taken on 127.0.0.1; choose another with --port.\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", line)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "no.such.host.invalid", "--port", "7999"], "cannot be used"),
        (["--host", "192.0.2.1", "--port", "7999"], "cannot be used"),
        (["--quota-gb", "0"], "--quota-gb is 0; expected a number above 0"),
        (["--keep-days", "nan"], "--keep-days is nan"),
        (["--share"], "--auth FILE"),
    ],
)
def test_flags_that_do_not_go_are_one_line_and_exit_code_2(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        app.main([*words, "--data", str(tmp_path / "data")])
    assert leaving.value.code == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not (tmp_path / "data").exists()
    for port in ("0", "65536", "x", "-1"):
        with pytest.raises(SystemExit):
            app.arguments(["--port", port])


def test_a_console_that_cannot_show_a_name_is_given_an_escape(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    command = [sys.executable, str(ROOT / "app.py"), "--auth", str(tmp_path / "猫\x1b[31m.txt")]
    told = subprocess.run(command, capture_output=True, env=environment, cwd=ROOT)
    assert told.returncode == 2 and told.stderr.count(b"\n") == 1
    assert b"\\u732b\\x1b[31m.txt cannot be read" in told.stderr


def test_short_passwords_and_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "people"
    file.write_text("anna:long enough to be kept\nbert:hunter2\n")
    with pytest.raises(SystemExit, match="fewer than 16 characters for bert") as leaving:
        app.logins(file)
    assert leaving.value.code == 2
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SystemExit, match="not UTF-8"):
        app.logins(file)


def test_others_have_bounds_and_whoever_is_alone_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_HOST", raising=False)
    options = app.arguments([])
    assert serve.keeping_of(options, alone=True) == Keeping()
    assert serve.keeping_of(options, alone=False) == Keeping(2_000_000_000, 30)
    assert serve.keeping_of(app.arguments(["--keep-days", "5"]), alone=True) == Keeping(None, 5)
    assert serve.hosts_of(options) == ["127.0.0.1", "localhost"]
    named = app.arguments(["--host", "0.0.0.0", "--allow-host", "a.example", "--allow-host", "*.b.example"])
    assert serve.hosts_of(named) == ["0.0.0.0", "localhost", "a.example", "*.b.example"]
    monkeypatch.setenv("SPACE_HOST", "someone-app.hf.space")
    assert "someone-app.hf.space" in serve.hosts_of(options)

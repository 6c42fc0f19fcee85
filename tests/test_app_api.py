"""Everything the app does, through gradio_client, on the embedded base."""

import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from app_server import PAINTINGS, PHOTOS, ROOT, Server, running
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from sigstyle.imaging.images import read_recipe
from sigstyle.style.style import Style

KEY, OTHER = "key-of-anna-0123456789", "key-of-bert-0123456789"
QUICK = {"steps": 2, "size_px": 128}
LEARNING = {"steps": 4, "batch_size": 1, "painting": 1, "crops": 2, "size_px": 64, "warmup": 1, "autocast": "off"}
CAT = handle_file(str(PHOTOS / "cat.jpg"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("app") / "data", "--mcp") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(server.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))
    yield client
    client.close()


def restyled(client: Client, style: str = "wave", key: str = KEY, **settings: Any) -> tuple[Path, dict[str, Any]]:
    """A restyled cat and what is said of it."""
    files, facts = client.predict([CAT], style, 1.0, {**QUICK, **settings}, "", key, api_name="/restyle")
    return Path(files[0]), facts


def test_a_photo_is_restyled_and_a_second_style_skips_the_inversion(client: Client, server: Server) -> None:
    picture, facts = restyled(client, "wave", preset="classic")
    assert facts["state"] == "done" and not facts["pictures"][0]["inversion_reused"]
    assert read_recipe(picture)["styles"][0]["name"] == "wave"
    assert Image.open(picture).size[1] == 128
    assert picture.read_bytes() == server.results()[-1].read_bytes()
    _, second = restyled(client, "oil", preset="classic")
    assert second["pictures"][0]["inversion_reused"]


def test_a_picture_is_repeated_from_its_recipe_pixel_for_pixel(client: Client) -> None:
    picture, _ = restyled(client, seed=11)
    recipe = client.predict(handle_file(str(picture)), api_name="/recipe")
    assert recipe["settings"]["seed"] == 11
    files, facts = client.predict(handle_file(str(picture)), None, "", KEY, api_name="/repeat")
    assert facts["same_pixels"] and Path(files[0]).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with pytest.raises(AppError, match="photo it was made from is not here"):
        client.predict(handle_file(str(picture)), None, "", OTHER, api_name="/repeat")
    _, facts = client.predict(handle_file(str(picture)), CAT, "", OTHER, api_name="/repeat")
    assert facts["same_pixels"]


def test_a_setting_that_the_preset_does_not_use_is_refused_by_name(client: Client) -> None:
    with pytest.raises(AppError, match="eta is not used by this preset; it belongs to classic and paper"):
        restyled(client, eta=0.5)
    with pytest.raises(AppError, match="freedom is not used by this preset; it belongs to default"):
        restyled(client, preset="classic", freedom=0.5)
    picture, _ = restyled(client, palette=0.5, freedom=0.2)
    settings = read_recipe(picture)["settings"]
    assert (settings["method"], settings["palette"], settings["freedom"]) == ("paint", 0.5, 0.2)


def test_a_prompt_is_painted(client: Client) -> None:
    settings = {"steps": 2, "width": 128, "height": 192, "count": 2, "seed": 4}
    files, _ = client.predict("a castle", "oil", 1.0, settings, "", KEY, api_name="/imagine")
    assert [Image.open(file).size for file in files] == [(128, 192)] * 2


def test_many_photos_in_many_styles(client: Client) -> None:
    photos = [CAT, handle_file(str(PHOTOS / "owl.jpg"))]
    archive, sheets, facts = client.predict(photos, ["wave", "oil"], 1.0, QUICK, "", KEY, api_name="/folder")
    assert len(facts["pictures"]) == 4 and not facts["problems"]
    assert set(zipfile.ZipFile(archive).namelist()) >= set(facts["pictures"])
    assert Image.open(sheets[0]).width > 200


def test_a_style_is_learned_renamed_handed_on_and_removed(client: Client, tmp_path: Path) -> None:
    painting = [handle_file(str(PAINTINGS / "hokusai-great-wave.jpg"))]
    file, facts = client.predict(painting, "Great Wave", LEARNING, "", KEY, api_name="/learn")
    assert facts["name"] == "Great Wave" and Style.load(file).hash == facts["hash"]
    renamed = client.predict("Great Wave", "Big Wave", KEY, api_name="/rename_style")
    assert renamed["hash"] == facts["hash"]
    names = [style["name"] for style in client.predict(KEY, api_name="/styles")]
    assert names[0] == "Big Wave" and "Great Wave" not in names
    assert "Big Wave" not in [style["name"] for style in client.predict(OTHER, api_name="/styles")]
    taken = client.predict("Big Wave", KEY, api_name="/style_file")
    assert client.predict(handle_file(taken), OTHER, api_name="/add_style")["hash"] == facts["hash"]
    client.predict("Big Wave", KEY, api_name="/remove_style")
    assert "Big Wave" not in [style["name"] for style in client.predict(KEY, api_name="/styles")]


def test_learning_is_stopped_resumed_and_finished_early(client: Client) -> None:
    painting, key = [handle_file(str(PAINTINGS / "hokusai-great-wave.jpg"))], "key-of-carl-0123456789"
    job = client.submit(painting, "Slow", {**LEARNING, "steps": 5000}, "", key, api_name="/learn")
    for update in job:
        if update[1]["done"] >= 1:
            assert client.predict(key, api_name="/stop")
            break
    with pytest.raises(AppError, match="stopped at step"):
        job.result()
    (left,) = client.predict(key, api_name="/unfinished")
    assert left["name"] == "Slow" and 1 <= left["step"] < 5000
    again = client.submit(left["id"], key, api_name="/resume")
    for update in again:
        if update[1].get("done", 0) > left["step"]:
            client.predict(key, api_name="/finish")
            break
    file, _ = again.result()
    assert Style.load(file).metadata["finished_at"] > left["step"]
    assert client.predict(key, api_name="/unfinished") == []


def test_giving_up_on_a_call_stops_its_work(client: Client, server: Server) -> None:
    made = len(server.results())
    job = client.submit(
        [CAT], "wave", 1.0, {"preset": "classic", "steps": 1000, "size_px": 64}, "", KEY, api_name="/restyle"
    )
    next(iter(job))
    job.cancel()
    restyled(client, "oil")  # would wait for minutes behind the other
    assert len(server.results()) == made + 1


def test_errors_are_sentences_with_the_fix(client: Client, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("these are notes")
    with pytest.raises(AppError, match=r"notes\.jpg is not a supported image; expected PNG"):
        client.predict([handle_file(str(tmp_path / "notes.jpg"))], "wave", 1.0, {}, "", KEY, api_name="/restyle")
    with pytest.raises(AppError, match="There is no style 'nothing' here; there are: "):
        restyled(client, "nothing")
    with pytest.raises(AppError, match="steps is 0; expected a whole number from 1"):
        restyled(client, steps=0)
    with pytest.raises(AppError, match="models"):
        client.predict("/etc", KEY, api_name="/load_base")
    with pytest.raises(AppError, match="carries no SigStyle recipe"):
        client.predict(CAT, api_name="/recipe")


def posted(server: Server, endpoint: str, *values: Any) -> str:
    """What the server answers to a plain request, which no client has looked over."""
    data = json.dumps({"data": values}).encode()
    request = urllib.request.Request(
        f"{server.url}gradio_api/call/{endpoint}", data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{server.url}gradio_api/call/{endpoint}/{event}") as answer:
        return answer.read().decode()


@pytest.mark.parametrize("path", ["/etc/passwd", str(ROOT / "README.md"), "../../README.md"])
def test_no_path_outside_the_app_can_be_read(server: Server, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match=r"403|404"):
        urllib.request.urlopen(f"{server.url}gradio_api/file={path}")
    for given in ({"path": path, "meta": {"_type": "gradio.FileData"}}, {"path": path}, path):
        answer = posted(server, "add_style", given, KEY)
        assert "event: error" in answer and "safetensors" not in answer, "the file was never opened"


def test_the_plain_requests_of_that_test_work_for_what_is_allowed(server: Server) -> None:
    assert "event: complete" in posted(server, "styles", KEY)


@pytest.mark.parametrize("place", ["secret", "styles/wave.safetensors"])
def test_the_app_s_own_files_are_not_served(server: Server, place: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{server.url}gradio_api/file={server.data / place}")


def test_bases_are_described(client: Client) -> None:
    (mini,) = [base for base in client.predict(api_name="/bases") if base["base"] == "mini"]
    assert "of memory" in mini["takes"]
    assert "measured here" in client.predict("mini", KEY, api_name="/load_base")


def test_the_api_is_served_as_mcp_tools(server: Server) -> None:
    with urllib.request.urlopen(f"{server.url}gradio_api/mcp/schema") as answer:
        tools = answer.read().decode()
    assert "restyle" in tools and "Repaint photos in a style" in tools

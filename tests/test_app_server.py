"""The app as a server that strangers reach: bounds, names of hosts, what is closed, what is told and what is kept."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from app_server import PHOTOS, Server, running
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from random_style import random_style
from test_app_api import client

from sigstyle.base.model import load_base

__all__ = ["client"]  # a fixture
KEY, OTHER = "key-of-dora-0123456789", "key-of-emil-0123456789"
QUICK = {"steps": 1, "size_px": 64}
CAT = handle_file(str(PHOTOS / "cat.jpg"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    words = ("--allow-host", "painter.example", "--quota-gb", "0.05", "--keep-days", "9")
    with running(tmp_path_factory.mktemp("app") / "data", *words) as server:
        yield server


def asked(server: Server, path: str, host: str | None = None, body: bytes | None = None, **headers: str) -> Any:
    """Status and body of a plain request, with the Host header that it is to have."""
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=60)
    try:
        given = {"Content-Type": "application/json", **({"Host": host} if host is not None else {}), **headers}
        connection.request("POST" if body is not None else "GET", path, body, given)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 400),
        ("evil.example:7860", 400),
        ("127.0.0.1.evil.example", 400),
        ("localhost.evil.example", 400),
        ("", 400),
        ("127.0.0.1:7860", 200),
        ("localhost", 200),
        ("[::1]:7860", 200),
        ("192.168.0.7", 200),
        ("painter.example", 200),
        ("PAINTER.example:443", 200),
    ],
)
def test_only_the_own_names_and_addresses_are_answered(server: Server, host: str, status: int) -> None:
    assert asked(server, "/config", host)[0] == status
    assert asked(server, "/gradio_api/call/styles", host, json.dumps({"data": [KEY]}).encode())[0] == status


@pytest.mark.parametrize(
    "path",
    ["/monitoring", "/monitoring/summary", "/monitoring/x", "/gradio_api/runs", "/gradio_api/vibe-code", "/dev/reload",
     "/gradio_api/proxy=https://a.hf.space/x", "/gradio_api/deep_link", "/gradio_api/monitoring"],
)  # fmt: skip
def test_what_the_app_has_no_use_for_is_closed(server: Server, path: str) -> None:
    assert asked(server, path)[0] == 404


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"data": [' + b"[" * 5000 + b"]" * 5000 + b"]}", 422, "nested"),
        (b'{"data": ["' + b"x" * 9000 + b'"]}', 422, "9000 characters"),
        (json.dumps({"data": [["a"] * 1001]}).encode(), 422, "1001 entries"),
        (json.dumps({"data": [[["a"] * 150] * 150]}).encode(), 422, "values"),
        (b'{"data": [1e999]}', 422, "not finite"),
        (b'{"data": [NaN]}', 422, "not finite"),
        (b'{"data": [' + b"9" * 400 + b"]}", 422, "64 bits"),
        (b"{", 422, "JSON"),
        (b'{"data": ["' + b"x" * 2**21 + b'"]}', 413, "2 MB"),
    ],
)
@pytest.mark.parametrize("path", ["/gradio_api/call/styles", "/gradio_api/queue/join", "/gradio_api/run/styles"])
def test_every_request_is_bounded_before_it_is_queued(
    server: Server, path: str, body: bytes, status: int, words: str
) -> None:
    found = asked(server, path, body=body)
    assert found[0] == status and words in json.loads(found[1])["detail"]


@pytest.mark.parametrize(
    ("endpoint", "values", "words"),
    [
        ("/imagine", ["a cat", "wave", 1.0, {"count": 9}, "", KEY], "count is 9; expected a whole number from 1 to 8"),
        ("/imagine", ["a cat", "wave", 1.0, {"count": "x"}, "", KEY], "count is 'x'"),
        ("/imagine", ["a cat", "wave", 1.0, {"width": 1e9}, "", KEY], "expected a whole number from 64 to 2048"),
        ("/imagine", ["a cat", "wave", 1.0, {"steps": 10**9}, "", KEY], "steps is 1000000000"),
        ("/imagine", ["x" * 1001, "wave", 1.0, {}, "", KEY], "prompt has 1001 characters"),
        ("/imagine", ["a cat", "w" * 400, 1.0, {}, "", KEY], "style has 400 characters"),
        ("/imagine", ["a cat", "wave", 1e30, {}, "", KEY], "strength is 1e"),
        ("/imagine", ["a cat", "wave", 1.0, [1], "", KEY], "settings is list; expected an object"),
        ("/imagine", ["a cat", "wave", 1.0, {"seed": [1]}, "", KEY], "seed is list"),
        ("/imagine", ["a cat", "wave", 1.0, {f"s{i}": 1 for i in range(50)}, "", KEY], "settings has 50 entries"),
        ("/imagine", ["a cat", "wave", 1.0, {}, "", "short"], "A key has at least 16 characters; this one has 5"),
        ("/imagine", ["a cat", "wave", 1.0, {}, "", "k" * 301], "key has 301 characters"),
        ("/restyle", [[CAT], "wave", 1.0, {"size_px": 4000}, "", KEY], "size_px is 4000; expected at most 2048 here"),
        ("/folder", [[CAT], ["wave"] * 21, 1.0, QUICK, "", KEY], "21 styles; at most 20"),
        ("/folder", [[CAT], "wave", 1.0, QUICK, "", KEY], "styles is str; expected a list"),
        ("/folder", [[CAT], [{"a": 1}], 1.0, QUICK, "", KEY], "a name in styles is dict"),
        ("/learn", [[CAT], "x", {"batch_size": 256}, "", KEY], "batch_size is 256; expected at most 32"),
        ("/learn", [[CAT], "★", {"steps": 1}, "", KEY], "expected a name with letters or digits"),
        ("/rename_style", ["wave", "y" * 301, KEY], "new_name has 301 characters"),
    ],
)
def test_every_parameter_of_the_api_is_bounded(
    client: Client, server: Server, endpoint: str, values: list[Any], words: str
) -> None:
    made = len(server.results())
    with pytest.raises(AppError, match=words.replace("(", r"\(")):
        client.predict(*values, api_name=endpoint)
    assert len(server.results()) == made


def test_photos_times_styles_and_their_number_are_bounded(client: Client) -> None:
    with pytest.raises(AppError, match="51 photos; at most 50"):
        client.predict([CAT] * 51, "wave", 1.0, QUICK, "", KEY, api_name="/restyle")
    with pytest.raises(AppError, match="24 photos in 10 styles are 240 pictures; at most 200"):
        client.predict([CAT] * 24, ["wave"] * 10, 1.0, QUICK, "", KEY, api_name="/folder")


def test_no_answer_tells_where_the_app_keeps_its_files(server: Server, client: Client, tmp_path: Path) -> None:
    places = [str(server.data), str(Path.home()) + "/", str(Path(__file__).parent.parent)]
    (files, facts) = client.predict([CAT], "wave", 1.0, QUICK, "", KEY, api_name="/restyle")
    recipe = client.predict(handle_file(files[0]), api_name="/recipe")
    (_, _, folder) = client.predict([CAT], ["wave"], 1.0, QUICK, "", KEY, api_name="/folder")
    bases = client.predict(api_name="/bases")
    told = [json.dumps([facts, recipe, folder, bases, client.predict(KEY, api_name="/styles")])]
    told += [asked(server, path)[1] for path in ("/", "/config", "/gradio_api/info", "/gradio_api/openapi.json")]
    event = json.loads(
        asked(server, "/gradio_api/call/style_file", body=json.dumps({"data": ["wave", KEY]}).encode())[1]
    )
    answer = asked(server, f"/gradio_api/call/style_file/{event['event_id']}")[1]
    assert "/sigstyle-cache/" in answer
    for text in (*told, answer):
        assert not [place for place in places if place in text]
    (tmp_path / "x.safetensors").write_bytes(b"no style")
    with pytest.raises(AppError) as refused:
        client.predict(handle_file(str(tmp_path / "x.safetensors")), KEY, api_name="/add_style")
    assert "x.safetensors is no safetensors file" in str(refused.value) and "/" not in str(refused.value)


def test_the_alias_of_the_cache_opens_nothing_else(server: Server) -> None:
    for path in ("/sigstyle-cache/../secret", "/sigstyle-cache/../styles/wave.safetensors", "/sigstyle-cache"):
        with pytest.raises(urllib.error.HTTPError, match=r"403|404"):
            urllib.request.urlopen(f"{server.url}gradio_api/file={path}")


def test_two_styles_of_one_name_are_both_kept_and_a_damaged_file_is_named(
    client: Client, server: Server, tmp_path: Path
) -> None:
    base = load_base("mini", "cpu")
    for seed in (7, 8):
        random_style(base, "twin", seed=seed).save(tmp_path / "twin.safetensors")
        client.predict(handle_file(str(tmp_path / "twin.safetensors")), OTHER, api_name="/add_style")
    with pytest.raises(AppError, match="is here already"):
        client.predict(handle_file(str(tmp_path / "twin.safetensors")), OTHER, api_name="/add_style")
    own = server.styles()[-1].parent
    (own / "broken.safetensors").write_bytes(b"{}")
    (own / "gone.safetensors").symlink_to(own / "nowhere")
    names = [style["name"] for style in client.predict(OTHER, api_name="/styles") if style["own"]]
    assert sorted(names) == ["twin", "twin 2"]
    said = client.predict(OTHER, api_name="/unusable_styles")
    assert [sentence.split()[0] for sentence in said] == ["broken.safetensors", "gone.safetensors"]
    assert str(server.data) not in str(said)


def test_a_person_s_things_are_counted_and_deleted(client: Client, server: Server) -> None:
    key, others = "key-of-fred-0123456789", {path for path in server.data.glob("people/*")}
    client.predict([CAT], "wave", 1.0, QUICK, "", key, api_name="/restyle")
    (own,) = {path for path in server.data.glob("people/*")} - others
    things = client.predict(key, api_name="/my_things")
    assert things["files"] == 2 and things["bytes"] > 1000
    assert (things["most_bytes"], things["days"]) == (50_000_000, 9)
    (own / "results" / "large").write_bytes(b"x" * 50_000_000)
    with pytest.raises(AppError, match="is the most one person may"):
        client.predict([CAT], "wave", 1.0, QUICK, "", key, api_name="/restyle")
    assert client.predict(key, api_name="/delete_my_things")["files"] == 3
    assert not own.exists() and all(path.exists() for path in others)
    client.predict([CAT], "wave", 1.0, QUICK, "", key, api_name="/restyle")

"""What every request passes before Gradio sees it: who may be asked for, what is closed, how large it may be.

Nothing that a page or a program sends reaches the queue without having been counted here, and no answer tells where on
this computer the app keeps its files.
"""

import ipaddress
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi.middleware import Middleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 2**21  # of a request that is no upload
MOST_UPLOADED = 2**30  # of all files of one upload together
MOST_CHARACTERS, MOST_ENTRIES, MOST_VALUES, DEEPEST = 8192, 1000, 20_000, 16
CACHE_ALIAS = "/sigstyle-cache"
_UPLOAD = "/gradio_api/upload"
_CLOSED = (
    "monitoring", "vibe-", "undo-vibe-edit", "process_recording", "proxy=", "profiling", "runs", "run-history",
    "deep_link", "dev/",
)  # fmt: skip
_REWRITTEN = ("application/json", "text/event-stream", "text/html")


class Hosts(TrustedHostMiddleware):
    """Answers to the names it was given and to plain addresses.

    A foreign page that had its own name lead to this computer would send that name; an address has no name to bend.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and _is_address(Headers(scope=scope).get("host", "")):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _is_address(host: str) -> bool:
    """Whether a Host header is a number, such as 127.0.0.1:7860 or [::1]:7860."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def problem_of(data: bytes) -> str | None:
    """What is wrong with the JSON of a request, in a sentence; None when it may pass."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return "This is no JSON, or is nested too deeply. Send what /gradio_api/info describes."
    level, seen = [found], 0
    for _ in range(DEEPEST):
        seen += len(level)
        if seen > MOST_VALUES:
            return f"The request has more than {MOST_VALUES} values. Send less at once."
        for value in level:
            if wrong := _too_large(value):
                return wrong
        level = [inner for value in level for inner in _within(value)]
        if not level:
            return None
    return f"The request is nested more than {DEEPEST} deep. Send plain values."


def _within(value: Any) -> Iterable[Any]:
    """The values and keys inside a value."""
    return [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()


def _too_large(value: Any) -> str | None:
    """What is wrong with one value by itself."""
    if isinstance(value, str) and len(value) > MOST_CHARACTERS:
        return f"A text has {len(value)} characters; at most {MOST_CHARACTERS} are read. Shorten it."
    if isinstance(value, dict | list) and len(value) > MOST_ENTRIES:
        return f"A list has {len(value)} entries; at most {MOST_ENTRIES} are read. Send less at once."
    if isinstance(value, float) and not math.isfinite(value):
        return "A number is not finite; expected plain numbers."
    if isinstance(value, int) and abs(value) >= 2**64:
        return "A whole number is larger than any setting takes; expected at most 64 bits."
    return None


class Gate:
    """Closes what the app does not use, bounds every request, and keeps the cache's place to itself."""

    def __init__(self, app: ASGIApp, cache: Path) -> None:
        self.app = app
        self.cache = real = str(cache)
        self._in_json = json.dumps(real, ensure_ascii=False)[1:-1].encode()
        forms = {json.dumps(real)[1:-1], self._in_json.decode(), real, quote(real)}
        self._real = [form.encode() for form in sorted(forms, key=len, reverse=True)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _is_closed(scope["path"]):
            await _refusal(404, "There is nothing here.")(scope, receive, send)
            return
        scope = {**scope, "path": scope["path"].replace(CACHE_ALIAS, self.cache, 1)}
        try:
            taken = _Counted(receive) if scope["path"].startswith(_UPLOAD) else receive
            if scope["method"] == "POST" and taken is receive:
                data = await _whole(receive)
                wrong = problem_of(data) if _is_json(scope, data) else None
                if wrong is not None:
                    await _refusal(422, wrong)(scope, receive, send)
                    return
                taken = _Replayed(data.replace(CACHE_ALIAS.encode(), self._in_json), receive)
                scope["headers"] = _with_length(scope, len(taken.data))
            await self.app(scope, taken, _Aliased(send, self._real))
        except _TooLarge as error:
            await _refusal(413, str(error))(scope, receive, send)


def _is_closed(path: str) -> bool:
    """Whether a path is one of Gradio's that this app has no use for."""
    rest = path.removeprefix("/gradio_api").lstrip("/")
    return rest.startswith(_CLOSED)


def _is_json(scope: Scope, data: bytes) -> bool:
    """Whether a body is to be read as JSON: whatever is no form; logging in is one."""
    return bool(data) and "form" not in Headers(scope=scope).get("content-type", "")


def _with_length(scope: Scope, length: int) -> list[tuple[bytes, bytes]]:
    """The request's headers, with this length."""
    kept = [(name, value) for name, value in scope["headers"] if name not in (b"content-length", b"transfer-encoding")]
    return [*kept, (b"content-length", str(length).encode())]


def _refusal(status: int, text: str) -> JSONResponse:
    return JSONResponse({"detail": text, "error": text}, status)


class _TooLarge(Exception):
    """More bytes than a request may have."""


async def _whole(receive: Receive) -> bytes:
    """The body of a request. Raises: _TooLarge."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise _TooLarge(f"The request has more than {MOST_BYTES // 2**20} MB. Upload files, and name them in it.")
        if not message.get("more_body"):
            return b"".join(parts)


class _Replayed:
    """A body that was read already, given once more."""

    def __init__(self, data: bytes, receive: Receive) -> None:
        self.data, self._receive, self._given = data, receive, False

    async def __call__(self) -> Message:
        if self._given:
            return await self._receive()
        self._given = True
        return {"type": "http.request", "body": self.data, "more_body": False}


class _Counted:
    """An upload, up to what may come at once."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._size = receive, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > MOST_UPLOADED:
            raise _TooLarge(f"These files have more than {MOST_UPLOADED // 2**30} GB together. Send fewer at once.")
        return message


class _Aliased:
    """Sends an answer in which the cache's place on this computer is called by its alias."""

    def __init__(self, send: Send, real: list[bytes]) -> None:
        self._send, self._real = send, real
        self._start: Message | None = None  # held back until its length is known
        self._parts: list[bytes] = []
        self._rewrites = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            self._rewrites = headers.get("content-type", "").startswith(_REWRITTEN)
            if self._rewrites and "content-length" in headers:
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._rewrites:
            if self._start is not None:
                await self._held(message)
                return
            message = {**message, "body": self._renamed(message.get("body", b""))}
        await self._send(message)

    async def _held(self, message: Message) -> None:
        """Collects an answer of known length, and sends it when it is whole."""
        self._parts.append(message.get("body", b""))
        if message.get("more_body") or self._start is None:
            return
        body = self._renamed(b"".join(self._parts))
        headers = MutableHeaders(raw=list(self._start["headers"]))
        if body:  # an answer to HEAD has none, and keeps its length
            headers["content-length"] = str(len(body))
        await self._send({**self._start, "headers": headers.raw})
        await self._send({**message, "body": body})

    def _renamed(self, body: bytes) -> bytes:
        for form in self._real:
            body = body.replace(form, CACHE_ALIAS.encode())
        return body


def middleware(hosts: list[str], cache: Path) -> list[Middleware]:
    """What to put before the app: it answers to these host names, and keeps files for the page in `cache`."""
    return [Middleware(Hosts, allowed_hosts=hosts, www_redirect=False), Middleware(Gate, cache=cache)]

"""Seeded damage: bytes that flip, files that end early, JSON whose values are anything, headers that fit or do not."""

import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

_DEEP, _BESIDE = "@deep@", "@beside@"
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 0.5, -0.0, 10**9, 2**63, -(2**64), 10**400, 1e308, 5e-324),
    *(float("inf"), float("-inf"), float("nan")),
    *("", " ", "x", "x" * 5000, "猫" * 100, "\x1b[31mred", "a\nb", "a\rb", "a\0b", "\ud800", "\udce9", "\u202eabc"),
    *("../../x", "/dev/zero", "/nowhere/x", "~nosuchuser/x", "~", "-x", "--help", "CON", "nul.png", "a|b", "0", "NaN"),
    *("<script>alert(1)</script>", "<x>", "<" + "a" * 64 + ">", "F64", "BOOL", "someone/some-base", "mini", "tiny"),
    *("data:image/png;base64,AAAA", "%s%n{0}", "$(touch x)", "'", '"', "\\", _DEEP, _BESIDE),
    *([], {}, [[]], [None] * 3, [0] * 2000, ["x"] * 50, {"a": 1}, {"": {}}, [1, 2], [2**40, 2**40], [0], [-1, 4]),
)
_ODD_KEYS = ("", "x", "a\0b", "../x", "__class__", "__metadata__", "sigstyle", "\ud800", "k" * 3000, "猫", "a.b")


def damaged(data: bytes, chance: random.Random) -> bytes:
    """`data` with bytes changed, cut off, doubled, left out or put between."""
    way, body = chance.randrange(6), bytearray(data)
    first, last = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    if way == 0:
        return data[:first]
    if way == 1:
        return data[:first] + data[last:]
    if way == 2:
        return data[:last] + data[first:]
    if way == 3:
        return data[:first] + chance.randbytes(chance.choice((1, 7, 300))) + data[first:]
    head = min(len(body), 400) if way == 4 else len(body)
    for _ in range(chance.choice((1, 1, 2, 8, 50))):
        if body:
            body[chance.randrange(head)] ^= 1 << chance.randrange(8)
    return bytes(body)


def changed(values: Any, chance: random.Random, times: int | None = None) -> Any:
    """JSON values with one or a few places changed: removed, renamed, swapped, or replaced by something odd."""
    values = json.loads(json.dumps(values))
    for _ in range(times or chance.choice((1, 1, 2, 4))):
        places = list(_places(values))
        if places:
            container, key, value = chance.choice(places)
            _change(container, key, value, chance, [inner for _, _, inner in places])
    return values


def _places(values: Any) -> Iterator[tuple[Any, Any, Any]]:
    """(container, key, value) of every value inside."""
    pairs = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, inner in list(pairs):
        yield values, key, inner
        yield from _places(inner)


def _change(container: Any, key: Any, value: Any, chance: random.Random, others: list[Any]) -> None:
    way = chance.randrange(8)
    if way == 0:
        del container[key]
    elif way == 1 and isinstance(container, dict):
        container[chance.choice((*_ODD_KEYS, *container))] = container.pop(key)
    elif way == 2:
        container[key] = json.loads(json.dumps(chance.choice(others)))
    elif way == 3:
        container[key] = {"a": value} if chance.random() < 0.5 else [value] * chance.choice((1, 2, 40))
    elif way == 4 and isinstance(value, int | float) and not isinstance(value, bool):
        container[key] = value * chance.choice((-1, 2, 1000, 0.1, 10**30, 1e300))
    elif way == 5:
        container[key] = str(value)
    else:
        container[key] = chance.choice(_ODD)


def as_text(values: Any, chance: random.Random) -> str:
    """`values` as JSON; the placeholders become what `json.dumps` cannot write: great depth, a key that comes twice."""
    text = json.dumps(values, ensure_ascii=chance.random() < 0.5 or "\\ud" in json.dumps(values))
    depth = chance.choice((40, 70, 900, 100_000))
    text = text.replace(f'"{_DEEP}"', "[" * depth + "]" * depth)
    return text.replace(f'"{_BESIDE}"', '{"a": 1, "a": 2}')


def header_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and all that follows it."""
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def with_header(text: str, body: bytes) -> bytes:
    """A safetensors file of a header and what follows, its length right."""
    head = text.encode(errors="surrogatepass")
    return struct.pack("<Q", len(head)) + head + body


def changed_style(data: bytes, chance: random.Random) -> bytes:
    """A style file with one kind of damage: anywhere, in its entries, in its own header, or in its numbers."""
    ways: tuple[Callable[[bytes, random.Random], bytes], ...]
    ways = (damaged, _entries, _own_header, _own_header, _numbers, _numbers, _lengths)
    return chance.choice(ways)(data, chance)


def _entries(data: bytes, chance: random.Random) -> bytes:
    """Names, dtypes, shapes and offsets changed; half of them such that the sizes still fit."""
    header, body = header_of(data)
    metadata = header.pop("__metadata__")
    if chance.random() < 0.5:
        header = changed(header, chance)
    else:
        for name in chance.sample(sorted(header), k=chance.choice((1, 2, 5))):
            _refit(header, name, chance)
    if not isinstance(header, dict):
        header = {}
    return with_header(as_text({"__metadata__": _unsigned(metadata, chance), **header}, chance), body)


def _refit(header: dict[str, Any], name: str, chance: random.Random) -> None:
    """Another shape, dtype, name or place for an entry, of the same number of bytes."""
    entry, way = header[name], chance.randrange(5)
    count = 1
    for side in entry["shape"]:
        count *= side
    if way == 0:
        entry["shape"] = chance.choice(([count], [1, count], [count, 1], [count, 1, 1], [1] * 60 + [count]))
    elif way == 1:
        entry["dtype"] = {"F16": chance.choice(("BF16", "I16")), "F32": chance.choice(("I32", "U32"))}[entry["dtype"]]
    elif way == 2:
        entry["shape"], entry["dtype"] = [count // 2], {"F16": "F32", "F32": "F64"}[entry["dtype"]]
    elif way == 3:
        other = chance.choice(sorted(header))
        header[name], header[other] = header[other], header[name]
    else:
        header[chance.choice((*_ODD_KEYS, "offsets.up", "offsets..up", "decoder.x.up", "token"))] = header.pop(name)


def _own_header(data: bytes, chance: random.Random) -> bytes:
    """What `sigstyle` wrote of the style changed: names, token, metadata, checksum."""
    header, body = header_of(data)
    own = changed(json.loads(header["__metadata__"]["sigstyle"]), chance)
    text = as_text(own, chance)
    if chance.random() < 0.1:
        text = damaged(text.encode(errors="surrogatepass"), chance).decode(errors="replace")
    header["__metadata__"]["sigstyle"] = text
    if chance.random() < 0.2:
        header["__metadata__"] = changed(header["__metadata__"], chance)
    return with_header(json.dumps(header), body)


def _numbers(data: bytes, chance: random.Random) -> bytes:
    """Entries filled with numbers that are not finite, huge, tiny or random, mostly without a checksum that tells."""
    header, body = header_of(data)
    metadata, numbers = header.pop("__metadata__"), bytearray(body)
    for name in chance.sample(sorted(header), k=chance.choice((1, 3, len(header)))):
        entry, half = header[name], header[name]["dtype"] == "F16"
        first, last = entry["data_offsets"]
        value = chance.choice(
            (float("nan"), float("inf"), 65504.0, -65504.0, 6e-8, 0.0, -1.0, 1e38 if not half else 9.0)
        )
        piece = struct.pack("<e" if half else "<f", value)
        if chance.random() < 0.3:
            numbers[first:last] = chance.randbytes(last - first)
        elif chance.random() < 0.5:
            numbers[first:last] = piece * ((last - first) // len(piece))
        elif last > first:
            numbers[first : first + len(piece)] = piece
    return with_header(json.dumps({"__metadata__": _unsigned(metadata, chance, 0.9), **header}), bytes(numbers))


def _lengths(data: bytes, chance: random.Random) -> bytes:
    """The length of the header changed, or the header's text."""
    (size,) = struct.unpack("<Q", data[:8])
    if chance.random() < 0.5:
        wrong = chance.choice((0, 1, size - 1, size + 1, len(data), 2**20 + 1, 2**32, 2**63, 2**64 - 1))
        return struct.pack("<Q", wrong) + data[8:]
    text = damaged(data[8 : 8 + size], chance)
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def _unsigned(metadata: dict[str, str], chance: random.Random, share: float = 0.7) -> dict[str, str]:
    """A style's metadata, mostly without the checksum, as styles of before have it."""
    own = json.loads(metadata["sigstyle"])
    if chance.random() < share:
        del own["checksum"]
    return {**metadata, "sigstyle": json.dumps(own)}

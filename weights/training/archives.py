"""Find picture files in an unpacked package: plain files, and those in zip and Qt resource files."""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

QT_DIRECTORY, QT_ZLIB, QT_ZSTD = 2, 1, 4


def files(root: Path, archive: str) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of every file inside the archives below ``root`` that match ``archive``."""
    for name in names(root):
        if re.search(archive, name):
            path = root / name
            yield from qt_resource(path.read_bytes()) if name.endswith(".rcc") else zipped(path)


def names(root: Path) -> list[str]:
    """List the plain files below ``root``, sorted, links left out."""
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and not p.is_symlink())


def zipped(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of the files in a zip (``.zip``, ``.pk3``)."""
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith("/"):
                yield name, archive.read(name)


def qt_resource(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of the files in a Qt binary resource.

    Layout: magic ``qres``, version, offsets of tree, data and names (and flags from version 3), all
    big-endian 32 bit. A tree node is name offset, flags, then (count, first child) for a folder or
    (locale, data offset) for a file; nodes have eight more bytes (a time) from version 2 on.
    """
    magic, version, tree, blobs, labels = struct.unpack_from(">4sIIII", data)
    if magic != b"qres":
        raise ValueError("not a Qt binary resource: it does not begin with 'qres'")
    node_size = 22 if version >= 2 else 14

    def label(offset: int) -> str:
        length = struct.unpack_from(">H", data, labels + offset)[0]
        start = labels + offset + 6
        return data[start : start + 2 * length].decode("utf-16-be")

    def walk(index: int, prefix: str) -> Iterator[tuple[str, bytes]]:
        at = tree + index * node_size
        name_offset, flags = struct.unpack_from(">IH", data, at)
        path = prefix + (label(name_offset) if index else "")
        if flags & QT_DIRECTORY:
            count, first = struct.unpack_from(">II", data, at + 6)
            for child in range(first, first + count):
                yield from walk(child, path + "/" if index else "")
            return
        offset = blobs + struct.unpack_from(">I", data, at + 10)[0]
        size = struct.unpack_from(">I", data, offset)[0]
        content = data[offset + 4 : offset + 4 + size]
        if flags & QT_ZLIB:
            content = zlib.decompress(content[4:])
        if not flags & QT_ZSTD:
            yield path, content

    yield from walk(0, "")


def stream(content: bytes) -> io.BytesIO:
    """Wrap file content for Pillow."""
    return io.BytesIO(content)

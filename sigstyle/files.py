"""Files: where one may be written, read with a limit, and written whole or not at all."""

import errno
import os
import platform
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sigstyle.errors import ConfigError

_NAME_BYTES, _PATH_BYTES = 255, 4095
_LEFTOVER = re.compile(r"\..*\.(?P<host>[\w-]+)\+(?P<pid>\d+)\+[0-9a-f]{8}\.tmp", re.DOTALL)
_swept: set[Path] = set()


def expanded(path: str | Path) -> Path:
    """`path` with its ~ replaced, where the system can have such a path at all; it need not exist.

    Raises: OSError for an unknown ~user, a name longer than 255 bytes or a path longer than 4095, or a NUL.
    """
    try:
        found = Path(path).expanduser()
    except RuntimeError:
        raise OSError(f"there is no user {Path(path).parts[0]}") from None
    if "\0" in str(found):
        raise OSError(errno.EINVAL, "there is a NUL in the name")
    longest = max((len(os.fsencode(part)) for part in found.parts), default=0)
    if longest > _NAME_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"a name in it has {longest} bytes and may have {_NAME_BYTES}")
    if (length := len(os.fsencode(found))) > _PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"it has {length} bytes and may have {_PATH_BYTES}")
    return found


def split_weight(text: str, folder: str | Path = ".") -> tuple[str, float | None]:
    """A file's name and its weight of texts such as 'wave.safetensors:0.5'; None where none is given.

    A file in `folder` whose own name looks so is taken as it is.
    """
    name, _, number = text.rpartition(":")
    try:
        there = os.path.exists(os.path.join(folder, os.path.expanduser(text)))  # False for what no path can be
        return (text, None) if not name or there else (name, float(number))
    except ValueError:
        return text, None


def possible(path: str | Path) -> Path:
    """`path` with its ~ replaced; it need not exist. Raises: ConfigError for what no path can be."""
    try:
        return expanded(path)
    except OSError as error:
        raise ConfigError(f"There is no {path}: {reason(error)}. Expected the name of a file or a folder.") from error


def check_destination(
    path: str | Path,
    inputs: Iterable[str | Path] = (),
    overwrite: bool = False,
    ours: Callable[[Path], bool] = lambda _: False,
) -> Path:
    """`path` with its ~ replaced, known to be a place where a file can be written: asked before the work.

    A file that is there is only replaced with `overwrite`, or when `ours` says that it came from the very same kind of
    work; one of the `inputs` never is, under whatever name or link.
    Raises: ConfigError.
    """
    try:
        found = expanded(path)
        target = _target(found)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {reason(error)}. Expected the name of a file.") from error
    check_not_input(found, inputs)
    if not target.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: expected a file in an existing folder. Make {target.parent}.")
    try:
        with tempfile.TemporaryFile(dir=target.parent):  # the sure way to know, also where rights are not the reason
            pass
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {reason(error)}. Choose a writable folder.") from error
    if target.exists() and not overwrite and not ours(target):
        raise ConfigError(
            f"{path} is there already and was not made by this command. Choose another name, or add --overwrite (-y)."
        )
    return found


def check_not_input(path: Path, inputs: Iterable[str | Path]) -> None:
    """Raises ConfigError when a file to be written is one of those that are read, under whatever name or link."""
    if not path.exists():
        return
    for given in inputs:
        with suppress(OSError):  # what cannot be read is told by its own loader
            if path.samefile(expanded(given)):
                raise ConfigError(f"{path} is an input: {given}, which writing would destroy. Choose another name.")


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path` through a temporary file beside it, so readers see the old file or the new one.

    Written is what a link leads to. A new file gets the mode that the umask and the folder give, one that is replaced
    keeps its mode and, where that is allowed, its owner. Before the first file in a folder, temporary files of
    processes that have died are removed from it.
    Raises: OSError, with nothing left behind; also for a folder, a pipe or a device.
    """
    target = _target(path)
    _sweep(target.parent)
    temporary = target.with_name(_temporary_name(target.name))
    mode = 0o600 if target.exists() else 0o666  # what replaces a private file is never readable by others
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            _like(temporary, target.stat())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to be written in the block, which then takes its place; after an exception not.

    Raises: OSError, as `write_atomically`, with nothing left behind.
    """
    target = _target(path)
    _sweep(target.parent)
    temporary = target.with_name(_temporary_name(target.name))
    try:
        temporary.touch(0o600 if target.exists() else 0o666)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if target.exists():
            _like(temporary, target.stat())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_regular(path: Path, limit: int) -> bytes:
    """The bytes of a regular file. Units: limit in bytes.

    Raises: OSError, also for a folder, a pipe or a device, and for a file over the limit.
    """
    status = expanded(path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a regular file")
    if status.st_size > limit:
        raise OSError(f"it has {status.st_size / 2**20:.0f} MB and may have {limit / 2**20:.0f}")
    return expanded(path).read_bytes()


def reason(error: OSError) -> str:
    """What went wrong, without the path."""
    return error.strerror or str(error)


def _target(path: Path) -> Path:
    """The file that writing to `path` writes: itself, or what it links to. Raises: OSError for what is no file."""
    target = Path(os.path.realpath(expanded(path)))
    try:
        status = target.stat()
    except FileNotFoundError:
        return target
    if stat.S_ISDIR(status.st_mode):
        raise OSError("it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is a pipe, a device or a socket")
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "it is read-only")
    return target


def _like(path: Path, old: os.stat_result) -> None:
    """Give a file the owner of another, where that is allowed, and its mode."""
    if hasattr(os, "chown"):
        for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
            with suppress(OSError):
                os.chown(path, owner, group)
    os.chmod(path, stat.S_IMODE(old.st_mode))


def _host() -> str:
    return re.sub(r"[^\w-]", "-", platform.node(), flags=re.ASCII)[:40] or "host"


def _temporary_name(name: str) -> str:
    """A name of its own for what will be called `name`, from which whose it is can be told; at most 255 bytes."""
    end = f".{_host()}+{os.getpid()}+{secrets.token_hex(4)}.tmp"
    while len(os.fsencode(name)) + len(end) + 1 > _NAME_BYTES:
        name = name[:-1]
    return f".{name}{end}"


def _sweep(folder: Path) -> None:
    """Remove temporary files of this machine's dead processes, once for each folder."""
    if folder in _swept:
        return
    _swept.add(folder)
    import psutil

    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _LEFTOVER.fullmatch(entry.name)
            if found and found["host"] == _host() and not psutil.pid_exists(int(found["pid"])):
                with suppress(OSError):
                    os.unlink(entry.path)

"""Files read with a limit and written whole or not at all."""

import os
import stat
import tempfile
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path` through a temporary file beside it, so readers see the old file or the new one.

    Raises: OSError, with nothing left behind.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_regular(path: Path, limit: int) -> bytes:
    """The bytes of a regular file. Units: limit in bytes.

    Raises: OSError, also for a folder, a pipe or a device, and for a file over the limit.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a regular file")
    if status.st_size > limit:
        raise OSError(f"it has {status.st_size / 2**20:.0f} MB and may have {limit / 2**20:.0f}")
    return path.read_bytes()


def reason(error: OSError) -> str:
    """What went wrong, without the path."""
    return error.strerror or str(error)

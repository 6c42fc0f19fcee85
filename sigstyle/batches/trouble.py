"""What ends a batch: a full disk, or a folder that takes no files any more. All else is one picture's failure."""

import errno
import tempfile
from pathlib import Path

from sigstyle.errors import ImageError, SigStyleError
from sigstyle.files import reason

_FULL = {errno.ENOSPC, errno.EROFS, *({errno.EDQUOT} if hasattr(errno, "EDQUOT") else set())}
_LONGEST = 500  # letters of a message


def check_still_writable(folder: Path, problem: BaseException) -> None:
    """Raises: ImageError when `problem` came from a disk that is full or a folder that cannot be written any more."""
    error = problem if isinstance(problem, OSError) else problem.__cause__
    if not isinstance(error, OSError):
        return
    if error.errno not in _FULL:
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"\0" * 4096)
                file.flush()
            return
        except OSError as other:
            error = other
    raise ImageError(f"{folder} cannot be written: {reason(error)}. The rest waits for a restart.") from problem


def in_one_line(error: BaseException) -> str:
    """What a failure says, in one line that is not too long."""
    text = " ".join(str(error).split())
    text = text if isinstance(error, SigStyleError) else f"{type(error).__name__}: {text}".removesuffix(": ")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

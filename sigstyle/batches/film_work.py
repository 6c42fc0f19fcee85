"""The work folder of a film: its painted frames, lossless, and what the next frame of each shot needs."""

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from filelock import FileLock, Timeout
from PIL import Image
from safetensors import SafetensorError

from sigstyle.errors import ImageError
from sigstyle.files import reason, write_atomically
from sigstyle.film.places import Places
from sigstyle.film.shots import Shot
from sigstyle.imaging.palette import Palette
from sigstyle.painting.film import Carried, Correction

_ENDING = ".film"


class FilmWork:
    """What of a film is painted so far, in a hidden folder beside the output, named by what is painted."""

    def __init__(self, output: Path, job: str) -> None:
        self.output, self.folder = output, output.with_name(f".{output.name}.{job}{_ENDING}")

    def enter(self) -> None:
        """Make the folder. Raises: ImageError."""
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def frame(self, number: int) -> Path:
        """Where a painted frame is."""
        return self.folder / f"{number:06d}.png"

    def painted(self, frames: int) -> int:
        """How many of the first `frames` are painted."""
        return sum(self.frame(number).exists() for number in range(frames))

    def keep(self, shot: Shot, carried: Carried, image: Image.Image) -> None:
        """Write a painted frame, then what the next one needs. Raises: ImageError."""
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        try:
            write_atomically(self.frame(carried.number), buffer.getvalue())
            write_atomically(self._state(shot), _packed(carried))
        except OSError as error:
            raise self._unwritable(error) from error

    def carried(self, shot: Shot) -> Carried | None:
        """Where a shot was left; None where it is to be begun, also after damage."""
        with suppress(OSError, SafetensorError, KeyError, ValueError):
            found = _unpacked(self._state(shot).read_bytes())
            if all(self.frame(number).exists() for number in range(shot.first, found.number + 1)):
                return found
        return None

    @contextmanager
    def claimed(self, name: str, wait: bool) -> Iterator[bool]:
        """A part of the work that is this process' alone in the block; False where it is another's."""
        lock = FileLock(self.folder / f"{name}.lock")
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def clear(self) -> None:
        """Remove the folder, and those of earlier settings for the same output."""
        for folder in self.output.parent.glob(f".{_escaped(self.output.name)}.*{_ENDING}"):
            shutil.rmtree(folder, ignore_errors=True)

    def _state(self, shot: Shot) -> Path:
        return self.folder / f"shot-{shot.first:06d}.safetensors"

    def _unwritable(self, error: OSError) -> ImageError:
        return ImageError(f"{self.folder} cannot be written: {reason(error)}. The rest waits for a restart.")


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _packed(carried: Carried) -> bytes:
    correction = carried.correction
    arrays = {"frame": carried.frame, "painted": carried.painted, "places": carried.places.at}
    tensors: dict[str, Any] = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    for name, palette in (("found", correction.found), ("wanted", correction.wanted)):
        tensors |= {f"{name}.mean": palette.mean, f"{name}.covariance": palette.covariance}
    return safetensors.torch.save(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, {"number": json.dumps(carried.number)}
    )


def _unpacked(data: bytes) -> Carried:
    """What `_packed` wrote. Raises: SafetensorError, KeyError, ValueError."""
    tensors = safetensors.torch.load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    number = int(header["__metadata__"]["number"])
    found, wanted = (Palette(tensors[f"{name}.mean"], tensors[f"{name}.covariance"]) for name in ("found", "wanted"))
    frame, painted, places = (tensors[name].numpy() for name in ("frame", "painted", "places"))
    return Carried(number, frame, painted, Places(places), Correction(found, wanted))

"""Writing behind the painting: pictures, their small copies for the gallery, and their lines in the manifest."""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from PIL import Image

from sigstyle.batches.jobs import Output, Unit
from sigstyle.batches.manifest import Line, Manifest, line_of
from sigstyle.batches.present import found_at, there
from sigstyle.batches.thumbs import write_before, write_thumb
from sigstyle.batches.trouble import check_still_writable, in_one_line
from sigstyle.errors import ImageError
from sigstyle.imaging.images import save_png
from sigstyle.parts import without_paths

_PENDING = 16
log = logging.getLogger("sigstyle.batch")


@dataclass(frozen=True)
class BatchResult:
    """A picture that was made, at `path` with its recipe inside, or the `error` because of which it was not.

    Units: seconds of painting, with its share of the inversion.
    """

    content: str
    style: str
    path: Path | None
    error: str | None
    seconds: float
    recipe: dict[str, Any] | None


@dataclass(frozen=True)
class UnwrittenPicture:
    """A picture to be written, with the photo it was made from. Units: seconds of painting."""

    output: Output
    image: Image.Image
    before: Image.Image
    recipe: dict[str, Any]
    seconds: float
    notice: str


class Writer:
    """Writes in a thread of its own, in order; a claim is given up when everything of its unit is on the disk."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batch-writer")
        self._pending: deque[Future[BatchResult | None]] = deque()
        self.lost: set[str] = set()  # names of pictures that were painted and could not be written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._pool.shutdown(wait=True)

    def picture(self, painted: UnwrittenPicture) -> None:
        """Write a picture, then its line."""
        self._submit(lambda: self._picture(painted))

    def failure(self, output: Output, error: str, seconds: float = 0.0) -> None:
        """Write the line of a picture that cannot be made."""
        self._submit(lambda: self._failure(output, error, seconds))

    def after(self, work: Callable[[], object]) -> None:
        """Do `work` when everything so far is written."""

        def nothing_to_report() -> None:
            work()

        self._submit(nothing_to_report)

    def results(self, wait: bool = False) -> Iterator[BatchResult]:
        """What was written since the last call, or with `wait` everything.

        Raises: ImageError when the folder cannot be written: a full disk ends the batch, it can go on later.
        """
        while self._pending and (wait or self._pending[0].done() or len(self._pending) > _PENDING):
            result = self._pending.popleft().result()
            if result is not None:
                yield result

    def _submit(self, work: Callable[[], BatchResult | None]) -> None:
        self._pending.append(self._pool.submit(work))

    def _picture(self, painted: UnwrittenPicture) -> BatchResult:
        """Write a picture, its small copies and its line; a file that is there meanwhile is never written over."""
        output, seconds = painted.output, painted.seconds
        path = self.folder / output.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not there(path):
                save_png(painted.image, path, painted.recipe)
            elif not _same_work(found_at(path).recipe, painted.recipe):
                raise ImageError(f"{path} is there meanwhile and was not made by this job: it was left alone. Move it.")
        except Exception as error:
            check_still_writable(self.folder, error)
            self.lost.add(output.name)
            return self._failure(output, in_one_line(error), seconds)
        self._small_copies(painted)
        more = {"notice": painted.notice} if painted.notice else {}
        self._line(line_of(output, painted.recipe, seconds=round(seconds, 3), **more))
        return BatchResult(output.photo.origin, output.look.style.name, path, None, seconds, painted.recipe)

    def _small_copies(self, painted: UnwrittenPicture) -> None:
        """Write what the gallery shows; without it a place there stays empty. Raises: ImageError."""
        output, image = painted.output, painted.image
        for write in (
            lambda: write_thumb(self.folder, output.name, image),
            lambda: write_before(self.folder, output.photo.label, painted.before, image.size),
        ):
            try:
                write()
            except Exception as error:
                check_still_writable(self.folder, error)
                log.debug("a small copy of %r cannot be written", output.name, exc_info=error)

    def _line(self, line: Line) -> None:
        """Add to the manifest; a line that is missing is made anew from the picture. Raises: ImageError."""
        try:
            self.manifest.append(line)
        except Exception as error:
            check_still_writable(self.folder, error)
            log.debug("a line of the manifest cannot be written", exc_info=error)

    def _failure(self, output: Output, error: str, seconds: float) -> BatchResult:
        self._line(line_of(output, None, error))
        return failed_result(output, error, seconds)


def failed_result(output: Output, error: str, seconds: float = 0.0) -> BatchResult:
    """What is given back for a picture that cannot be made."""
    return BatchResult(output.photo.origin, output.look.style.name, None, error, seconds, None)


def _same_work(found: dict[str, Any] | None, wanted: dict[str, Any]) -> bool:
    """Whether two recipes are of one picture, apart from who made it where."""
    keys = ("kind", "settings", "styles", "content", "loras", "prediction_type")
    told = [{key: recipe.get(key) for key in keys} for recipe in (found or {}, wanted)]
    for recipe in told:
        recipe["content"] = {**recipe["content"], "path": None} if isinstance(recipe["content"], dict) else None
        styles = recipe["styles"] if isinstance(recipe["styles"], list) else []
        recipe["styles"] = [style.get("hash") if isinstance(style, dict) else None for style in styles]
        recipe["loras"] = without_paths(recipe["loras"])
    return told[0] == told[1]


def clear_unfinished(folder: Path, unit: Unit) -> None:
    """Remove what a killed process left half written of a claimed unit's pictures."""
    for output in unit.outputs:
        path = folder / output.name
        if not there(path) and path.parent.is_dir():
            for place in path.parent.iterdir():
                if place.name.startswith(f".{path.name}.") and place.name.endswith(".tmp"):
                    place.unlink(missing_ok=True)

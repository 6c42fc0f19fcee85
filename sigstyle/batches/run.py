"""The work of one process: take a unit, read its photos, paint them in every look, hand the pictures to the writer."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from sigstyle.base.memory import give_back
from sigstyle.batches.claims import Claim, Claims
from sigstyle.batches.jobs import Output, Unit
from sigstyle.batches.manifest import Manifest
from sigstyle.batches.paint import Loaded, Painter, load_photo
from sigstyle.batches.photos import Photo
from sigstyle.batches.present import there
from sigstyle.batches.progress import Tally
from sigstyle.batches.trouble import in_one_line
from sigstyle.batches.write import BatchResult, UnwrittenPicture, Writer, clear_unfinished
from sigstyle.errors import Cancelled
from sigstyle.painting.luck import Chosen
from sigstyle.painting.sparing import Spared, sparing

log = logging.getLogger("sigstyle.batch")


class Reader:
    """Reads photos in a thread of its own, those of the unit that is likely next while one is being painted."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batch-reader")
        self._ahead: dict[str, Future[Loaded]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def expect(self, photos: Sequence[Photo]) -> None:
        """Begin to read these photos."""
        wanted = {photo.label for photo in photos}
        self._ahead = {label: future for label, future in self._ahead.items() if label in wanted}
        for photo in photos:
            if photo.label not in self._ahead:
                self._ahead[photo.label] = self._pool.submit(load_photo, photo)

    def get(self, photo: Photo) -> Loaded:
        """A photo, read now unless it was expected. Raises: ImageError."""
        future = self._ahead.pop(photo.label, None) or self._pool.submit(load_photo, photo)
        return future.result()


@dataclass
class Worker:
    """One process at work on the units of a job."""

    folder: Path
    claims: Claims
    painter: Painter
    tally: Tally
    should_stop: Callable[[], bool]
    manifest: Manifest
    blocked: Sequence[tuple[Output, str]] = ()  # pictures in whose place something else lies, and what
    _writer: Writer = field(init=False)
    _reader: Reader = field(init=False)
    _failures: list[str] = field(init=False, default_factory=list)
    _held: list[Claim] = field(init=False, default_factory=list)

    @property
    def lost(self) -> set[str]:
        """Names of pictures that were painted and could not be written."""
        return self._writer.lost

    def run(self) -> Iterator[BatchResult]:
        """Work until nothing is left for this process; what it made, as soon as it is on the disk.

        Raises: Cancelled when stopped, ImageError when pictures cannot be written.
        """
        self._writer, self._reader = Writer(self.folder, self.manifest), Reader()
        try:
            with self._writer, self._reader:
                for output, why in self.blocked:
                    self._writer.failure(output, why)
                for claim in self.claims.take(self.should_stop, self.tally.look):
                    self._held.append(claim)
                    for _ in self._unit(claim):
                        yield from self._results()
                    self._finish(claim)
                    self.tally.look()
                yield from self._results(wait=True)
            if self.should_stop():
                raise Cancelled("The batch was stopped; the same call goes on with the rest.")
        finally:
            for claim in self._held:
                claim.release()

    def _results(self, wait: bool = False) -> Iterator[BatchResult]:
        """What was written meanwhile. Raises: ImageError when pictures cannot be written."""
        for result in self._writer.results(wait):
            if result.error is not None and result.seconds:
                self.tally.lost(1)
            yield result

    def _finish(self, claim: Claim) -> None:
        """Gives the unit up once everything is written; with failures it is marked, so that nobody tries it again."""
        failures, self._failures = self._failures, []

        def give_up() -> None:
            if failures or any(output.name in self._writer.lost for output in claim.unit.outputs):
                self.claims.failed(claim.unit)
            claim.release()

        self._writer.after(give_up)

    def _unit(self, claim: Claim) -> Iterator[None]:
        """Paints the pictures of a unit that are missing, yielding after each group. Raises: Cancelled."""
        self.painter.forget()
        try:
            clear_unfinished(self.folder, claim.unit)
        except OSError as error:
            log.debug("temporary files cannot be removed", exc_info=error)
        loaded = self._loaded(claim)
        yield
        if claim.upcoming is not None:
            self._reader.expect(claim.upcoming.photos)
        for outputs in _by_look(claim.unit):
            here = [loaded[output.photo.label] for output in outputs if output.photo.label in loaded]
            by_label = {output.photo.label: output for output in outputs}
            for group in self._groups(here, by_label):
                wanted = [by_label[photo.photo.label] for photo in group]
                if not all(there(self.folder / output.name) for output in wanted):
                    self._paint(group, wanted)
                    yield

    def _groups(self, here: list[Loaded], outputs: dict[str, Output]) -> list[list[Loaded]]:
        """Photos that can be painted together; those that cannot be made ready have failed."""
        able = []
        for loaded in here:
            output = outputs[loaded.photo.label]
            try:
                self.painter.alike([loaded], output.config)
                able.append(loaded)
            except Exception as error:
                self._failed(output, error)
        return self.painter.alike(able, outputs[able[0].photo.label].config) if able else []

    def _loaded(self, claim: Claim) -> dict[str, Loaded]:
        """The unit's photos that can be read, by label; the others' pictures have failed."""
        loaded = {}
        for photo in claim.unit.photos:
            try:
                loaded[photo.label] = self._reader.get(photo)
            except Exception as error:
                for output in claim.unit.outputs:
                    if output.photo is photo or output.photo.label == photo.label:
                        self._failed(output, error)
        return loaded

    def _paint(self, group: list[Loaded], outputs: list[Output]) -> None:
        """Paints one look of photos of one size; all rows are painted even if some pictures exist, as rounding
        depends on how many there are. Raises: Cancelled."""
        started = time.monotonic()
        look, config = outputs[0].look, outputs[0].config

        def watch(done: int, total: int) -> None:
            self.tally.painting(len(outputs) * done / total)

        def paint(size_px: int | None) -> list[Chosen]:
            return self.painter.paint(group, look, replace(config, size_px=size_px), watch, self.should_stop)

        spared = None
        try:
            if len(group) > 1:  # where memory is short for all together, each alone comes first
                spared = Spared(paint(config.size_px), config.size_px)
            else:
                spared = sparing(self.painter.base, config.size_px, paint)
        except Cancelled:
            raise Cancelled("The batch was stopped; the same call goes on with the rest.") from None
        except Exception as error:
            if len(group) == 1:
                self._failed(outputs[0], error)
                return
            log.debug("a group failed; its photos are painted one by one", exc_info=error)
        if spared is None:  # outside of the handler: the error holds on to what was there when it was raised
            give_back()
            for loaded, output in zip(group, outputs, strict=True):
                if not there(self.folder / output.name):
                    self._paint([loaded], [output])
            return
        seconds = (time.monotonic() - started) / len(outputs)
        for loaded, output, taken in zip(group, outputs, spared.made, strict=True):
            if not there(self.folder / output.name):
                recipe = self.painter.recipe(loaded, look, taken.config, len(group)) | spared.entries | taken.entries
                about = self.painter.about(loaded, config)
                notice = " ".join([*about, *self.painter.notices, *taken.notices, *spared.notices])
                self._writer.picture(UnwrittenPicture(output, taken.image, loaded.image, recipe, seconds, notice))
        self.tally.finished([output.name for output in outputs], failed=False)

    def _failed(self, output: Output, error: Exception) -> None:
        """Report one picture and go on; a picture that exists from an earlier run is not touched."""
        if there(self.folder / output.name):
            return
        log.debug("%r failed", output.name, exc_info=error)
        text = in_one_line(error)
        self._failures.append(output.name)
        self._writer.failure(output, text)
        self.tally.finished([output.name], failed=True)


def _by_look(unit: Unit) -> list[list[Output]]:
    """The unit's outputs in groups of one look and settings, in the order in which they share inversions."""
    groups: dict[tuple, list[Output]] = {}
    for output in unit.outputs:
        groups.setdefault((output.look.label, output.config), []).append(output)
    return list(groups.values())

"""A complete run on the examples: a shipped style on a photo, then a painting's style, captured, on the same photo."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from sigstyle import api
from sigstyle.base.headers import STYLE
from sigstyle.base.model import BaseModel, load_base
from sigstyle.cli.console import Report
from sigstyle.cli.options import output_path
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.data import shipped_path
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.files import expanded, reason
from sigstyle.learning.loop import Progress
from sigstyle.style.shipped import shipped_styles
from sigstyle.style.style import Style

EXAMPLES = shipped_path("examples")
PHOTO = "content/neuschwanstein.jpg"
PAINTING = "style/hokusai-great-wave.jpg"
SHIPPED = "cafe-terrace"

Made = TypeVar("Made")


class Demo:
    """One run of the demo: its settings, the pictures it made and the seconds each part took."""

    def __init__(
        self,
        report: Report,
        folder: Path,
        capture: CaptureConfig,
        transfer: TransferConfig,
        overwrite: bool = False,
    ) -> None:
        self.report, self.folder, self.capture, self.transfer = report, _named(folder), capture, transfer
        self.overwrite = overwrite
        self.photo, self.painting = _example(PHOTO), _example(PAINTING)
        self.pictures: list[Path] = []
        self.seconds: dict[str, float] = {}
        self.notices: list[str] = []

    def run(self, base: str, device: torch.device | None, dtype: torch.dtype | None) -> dict[str, Any]:
        """Makes all pictures; what was made, as plain values.

        Raises: ConfigError when the base or an example is missing, or the folder cannot be made.
        """
        self._check_folder()
        loaded = self._timed("load the base", lambda: load_base(base, device, dtype))
        _make(self.folder)
        shipped = self._shipped_style(loaded)
        if shipped is not None:
            self._repaint(loaded, shipped, "shipped")
        self._repaint(loaded, self._captured(loaded), "captured")
        pictures = [str(picture) for picture in self.pictures]
        return {"pictures": pictures, "seconds": self.seconds, "notices": self.notices}

    def lines(self) -> list[str]:
        """What was made and how long each part took, to be read."""
        parts = [f"{part:<64} {seconds:6.1f} s" for part, seconds in self.seconds.items()]
        return [*parts, *(str(picture) for picture in self.pictures)]

    def _check_folder(self) -> None:
        """Raises ConfigError when the folder is there and holds something else under the names needed."""
        if self.folder.is_dir():
            for origin in ("shipped", "captured"):
                output_path(self._picture(origin), ".png", (), self.overwrite, ("transfer",))
            output_path(self._style, ".safetensors", (), self.overwrite, (STYLE,))

    def _picture(self, origin: str) -> Path:
        return self.folder / f"{self.photo.stem}-{origin}.png"

    @property
    def _style(self) -> Path:
        return self.folder / f"{self.painting.stem}.safetensors"

    def _shipped_style(self, base: BaseModel) -> Style | None:
        """The shipped style to show, or another one of this base; without any, a notice."""
        found = []
        for path in sorted(shipped_styles(), key=lambda path: path.stem != SHIPPED):
            try:
                found.append(Style.load(path))
            except StyleFileError as error:
                self._notice(str(error))
        preset = self.transfer.nearest
        fitting = [s for s in found if s.base_fingerprint == base.fingerprint and preset in s.abilities]
        if not fitting:
            self._notice(
                f"No style is shipped for the base {base.name} and the preset {preset}; that part is left out."
            )
        return next(iter(fitting), None)

    def _captured(self, base: BaseModel) -> Style:
        """The painting's style, learned from scratch and saved."""
        self.report.notice(f"Capturing {self.painting.name} …")
        with self.report.bar("capture") as update:

            def watch(progress: Progress) -> None:
                for notice in progress.notices:
                    self._notice(notice)
                update(progress.step, progress.steps, f"loss {progress.loss:.4f}")

            style = self._timed(
                f"capture {self.painting.name}, {self.capture.steps} steps",
                lambda: api.capture(
                    self.painting,
                    base=base,
                    config=self.capture,
                    on_progress=watch,
                ),
            )
        style.save(self._style)
        return style

    def _repaint(self, base: BaseModel, style: Style, origin: str) -> None:
        """The photo in `style`, which is 'shipped' or 'captured'."""
        self.report.notice(f"Putting the {origin} style {style.name} on {self.photo.name} …")
        with self.report.bar("transfer") as update:
            result = self._timed(
                f"put the {origin} style {style.name} on {self.photo.name}",
                lambda: api.transfer(self.photo, style, base=base, config=self.transfer, on_progress=update),
            )
        self.pictures += result.save(self._picture(origin))

    def _timed(self, part: str, work: Callable[[], Made]) -> Made:
        started = time.monotonic()
        made = work()
        self.seconds[part] = round(time.monotonic() - started, 1)
        return made

    def _notice(self, text: str) -> None:
        self.notices.append(text)
        self.report.notice(text)


def _example(name: str) -> Path:
    """An example image of the project. Raises: ConfigError when it is missing."""
    path = EXAMPLES / name
    if not path.is_file():
        raise ConfigError(f"The example {path} is missing. Get the repository or the package whole.")
    return path


def _named(folder: Path) -> Path:
    """The output folder with its ~ replaced. Raises: ConfigError for what no folder can be called."""
    try:
        return expanded(folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {reason(error)}. Choose another folder with -o.") from error


def _make(folder: Path) -> None:
    """Makes the output folder. Raises: ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {reason(error)}. Choose another folder with -o.") from error

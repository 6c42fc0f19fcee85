"""Captured styles, pictures and scores, each kept under a name that says what it depends on."""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sigstyle
from benchmarks.compare_methods import METHODS, Job, counted
from sigstyle.base.model import BaseModel
from sigstyle.config import CaptureConfig
from sigstyle.files import write_atomically
from sigstyle.imaging.images import read_recipe, save_png
from sigstyle.scoring.scores import Scorer, Scores
from sigstyle.style.style import Style

ROOT = Path(__file__).parent.parent


@dataclass
class Cache:
    """A folder with what was made already, each thing under a name that says what it depends on."""

    folder: Path
    base: BaseModel

    def style(self, image: Path, config: CaptureConfig) -> tuple[Style, float]:
        """The captured style of an image, and the seconds its capture took."""
        key = _digest(self.base.fingerprint, image.read_bytes(), config.to_dict(), _sources("learning/*.py"))
        place = self.folder / "styles" / f"{image.stem}-{key}.safetensors"
        timing = place.with_suffix(".json")
        if not (place.exists() and timing.exists()):
            place.parent.mkdir(parents=True, exist_ok=True)
            started = time.perf_counter()
            sigstyle.capture(image, base=self.base, name=image.stem, config=config).save(place)
            write_atomically(timing, json.dumps({"seconds": time.perf_counter() - started}).encode())
        return Style.load(place), json.loads(timing.read_text(encoding="utf-8"))["seconds"]

    def picture(self, name: str, job: Job) -> tuple[Path, dict[str, Any]]:
        """The picture a method makes, with its UNet evaluations and seconds."""
        method = METHODS[name]
        presets = {preset: job.settings(preset).to_dict() for preset in ("default", "paper")}
        captured = job.captured.hash if method.capture else None
        key = _digest(self.base.fingerprint, _hashes(job.content, job.style_image), captured, presets, _sources())
        place = self.folder / "pictures" / name / f"{job.content.stem}--{job.style_image.stem}-{key}.png"
        if place.exists():
            return place, read_recipe(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        with counted(self.base) as rows:
            started = time.perf_counter()
            image = method.make(job)
            seconds = time.perf_counter() - started
        facts = {"method": name, "evaluations": sum(rows), "seconds": seconds}
        save_png(image, place, facts)
        return place, facts

    def scores(self, scorer: Scorer, result: Path, job: Job) -> Scores:
        """The scores of a picture."""
        extra = [name for own in scorer.extras for name in own.meanings]
        key = _digest(_hashes(result, job.content, job.style_image), _sources("scoring/*.py"), extra)
        place = self.folder / "scores" / f"{key}.json"
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            made = scorer.score(result, job.content, job.style_image).to_dict()
            write_atomically(place, json.dumps(made).encode())
        return Scores.from_dict(json.loads(place.read_text(encoding="utf-8")))


def _digest(*parts: Any) -> str:
    plain = [part.hex() if isinstance(part, bytes) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def _hashes(*files: Path) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def _sources(pattern: str | None = None) -> str:
    """A hash of the code that makes pictures, or of that under `sigstyle` which a pattern names."""
    if pattern is not None:
        return _digest(_hashes(*sorted((ROOT / "sigstyle").glob(pattern))))
    rooms = ("imaging", "base", "style", "diffusion", "painting")
    files = [file for room in rooms for file in sorted((ROOT / "sigstyle" / room).glob("*.py"))]
    files += [Path(__file__).parent / "compare_methods.py", ROOT / "pipelines/pipeline_sigstyle.py"]
    return _digest(_hashes(*files))

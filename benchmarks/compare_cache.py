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
from sigstyle.learning.instant import known_hypernetwork
from sigstyle.scoring.scores import Scorer, Scores
from sigstyle.style.style import Style

ROOT = Path(__file__).parent.parent
_OF_REMEMBERING = tuple(
    f"learning/{name}.py" for name in ("batches", "learned", "learner", "lessons", "loop", "stepper")
)
_OF_REMEMBERING += ("style/hypernet.py", "style/offsets.py", "style/targets.py")
_OF_LEARNING = (*_OF_REMEMBERING, "learning/*.py", "imaging/*.py", "scoring/features.py", "scoring/style_loss.py")


@dataclass
class Cache:
    """A folder with what was made already, each thing under a name that says what it depends on."""

    folder: Path
    base: BaseModel

    def style(self, image: Path, config: CaptureConfig | None) -> tuple[Style, float]:
        """The captured style of an image, or where `config` is None the one at once; and the seconds it took."""
        if config is None:
            started = time.perf_counter()
            return sigstyle.capture(image, base=self.base, instant=True), time.perf_counter() - started
        sources = _sources(*(_OF_REMEMBERING if config.classic else _OF_LEARNING))
        begun = [known_hypernetwork(self.base).hash] if config.start == "instant" else []
        key = _digest(self.base.fingerprint, image.read_bytes(), config.to_dict(), sources, *begun)
        place = self.folder / "styles" / f"{image.stem}-{key}.safetensors"
        timing = place.with_suffix(".json")
        if not (place.exists() and timing.exists()):
            place.parent.mkdir(parents=True, exist_ok=True)
            started = time.perf_counter()
            state = place.with_suffix(".state")
            known = state.exists()  # of a capture that was stopped: only the seconds since then are counted
            made = sigstyle.capture(
                image, base=self.base, name=image.stem, config=config, state_path=state, resume=known
            )
            made.save(place)
            state.unlink(missing_ok=True)
            write_atomically(timing, json.dumps({"seconds": time.perf_counter() - started}).encode())
        return Style.load(place), json.loads(timing.read_text(encoding="utf-8"))["seconds"]

    def picture(self, name: str, job: Job) -> tuple[Path, dict[str, Any]]:
        """The picture a method makes, with its UNet evaluations and seconds."""
        method = METHODS[name]
        captured, settings = job.captured.hash if method.capture else None, dict(method.settings(job))
        made_by = _sources(*method.sources), _hashes(Path(__file__).parent / "compare_methods.py")
        key = _digest(self.base.fingerprint, _hashes(job.content, job.style_image), captured, settings, made_by)
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


def _sources(*patterns: str) -> str:
    """A hash of the code under `sigstyle` that the patterns name."""
    found = [sorted((ROOT / "sigstyle").glob(pattern)) for pattern in patterns]
    assert all(found), f"nothing is called like one of {patterns}"
    return _digest(_hashes(*(file for files in found for file in files)))

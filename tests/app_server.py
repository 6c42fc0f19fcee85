"""The real app on the embedded base, on a free port of this computer, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from random_style import random_style

from sigstyle.base.model import BaseModel, load_base

ROOT = Path(__file__).parent.parent
PHOTOS = ROOT / "examples" / "content"
PAINTINGS = ROOT / "examples" / "style"


@dataclass(frozen=True)
class Server:
    """A running app, its folder and its base."""

    url: str
    data: Path
    base: BaseModel

    def results(self) -> list[Path]:
        """Every picture anyone has made, oldest first."""
        return sorted(self.data.glob("people/*/results/*.png"), key=lambda path: path.stat().st_mtime_ns)

    def styles(self) -> list[Path]:
        """Every style anyone has of their own."""
        return sorted(self.data.glob("people/*/styles/*.safetensors"))


@contextmanager
def running(data: Path, *words: str) -> Iterator[Server]:
    """Starts the app with two styles that everyone has, and stops it."""
    import app

    base = load_base("mini", "cpu")
    (data / "styles").mkdir(parents=True)
    for seed, name in enumerate(("wave", "oil")):
        random_style(base, name, seed=seed, scale=0.05).save(data / "styles" / f"{name}.safetensors")
    options = app.arguments(["--data", str(data), "--device", "cpu", *words])
    demo: Any = app.start(options, prevent_thread_lock=True, quiet=True)
    try:
        yield Server(demo.local_url, data, base)
    finally:
        demo.close()

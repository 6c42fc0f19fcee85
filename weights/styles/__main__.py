"""Capture the shipped styles on the embedded base: ``python -m weights.styles`` (about 1½ minutes each on 2 cores)."""

from dataclasses import replace
from pathlib import Path

import torch
import typer

from sigstyle.api import capture
from sigstyle.base.model import load_base
from sigstyle.errors import StyleFileError
from sigstyle.imaging.images import load_image
from sigstyle.learning.measured import Measured
from sigstyle.scoring.features import style_features
from sigstyle.style.similar import look
from sigstyle.style.style import Style

FOLDER = Path(__file__).parent
PAINTINGS = FOLDER.parent.parent / "examples" / "style"
STYLES = {
    "cafe-terrace": "van-gogh-cafe-terrace",
    "church-auvers": "van-gogh-church-auvers",
    "composition-viii": "kandinsky-composition-viii",
    "great-wave": "hokusai-great-wave",
    "harvesters": "bruegel-harvesters",
    "poppies": "hokusai-poppies",
    "line-engraving": "daedalus-engraving",
    "moon-tarot": "smith-moon-and-six-of-cups",
    "summertime": "cassatt-summertime",
    "tarascon": "van-gogh-road-to-tarascon",
    "unicorn-tapestry": "lady-and-unicorn-tapestry",
    "woodcut": "leisler-woodcut",
}


def main(anew: bool = False, looks: bool = False) -> None:
    """Capture every style that is missing or of another base; all of them with --anew.

    With --looks nothing is captured: each style notes anew what its painting looks like, which search compares. That is
    for styles from before captures noted it, and for another hypernetwork.
    """
    if looks:
        return note_looks()
    base = load_base()
    for name, painting in STYLES.items():
        path = FOLDER / f"{name}.safetensors"
        if not anew and _fits(path, base.fingerprint):
            continue
        style = capture(PAINTINGS / f"{painting}.jpg", base=base, name=name)
        style.save(path)
        losses = [style.metadata[key] for key in ("loss_first", "loss_last")]
        typer.echo(f"{path.name}  {path.stat().st_size / 1000:.0f} kB, loss {losses[0]:.4f} to {losses[1]:.4f}")


def note_looks(folder: Path = FOLDER) -> None:
    """Write into every style of `folder` what its painting looks like; hash and checksum stay."""
    for name, painting in STYLES.items():
        style = Style.load(folder / f"{name}.safetensors")
        measured = Measured.on([load_image(PAINTINGS / f"{painting}.jpg")], style_features(), torch.device("cpu"))
        replace(style, metadata=style.metadata | look(measured.vector)).save(folder / f"{name}.safetensors")
        typer.echo(f"{name} notes what it looks like")


def _fits(path: Path, fingerprint: str) -> bool:
    """Whether there is a usable style of this base."""
    try:
        style = Style.load(path)
        return style.base_fingerprint == fingerprint and style.palette is not None
    except StyleFileError:
        return False


if __name__ == "__main__":
    typer.run(main)

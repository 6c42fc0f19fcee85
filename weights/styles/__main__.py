"""Capture the shipped styles on the embedded base: ``python -m weights.styles`` (about 1½ minutes each on 2 cores)."""

from pathlib import Path

import typer

from sigstyle.api import capture
from sigstyle.base.model import load_base
from sigstyle.errors import StyleFileError
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


def main(anew: bool = False) -> None:
    """Capture every style that is missing or of another base; all of them with --anew."""
    base = load_base()
    for name, painting in STYLES.items():
        path = FOLDER / f"{name}.safetensors"
        if not anew and _fits(path, base.fingerprint):
            continue
        style = capture(PAINTINGS / f"{painting}.jpg", base=base, name=name)
        style.save(path)
        losses = [style.metadata[key] for key in ("loss_first", "loss_last")]
        typer.echo(f"{path.name}  {path.stat().st_size / 1000:.0f} kB, loss {losses[0]:.4f} to {losses[1]:.4f}")


def _fits(path: Path, fingerprint: str) -> bool:
    """Whether there is a usable style of this base."""
    try:
        style = Style.load(path)
        return style.base_fingerprint == fingerprint and style.palette is not None
    except StyleFileError:
        return False


if __name__ == "__main__":
    typer.run(main)

"""The styles command: what styles there are, and which of them look like an image."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigstyle.cli.console import Report
from sigstyle.cli.options import AsJson, Quiet

if TYPE_CHECKING:
    from sigstyle.style.style import Style

Like = Annotated[
    str | None, typer.Option(metavar="IMAGE_OR_STYLE", help="sort them by how much they look like it, likest first")
]
Folder = Annotated[
    list[Path] | None, typer.Option(metavar="DIR", help="look in this folder too, beside those that ship; repeatable")
]


def styles(
    like: Like = None,
    folder: Folder = None,
    count: Annotated[int | None, typer.Option(min=1, help="show at most so many")] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """List the styles there are: those that ship, and those in your folders."""
    from sigstyle.learning.likeness import similar_styles, styles_in
    from sigstyle.style.shipped import STYLES_FOLDER

    report = Report(quiet, as_json)
    found: list[tuple[Path, Style]] = []
    for place in (STYLES_FOLDER, *(folder or [])):
        usable, unusable = styles_in(place)
        found += usable
        for sentence in unusable:
            report.notice(f"left out: {sentence}")
    if like is None:
        return _show(report, [(path, style, None) for path, style in found[:count]])
    similar = similar_styles(_opened(like), [style for _, style in found])
    places = {id(style): path for path, style in found}
    silent = {id(style) for _, style in found} - {id(one.style) for one in similar}
    names = ", ".join(style.name for _, style in found if id(style) in silent)
    if names:
        report.notice(f"left out, as they do not say what they look like: {names}. Capture them again to have them.")
    _show(report, [(places[id(one.style)], one.style, one.likeness) for one in similar[:count]])


def _opened(like: str) -> "Path | Style":
    """What to compare with: a style by file or by the name of one that ships, else the image at a path."""
    from sigstyle.style.shipped import open_style, shipped_styles

    named = like in [path.stem for path in shipped_styles()] and not Path(like).exists()
    return open_style(like) if named or like.endswith(".safetensors") else Path(like)


def _show(report: Report, rows: Sequence[tuple[Path, "Style", float | None]]) -> None:
    entries = [
        {"style": str(path), "name": style.name, "hash": style.hash, "base": style.base_name}
        | ({} if likeness is None else {"likeness": round(likeness, 3)})
        for path, style, likeness in rows
    ]
    lines = [
        f"{'' if likeness is None else f'{likeness:6.2f}  '}{style.name}  {path}" for path, style, likeness in rows
    ]
    report.result(lines or ["none"], {"styles": entries}, written=False)

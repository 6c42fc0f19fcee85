"""The texture command: a style in, a surface in that style out."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sigstyle.cli.console import Report
from sigstyle.cli.options import (
    AsJson,
    Overwrite,
    Prepared,
    Quiet,
    files_of_styles,
    lora_files,
    output_path,
    split_weights,
)
from sigstyle.config import TextureConfig

_SIZE = TextureConfig().size_px


def texture(
    styles: Annotated[
        list[str],
        typer.Argument(metavar="STYLE[:WEIGHT]...", help="style file or name of a shipped style; several are blended"),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="TILE.png", help="where the picture goes")],
    size: Annotated[int, typer.Option(help="side of the picture in pixels")] = _SIZE,
    base: Annotated[str | None, typer.Option(help="'mini', a folder, a checkpoint, a hub id; the style's own")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    *,
    prepared: Prepared,
    **settings: Any,
) -> None:
    """Paint a surface in a style, without a photo: a tile without a seam for games and print, or a sheet."""
    started, config = time.monotonic(), TextureConfig.from_dict({**settings, "size_px": size})
    read = [*files_of_styles(styles), *lora_files(prepared)]
    output = output_path(output, ".png", read, overwrite, ("texture",))
    paths, weights = split_weights(styles)
    report = Report(quiet, as_json)
    from sigstyle.textures import texture as painted

    given: dict[str, Any] = {"weights": weights, "base": base, "config": config, **prepared}
    with report.bar("texture") as update:
        result = painted(paths, **given, on_progress=update)
    for notice in result.notices:
        report.notice(notice)
    written = [str(path) for path in result.save(output)]
    seconds = time.monotonic() - started
    data = {"images": written, "notices": result.notices, "recipe": result.recipe, "seconds": round(seconds, 2)}
    report.result([f"{path}  {seconds:.1f} s" for path in written], data)

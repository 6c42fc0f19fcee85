"""The rename command: a style file under another name."""

from pathlib import Path
from typing import Annotated

import typer

from sigstyle.cli.console import Report
from sigstyle.cli.options import AsJson, Quiet
from sigstyle.errors import StyleFileError

StyleFile = Annotated[Path, typer.Argument(metavar="STYLE", help="style file")]
NewName = Annotated[str, typer.Argument(metavar="NEW_NAME", help="what the style is to be called")]


def rename(style: StyleFile, new_name: NewName, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """Call a style differently: the name inside its file changes, the file stays where it is.

    Token and hash stay too, so prompts and recipes that name them go on working.
    """
    from sigstyle.style.shipped import STYLES_FOLDER, existing_style, style_file
    from sigstyle.style.style import Style

    path = style_file(style)
    if not path.exists():
        existing_style(str(style))
        raise StyleFileError(f"{style} comes with SigStyle and stays as it is; expected a style file of your own.")
    place = path.resolve()  # a link keeps pointing at the file
    if place.parent == STYLES_FOLDER.resolve():
        raise StyleFileError(f"{path} comes with SigStyle and stays as it is. Copy it, and rename the copy.")
    opened = Style.load(place)
    renamed = opened.renamed(new_name)
    renamed.save(place)
    token = renamed.token.token
    data = {"style": str(path), "name": renamed.name, "was": opened.name, "token": token, "hash": renamed.hash}
    Report(quiet, as_json).result([f"{path}  {renamed.name}, which was {opened.name}; its token stays {token}"], data)

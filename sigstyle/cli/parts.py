"""Flags that say which part of a photo is painted, and in what: places, regions, gradients, textures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from sigstyle.errors import ConfigError
from sigstyle.places import is_place

Subject = Annotated[bool, typer.Option("--subject", help="paint the photo's subject alone; found by itself")]
Background = Annotated[bool, typer.Option("--background", help="paint all but the photo's subject")]
Point = Annotated[
    str | None, typer.Option(metavar="X,Y", help="paint what is at this point, in pixels or as in 50%,10%")
]
Box = Annotated[str | None, typer.Option(metavar="X,Y,W,H", help="paint the object in this box, in pixels or %")]
Regions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WHERE=STYLE",
        help="a style of its own for a part of the photo: a mask, subject, background, X,Y or X,Y,W,H; repeatable, "
        "later ones lie over earlier ones; without -s the rest stays the photo",
    ),
]
Gradient = Annotated[
    str | None,
    typer.Option(metavar="left-right|top-bottom|ANGLE", help="lead from each -s to the next across the picture"),
]
PaletteFrom = Annotated[
    str | None, typer.Option(metavar="STYLE", help="take the colours of this style, and all else of -s")
]
TextureOn = Annotated[
    str | None,
    typer.Option(
        metavar="PICTURE|style",
        help="lay this surface, or one painted in -s, on what is painted, and keep its shading and form",
    ),
]
StylesBesideRegions = Annotated[
    list[str] | None,
    typer.Option(
        "--style",
        "-s",
        metavar="STYLE[:WEIGHT]",
        help="style file or name of a shipped style; repeatable; may be left out where there are regions",
    ),
]


@dataclass(frozen=True)
class GivenParts:
    """What the flags say, as `sigstyle.transfer` takes it, and the files that are read for it."""

    arguments: dict[str, Any]
    files: list[str]

    def check_none(self, flag: str) -> None:
        """Raises: ConfigError where there is any, which does not go with `flag`."""
        given = [f"--{name.rstrip('s').replace('_', '-')}" for name, value in self.arguments.items() if value]
        if given:
            raise ConfigError(f"{', '.join(given)} is given with {flag}, which paints whole pictures; leave it out.")


def place_setting(subject: bool, background: bool, point: str | None, box: str | None, where: str | None) -> dict:
    """The setting `where` of these flags. Raises: ConfigError for two of them, or another count of numbers."""
    for flag, value, count in (("--point", point, 2), ("--box", box, 4)):
        if value is not None and len(value.split(",")) != count:
            raise ConfigError(f"{flag} is {value[:60]!r}; expected {'X,Y' if count == 2 else 'X,Y,W,H'}.")
    named = [("subject" if subject else None), ("background" if background else None), point, box, where or None]
    found = [value for value in named if value is not None]
    if len(found) > 1:
        raise ConfigError(f"{' and '.join(found)} are given at once; expected one place. Use --region for several.")
    return {"where": found[0]} if found else {}


def given_parts(
    regions: list[str] | None, gradient: str | None, palette_from: str | None, texture: str | None
) -> GivenParts:
    """What these flags say. Raises: ConfigError for a region that is not WHERE=STYLE."""
    from sigstyle.style.shipped import existing_style

    pairs = []
    for text in regions or []:
        where, equals, style = text.rpartition("=")
        if not (where and equals and style):
            raise ConfigError(f"A region is {text[:80]!r}; expected WHERE=STYLE, such as subject=great-wave.")
        pairs.append((where if is_place(where) else Path(where), existing_style(style)))
    colours = None if palette_from is None else existing_style(palette_from)
    files = [str(where) for where, _ in pairs if isinstance(where, Path)] + [style for _, style in pairs]
    files += [name for name in (palette_from, texture) if name and name != "style"]
    arguments = {"regions": pairs, "gradient": gradient, "palette_from": colours, "texture": texture}
    return GivenParts(arguments, files)

"""Which photo and which style image a result belongs to, and the scores of whole folders."""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigstyle.errors import ConfigError, ImageError, SigStyleError
from sigstyle.files import possible
from sigstyle.imaging.images import read_recipe
from sigstyle.imaging.opening import read_picture
from sigstyle.scoring.scores import Scorer, Scores

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif")


@dataclass(frozen=True)
class Pair:
    """A result with the photo it was made from and the style image it is to look like."""

    result: Path
    content: Path
    style: Path


def pictures(folder: Path) -> list[Path]:
    """The pictures in a folder, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.is_file())


def pair_of(result: Path, content: Path | None = None, style: Path | None = None) -> Pair:
    """The pair of a result; `content` and `style` are files, folders to look in, or None to go by the recipe alone.

    Raises: ConfigError when the recipe does not lead to a file, ImageError when it is needed and there is none.
    """
    whole = all(path is not None and not path.is_dir() for path in (content, style))
    recipe = {} if whole else _recipe(result)
    return Pair(result, _content(result, recipe, content), _style(result, recipe, style))


def _recipe(result: Path) -> Mapping[str, Any]:
    try:
        return read_recipe(result)
    except ImageError as error:
        raise ImageError(f"{error} Or say what it was made from, with --content and --style.") from error


def _texts(entry: Any) -> Mapping[str, str]:
    """What a recipe's entry says in words; a file may hold anything there."""
    return {key: value for key, value in entry.items() if isinstance(value, str)} if isinstance(entry, dict) else {}


def _content(result: Path, recipe: Mapping[str, Any], given: Path | None) -> Path:
    entry = _texts(recipe.get("content"))
    return _file(result, "photo", "--content", given, entry.get("path"), entry.get("sha256"), stem=None)


def _style(result: Path, recipe: Mapping[str, Any], given: Path | None) -> Path:
    entries = recipe.get("styles")
    entries = entries if isinstance(entries, list) and entries else [{}]
    if given is not None and not given.is_dir():
        return given
    if len(entries) > 1:
        raise ConfigError(f"{result.name} is in a blend of {len(entries)} styles; say which image it is to look like.")
    entry = _texts(entries[0])
    named = entry.get("path")
    image = named if named and Path(named).suffix.lower() in PICTURES else None
    stem = entry.get("name") or (Path(named).stem if named else None)
    return _file(result, "style image", "--style", given, image, entry.get("sha256"), stem)


def _file(
    result: Path, kind: str, flag: str, given: Path | None, named: str | None, digest: str | None, stem: str | None
) -> Path:
    """The file given, or the one in the folder given or at the recipe's own place. Raises: ConfigError."""
    if given is not None and not given.is_dir():
        return given
    stem = Path(named).stem if named else stem
    places = [path for path in pictures(given) if path.stem == stem] if given else [Path(named)] if named else []
    found = next((path for path in places if os.path.isfile(path)), None)  # False for what no path can be
    if found is None:
        where = f"in {given}" if given else "where its recipe says"
        raise ConfigError(f"The {kind} of {result.name} ({stem or 'unnamed'}) is not {where}; give it with {flag}.")
    if digest and hashlib.sha256(read_picture(found)).hexdigest() != digest:
        raise ConfigError(f"{found} has changed since {result.name} was made from it; give the {kind} with {flag}.")
    return found


def evaluate(
    result: str | Path,
    content: str | Path | None = None,
    style: str | Path | None = None,
    scorer: Scorer | None = None,
) -> Scores:
    """The scores of one result; what is not given comes from the recipe in its PNG. Raises: ConfigError, ImageError."""
    given = (None if path is None else possible(path) for path in (content, style))
    pair = pair_of(possible(result), *given)
    return (scorer or Scorer()).score(pair.result, pair.content, pair.style)


def evaluate_folder(
    folder: str | Path,
    content: str | Path | None = None,
    style: str | Path | None = None,
    scorer: Scorer | None = None,
    on_skip: Callable[[Path, SigStyleError], None] = lambda path, error: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[Path, Scores]:
    """The scores of every result in a folder; `on_skip` hears of those whose pair is not found.

    Raises: ConfigError when there is nothing to score.
    """
    results = pictures(possible(folder))
    scorer, scored = scorer or Scorer(), {}
    for done, path in enumerate(results):
        on_progress(done, len(results))
        try:
            scored[path] = evaluate(path, content, style, scorer)
        except (ConfigError, ImageError) as error:
            on_skip(path, error)
    on_progress(len(results), len(results))
    if not scored:
        raise ConfigError(f"Nothing in {folder} can be scored; give the photo with --content, the image with --style.")
    return scored


def mean(scores: list[Scores]) -> Scores:
    """The mean of each distance."""
    rows = [score.to_dict() for score in scores]
    return Scores.from_dict({name: sum(row[name] for row in rows) / len(rows) for name in rows[0]})

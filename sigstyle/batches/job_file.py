"""Job files: a CSV or JSONL table with one line for each photo, with its styles and settings."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sigstyle.batches.jobs import Output, Photo, looks_of
from sigstyle.batches.names import photo_labels
from sigstyle.batches.sheet import SHEET_NAME
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.files import read_regular, reason
from sigstyle.settings import field_type, settable
from sigstyle.style.style import Style

_MAX_FILE_BYTES = 64 * 2**20
_SETTINGS = {entry.name: field_type(entry) for entry in settable(TransferConfig)}
COLUMNS = ("content", "style", "output", *_SETTINGS)

OpenStyle = Callable[[str], tuple[Style, str | None]]  # the style, and what it was asked for by


@dataclass(frozen=True)
class Row:
    """One line of a job file. `styles` is empty where the command's are meant; `where` names the line in messages."""

    where: str
    content: Path
    styles: tuple[str, ...]
    output: str
    settings: Mapping[str, Any]


def read_jobs(path: Path) -> list[Row]:
    """The rows of a .csv or .jsonl file; paths in it count from its folder.

    Raises: ConfigError, naming the row, for anything that is not as expected.
    """
    path = path.expanduser()
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows}
    if path.suffix.lower() not in readers:
        raise ConfigError(f"The job file is {path.name}; expected a name that ends in .csv or .jsonl.")
    try:
        text = read_regular(path, _MAX_FILE_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"The job file {path} cannot be read: {why}.") from error
    rows = [_row(path, where, values) for where, values in readers[path.suffix.lower()](path, text)]
    if not rows:
        raise ConfigError(f"{path.name} has no rows; expected one line for each photo.")
    return rows


def _csv_rows(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    """(where, values) of each line; a comma or, as spreadsheets of some countries write, a semicolon separates."""
    header = text.partition("\n")[0]
    delimiter = ";" if ";" in header and "," not in header else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    try:
        _check_columns(f"{path.name}, header", [name.strip() for name in reader.fieldnames or []])
        for values in reader:
            where = f"{path.name}, row {reader.line_num}"
            if None in values:
                raise ConfigError(f"{where} has more cells than the header; put text with '{delimiter}' in quotes.")
            given = {name.strip(): cell.strip() for name, cell in values.items() if cell and cell.strip()}
            rows.append((where, _typed(where, given)))
    except csv.Error as error:
        raise ConfigError(f"{path.name}, row {reader.line_num + 1} is no CSV: {error}.") from error
    return [(where, values) for where, values in rows if values]


def _typed(where: str, cells: Mapping[str, str]) -> dict[str, Any]:
    """Cells as the settings' types. Raises: ConfigError."""
    values: dict[str, Any] = dict(cells)
    for name in cells.keys() & _SETTINGS.keys():
        kind = _SETTINGS[name]
        try:
            values[name] = kind(cells[name])
        except ValueError as error:
            noun = "a number" if kind is float else "a whole number"
            raise ConfigError(f"{where}: {name} is {cells[name]!r}; expected {noun}.") from error
    if "style" in values:
        values["style"] = [part.strip() for part in cells["style"].split("|") if part.strip()]
    return values


def _jsonl_rows(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    """(where, values) of each line that is not blank."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{path.name}, row {number}"
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{where} is no JSON: {error}.") from error
        if not isinstance(values, dict):
            raise ConfigError(f'{where} is {line.strip()[:40]!r}; expected an object such as {{"content": …}}.')
        _check_columns(where, list(values))
        rows.append((where, {name: value for name, value in values.items() if value is not None}))
    return rows


def _check_columns(where: str, names: Sequence[str]) -> None:
    unknown = sorted(set(names) - set(COLUMNS))
    if unknown or (len(names) != len(set(names))):
        problem = f"has the unknown column {unknown[0]!r}" if unknown else "names a column twice"
        raise ConfigError(f"{where} {problem}; expected some of {', '.join(COLUMNS)}.")


def _row(path: Path, where: str, values: dict[str, Any]) -> Row:
    """Raises: ConfigError."""
    content, styles, output = values.pop("content", None), values.pop("style", ()), values.pop("output", "")
    if not isinstance(content, str) or not content:
        raise ConfigError(f"{where}: content is {content!r}; expected the path of a photo.")
    styles = (styles,) if isinstance(styles, str) else styles
    if not isinstance(styles, list | tuple) or not all(isinstance(style, str) and style for style in styles):
        raise ConfigError(f"{where}: style is {styles!r}; expected a style file, a shipped style's name, or a list.")
    return Row(where, path.parent / Path(content).expanduser(), tuple(styles), _output(where, output), values)


def _output(where: str, name: Any) -> str:
    """A name inside the output folder that ends in .png, or ''. Raises: ConfigError."""
    if name == "":
        return ""
    place = PurePosixPath(name) if isinstance(name, str) and name.isprintable() and "\\" not in name else None
    if place is None or place.is_absolute() or any(part.startswith(".") for part in place.parts):
        raise ConfigError(f"{where}: output is {name!r}; expected a name such as cat-wave.png, inside the folder.")
    named = str(place if place.suffix.lower() == ".png" else place.with_name(place.name + ".png"))
    if SHEET_NAME.fullmatch(named):
        raise ConfigError(f"{where}: output is {name!r}, the name of a contact sheet; expected another name.")
    return named


def outputs_of(
    rows: Sequence[Row], styles: Sequence[tuple[Style, str | None]], config: TransferConfig, open_style: OpenStyle
) -> list[Output]:
    """The pictures the rows ask for, in `styles` where a row names none, with the rows' settings on top of `config`.

    Raises: ConfigError, naming the row, for unusable settings and styles.
    """
    opened: dict[str, tuple[Style, str | None]] = {}
    wanted: list[tuple[Row, TransferConfig, tuple[Style, str | None]]] = []
    for row in rows:
        try:
            settings = TransferConfig.from_dict({**config.to_dict(), **row.settings})
            for name in row.styles:
                opened[name] = opened.get(name) or open_style(name)
        except (ConfigError, StyleFileError) as error:
            raise ConfigError(f"{row.where}: {error}") from error
        own = [opened[name] for name in row.styles] or list(styles)
        if not own:
            raise ConfigError(f"{row.where} has no style; name one there or give styles for all rows.")
        if row.output and len(own) > 1:
            raise ConfigError(f"{row.where} has one output for {len(own)} styles; give it one style or no output.")
        wanted += [(row, settings, style) for style in own]
    photos, looks = _photos(rows), looks_of([style for _, _, style in wanted])
    return [
        Output(photos[row.content], look, settings, row.output, f"{row.where} ({look.label})")
        for (row, settings, _), look in zip(wanted, looks, strict=True)
    ]


def _photos(rows: Sequence[Row]) -> dict[Path, Photo]:
    paths = list(dict.fromkeys(row.content for row in rows))
    labels = photo_labels(paths, None)
    return {path: Photo(path, str(path), label) for path, label in zip(paths, labels, strict=True)}


def style_beside(jobs: Path, name: str) -> str:
    """A style's path when it lies where the job file says, otherwise its name as it was given."""
    beside = jobs.expanduser().parent / Path(name).expanduser()
    return str(beside) if beside.is_file() else name

"""Job files: a CSV or JSONL table with one line for each photo, with its styles and settings."""

import csv
import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sigstyle.batches.claims import HIDDEN
from sigstyle.batches.gallery import GALLERY
from sigstyle.batches.jobs import Look, Output, labelled
from sigstyle.batches.manifest import MANIFEST
from sigstyle.batches.names import photo_identity, photo_labels
from sigstyle.batches.photos import Photo
from sigstyle.batches.sheet import SHEET_NAME
from sigstyle.batches.thumbs import THUMBS
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError, StyleFileError, first_line
from sigstyle.files import read_regular, reason, split_weight
from sigstyle.names import LONGEST_BYTES, file_part, is_file_part
from sigstyle.settings import field_type, settable
from sigstyle.style.lora_file import Weighted, weighted
from sigstyle.style.style import Style
from sigstyle.text import parsed_json

_MAX_FILE_BYTES = 64 * 2**20
_MAX_TEXT = 10_000  # letters of a cell
_SHOWN = 60  # letters of a cell in a message
_ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_OWN = {THUMBS, GALLERY, MANIFEST, HIDDEN}
_SETTINGS = {entry.name: field_type(entry) for entry in settable(TransferConfig)}
_SETTINGS |= {name: _SETTINGS[alias.field] for name, alias in TransferConfig.aliases().items()}
_LISTS = ("style", "lora")
COLUMNS = ("content", *_LISTS, "output", *_SETTINGS)

OpenStyle = Callable[[str], tuple[Style, str | None]]  # the style, and what it was asked for by


@dataclass(frozen=True)
class Row:
    """One line of a job file. `styles` and `loras` are empty where the command's are meant; `where` names the line."""

    where: str
    content: Path
    styles: tuple[str, ...]
    output: str
    settings: Mapping[str, Any]
    loras: tuple[str, ...] = ()


def read_jobs(path: Path) -> list[Row]:
    """The rows of a .csv or .jsonl file; paths in it count from its folder.

    Raises: ConfigError, naming the row, for anything that is not as expected.
    """
    try:
        path = path.expanduser()
    except RuntimeError as error:
        raise ConfigError(f"The job file {path} cannot be read: there is no user {path.parts[0]}.") from error
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows}
    if path.suffix.lower() not in readers:
        raise ConfigError(f"The job file is {path.name}; expected a name that ends in .csv or .jsonl.")
    try:
        text = read_regular(path, _MAX_FILE_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"The job file {path} cannot be read: it is not UTF-8 text.") from error
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
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
            _check_plain(where, given)
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
    for name in cells.keys() & set(_LISTS):
        values[name] = [part.strip() for part in cells[name].split("|") if part.strip()]
    return values


def _jsonl_rows(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    """(where, values) of each line that is not blank."""
    rows = []
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON may hold letters that it splits at
        where = f"{path.name}, row {number}"
        if not line.strip():
            continue
        try:
            values = parsed_json(line)
        except ValueError as error:
            raise ConfigError(f"{where} is no usable JSON: {error}.") from error
        if not isinstance(values, dict):
            raise ConfigError(f'{where} is {line.strip()[:40]!r}; expected an object such as {{"content": …}}.')
        _check_columns(where, list(values))
        _check_plain(where, values)
        rows.append((where, {name: value for name, value in values.items() if value is not None}))
    return rows


def _check_plain(where: str, values: Mapping[str, Any]) -> None:
    """Raises: ConfigError for a value no setting can have, before anything is done with it."""
    for name, value in values.items():
        for item in value if isinstance(value, list) and name in _LISTS else [value]:
            if isinstance(item, list | dict):
                raise ConfigError(
                    f"{where}: {name} holds {'a list' if isinstance(item, list) else 'an object'}; expected one value."
                )
            if isinstance(item, int) and abs(item) >= 2**63:
                raise ConfigError(f"{where}: {name} is far too large; expected a number of at most 18 digits.")
            if isinstance(item, str):
                _check_text(where, name, item)


def _check_text(where: str, name: str, text: str) -> None:
    """Raises: ConfigError for text that is no name and no prompt."""
    odd = next((letter for letter in text if _ODD.match(letter)), None)
    if odd is not None:
        kind = "half a letter (a lone surrogate)" if "\ud800" <= odd <= "\udfff" else "a control character"
        raise ConfigError(f"{where}: {name} holds {kind}, \\u{ord(odd):04x}; expected plain text.")
    if len(text) > _MAX_TEXT:
        raise ConfigError(f"{where}: {name} has {len(text)} letters; expected at most {_MAX_TEXT}.")


def _check_columns(where: str, names: Sequence[str]) -> None:
    unknown = sorted(set(names) - set(COLUMNS))
    if unknown or (len(names) != len(set(names))):
        problem = f"has the unknown column {unknown[0][:_SHOWN]!r}" if unknown else "names a column twice"
        raise ConfigError(f"{where} {problem}; expected some of {', '.join(COLUMNS)}.")


def _row(path: Path, where: str, values: dict[str, Any]) -> Row:
    """Raises: ConfigError."""
    content, output = values.pop("content", None), values.pop("output", "")
    if not isinstance(content, str) or not content:
        raise ConfigError(f"{where}: content is {content!r}; expected the path of a photo.")
    styles = _texts(where, "style", values.pop("style", ()), "a style file, a shipped style's name, or a list")
    loras = _texts(where, "lora", values.pop("lora", ()), "FILE or FILE:WEIGHT of a LoRA, or a list")
    try:
        place = path.parent / Path(content).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{where}: content is {content!r}, and there is no such user; give a path.") from error
    return Row(where, place, styles, _output(where, output), values, loras)


def _texts(where: str, name: str, given: Any, expected: str) -> tuple[str, ...]:
    """One text or several. Raises: ConfigError."""
    texts = (given,) if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text for text in texts):
        raise ConfigError(f"{where}: {name} is {given!r}; expected {expected}.")
    return tuple(texts)


def _loras(texts: Sequence[str], folder: Path) -> Weighted:
    """LoRAs of texts such as 'ink.safetensors:0.8', with paths from `folder`. Raises: ConfigError, StyleFileError."""
    pairs = [split_weight(text, folder) for text in texts]
    return weighted([(file_beside(folder, lora), 1.0 if weight is None else weight) for lora, weight in pairs])


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
    parts = PurePosixPath(named).parts
    bad = next((part for part in parts if not is_file_part(part)), None)
    if bad is not None:
        long = f"a name of {len(bad.encode())} bytes in it may have {LONGEST_BYTES}"
        why = (
            long if len(bad.encode()) > LONGEST_BYTES else f"{bad!r} is no name on every system, {file_part(bad)!r} is"
        )
        raise ConfigError(f"{where}: output is {named[:_SHOWN]!r}; {why}.")
    if parts[0].casefold() in _OWN:
        raise ConfigError(f"{where}: output is {named[:_SHOWN]!r}; {parts[0]} is for the batch itself. Choose another.")
    return named


def outputs_of(
    rows: Sequence[Row],
    styles: Sequence[tuple[Style, str | None]],
    config: TransferConfig,
    open_style: OpenStyle,
    folder: Path,
    loras: Weighted = (),
) -> list[Output]:
    """The pictures the rows ask for, in `styles` where a row names none, with the rows' settings on top of `config`.

    `folder` is where the job file lies; `loras` are for rows that name none.

    Raises: ConfigError, naming the row, for unusable settings and styles.
    """
    opened: dict[str, tuple[Style, str | None]] = {}
    under: dict[tuple[str, ...], Weighted] = {(): loras}
    wanted: list[tuple[Row, TransferConfig, tuple[Style, str | None]]] = []
    for row in rows:
        try:
            settings = TransferConfig.from_dict(TransferConfig.over(config.to_dict(), row.settings))
            for name in row.styles:
                opened[name] = opened.get(name) or open_style(name)
            if row.loras not in under:
                under[row.loras] = _loras(row.loras, folder)
        except (ConfigError, StyleFileError) as error:
            raise ConfigError(f"{row.where}: {error}") from error
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(f"{row.where}: a style cannot be opened: {first_line(error)}.") from error
        own = [opened[name] for name in row.styles] or list(styles)
        if not own:
            raise ConfigError(f"{row.where} has no style; name one there or give styles for all rows.")
        if row.output and len(own) > 1:
            raise ConfigError(f"{row.where} has one output for {len(own)} styles; give it one style or no output.")
        wanted += [(row, settings, style) for style in own]
    photos = _photos(rows, folder)
    looks = labelled([Look(*style, "", loras=under[row.loras]) for row, _, style in wanted])
    return [
        Output(photos[photo_identity(row.content, folder)], look, settings, row.output, f"{row.where} ({look.label})")
        for (row, settings, _), look in zip(wanted, looks, strict=True)
    ]


def _photos(rows: Sequence[Row], folder: Path) -> dict[str, Photo]:
    """The rows' photos by their identity: one that is written in two ways is one."""
    paths: dict[str, Path] = {}
    for row in rows:
        paths.setdefault(photo_identity(row.content, folder), row.content)
    labels = photo_labels(list(paths.values()), None, folder)
    pairs = zip(paths.items(), labels, strict=True)
    return {identity: Photo(path, str(path), label) for (identity, path), label in pairs}


def file_beside(folder: Path, name: str) -> str:
    """A file's path when it lies in the job file's `folder`, otherwise its name as it was given."""
    beside = folder.expanduser() / Path(name).expanduser()
    return str(beside) if os.path.isfile(beside) else name  # False for what no path can be

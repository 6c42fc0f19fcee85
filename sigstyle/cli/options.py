"""What the commands take: flags made from the configs' fields, flags many commands share, and how values are read."""

import dataclasses
import functools
import inspect
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sigstyle.base.candidates import check_base, lora_path
from sigstyle.base.devices import DTYPES, MEMORY, PREDICTIONS, device_and_dtype
from sigstyle.cli.console import failures_reported
from sigstyle.config import CaptureConfig, CollectionConfig, GenerateConfig, TextureConfig, TransferConfig
from sigstyle.errors import ConfigError, SigStyleError
from sigstyle.files import check_destination, split_weight
from sigstyle.settings import SWITCH, Alias, field_type, settable

AnyConfig = CaptureConfig | CollectionConfig | TransferConfig | GenerateConfig | TextureConfig

Base = Annotated[str, typer.Option(help="'mini' (embedded), a diffusers folder, a .safetensors checkpoint or a hub id")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; the fastest there is unless given")]
DType = Annotated[str | None, typer.Option(help=f"{', '.join(DTYPES)}; the device's own unless given")]
Memory = Annotated[
    str,
    typer.Option(
        metavar="|".join(MEMORY),
        help="low keeps as little as possible on the device at once, for cards of 8 GB and less; auto does so where "
        "the card's free memory is short; high never",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="print nothing but errors, and --json's object")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object on standard output")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", "-y", help="replace what is at the output even if this command has not made it")
]
Preset = Annotated[
    str,
    typer.Option(
        metavar="default|classic|paper",
        help="settings to start from: default paints in two evaluations; classic inverts the photo and swaps "
        "attention, for styles that were captured so; paper is classic as published",
    ),
]
Styles = Annotated[
    list[str],
    typer.Option("--style", "-s", metavar="STYLE[:WEIGHT]", help="style file or name of a shipped style; repeatable"),
]
Loras = Annotated[
    list[str] | None,
    typer.Option("--lora", metavar="FILE[:WEIGHT]", help="LoRA of the base to lay under the style; repeatable"),
]
Prediction = Annotated[
    str | None,
    typer.Option(
        "--prediction-type",
        metavar="|".join(PREDICTIONS),
        help="what the base's UNet predicts, where its files do not say it",
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="compile the base's UNet (torch.compile): minutes at first, worth it where a card paints many pictures",
    ),
]
_LOADING: dict[str, tuple[Any, Any]] = {  # flags of every command that prepares a base, with their defaults
    "device": (Device, None),
    "dtype": (DType, None),
    "memory": (Memory, "auto"),
    "prediction_type": (Prediction, None),
    "loras": (Loras, None),
    "compile": (Compile, False),
}
Prepared = dict[str, Any]  # how a base is loaded and what lies under the style, as the library's functions take it
_Debug = Annotated[bool, typer.Option("--debug", help="print the traceback of an error")]


def command(
    app: typer.Typer,
    defaults: AnyConfig | None = None,
    without: Sequence[str] = (),
    name: str | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a command, called as the function unless it has a `name`, that reports its failures in one line.

    With `defaults`, the command gets one flag for each field of that config but those in `without`; the ones that
    were given arrive in the command's `**settings`. One that takes `prepared` gets the flags of how a base is loaded.
    """
    fields = settable(defaults) if defaults is not None else ()
    entries = [entry for entry in fields if entry.name not in without]
    aliases = type(defaults).aliases() if defaults is not None else {}

    def register(function: Callable[..., None]) -> Callable[..., None]:
        parameters = inspect.signature(function).parameters
        prepares = "prepared" in parameters

        @functools.wraps(function)
        def reported(debug: bool, **values: Any) -> None:
            settings = {name: values.pop(name) for name in [*(entry.name for entry in entries), *aliases]}
            if values.get("quiet"):  # read by the hub's client when it is imported, which is after this
                os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
            with failures_reported(debug), _details_logged(debug):
                if values.get("base"):
                    check_base(values["base"])
                if prepares:
                    values["prepared"] = _prepared({name: values.pop(name) for name in _LOADING})
                given = {name: value for name, value in settings.items() if value is not None}
                read = _read_words(given, entries)
                function(**values, **{name: _switched(value) for name, value in read.items()})

        own = [p for p in parameters.values() if p.kind is not p.VAR_KEYWORD and p.name != "prepared"]
        own += [_plain_flag(name, *_LOADING[name]) for name in _LOADING if prepares]
        flags = [_flag(entry, type(defaults)) for entry in entries if defaults is not None]
        flags += [_alias_flag(name, alias, type(defaults)) for name, alias in aliases.items() if defaults is not None]
        debug = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, annotation=_Debug, default=False)
        vars(reported)["__signature__"] = inspect.Signature([*own, *flags, debug])
        app.command(name)(reported)
        return reported

    return register


def _plain_flag(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _prepared(given: dict[str, Any]) -> Prepared:
    """Flags of how a base is loaded, checked. Raises: ConfigError, StyleFileError."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    device = given["device"].partition(":")[0] if given["device"] and several else given["device"]
    place, kind = device_and_dtype(device, given["dtype"])  # under torchrun each process gets a GPU of its own
    return given | {"device": place, "dtype": kind, "loras": split_loras(given["loras"])}


def lora_files(prepared: Prepared) -> list[str]:
    """The files of the LoRAs."""
    return [path for path, _ in prepared["loras"]]


def _switched(value: Any) -> Any:
    return SWITCH[value] if isinstance(value, bool) else value


@contextmanager
def _details_logged(debug: bool) -> Iterator[None]:
    """With `debug`, what the library logs goes to standard error: tracebacks of pictures that failed, too."""
    log, handler = logging.getLogger("sigstyle"), logging.StreamHandler()
    level = log.level
    if debug:
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _flag(entry: dataclasses.Field, kind: type[AnyConfig]) -> inspect.Parameter:
    """The flag of a config field, in a panel of its presets; its value is checked by the config alone."""
    choices, presets = entry.metadata.get("choices"), kind.presets_using(entry.name)
    of_all = len(presets) == len(kind.preset_names())
    worded = str if entry.metadata.get("also") else field_type(entry)
    kind_of_value = bool if choices == SWITCH else worded
    option = typer.Option(
        help=entry.metadata["help"] + _usual(entry, kind, presets),
        metavar="|".join(choices) if choices and kind_of_value is not bool else _metavar(entry),
        rich_help_panel="Settings" if of_all else f"Settings of {_listed(presets)} alone",
    )
    annotation = Annotated[kind_of_value | None, option]
    return inspect.Parameter(entry.name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=None)


def _metavar(entry: dataclasses.Field) -> str | None:
    return f"INTEGER|{entry.metadata['also']}" if entry.metadata.get("also") else None


def _read_words(given: dict[str, Any], entries: Sequence[dataclasses.Field]) -> dict[str, Any]:
    """Values of flags that take a word beside a number: what is no such word is a number.

    Raises: ConfigError.
    """
    found = dict(given)
    for entry in entries:
        word, text = entry.metadata.get("also"), given.get(entry.name)
        if word and text is not None and text != word:
            try:
                found[entry.name] = field_type(entry)(text)
            except ValueError as error:
                raise ConfigError(f"{entry.name} is {text!r}; expected a whole number or {word}.") from error
    return found


def _alias_flag(name: str, alias: Alias, kind: type[AnyConfig]) -> inspect.Parameter:
    """The flag of a setting under another name; giving both is for the config to refuse."""
    entry = next(entry for entry in settable(kind) if entry.name == alias.field)
    meant = f"1 - --{alias.field}" if alias.inverse else f"--{alias.field}"
    option = typer.Option(help=f"{alias.help} (the same as {meant})", rich_help_panel="The same in other words")
    annotation = Annotated[field_type(entry) | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=None)


def _usual(entry: dataclasses.Field, kind: type[AnyConfig], presets: Sequence[str]) -> str:
    """What a setting is unless given, in the presets that use it; a preset that agrees with the first is left out."""
    values = {preset: getattr(kind.preset(preset), entry.name) for preset in presets}
    first = next(iter(values.values()))
    if first in (None, "") or entry.metadata.get("choices") == SWITCH:
        return ""
    others = [f"{preset} {_short(value)}" for preset, value in values.items() if value != first]
    return f" ({', '.join([f'{presets[0]} {_short(first)}', *others])})"


def _listed(presets: Sequence[str]) -> str:
    """Presets in words."""
    return f"the preset{'s' * (len(presets) > 1)} {' and '.join(presets)}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def split_weights(texts: Sequence[str]) -> tuple[list[str], list[float] | None]:
    """Styles and their weights of texts such as 'wave.safetensors:0.5' or 'wave'; weights are None when none is given.

    Where only some styles have a weight, the others get an even share.
    Raises: StyleFileError for what is neither a file nor a shipped style.
    """
    from sigstyle.style.shipped import existing_style

    pairs = [split_weight(text) for text in texts]
    styles = [existing_style(style) for style, _ in pairs]
    if all(weight is None for _, weight in pairs):
        return styles, None
    return styles, [1 / len(pairs) if weight is None else weight for _, weight in pairs]


def split_loras(texts: Sequence[str] | None) -> list[tuple[str, float]]:
    """LoRAs and their weights, 1 unless given, known by their headers. Raises: StyleFileError for what is no LoRA."""
    pairs = [split_weight(text) for text in texts or []]
    return [(str(lora_path(lora)), 1.0 if weight is None else weight) for lora, weight in pairs]


def output_path(
    path: Path, suffix: str, inputs: Iterable[str | Path] = (), overwrite: bool = False, kinds: Sequence[str] = ()
) -> Path:
    """`path`, known to be a place where a file of this kind can be written: asked before the work, not after it.

    A file that is there is replaced with `overwrite`, or when it is one of ours of these `kinds`; an input never is.
    Raises: ConfigError.
    """
    if path.suffix.lower() != suffix:
        raise ConfigError(f"The output is {path}; expected a name that ends in {suffix}.")
    return check_destination(path, inputs, overwrite, lambda found: kind_of(found) in kinds)


def kind_of(path: Path) -> str | None:
    """What a file of ours is, by the recipe of a picture or the header of a style, state or LoRA; None if not ours."""
    from sigstyle.base.headers import kind_of_tensors, made_by_sigstyle, read_header
    from sigstyle.imaging.images import read_recipe

    try:
        if path.suffix.lower() == ".png":
            return read_recipe(path).get("kind")
        header = read_header(path)
        return kind_of_tensors(header) if made_by_sigstyle(header) else None
    except (SigStyleError, OSError, ValueError):
        return None


def files_of_styles(styles: Sequence[str]) -> list[Path]:
    """The files behind what -s was given, shipped ones included."""
    from sigstyle.style.shipped import style_file

    return [style_file(split_weight(style)[0]) for style in styles]

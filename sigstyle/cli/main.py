"""The command line: parses, calls the library, shows. Heavy imports wait until a command runs, so help is instant."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigstyle import __version__
from sigstyle.base.devices import device_and_dtype
from sigstyle.cli import evaluate as cli_evaluate
from sigstyle.cli.batch import batch
from sigstyle.cli.capture import capture
from sigstyle.cli.collection import collection_app
from sigstyle.cli.console import OneLineUsage, Report, Update, as_lines
from sigstyle.cli.export import export
from sigstyle.cli.loading import library
from sigstyle.cli.options import (
    AsJson,
    Base,
    Device,
    DType,
    Overwrite,
    Prepared,
    Preset,
    Quiet,
    Styles,
    command,
    files_of_styles,
    lora_files,
    output_path,
    split_weights,
)
from sigstyle.cli.parts import (
    Background,
    Box,
    Gradient,
    PaletteFrom,
    Point,
    Regions,
    StylesBesideRegions,
    Subject,
    TextureOn,
    given_parts,
    place_setting,
)
from sigstyle.cli.rename import rename
from sigstyle.cli.styles import styles as list_styles
from sigstyle.cli.texture import texture
from sigstyle.cli.training_free import TrainingFree, without_capture
from sigstyle.cli.video import video
from sigstyle.config import CaptureConfig, GenerateConfig, TextureConfig, TrainingFreeConfig, TransferConfig
from sigstyle.errors import ConfigError

if TYPE_CHECKING:
    from sigstyle.api import TransferResult

PromptPreset = Annotated[
    str,
    typer.Option(
        metavar="default|classic",
        help="default paints the base's picture as a photo is painted; classic denoises it in the style, for styles "
        "that were captured so",
    ),
]
app = typer.Typer(cls=OneLineUsage, name="sigstyle", add_completion=False, pretty_exceptions_enable=False)

Picture = Annotated[Path, typer.Option("--output", "-o", metavar="OUT.png", help="where the picture goes")]
Mask = Annotated[Path | None, typer.Option(help="picture of the photo's aspect; white, covered, or a hole is painted")]
OwnBase = Annotated[
    str | None, typer.Option("--base", help="'mini', a folder, a .safetensors checkpoint or a hub id; the style's own")
]


@app.callback(invoke_without_command=True)
def overview(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="print the version")] = False
) -> None:
    """Capture the style of one image, and repaint photos in it."""
    if version:
        print(f"sigstyle {__version__}")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


command(app, CaptureConfig())(capture)


@command(app, TransferConfig())
def transfer(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="the photo to repaint")],
    output: Picture,
    styles: StylesBesideRegions = None,
    mask: Mask = None,
    subject: Subject = False,
    background: Background = False,
    point: Point = None,
    box: Box = None,
    region: Regions = None,
    gradient: Gradient = None,
    palette_from: PaletteFrom = None,
    texture: TextureOn = None,
    training_free: TrainingFree = False,
    base: OwnBase = None,
    preset: Preset = "default",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    *,
    prepared: Prepared,
    **settings: Any,
) -> None:
    """Repaint a photo in one style or a blend of several, all of it or a part."""
    settings |= place_setting(subject, background, point, box, settings.get("where"))
    styles, parts = styles or [], given_parts(region, gradient, palette_from, texture)
    read = [content, *([mask] if mask else []), *files_of_styles(styles), *parts.files, *lora_files(prepared)]
    output = output_path(output, ".png", read, overwrite, ("transfer", "training-free"))
    report = Report(quiet, as_json)
    if training_free:
        parts.check_none("--training-free")
        for name, flag in (("loras", "--lora"), ("compile", "--compile")):
            if prepared[name]:
                raise ConfigError(f"{flag} is given with --training-free, which uses a base as it is; leave it out.")
        where = (prepared["device"], prepared["dtype"])
        make_at_once = without_capture(content, mask, base, TrainingFreeConfig.preset(preset, **settings), *where)
        return _paint(make_at_once, styles, output, report, "transfer")
    TransferConfig.preset(preset, **settings)

    def make(paths: list[str], weights: list[float] | None, update: Update) -> "TransferResult":
        return library().transfer(
            content,
            paths,
            weights=weights,
            mask=mask,
            **parts.arguments,
            base=base,
            preset=preset,
            **prepared,
            on_progress=update,
            **settings,
        )

    _paint(make, styles, output, report, "transfer")


@command(app, GenerateConfig(), without=("prompt",))
def generate(
    prompt: Annotated[
        str,
        typer.Argument(
            metavar="PROMPT",
            help="what it shows; 75 tokens are read, some 50 words",
        ),
    ],
    styles: Styles,
    output: Picture,
    width: Annotated[int | None, typer.Option(help="in pixels; the base's own")] = None,
    height: Annotated[int | None, typer.Option(help="in pixels; the base's own")] = None,
    base: OwnBase = None,
    preset: PromptPreset = "default",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    *,
    prepared: Prepared,
    **settings: Any,
) -> None:
    """Paint a prompt in one style or a blend of several, without a photo.

    The base makes a picture of it, and that is painted as a photo is. The embedded base hardly follows words (it makes
    rough ground, skies and water); Stable Diffusion checkpoints paint what you say.
    """
    read = [*files_of_styles(styles), *lora_files(prepared)]
    output = output_path(output, ".png", read, overwrite, ("generate",))
    GenerateConfig.preset(preset, **settings)

    def make(paths: list[str], weights: list[float] | None, update: Update) -> "TransferResult":
        return library().generate(
            prompt,
            paths,
            weights=weights,
            width=width,
            height=height,
            base=base,
            preset=preset,
            **prepared,
            on_progress=update,
            **settings,
        )

    _paint(make, styles, output, Report(quiet, as_json), "generate")


def _paint(
    make: Callable[[list[str], list[float] | None, Update], "TransferResult"],
    styles: list[str],
    output: Path,
    report: Report,
    description: str,
) -> None:
    """Makes a picture, writes it with its recipe and says where it is."""
    started = time.monotonic()
    paths, weights = split_weights(styles)
    with report.bar(description) as update:
        result = make(paths, weights, update)
    for notice in result.notices:
        report.notice(notice)
    written = [str(path) for path in result.save(output)]
    seconds = time.monotonic() - started
    data = {"images": written, "notices": result.notices, "recipe": result.recipe, "seconds": round(seconds, 2)}
    report.result([f"{path}  {seconds:.1f} s" for path in written], data)


command(app, TextureConfig(), without=("size_px",))(texture)
command(app, TransferConfig())(batch)
command(app, TransferConfig())(video)
command(app)(cli_evaluate.evaluate)


@command(app)
def info(
    file: Annotated[str, typer.Argument(metavar="STYLE_OR_PNG", help="a picture made here, or a style")],
    as_json: AsJson = False,
) -> None:
    """Show how a picture was made, with the command that makes it again, or what a style file holds."""
    from sigstyle.cli.info import describe

    data = describe(file)
    Report(as_json=as_json).result(as_lines(data), data, written=False)


command(app)(rename)
command(app)(list_styles)
command(app)(export)
app.add_typer(collection_app, name="collection")


@command(app)
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="where the pictures go")] = Path(
        "outputs/demo"
    ),
    base: Base = "mini",
    steps: Annotated[int | None, typer.Option(help="training steps of the capture")] = None,
    size_px: Annotated[int, typer.Option(help="short side of the pictures")] = 512,
    device: Device = None,
    dtype: DType = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """A complete run: a shipped style on a photo, then a style captured from a painting and put on the same photo."""
    place, kind = device_and_dtype(device, dtype)
    report, capture = Report(quiet, as_json), CaptureConfig() if steps is None else CaptureConfig(steps=steps)
    from sigstyle.cli.demo import Demo

    run = Demo(report, output, capture, TransferConfig(size_px=size_px), overwrite)
    data = run.run(base, place, kind)
    report.result(run.lines(), data)


@command(app)
def doctor(base: Base = "mini", device: Device = None, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """What this machine can do: versions, devices, speed, bases, styles, and how long capture and transfer take."""
    place, _ = device_and_dtype(device, None)
    from sigstyle.doctor import examine

    data = examine(base, place)
    Report(quiet, as_json).result(as_lines(data), data, written=False)

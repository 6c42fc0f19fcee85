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
from sigstyle.cli.console import INTERRUPTED, OneLineUsage, Report, Update, as_lines, fail
from sigstyle.cli.export import export
from sigstyle.cli.options import (
    AsJson,
    Base,
    Device,
    DType,
    Preset,
    Quiet,
    Styles,
    command,
    output_path,
    split_weights,
)
from sigstyle.cli.training_free import TrainingFree, without_capture
from sigstyle.config import CaptureConfig, GenerateConfig, TrainingFreeConfig, TransferConfig

if TYPE_CHECKING:
    from sigstyle.api import TransferResult
    from sigstyle.learning.loop import Progress
    from sigstyle.style.style import Style

app = typer.Typer(cls=OneLineUsage, name="sigstyle", add_completion=False, pretty_exceptions_enable=False)

Picture = Annotated[Path, typer.Option("--output", "-o", metavar="OUT.png", help="where the picture goes")]
OwnBase = Annotated[
    str | None, typer.Option("--base", help="'mini', a folder, a .safetensors checkpoint or a hub id; the style's own")
]


Bank = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="photos to paint while learning; unless given, those that ship"),
]
CapturePreset = Annotated[
    str,
    typer.Option(
        metavar="default|classic|paper",
        help="settings to start from: default learns to paint photos; classic remembers the image, for transfers with "
        "--preset classic; paper is as published",
    ),
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


@command(app, CaptureConfig())
def capture(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="one image, or several by one hand")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="STYLE.safetensors", help="where the style goes")],
    name: Annotated[str | None, typer.Option(help="what the style is called; the first image's name")] = None,
    base: Base = "mini",
    bank: Bank = None,
    preset: CapturePreset = "default",
    resume: Annotated[bool, typer.Option("--resume", help="go on with a capture that was stopped")] = False,
    device: Device = None,
    dtype: DType = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
    **settings: Any,
) -> None:
    """Learn the style of an image, by painting photos in it; what comes out is a small style file.

    A stopped capture leaves its state beside the output, and --resume goes on from there.
    """
    started, report = time.monotonic(), Report(quiet, as_json)
    output = output_path(output, ".safetensors")
    state = output.with_suffix(".state.safetensors")
    config = CaptureConfig.preset(preset, **settings)
    if state.exists() != resume:
        report.notice(
            f"No state at {state}: starting at the first step."
            if resume
            else f"{state} holds a stopped capture; starting anew replaces it (--resume goes on with it)."
        )
    place, kind = device_and_dtype(device, dtype)
    from sigstyle import api

    with report.bar("capture") as update:
        watch = _CaptureWatch(update, output)
        try:
            style = api.capture(
                images,
                base=base,
                name=name,
                config=config,
                bank=bank,
                device=place,
                dtype=kind,
                state_path=state,
                resume=resume,
                on_progress=watch,
            )
        except KeyboardInterrupt:
            raise fail(watch.stopped(state), INTERRUPTED) from None
    style.save(output)
    state.unlink(missing_ok=True)
    _show_style(report, style, output, watch.previews, time.monotonic() - started)


class _CaptureWatch:
    """Follows a capture: moves the bar, keeps the previews, knows where it stands."""

    def __init__(self, update: Update, output: Path) -> None:
        self.update, self.output = update, output
        self.latest: Progress | None = None
        self.previews: list[Path] = []

    def __call__(self, progress: "Progress") -> None:
        self.latest = progress
        if progress.preview is not None:
            self._keep(progress)
        self.update(progress.step, progress.steps, f"loss {progress.loss:.4f}")

    def _keep(self, progress: "Progress") -> None:
        from sigstyle.imaging.images import save_png

        path = self.output.with_name(f"{self.output.stem}.step-{progress.step:04}.png")
        save_png(progress.preview, path, {"kind": "preview", "step": progress.step, "loss": progress.loss})  # type: ignore[arg-type]
        self.previews.append(path)

    def stopped(self, state: Path) -> str:
        """What to tell whoever pressed Ctrl-C."""
        if self.latest is None:
            return "the capture was stopped before its first step; nothing was written."
        where = f"step {self.latest.step} of {self.latest.steps}"
        return f"the capture was stopped at {where}; its state is in {state}, and --resume goes on from there."


def _show_style(report: Report, style: "Style", path: Path, previews: list[Path], seconds: float) -> None:
    first, last = (style.metadata[key] for key in ("loss_first", "loss_last"))
    size = path.stat().st_size
    data = {"style": str(path), "name": style.name, "token": style.token.token, "hash": style.hash, "bytes": size}
    data |= {"base": style.base_name, "base_fingerprint": style.base_fingerprint, "loss_first": first}
    data |= {"loss_last": last, "previews": [str(p) for p in previews], "seconds": round(seconds, 2)}
    line = f"{path}  {style.token.token}, {size / 1000:.0f} kB, loss {first:.4f} to {last:.4f}, {seconds:.1f} s"
    report.result([*(str(p) for p in previews), line], data)


@command(app, TransferConfig())
def transfer(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="the photo to repaint")],
    styles: Styles,
    output: Picture,
    mask: Annotated[Path | None, typer.Option(help="greyscale picture of the photo's aspect; white is painted")] = None,
    training_free: TrainingFree = False,
    base: OwnBase = None,
    preset: Preset = "default",
    device: Device = None,
    dtype: DType = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
    **settings: Any,
) -> None:
    """Repaint a photo in one style or a blend of several."""
    place, kind = device_and_dtype(device, dtype)
    report = Report(quiet, as_json)
    if training_free:
        make_at_once = without_capture(content, mask, base, TrainingFreeConfig.preset(preset, **settings), place, kind)
        return _paint(make_at_once, styles, output, report, "transfer")
    config = TransferConfig.preset(preset, **settings)

    def make(paths: list[str], weights: list[float] | None, update: Update) -> "TransferResult":
        from sigstyle import api

        return api.transfer(
            content,
            paths,
            weights=weights,
            mask=mask,
            base=base,
            config=config,
            device=place,
            dtype=kind,
            on_progress=update,
        )

    _paint(make, styles, output, report, "transfer")


@command(app, GenerateConfig(), without=("prompt",))
def generate(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="what the picture shows")],
    styles: Styles,
    output: Picture,
    width: Annotated[int | None, typer.Option(help="in pixels; the base's own")] = None,
    height: Annotated[int | None, typer.Option(help="in pixels; the base's own")] = None,
    base: OwnBase = None,
    device: Device = None,
    dtype: DType = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
    **settings: Any,
) -> None:
    """Paint a prompt in one style or a blend of several, without a photo."""
    GenerateConfig.from_dict(settings)
    place, kind = device_and_dtype(device, dtype)

    def make(paths: list[str], weights: list[float] | None, update: Update) -> "TransferResult":
        from sigstyle import api

        return api.generate(
            prompt,
            paths,
            weights=weights,
            width=width,
            height=height,
            base=base,
            device=place,
            dtype=kind,
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
    output = output_path(output, ".png")
    paths, weights = split_weights(styles)
    with report.bar(description) as update:
        result = make(paths, weights, update)
    for notice in result.notices:
        report.notice(notice)
    written = [str(path) for path in result.save(output)]
    seconds = time.monotonic() - started
    data = {"images": written, "notices": result.notices, "recipe": result.recipe, "seconds": round(seconds, 2)}
    report.result([f"{path}  {seconds:.1f} s" for path in written], data)


command(app, TransferConfig())(batch)
command(app)(cli_evaluate.evaluate)


@command(app)
def info(
    file: Annotated[str, typer.Argument(metavar="STYLE_OR_PNG", help="a picture made here, or a style")],
    as_json: AsJson = False,
) -> None:
    """Show how a picture was made, with the command that makes it again, or what a style file holds."""
    from sigstyle.cli.info import describe

    data = describe(file)
    Report(as_json=as_json).result(as_lines(data), data)


command(app)(export)


@command(app)
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="where the pictures go")] = Path(
        "outputs/demo"
    ),
    base: Base = "mini",
    steps: Annotated[int | None, typer.Option(help="training steps of the capture")] = None,
    size_px: Annotated[int | None, typer.Option(help="short side of the pictures")] = None,
    device: Device = None,
    dtype: DType = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """A complete run: a shipped style on a photo, then a style captured from a painting and put on the same photo."""
    place, kind = device_and_dtype(device, dtype)
    report, capture = Report(quiet, as_json), CaptureConfig() if steps is None else CaptureConfig(steps=steps)
    from sigstyle.cli.demo import Demo

    run = Demo(report, output.expanduser(), capture, TransferConfig(size_px=size_px))
    data = run.run(base, place, kind)
    report.result(run.lines(), data)


@command(app)
def doctor(base: Base = "mini", device: Device = None, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """What this machine can do: versions, devices, speed, bases, styles, and how long capture and transfer take."""
    place, _ = device_and_dtype(device, None)
    from sigstyle.doctor import examine

    data = examine(base, place)
    Report(quiet, as_json).result(as_lines(data), data)

"""The capture command: one image or several in, a style file out; it can be stopped and resumed."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigstyle.base.headers import STATE, STYLE
from sigstyle.cli.console import INTERRUPTED, Report, Update, fail
from sigstyle.cli.loading import library
from sigstyle.cli.options import AsJson, Base, Overwrite, Prepared, Quiet, lora_files, output_path
from sigstyle.config import CaptureConfig
from sigstyle.files import expanded

if TYPE_CHECKING:
    from sigstyle.learning.loop import Progress
    from sigstyle.style.style import Style

Bank = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="photos to paint while learning; unless given, those that ship"),
]
Instant = Annotated[
    bool, typer.Option("--instant", help="train nothing: what the hypernetwork knows of the style, at once")
]
CapturePreset = Annotated[
    str,
    typer.Option(
        metavar="default|classic|paper",
        help="settings to start from: default learns to paint photos; classic remembers the image, for transfers with "
        "--preset classic; paper is as published",
    ),
]


def capture(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="one image, or several by one hand")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="STYLE.safetensors", help="where the style goes")],
    name: Annotated[str | None, typer.Option(help="what the style is called; the first image's name")] = None,
    base: Base = "mini",
    bank: Bank = None,
    preset: CapturePreset = "default",
    resume: Annotated[bool, typer.Option("--resume", help="go on with a capture that was stopped")] = False,
    instant: Instant = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    *,
    prepared: Prepared,
    **settings: Any,
) -> None:
    """Learn the style of an image, by painting photos in it; what comes out is a small style file.

    A stopped capture leaves its state beside the output, and --resume goes on from there.
    """
    started, report = time.monotonic(), Report(quiet, as_json)
    config = CaptureConfig.preset(preset, **settings)
    read = [*images, *(_inside(bank) if bank else []), *lora_files(prepared)]
    output = output_path(output, ".safetensors", read, overwrite, (STYLE,))
    if instant:
        wanted = {"base": base, "name": name, "bank": bank, "resume": resume, **prepared, **settings}
        return _at_once(report, images, output, started, **wanted)
    state = output_path(output.with_suffix(".state.safetensors"), ".safetensors", read, overwrite, (STATE,))
    _check_previews(output, config, read, overwrite)
    if state.exists() != resume:
        report.notice(_of_state(state, resume))
    with report.bar("capture") as update:
        watch = _CaptureWatch(report, update, output)
        try:
            style = library().capture(
                images,
                base=base,
                name=name,
                preset=preset,
                bank=bank,
                state_path=state,
                resume=resume,
                on_progress=watch,
                on_notice=report.notice,
                **prepared,
                **settings,
            )
        except KeyboardInterrupt:
            raise fail(watch.stopped(state), INTERRUPTED) from None
    style.save(output)
    state.unlink(missing_ok=True)
    _show_learned(report, style, output, watch.previews, time.monotonic() - started)


def _at_once(report: Report, images: list[Path], output: Path, started: float, **wanted: Any) -> None:
    """A style without training. Raises: ConfigError for what only training has a use for."""
    style = library().capture(images, instant=True, on_notice=report.notice, **wanted)
    style.save(output)
    _show_style(report, style, output, time.monotonic() - started, "at once", instant=style.instant.network)


def _check_previews(output: Path, config: CaptureConfig, read: Sequence[Path], overwrite: bool) -> None:
    """Raises ConfigError where a preview would replace a file that is none of ours."""
    for step in range(config.preview_every, config.steps + 1, config.preview_every or config.steps + 1):
        if (preview := _preview(output, step)).exists():
            output_path(preview, ".png", read, overwrite, ("preview",))


def _of_state(state: Path, resume: bool) -> str:
    """What to say of a state that is missing, or there and not wanted."""
    if resume:
        return f"No state at {state}: starting at the first step."
    return f"{state} holds a stopped capture; starting anew replaces it (--resume goes on with it)."


def _inside(folder: Path) -> list[Path]:
    """The files of a folder; what is wrong with it is for its own reader to say."""
    try:
        return list(expanded(folder).iterdir())
    except OSError:
        return []


def _preview(output: Path, step: int) -> Path:
    return output.with_name(f"{output.stem}.step-{step:04}.png")


class _CaptureWatch:
    """Follows a capture: moves the bar, passes notices on, keeps the previews, knows where it stands."""

    def __init__(self, report: Report, update: Update, output: Path) -> None:
        self.report, self.update, self.output = report, update, output
        self.latest: Progress | None = None
        self.previews: list[Path] = []

    def __call__(self, progress: "Progress") -> None:
        self.latest = progress
        for notice in progress.notices:
            self.report.notice(notice)
        if progress.preview is not None:
            self._keep(progress)
        self.update(progress.step, progress.steps, f"loss {progress.loss:.4f}")

    def _keep(self, progress: "Progress") -> None:
        from sigstyle.imaging.images import save_png

        path = _preview(self.output, progress.step)
        save_png(progress.preview, path, {"kind": "preview", "step": progress.step, "loss": progress.loss})  # type: ignore[arg-type]
        self.previews.append(path)

    def stopped(self, state: Path) -> str:
        """What to tell whoever pressed Ctrl-C."""
        if self.latest is None:
            return "the capture was stopped before its first step; nothing was written."
        where = f"step {self.latest.step} of {self.latest.steps}"
        return f"the capture was stopped at {where}; its state is in {state}, and --resume goes on from there."


def _show_learned(report: Report, style: "Style", path: Path, previews: list[Path], seconds: float) -> None:
    first, last = (style.metadata[key] for key in ("loss_first", "loss_last"))
    facts = {"loss_first": first, "loss_last": last, "previews": [str(preview) for preview in previews]}
    kept = style.metadata.get("kept_step")
    how = f"loss {first:.4f} to {last:.4f}" + ("" if kept is None else f", best at step {kept}")
    _show_style(report, style, path, seconds, how, facts["previews"], **facts)


def _show_style(
    report: Report, style: "Style", path: Path, seconds: float, how: str, lines: Sequence[str] = (), **facts: Any
) -> None:
    """Say that a style was made, and how."""
    size = path.stat().st_size
    data = {"style": str(path), "name": style.name, "token": style.token.token, "hash": style.hash, "bytes": size}
    data |= {"base": style.base_name, "base_fingerprint": style.base_fingerprint, **facts, "seconds": round(seconds, 2)}
    line = f"{path}  {style.token.token}, {size / 1000:.0f} kB, {how}, {seconds:.1f} s"
    report.result([*lines, line], data)

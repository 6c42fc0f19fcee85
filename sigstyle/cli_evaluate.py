"""The command `evaluate`: how good results are, in numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigstyle.cli_console import Report
from sigstyle.cli_options import AsJson, Quiet
from sigstyle.errors import ConfigError, SigStyleError

if TYPE_CHECKING:
    from sigstyle.scores import Scores


def evaluate(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="a repainted photo, or a folder of them")],
    content: Annotated[
        Path | None, typer.Option(help="the photo, or a folder with it; what the result's recipe says")
    ] = None,
    style: Annotated[
        Path | None, typer.Option(help="the style image, or a folder with it under the style's name")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Score results: distance of style, content and colour, and how much of the style image itself leaked in.

    Each is 0 at best and about 1 at worst. Pictures made here say themselves which photo and image they belong to.
    """
    report = Report(quiet, as_json)
    if not result.exists():
        raise ConfigError(f"There is no {result}; expected a picture or a folder of pictures.")
    from sigstyle.scores_pairs import evaluate as score
    from sigstyle.scores_pairs import evaluate_folder, mean

    def skipped(path: Path, error: SigStyleError) -> None:
        report.notice(f"{path.name} is left out: {error}")

    if not result.is_dir():
        scores = score(result, content, style)
        return report.result([_line(result, scores), *_legend()], {"image": str(result), **_rounded(scores)})
    with report.bar("evaluate") as update:
        found = evaluate_folder(result, content, style, on_skip=skipped, on_progress=update)
    average = mean(list(found.values()))
    rows = [{"image": str(path), **_rounded(scores)} for path, scores in found.items()]
    lines = [_line(path, scores) for path, scores in found.items()]
    report.result(
        [*lines, _line(f"mean of {len(found)}", average), *_legend()], {"images": rows, "mean": _rounded(average)}
    )


def _rounded(scores: "Scores") -> dict[str, Any]:
    return {name: round(value, 4) for name, value in scores.to_dict().items()}


def _line(label: str | Path, scores: "Scores") -> str:
    return "  ".join([f"{name} {value:.3f}" for name, value in scores.to_dict().items()] + [str(label)])


def _legend() -> list[str]:
    return ["lower is better; leak is the share of the style image's own objects and layout in the result"]

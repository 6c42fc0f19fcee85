"""The command `evaluate`: how good results are, in numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigstyle.base.devices import default_device, device_and_dtype
from sigstyle.cli.console import Report
from sigstyle.cli.options import AsJson, Device, Quiet
from sigstyle.errors import ConfigError, SigStyleError
from sigstyle.files import possible

if TYPE_CHECKING:
    from sigstyle.scoring.scores import Scorer, Scores

_MORE = "More distances"


def evaluate(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="a repainted photo, or a folder of them")],
    content: Annotated[
        Path | None, typer.Option(help="the photo, or a folder with it; what the result's recipe says")
    ] = None,
    style: Annotated[
        Path | None, typer.Option(help="the style image, or a folder with it under the style's name")
    ] = None,
    clip: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="CLIP, to style image and photo: a folder or a hub id", rich_help_panel=_MORE
        ),
    ] = None,
    dino: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="DINO, to the photo: a folder or a hub id", rich_help_panel=_MORE),
    ] = None,
    judge: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="vgg16-hed, to both: the h5 file of make judge", rich_help_panel=_MORE),
    ] = None,
    csd: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSD, to the style image: its checkpoint", rich_help_panel=_MORE)
    ] = None,
    lpips: Annotated[bool, typer.Option("--lpips", help="LPIPS, to the photo", rich_help_panel=_MORE)] = False,
    artfid: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="ArtFID, of a folder as a whole: art_inception.pth", rich_help_panel=_MORE),
    ] = None,
    device: Device = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Score results: distance of style, content and colour, and how much of the style image itself leaked in.

    Each is 0 at best and about 1 at worst. Pictures made here say themselves which photo and image they belong to.
    The other distances need networks of your own and are taken where they are asked for.
    """
    report = Report(quiet, as_json)
    result = possible(result)
    content, style = (None if path is None else possible(path) for path in (content, style))
    if not result.exists():
        raise ConfigError(f"There is no {result}; expected a picture or a folder of pictures.")
    if artfid is not None and not result.is_dir():
        raise ConfigError(f"--artfid compares whole folders, and {result} is one picture; expected a folder.")
    scorer = _scorer(clip, dino, csd, lpips or artfid is not None, judge, device)
    if result.is_dir():
        return _folder(report, result, content, style, scorer, artfid, device)
    from sigstyle.scoring.pairs import evaluate as score

    scores = score(result, content, style, scorer)
    report.result([_line(result, scores.to_dict()), *_legend(scorer)], {"image": str(result), **_rounded(scores)})


def _folder(
    report: Report,
    folder: Path,
    content: Path | None,
    style: Path | None,
    scorer: "Scorer",
    artfid: Path | None,
    device: str | None,
) -> None:
    """Scores every result in a folder, then the folder as a whole."""
    from sigstyle.scoring.pairs import evaluate_folder, mean

    network = None
    if artfid is not None:
        from sigstyle.scoring.inception import art_inception

        network = art_inception(artfid, _device(device))

    def skipped(path: Path, error: SigStyleError) -> None:
        report.notice(f"{path.name} is left out: {error}")

    with report.bar("evaluate") as update:
        found = evaluate_folder(folder, content, style, scorer, on_skip=skipped, on_progress=update)
    average = mean(list(found.values()))
    data = {"images": [{"image": str(path), **_rounded(scores)} for path, scores in found.items()]}
    lines = [_line(path, scores.to_dict()) for path, scores in found.items()]
    lines.append(_line(f"mean of {len(found)}", average.to_dict()))
    legend = _legend(scorer)
    whole: dict[str, Any] = {"mean": _rounded(average)}
    if network is not None:
        from sigstyle.scoring.artfid import MEANINGS, evaluate_art_fid

        numbers = evaluate_art_fid(found, content, style, network)
        lines.append(_line(f"all {len(found)} together", numbers))
        legend += _meanings(MEANINGS)
        whole["folder"] = {name: round(value, 4) for name, value in numbers.items()}
    report.result([*lines, *legend], {**data, **whole})


def _scorer(
    clip: str | None, dino: str | None, csd: Path | None, lpips: bool, judge: Path | None, device: str | None
) -> "Scorer":
    """A scorer with the networks that were asked for."""
    from sigstyle.scoring.extra import ExtraScorer
    from sigstyle.scoring.scores import Scorer

    extras: list[ExtraScorer] = []
    if clip is not None:
        from sigstyle.scoring.clip import ClipScorer

        extras.append(ClipScorer(clip, _device(device)))
    if dino is not None:
        from sigstyle.scoring.dino import DinoScorer

        extras.append(DinoScorer(dino, _device(device)))
    if csd is not None:
        from sigstyle.scoring.csd import CsdScorer

        extras.append(CsdScorer(csd, _device(device)))
    if lpips:
        from sigstyle.scoring.lpips import LpipsScorer

        extras.append(LpipsScorer(_device(device)))
    if judge is not None:
        from sigstyle.scoring.vgg16_hed import Vgg16HedScorer

        extras.append(Vgg16HedScorer(judge, _device(device)))
    return Scorer(extras=extras)


def _device(name: str | None) -> Any:
    return device_and_dtype(name, None)[0] or default_device()


def _rounded(scores: "Scores") -> dict[str, Any]:
    return {name: round(value, 4) for name, value in scores.to_dict().items()}


def _line(label: str | Path, numbers: Mapping[str, float]) -> str:
    return "  ".join([f"{name} {value:.3f}" for name, value in numbers.items()] + [str(label)])


def _legend(scorer: "Scorer") -> list[str]:
    legend = ["lower is better; leak is the share of the style image's own objects and layout in the result"]
    return legend + [line for extra in scorer.extras for line in _meanings(extra.meanings)]


def _meanings(meanings: Mapping[str, str]) -> list[str]:
    return [f"{name}: {meaning}" for name, meaning in meanings.items()]

"""Turn one dial at a time around the defaults, on the tuning pairs, and write what each setting scores.

    python -m benchmarks.sweep transfer.freedom=0,0.2,0.4,0.6,0.8,1 transfer.strokes=0,0.5,1
    python -m benchmarks.sweep --preset classic transfer.adain=0,0.25,0.5,0.75,1 transfer.swap_until=0.2,0.4,0.6
    python -m benchmarks.sweep capture.steps=60,120,240,480 --photos 3 --styles 4

Writes one table for each dial to docs/tuning/; styles, pictures and scores are cached as in benchmarks.compare.
"""

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.compare import Pairs
from benchmarks.compare_cache import ROOT, Cache
from benchmarks.compare_methods import Job
from benchmarks.compare_report import pareto
from sigstyle.base.model import load_base
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.files import write_atomically
from sigstyle.scoring.pairs import mean
from sigstyle.scoring.scores import Scorer, Scores
from sigstyle.settings import field_type

CONFIGS: dict[str, Any] = {"capture": CaptureConfig, "transfer": TransferConfig}


def dial(text: str) -> tuple[str, str, list[Any]]:
    """'transfer.adain=0,0.5' as ('transfer', 'adain', [0.0, 0.5]). Raises: ConfigError."""
    name, _, listed = text.partition("=")
    kind, _, setting = name.partition(".")
    fields = {entry.name: entry for entry in dataclasses.fields(CONFIGS[kind])} if kind in CONFIGS else {}
    if setting not in fields or not listed:
        raise ConfigError(f"The dial is {text!r}; expected capture.SETTING=VALUE,… or transfer.SETTING=VALUE,…")
    try:
        return kind, setting, [field_type(fields[setting])(value) for value in listed.split(",")]
    except ValueError as error:
        raise ConfigError(f"The dial is {text!r}: {error}.") from error


def scored(
    cache: Cache, scorer: Scorer, pairs: Pairs, job: Job, capture: CaptureConfig, method: str = "default"
) -> list[Scores]:
    """The scores of every pair with these settings."""
    found = []
    for image in pairs.styles:
        style, _ = cache.style(image, capture)
        for photo in pairs.photos:
            own = dataclasses.replace(job, content=photo, style_image=image, style=style)
            found.append(cache.scores(scorer, cache.picture(method, own)[0], own))
    return found


def table(setting: str, values: Sequence[Any], scores: Sequence[Scores], usual: Any) -> str:
    """Means as Markdown, the default and the Pareto front of style against content marked."""
    front = pareto([(score.content, score.style) for score in scores])
    lines = [f"| {setting} | style | content | leak | colour | |", "| --- | --- | --- | --- | --- | --- |"]
    for value, score in zip(values, scores, strict=True):
        marks = ["the default"] if value == usual else []
        marks += ["on the front"] if (score.content, score.style) in front else []
        numbers = " | ".join(f"{number:.3f}" for number in score.to_dict().values())
        lines.append(f"| {value} | {numbers} | {', '.join(marks)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Scores every value of every dial, and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dials", nargs="+", metavar="CONFIG.SETTING=VALUE,…", type=dial)
    parser.add_argument("--preset", choices=("default", "classic"), default="default")
    parser.add_argument("--photos", type=int, help="take only the first so many photos")
    parser.add_argument("--styles", type=int, help="take only the first so many style images")
    parser.add_argument("--size-px", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--base", default="mini")
    parser.add_argument("--cache", type=Path, default=ROOT / "outputs/compare")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/tuning")
    args = parser.parse_args()
    every, base = Pairs.named("tuning"), load_base(args.base)
    pairs = Pairs(every.photos[: args.photos], every.styles[: args.styles])
    cache, scorer, traces = Cache(args.cache, base), Scorer(), {}
    args.output.mkdir(parents=True, exist_ok=True)
    for kind, setting, values in args.dials:
        found = []
        for value in values:
            capture = CaptureConfig.preset(args.preset, **({setting: value} if kind == "capture" else {}))
            changes = {setting: value} if kind == "transfer" else {}
            job = Job(base, pairs.photos[0], pairs.styles[0], args.size_px, args.seed, changes, traces=traces)
            found.append(mean(scored(cache, scorer, pairs, job, capture, args.preset)))
            print(f"{kind}.{setting}={value}  {found[-1]}", flush=True)
        usual = getattr(CONFIGS[kind].preset(args.preset), setting)
        command = f"python -m benchmarks.sweep {shlex.join(sys.argv[1:])}"
        head = f"{len(pairs.photos)} photos x {len(pairs.styles)} style images, {args.size_px} px, {base.fingerprint}."
        text = f"# {kind}.{setting}\n\n```sh\n{command}\n```\n\n{head}\n\n{table(setting, values, found, usual)}"
        write_atomically(args.output / f"{kind}-{setting}.md", text.encode())


if __name__ == "__main__":
    main()

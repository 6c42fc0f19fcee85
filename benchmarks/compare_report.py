"""What a comparison looks like: the table, the plot of style against content, the contact sheet."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from sigstyle.files import write_atomically
from sigstyle.imaging.images import load_image
from sigstyle.scoring.pairs import mean
from sigstyle.scoring.scores import Scores

THUMBNAIL_PX = 150
SHEET_PHOTOS = 2
CONTENT_TOLERANCE = 0.005  # closer than this is equal content


@dataclass(frozen=True)
class Judge:
    """A network that judges: the names its style and content distances have among the scores."""

    title: str
    style: str
    content: str

    def of(self, scores: Scores) -> tuple[float, float]:
        """Style and content distance."""
        values = scores.to_dict()
        return values[self.style], values[self.content]


EFFICIENTNET = Judge("EfficientNet-Lite0", "style", "content")
VGG16_HED = Judge("vgg16-hed", "vgg16_hed_style", "vgg16_hed_content")


@dataclass(frozen=True)
class Row:
    """One method on one pair. Units: seconds of wall clock for the picture; capture_s those of its style."""

    method: str
    content: str
    style: str
    path: Path
    scores: Scores
    evaluations: int
    seconds: float
    capture_s: float | None


def judges(rows: Sequence[Row]) -> list[Judge]:
    """Those whose distances all rows have."""
    return [judge for judge in (EFFICIENTNET, VGG16_HED) if all(judge.style in row.scores.to_dict() for row in rows)]


def table(rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """Means over the pairs as Markdown; at the end, on how many pairs a method is nobody's lesser by each judge."""
    by = judges(rows)
    free = ["undominated"] if len(by) == 1 else [f"undominated by {judge.title}" for judge in by]
    distances = [f"{name.replace('vgg16_hed_', 'vgg16-hed ')} ↓" for name in rows[0].scores.to_dict()]
    header = ["method", "pairs", *distances, "UNet evaluations", "seconds", "capture, s", *free]
    lines = [f"| {' | '.join(header)} |", f"| {' | '.join(['---'] * len(header))} |"]
    for name, title in titles.items():
        own = [row for row in rows if row.method == name]
        if not own:
            continue
        means = [f"{value:.3f}" for value in mean([row.scores for row in own]).to_dict().values()]
        count = sum(row.evaluations for row in own) / len(own)
        seconds = sum(row.seconds for row in own) / len(own)
        captures = {row.style: row.capture_s for row in own if row.capture_s is not None}
        captured = f"{sum(captures.values()) / len(captures):.0f}" if captures else "none"
        undominated = [f"{sum(not dominated(row, rows, judge) for row in own)} of {len(own)}" for judge in by]
        lines.append(
            f"| {' | '.join([title, str(len(own)), *means, f'{count:g}', f'{seconds:.1f}', captured, *undominated])} |"
        )
    return "\n".join(lines) + "\n"


def dominated(row: Row, rows: Sequence[Row], judge: Judge = EFFICIENTNET) -> bool:
    """Whether another method has less style distance on the same pair at equal or less content distance."""
    style, content = judge.of(row.scores)
    others = (
        judge.of(other.scores)
        for other in rows
        if (other.content, other.style) == (row.content, row.style) and other.method != row.method
    )
    return any(theirs < style and kept <= content + CONTENT_TOLERANCE for theirs, kept in others)


def verdict(rows: Sequence[Row], titles: Mapping[str, str], ours: str = "default", judge: Judge = EFFICIENTNET) -> str:
    """For each alternative, on how many pairs ours has less style distance, and at equal or less content distance.

    The last two columns are quotients of the means over the same pairs.
    """
    own = {(row.content, row.style): judge.of(row.scores) for row in rows if row.method == ours}
    head = ["against", "less style distance", "… at equal or less content distance", "style / its", "content / its"]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    for name, title in titles.items():
        met = [
            (own[key], judge.of(row.scores))
            for row in rows
            if row.method == name and (key := (row.content, row.style)) in own
        ]
        if name == ours or not met:
            continue
        closer = [(a, b) for a, b in met if a[0] < b[0]]
        both = sum(a[1] <= b[1] + CONTENT_TOLERANCE for a, b in closer)
        (style, its_style), (content, its_content) = ([sum(p[k][i] for p in met) for k in (0, 1)] for i in (0, 1))
        counts = f"{len(closer)} of {len(met)} | {both} of {len(met)}"
        lines.append(f"| {title} | {counts} | {_quotient(style, its_style)} | {_quotient(content, its_content)} |")
    return "\n".join(lines) + "\n"


def _quotient(ours: float, its: float) -> str:
    return f"{ours / its:.2f}" if its > 0.005 else "-"


def plot(rows: Sequence[Row], titles: Mapping[str, str], path: Path) -> None:
    """Style against content, a panel for each judge: a dot for each pair, a large one for each mean, their front."""
    from matplotlib.figure import Figure

    by = judges(rows)
    figure = Figure(figsize=(7 * len(by), 5), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(by), squeeze=False)[0]
    for axes, judge in zip(panels, by, strict=True):
        axes.set(xlabel="content distance (lower keeps the photo)", ylabel="style distance (lower is closer)")
        axes.set_title(f"by {judge.title}")
        _points(axes, rows, titles, judge)
    panels[0].legend(fontsize=8, loc="best")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_atomically(path, buffer.getvalue())


def _points(axes: Any, rows: Sequence[Row], titles: Mapping[str, str], judge: Judge) -> None:
    means = []
    for index, (name, title) in enumerate(titles.items()):
        own = [judge.of(row.scores) for row in rows if row.method == name]
        if own:
            (style, content), colour = judge.of(mean([row.scores for row in rows if row.method == name])), f"C{index}"
            means.append((content, style))
            axes.scatter([c for _, c in own], [s for s, _ in own], s=9, alpha=0.35, color=colour, linewidths=0)
            axes.scatter([content], [style], s=90, color=colour, label=title, edgecolors="black")
    front = pareto(means)
    axes.step([x for x, _ in front], [y for _, y in front], where="post", color="grey", linestyle="--", linewidth=1)


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other one beats in both coordinates, sorted by the first."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(points):
        if not front or y < front[-1][1]:
            front.append((x, y))
    return front


def sheet(rows: Sequence[Row], methods: Sequence[str], images: Mapping[str, Path], path: Path) -> None:
    """A JPEG: for each style and some photos, the style image and what each method made of the photo."""
    shown = [name for name in methods if any(row.method == name for row in rows)]
    found = {(row.content, row.style, row.method): row.path for row in rows}
    photos = list(dict.fromkeys(row.content for row in rows))
    styles = list(dict.fromkeys(row.style for row in rows))
    lines = [
        (photos[(i + k * len(photos) // SHEET_PHOTOS) % len(photos)], style)
        for i, style in enumerate(styles)
        for k in range(min(SHEET_PHOTOS, len(photos)))
    ]
    canvas = Image.new("RGB", ((len(shown) + 1) * THUMBNAIL_PX, 16 + len(lines) * THUMBNAIL_PX), "white")
    draw = ImageDraw.Draw(canvas)
    for column, title in enumerate(["style image", *shown]):
        draw.text((column * THUMBNAIL_PX + 4, 2), title, fill="black")
    for line, (content, style) in enumerate(lines):
        for column, place in enumerate([images[style], *(found.get((content, style, name)) for name in shown)]):
            if place is not None:
                thumbnail = load_image(place)
                thumbnail.thumbnail((THUMBNAIL_PX - 4, THUMBNAIL_PX - 4), Image.Resampling.LANCZOS)
                canvas.paste(thumbnail, (column * THUMBNAIL_PX + 2, 16 + line * THUMBNAIL_PX + 2))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=82, optimize=True)
    write_atomically(path, buffer.getvalue())

"""Throughput of `sigstyle.batch` against calling `sigstyle.transfer` in a loop, side by side in one run.

    python benchmarks/batch.py --photos examples/content --style wave --size-px 256 --steps 8 --limit 2

For 1, 2, 4 and 8 styles both make the same pictures from the same photos, with the base loaded beforehand, and write
them. They take turns, and who begins alternates, so that a machine that slows down slows both. Writes a table in
Markdown. With fewer than 8 styles given, copies of them under other names stand in: cost does not depend on what a
style learned.
"""

import argparse
import dataclasses
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

import sigstyle
from sigstyle.base.model import BaseModel, load_base
from sigstyle.base.prompts import StyleToken
from sigstyle.batches.photos import find_photos
from sigstyle.config import TransferConfig
from sigstyle.style.shipped import open_style
from sigstyle.style.style import Style

STYLE_COUNTS = (1, 2, 4, 8)
Clock = Callable[[], float]


def look_alikes(styles: Sequence[Style], count: int) -> list[Style]:
    """`count` styles: the given ones, then copies of them under other names and slightly different tokens."""
    made = list(styles)
    for number in range(len(made), count):
        style = styles[number % len(styles)]
        token = StyleToken(f"<copy-{number}>", style.token.embedding * (1 + number / 100))
        made.append(dataclasses.replace(style, name=f"copy-{number}", token=token))
    return made[:count]


def loop(photos: Sequence[Path], styles: Sequence[Style], base: BaseModel, config: TransferConfig, out: Path) -> None:
    """`transfer` for every photo in every style, one call after the other."""
    for photo in photos:
        for style in styles:
            sigstyle.transfer(photo, style, base=base, config=config).save(out / f"{photo.stem}--{style.name}.png")


def batch(
    photos: Sequence[Path], styles: Sequence[Style], base: BaseModel, config: TransferConfig, out: Path, together: int
) -> None:
    """The same pictures by one call."""
    for result in sigstyle.batch(photos, styles, out, base=base, config=config, together=together):
        if result.error:
            raise SystemExit(result.error)


def measure(
    photos: Sequence[Path], styles: Sequence[Style], base: BaseModel, config: TransferConfig, together: int, rounds: int
) -> tuple[float, float, float]:
    """Median images per second of the loop and of the batch, and the median ratio within a round."""
    clock = _clock(base)
    pictures = len(photos) * len(styles)
    seconds: dict[str, list[float]] = {"loop": [], "batch": []}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            work = {
                "loop": lambda: loop(photos, styles, base, config, Path(folder)),
                "batch": lambda: batch(photos, styles, base, config, Path(folder) / "batch", together),
            }
            for name in ("loop", "batch") if number % 2 == 0 else ("batch", "loop"):
                started = clock()
                work[name]()
                seconds[name].append(clock() - started)
    ratios = [slow / fast for slow, fast in zip(seconds["loop"], seconds["batch"], strict=True)]
    loop_s, batch_s = (statistics.median(seconds[name]) for name in ("loop", "batch"))
    return pictures / loop_s, pictures / batch_s, statistics.median(ratios)


def _clock(base: BaseModel) -> Clock:
    """Wall time on a GPU; on the CPU the processor's time, which other programs on the machine do not touch."""
    if base.device.type == "cpu" and torch.get_num_threads() == 1:
        return time.process_time
    return time.perf_counter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", default="examples/content", help="folder")
    parser.add_argument("--style", action="append", required=True, help="style file or shipped style; repeatable")
    parser.add_argument("--base", default=None)
    parser.add_argument("--device", default=None)
    parser.add_argument("--limit", type=int, default=4, help="photos")
    parser.add_argument("--styles", type=int, nargs="+", default=list(STYLE_COUNTS), help="numbers of styles")
    parser.add_argument("--together", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size-px", type=int, default=None)
    parser.add_argument("--preset", choices=TransferConfig.preset_names(), default="default")
    parser.add_argument("--steps", type=int, default=None, help="of the preset unless given")
    parser.add_argument("-o", "--output", default=None, help="file for the table")
    given = parser.parse_args()

    styles = [open_style(style) for style in given.style]
    base = load_base(given.base or styles[0].base_name, given.device)
    changes = {} if given.steps is None else {"steps": given.steps}
    config = TransferConfig.preset(given.preset, size_px=given.size_px, **changes)
    photos = [Path(str(photo.source)) for photo in find_photos(given.photos, Path("none"))[0]][: given.limit]
    many = look_alikes(styles, max(given.styles))
    loop(photos[:1], many[:1], base, dataclasses.replace(config, steps=1), Path(tempfile.mkdtemp()))  # warm
    timing = "processor time" if _clock(base) is time.process_time else "wall time"
    lines = [
        f"{base.name}, {base.device.type}, {str(base.dtype).removeprefix('torch.')}, "
        f"{torch.get_num_threads()} threads of {platform.machine()}, {given.size_px or 'default'} px, "
        f"preset {given.preset}, {config.steps} steps, {len(photos)} photos, {given.together} together, "
        f"median of {given.rounds} rounds, {timing}",
        "",
        "| styles | `transfer` in a loop, images/s | `batch`, images/s | times as fast |",
        "| --- | --- | --- | --- |",
    ]
    print("\n".join(lines), flush=True)
    for count in given.styles:
        slow, fast, ratio = measure(photos, many[:count], base, config, given.together, given.rounds)
        lines.append(f"| {count} | {slow:.4f} | {fast:.4f} | {ratio:.2f} |")
        print(lines[-1], flush=True)
    if given.output:
        Path(given.output).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The generators of a capture side by side: loss after some steps, numbers trained, CPU seconds.

python -m benchmarks.generators --steps 60 --styles 2
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.compare import Pairs
from benchmarks.compare_cache import ROOT
from sigstyle.api import capture
from sigstyle.base.model import BaseModel, load_base
from sigstyle.config import GENERATORS, CaptureConfig
from sigstyle.errors import ConfigError
from sigstyle.files import write_atomically
from sigstyle.learning.learner import Learner
from sigstyle.learning.loop import Progress
from sigstyle.style.attach import frozen

CALLS = 20


def generator_cost(base: BaseModel, config: CaptureConfig) -> tuple[int, float]:
    """How many numbers a generator has, and the CPU seconds of making all offsets once, there and back."""
    with frozen(base.text_encoder):
        hypernet = Learner(base, config, "<style>").state.hypernet
    started = time.process_time()
    for _ in range(CALLS):
        torch.stack([offset.up.sum() + offset.down.sum() for offset in hypernet().values()]).sum().backward()
    return sum(p.numel() for p in hypernet.parameters()), (time.process_time() - started) / CALLS


def last_loss(base: BaseModel, image: Path, config: CaptureConfig) -> float:
    """The mean loss of the last fifth of a capture's steps."""
    losses: list[float] = []

    def note(progress: Progress) -> None:
        losses.append(progress.loss)

    capture(image, base=base, config=config, on_progress=note)
    return sum(losses[-max(1, len(losses) // 5) :]) / max(1, len(losses) // 5)


def table(base: BaseModel, images: Sequence[Path], config: CaptureConfig) -> str:
    """A line for each generator, as Markdown."""
    lines = [
        "| generator | numbers | CPU s for all offsets, there and back | " + " | ".join(i.stem for i in images) + " |"
    ]
    lines += ["| --- " * (3 + len(images)) + "|"]
    for kind in GENERATORS:
        own = CaptureConfig.from_dict(config.to_dict() | {"generator": kind})
        count, seconds = generator_cost(base, own)
        losses = [f"{last_loss(base, image, own):.4f}" for image in images]
        lines.append(f"| {kind} | {count:,} | {seconds:.3f} | {' | '.join(losses)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Captures and measures all; says in one line what cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--styles", type=int, default=2, help="of the pairs for tuning")
    parser.add_argument("--painting", type=int, default=2)
    parser.add_argument("--crops", type=int, default=24)
    parser.add_argument("--base", default="mini")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/tuning/generators.md")
    args = parser.parse_args()
    try:
        config = CaptureConfig(steps=args.steps, painting=args.painting, crops=args.crops)
        found = table(load_base(args.base), Pairs.named("tuning").styles[: args.styles], config)
    except ConfigError as error:
        sys.exit(f"benchmarks.generators: {error}")
    command = f"```sh\npython -m benchmarks.generators {shlex.join(sys.argv[1:])}\n```"
    about = "Loss: mean of the last fifth of the steps, the same samples in every line."
    write_atomically(args.output, "\n\n".join(["# Generators", command, about, found]).encode())


if __name__ == "__main__":
    main()

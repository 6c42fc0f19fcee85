"""What a card must hold for a transfer and for a capture, counted at the true shapes of each family.

python -m benchmarks.memory     the table of docs/cost.md
"""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.cost import table
from benchmarks.families import UNETS, weightless
from benchmarks.meters import peak_bytes
from benchmarks.painting_work import DefaultCapture
from sigstyle.base.autoencoder import decode_latents, encode_latents, pixels_per_latent
from sigstyle.base.finite import Finiteness
from sigstyle.base.memory import tile
from sigstyle.base.model import BaseModel, default_size_px
from sigstyle.config import TransferConfig
from sigstyle.diffusion.denoise import predict

MODES = ("high", "low")
_DTYPES = {"high": torch.float16, "low": torch.bfloat16}  # what a card with bfloat16 units holds


def bytes_of(*modules: Any) -> int:
    """What weights take."""
    return sum(tensor.nbytes for module in modules for tensor in module.state_dict().values())


@torch.no_grad()
def transfer_peak(family: str, mode: str) -> int:
    """The most that is on a card during a default transfer of a square photo.

    In the mode 'low' a network is there only while it computes: the autoencoder from the photo's encoding on, the UNet
    from its first evaluation to the decoding, each text encoder while it reads.
    """
    base = _base(family, mode)
    unet, vae, encoders = base.unet, base.vae, base.text_encoders
    latent = pixels_per_latent(vae)
    side = default_size_px(base) + 2 * TransferConfig().margin_px
    latents, pixels = torch.zeros(1, 4, side // latent, side // latent), torch.zeros(1, 3, side, side)
    cond = base.reader.encode(["a tower"])
    taken: dict[str, int] = {
        "reading": _peak(base, lambda: base.reader.encode(["a tower"])),
        "evaluating": _peak(base, lambda: predict(unet, latents, torch.tensor(500), cond)),
        "encoding": _peak(base, lambda: encode_latents(vae, pixels)),
        "decoding": _peak(base, lambda: decode_latents(vae, latents)),
    }
    if mode == "high":
        return bytes_of(*base.modules) + max(taken.values())
    reading = max(bytes_of(encoder) for encoder in encoders) + taken["reading"]
    painting = bytes_of(vae, unet) + max(taken["evaluating"], reading)
    return max(painting, bytes_of(vae) + max(taken["encoding"], taken["decoding"]))


def capture_peak(family: str, mode: str) -> int:
    """The most that is on a card during a default capture, the optimiser's numbers included.

    In the mode 'low' UNet and autoencoder stay there, a text encoder comes while it reads.
    """
    base = _base(family, mode)
    capture = DefaultCapture.of(base)
    if mode == "low":
        capture.learner.config = capture.learner.config.from_dict(
            capture.config.to_dict() | {"painting": 1, "batch_size": 1}
        )
    capture.learner.state.progression.autocast = mode == "high"
    half_size = capture.config.subcrop == 1
    steps = [capture.painted(less=mode == "low"), capture.remembered(half_size, less=mode == "low")]
    taken = max(_peak(base, step) for step in steps)
    learned = 4 * bytes_of(capture.learner.state.hypernet)  # themselves, gradients, and two moments of each
    if mode == "high":
        return bytes_of(*base.modules) + taken + learned
    reading = max(bytes_of(encoder) for encoder in base.text_encoders)
    return bytes_of(base.unet, base.vae) + learned + max(taken, reading)


def _base(family: str, mode: str) -> BaseModel:
    base = weightless(family, _DTYPES[mode], mode)
    if mode == "low":
        tile(base.vae)
    return base


def _peak(base: BaseModel, work: Callable[[], Any]) -> int:
    look, Finiteness.look = Finiteness.look, lambda *_: None  # type: ignore[method-assign]  # it needs the numbers
    try:
        return peak_bytes(work, *base.modules)
    finally:
        Finiteness.look = look  # type: ignore[method-assign]


def main() -> None:
    """Prints the table."""
    rows = []
    for family in UNETS:
        for mode in MODES:
            found = (transfer_peak(family, mode), capture_peak(family, mode))
            rows.append([family, mode, *(f"{each / 1e9:.1f}" for each in found)])
            print(rows[-1], flush=True)
    print(table(["Stable Diffusion", "--memory", "GB of a transfer", "GB of a capture"], rows))


if __name__ == "__main__":
    main()

"""Pictures and styles that must never change: what inverting and swapping made before painting came, on tiny bases.

`python tests/frozen.py PRESET` in a checkout writes `tests/fixtures` with its code. The fixtures there are of commit
259652d, whose preset `default` is `classic` now. A mistake in them is the only reason to write them anew.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conftest import make_painting, make_parts
from PIL import Image
from random_style import random_style
from safetensors.torch import save_file
from torch import Tensor

from pipelines import SigStylePipeline
from sigstyle.base.model import BaseModel
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.learning.loop import capture_style
from sigstyle.style.style import Style

FIXTURES = Path(__file__).parent / "fixtures"
TRANSFERS, CAPTURED = FIXTURES / "transfers.safetensors", FIXTURES / "captured.safetensors"
_FEW: Mapping[str, Any] = {"steps": 6, "size_px": 64}
CASES: Mapping[str, Mapping[str, Any]] = {
    "plain": {"prompt": "a tower", **_FEW},
    "guided": {"swap": "qk", "guidance_scale": 3.0, "negative_prompt": "mud", **_FEW},
    "noisy": {"noise_sigma": 4.0, "smoothing": 0.01, "seed": 7, **_FEW},
    "halfway": {"strength": 0.5, **_FEW},
    "masked": {"margin_px": 0, **_FEW},
    "blended": {"eta": 0.5, **_FEW},
    "paper": _FEW,
}
CAPTURES: Mapping[str, Mapping[str, Any]] = {
    "classic": {"batch_size": 2, "crops": 4, "warmup": 2},
    "paper": {"warmup": 2, "batch_size": 1, "crops": 1, "decay": "linear", "token_decay": 0.0},
}


def frozen_base() -> BaseModel:
    """The tiny base of all fixtures."""
    return BaseModel.from_pipeline(make_parts(prediction_type="v_prediction"), name="tiny")


def painted(base: BaseModel, case: str, classic: str = "classic", output_type: str = "pil") -> Any:
    """The result of one case; `classic` is the name of the preset that inverts and swaps."""
    pipe: Any = SigStylePipeline.from_base(base)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_style(random_style(base, scale=0.2))
    if case == "blended":
        pipe.load_style(random_style(base, "other", seed=1, scale=0.2))
    config = TransferConfig.preset("paper" if case == "paper" else classic, **CASES[case])
    painting, mask = make_painting(), None
    if case == "masked":
        mask = Image.new("L", painting.size, 0)
        mask.paste(255, (0, 0, 48, 80))
    return pipe(painting, config=config, mask=mask, output_type=output_type)


def captured(base: BaseModel, preset: str, name: str) -> Style:
    """The style that a short capture with a preset ends in."""
    config = CaptureConfig.preset(preset, steps=6, size_px=64, autocast="off", **CAPTURES[name])
    return capture_style(base, [make_painting()], "Great Wave", config)


def transfers(classic: str) -> dict[str, Tensor]:
    """Latents and pixels of every case, by name."""
    base, found = frozen_base(), {}
    for case in CASES:
        found[f"{case}.latents"] = painted(base, case, classic, "latent").images.contiguous()
        found[f"{case}.pixels"] = torch.from_numpy(np.asarray(painted(base, case, classic).images[0]).copy())
    return found


def main() -> None:
    """Writes the fixtures with the code at hand."""
    classic, base = sys.argv[1], frozen_base()
    FIXTURES.mkdir(exist_ok=True)
    save_file(transfers(classic), TRANSFERS)
    styles = {"classic": captured(base, classic, "classic"), "paper": captured(base, "paper", "paper")}
    save_file({f"{name}.{key}": t for name, style in styles.items() for key, t in style.tensors().items()}, CAPTURED)
    styles["classic"].save(FIXTURES / "great-wave.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

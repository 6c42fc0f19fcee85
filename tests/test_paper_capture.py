"""The capture of the preset paper, as in the released code: see docs/paper.md."""

from typing import Any

import pytest
import torch
from conftest import make_painting

from sigstyle.base.model import BaseModel
from sigstyle.config import CaptureConfig
from sigstyle.learning.batches import cached_latents
from sigstyle.learning.loop import capture_style

FEW: dict[str, Any] = {"steps": 2, "size_px": 64, "crops": 3, "autocast": "off"}


def test_it_takes_whole_crops_pairs_of_samples_and_constant_rates() -> None:
    paper = CaptureConfig.preset("paper")
    assert (paper.steps, paper.batch_size, paper.painting, paper.rank) == (1000, 2, 0, 3)
    assert (paper.crop_min, paper.subcrop, paper.warmup, paper.decay, paper.token_decay) == (1, 0, 0, "constant", 0.01)


def test_crops_are_whole_short_sides_at_random_places_some_mirrored(base: BaseModel) -> None:
    config = CaptureConfig.preset("paper", **FEW | {"crops": 6})
    found = cached_latents(base, [make_painting()], config)
    assert len({tuple(crop.flatten().tolist()) for crop in found}) == 6


@pytest.mark.parametrize("decay", ["linear", "constant"])
def test_rates_fall_or_stay(base: BaseModel, decay: str) -> None:
    rates: list[float] = []
    own = torch.optim.AdamW.step
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", lambda self: rates.append(self.param_groups[0]["lr"]) or own(self))
        capture_style(base, [make_painting()], "wave", CaptureConfig.preset("paper", **FEW, decay=decay))
    assert (rates[0] == rates[1]) == (decay == "constant") and rates[0] == pytest.approx(3e-3)


def test_a_tokens_length_costs(base: BaseModel) -> None:
    def length(weight: float) -> float:
        config = CaptureConfig.preset("paper", **FEW | {"steps": 6}, token_decay=weight, token_lr=0.1)
        return capture_style(base, [make_painting()], "wave", config).token.embedding.square().sum().item()

    assert length(1.0) < length(0.0)

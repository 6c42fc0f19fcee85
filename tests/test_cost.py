"""The costs that can be counted: evaluations of a transfer, operations of a training step on Stable Diffusion 1.5."""

import pytest

from benchmarks.cost import (
    SIZE_PX,
    classic_capture_flops,
    sample_flops,
    transfer_flops,
    transfer_kinds,
    weightless_base,
)
from benchmarks.meters import Kind, Kinds, evaluations, flops
from benchmarks.work import capture_step, evaluation
from sigstyle.base.model import BaseModel
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.painting.cost import transfer_cost

DEFAULT, CLASSIC = transfer_cost(TransferConfig()), transfer_cost(TransferConfig.preset("classic"))


MOST_EVALUATIONS = 4
PUBLISHED_EVALUATIONS = 218


@pytest.fixture(scope="module")
def kinds() -> dict[str, Kinds]:
    """What every transfer evaluates, run once for all tests here."""
    return transfer_kinds()


@pytest.fixture(scope="module")
def full() -> BaseModel:
    """Stable Diffusion 1.5 in shapes alone."""
    return weightless_base()


def test_evaluations_of_a_transfer_keep_to_their_budget(kinds: dict[str, Kinds]) -> None:
    found = {name: evaluations(each) for name, each in kinds.items()}
    assert found["published, rebuilt"] == 218
    assert found["preset default"] <= 4 and found["preset default, one more style"] <= 4
    assert found["preset classic"] <= 54
    assert found["preset classic, one more style"] <= 34
    beside = found["diffusers img2img, steps of classic"] + CLASSIC.referring
    assert found["preset classic, one more style"] == beside


def test_the_cost_model_says_what_is_evaluated(kinds: dict[str, Kinds]) -> None:
    found = {name: evaluations(each) for name, each in kinds.items()}
    assert found["preset default"] == found["preset default, one more style"] == DEFAULT.evaluations == 2
    assert found["preset classic"] == CLASSIC.evaluations
    assert found["preset classic, one more style"] == CLASSIC.further
    assert found["preset paper"] == transfer_cost(TransferConfig.preset("paper")).evaluations == 150


def test_a_default_transfer_keeps_to_its_budget_of_evaluations_and_operations(
    kinds: dict[str, Kinds], full: BaseModel
) -> None:
    found, cost = transfer_flops(kinds, full), transfer_cost(TransferConfig())
    evaluations, operations = found["preset default"]
    further, _ = found["preset default, one more style"]
    published_evaluations, published = found["published, rebuilt"]
    assert further <= evaluations <= MOST_EVALUATIONS
    assert (evaluations, further) == (cost.evaluations, cost.further)
    assert published_evaluations == PUBLISHED_EVALUATIONS
    assert operations <= published / 50
    assert found["preset classic"][0] == transfer_cost(TransferConfig.preset("classic")).evaluations == 50
    assert found["preset classic, one more style"][0] == 30


def test_operations_at_the_size_of_stable_diffusion_keep_to_their_budget(full: BaseModel) -> None:
    plain, swapped = (flops(evaluation(full, Kind(1, kind), SIZE_PX)) for kind in ("plain", "swapped"))
    assert 0.802e12 < plain < 0.805e12
    assert swapped < plain
    classic = CaptureConfig.preset("classic")
    samples = classic.steps * classic.batch_size
    assert classic_capture_flops(full) / samples < 0.7e12
    assert flops(capture_step(full, classic.batch_size, SIZE_PX)) / classic.batch_size < 1.45e12
    steps = sample_flops(full)  # two at a time: what does not grow with the samples weighs more
    assert steps["ours, mean of the crops"] < 0.71e12
    assert steps["ours, a whole crop"] < 1.46e12
    assert steps["published, rebuilt"] > 4e12

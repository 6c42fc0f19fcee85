"""The costs that can be counted: evaluations of a transfer, operations of a training step on Stable Diffusion 1.5."""

from benchmarks.cost import SIZE_PX, classic_capture_flops, sample_flops, transfer_evaluations, weightless_base
from benchmarks.meters import Kind, flops
from benchmarks.work import capture_step, evaluation
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.painting.cost import transfer_cost

DEFAULT, CLASSIC = transfer_cost(TransferConfig()), transfer_cost(TransferConfig.preset("classic"))


def test_evaluations_of_a_transfer_keep_to_their_budget() -> None:
    found = transfer_evaluations()
    assert found["published, rebuilt"] == 218
    assert found["preset default"] <= 4 and found["preset default, one more style"] <= 4
    assert found["preset classic"] <= 54
    assert found["preset classic, one more style"] <= 34
    beside = found["diffusers img2img, steps of classic"] + CLASSIC.referring
    assert found["preset classic, one more style"] == beside


def test_the_cost_model_says_what_is_evaluated() -> None:
    found = transfer_evaluations()
    assert found["preset default"] == found["preset default, one more style"] == DEFAULT.evaluations == 2
    assert found["preset classic"] == CLASSIC.evaluations
    assert found["preset classic, one more style"] == CLASSIC.further
    assert found["preset paper"] == transfer_cost(TransferConfig.preset("paper")).evaluations == 150


def test_operations_at_the_size_of_stable_diffusion_keep_to_their_budget() -> None:
    base = weightless_base()
    plain, swapped = (flops(evaluation(base, Kind(1, kind), SIZE_PX)) for kind in ("plain", "swapped"))
    assert 0.802e12 < plain < 0.805e12
    assert swapped < plain
    classic = CaptureConfig.preset("classic")
    samples = classic.steps * classic.batch_size
    assert classic_capture_flops(base) / samples < 0.7e12
    assert flops(capture_step(base, classic.batch_size, SIZE_PX)) / classic.batch_size < 1.45e12
    steps = sample_flops(base)  # two at a time: what does not grow with the samples weighs more
    assert steps["ours, mean of the crops"] < 0.71e12
    assert steps["ours, a whole crop"] < 1.46e12
    assert steps["published, rebuilt"] > 4e12

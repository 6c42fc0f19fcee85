"""The costs of painting that can be counted: evaluations, operations, and what a capture keeps in memory."""

import torch

from benchmarks.cost import painting_sample_cost, transfer_flops, weightless_base
from benchmarks.meters import kept_bytes
from sigstyle.config import TransferConfig
from sigstyle.painting.cost import transfer_cost

MOST_EVALUATIONS = 4
PUBLISHED_EVALUATIONS = 218


def test_a_default_transfer_keeps_to_its_budget_of_evaluations_and_operations() -> None:
    found, cost = transfer_flops(), transfer_cost(TransferConfig())
    evaluations, operations = found["preset default"]
    further, _ = found["preset default, one more style"]
    published_evaluations, published = found["published, rebuilt"]
    assert further <= evaluations <= MOST_EVALUATIONS
    assert (evaluations, further) == (cost.evaluations, cost.further)
    assert published_evaluations == PUBLISHED_EVALUATIONS
    assert operations <= published / 50
    assert found["preset classic"][0] == transfer_cost(TransferConfig.preset("classic")).evaluations == 50
    assert found["preset classic, one more style"][0] == 30


def test_painting_a_window_while_learning_fits_a_small_card_at_the_shapes_of_stable_diffusion() -> None:
    operations, kept = painting_sample_cost(weightless_base())
    assert 0.9e12 < operations < 2.2e12
    assert 0.5e9 < kept < 2.5e9


def test_kept_bytes_counts_each_piece_of_memory_once_and_no_weights() -> None:
    layer, rows = torch.nn.Linear(3, 4, bias=False), torch.ones(5, 3, requires_grad=True)
    assert kept_bytes(lambda: layer(rows), layer) == rows.nbytes
    assert kept_bytes(lambda: (layer(rows), layer(rows)), layer) == rows.nbytes
    assert kept_bytes(lambda: layer(rows)) == rows.nbytes + layer.weight.nbytes
    with torch.no_grad():
        assert kept_bytes(lambda: layer(rows), layer) == 0

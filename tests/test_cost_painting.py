"""The costs of painting that can be counted: operations, and what a capture keeps in memory."""

import torch

from benchmarks.cost import (
    default_capture_flops,
    kept_memory,
    weightless_base,
    whole_default_transfer_flops,
)
from benchmarks.meters import kept_bytes


def test_a_default_transfer_counted_whole_costs_little_at_the_shapes_of_stable_diffusion() -> None:
    full = weightless_base()
    plain, with_margin = (whole_default_transfer_flops(full, margin) for margin in (0, 32))
    assert 5.2e12 < plain < 5.4e12
    assert 1.2 * plain < with_margin < 1.3 * plain


def test_learning_by_painting_fits_a_small_card_at_the_shapes_of_stable_diffusion() -> None:
    full = weightless_base()
    found = kept_memory(full)
    assert all(kept.usual < 2.5e9 and kept.checkpointed < 0.45 * kept.usual for kept in found.values())
    assert default_capture_flops(full) < 600e12


def test_kept_bytes_counts_each_piece_of_memory_once_and_no_weights() -> None:
    layer, rows = torch.nn.Linear(3, 4, bias=False), torch.ones(5, 3, requires_grad=True)
    assert kept_bytes(lambda: layer(rows), layer) == rows.nbytes
    assert kept_bytes(lambda: (layer(rows), layer(rows)), layer) == rows.nbytes
    assert kept_bytes(lambda: layer(rows)) == rows.nbytes + layer.weight.nbytes
    with torch.no_grad():
        assert kept_bytes(lambda: layer(rows), layer) == 0

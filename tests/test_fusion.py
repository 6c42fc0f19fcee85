"""Boxes of embeddings: what a hypernetwork makes of whatever is inside is within bounds, and these are narrow."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from conftest import make_parts
from scipy.optimize import linprog
from test_collection import embeddings
from test_shared_hypernet import network
from torch import Tensor, nn

from sigstyle.base.model import BaseModel
from sigstyle.style.affine import Affine
from sigstyle.style.fusion import PIECES, HyperBox, fused, reach
from sigstyle.style.shared_hypernet import EMBEDDING, SharedHypernet


@pytest.fixture(scope="module")
def base() -> BaseModel:
    """A tiny base, for all tests here: each leaves it as it was."""
    return BaseModel.from_pipeline(make_parts(), name="tiny")


def inside(box: HyperBox, point: Tensor) -> bool:
    """Whether a box holds an embedding, but for its rounding to float16."""
    room = (2**-11 * point.abs() + 1e-6).double().numpy()
    spans, away = box.spans.double().numpy().T, (point - box.centre).double().numpy()
    rows, limits = np.concatenate([spans, -spans]), np.concatenate([away + room, room - away])
    return linprog(np.zeros(len(box.spans)), rows, limits, bounds=(-1, 1)).status == 0


def offsets_held(boxes: Sequence[HyperBox], net: SharedHypernet, point: Tensor) -> bool:
    """Whether all that is made of an embedding is within the bounds of at least one of the boxes."""
    coefficients = net.predict(point).coefficients.half().float()  # as `Hypernetwork.at` gives them
    made = net.offsets(coefficients)
    return any(
        box.coefficients(net).interval.holds(coefficients.flatten())
        and all(bounded.interval().holds(made[path].delta()) for path, bounded in box.offsets(net).items())
        for box in boxes
    )


def test_whatever_is_in_a_box_makes_offsets_within_its_bounds(base: BaseModel) -> None:
    net, box = network(base), HyperBox.around(embeddings(1)[0], 0.3)
    generator = torch.Generator().manual_seed(1)
    corners = [torch.zeros(EMBEDDING), torch.ones(EMBEDDING)]
    for places in [*corners, *(torch.rand(EMBEDDING, generator=generator).round(decimals=n) for n in (0, 0, 1, 5))]:
        assert offsets_held([box], net, box.point(places))
    assert not offsets_held([box], net, box.point(torch.ones(EMBEDDING)) + 3)


@pytest.mark.parametrize("count", [2, 3])
def test_whatever_is_between_styles_makes_offsets_within_the_bounds(base: BaseModel, count: int) -> None:
    net, ends = network(base), [end.half().float() for end in embeddings(count)]  # as files have them
    boxes = HyperBox.between(ends)
    assert len(boxes) == PIECES
    generator = torch.Generator().manual_seed(1)
    for shares in [*torch.eye(count), *torch.rand(6, count, generator=generator)]:
        point = fused(ends, shares.tolist())
        assert any(inside(box, point) for box in boxes)
        assert offsets_held(boxes, net, point)
    assert not offsets_held(boxes, net, embeddings(count + 1)[-1])


@torch.no_grad()
def test_bounds_are_not_much_wider_than_what_is_met(base: BaseModel) -> None:
    net, ends = network(base), list(embeddings(2))
    middle = fused(ends, [1, 1])
    known = net.offsets(net.predict(middle).coefficients)
    gaps = [net.offsets(net.predict(end).coefficients) for end in ends]
    far = [sum(float((found[p].delta() - known[p].delta()).square().sum()) for p in known) for found in gaps]
    met = (max(far) / sum(float(offset.delta().square().sum()) for offset in known.values())) ** 0.5
    assert met <= reach(HyperBox.between(ends), net, middle) < 2 * met
    around = [reach([HyperBox.around(middle, radius)], net, middle) for radius in (0.01, 0.02)]
    assert around[0] < around[1] < 3 * around[0]


def test_styles_that_point_away_from_each_other_are_bounded_too(base: BaseModel) -> None:
    net, first = network(base), embeddings(1)[0]
    ends = [first, -first, -first]
    assert all(offsets_held(HyperBox.between(ends), net, fused(ends, shares)) for shares in ([1, 0, 0], [1, 2, 2]))


def test_a_box_without_width_is_its_point(base: BaseModel) -> None:
    net, point = network(base), embeddings(1)[0]
    box = HyperBox.around(point, 0.0)
    found = box.coefficients(net).middle.view(len(net.shapes), net.basis)
    torch.testing.assert_close(found, net.predict(point).coefficients, rtol=1e-4, atol=1e-5)
    assert reach([box], net, point) < 3e-3, "what float16 rounds is left"


def test_bounds_of_functions_hold_what_is_between_and_little_more() -> None:
    low = torch.tensor([-3.0, -1.0, 0.5, -4.0, 3.0, 0.7, 40.0, -40.0])
    high = torch.tensor([-2.0, 2.0, 1.5, 4.0, 3.5, 0.7, 40.0, -40.0])
    numbers = Affine.exactly((low + high) / 2, torch.diag((high - low) / 2))
    places = low + (high - low) * torch.linspace(0, 1, 2001)[:, None]
    for bounds, values in (
        (numbers.cosine(), places.cos()),
        (numbers.sine(), places.sin()),
        (numbers.silu(), torch.nn.functional.silu(places)),
    ):
        assert all(bounds.interval.holds(row) for row in values)
        assert (bounds.radius <= 1e-4 + 2.1 * (values.amax(0) - values.amin(0))).all()
    same = Affine.exactly(torch.zeros(1), torch.ones(1, 1))
    twins, apart = Affine.joined([same, same]), nn.Linear(2, 1, bias=False)
    apart.weight = nn.Parameter(torch.tensor([[1.0, -1.0]]))
    assert twins.through(apart).radius == 0, "what moves together cancels out"

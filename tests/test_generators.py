"""The generators that a capture can choose between keep the same laws."""

import pytest
import torch
from conftest import make_painting

import sigstyle
from sigstyle.base.model import BaseModel
from sigstyle.config import GENERATORS
from sigstyle.errors import ConfigError
from sigstyle.style.hypernet import StyleHypernet, make_hypernet

SHAPES = {"a.to_q": (8, 8), "a.to_k": (8, 12), "b.to_q": (8, 8), "b.conv": (4, 36)}


def made(kind: str, seed: int = 0) -> StyleHypernet:
    return make_hypernet(kind, SHAPES, 2, seed, 16)


@pytest.mark.parametrize("kind", GENERATORS)
def test_each_starts_at_the_identity_with_the_shapes_and_from_its_seed_alone(kind: str) -> None:
    before = torch.random.get_rng_state()
    offsets, again, other = made(kind)(), made(kind)(), made(kind, seed=1)()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert {path: offset.shape for path, offset in offsets.items()} == SHAPES
    for path, offset in offsets.items():
        assert not offset.delta().any() and 0.3 < float(offset.down.detach().square().mean()) < 3
        assert torch.equal(offset.down, again[path].down) and not torch.equal(offset.down, other[path].down)


@pytest.mark.parametrize("kind", GENERATORS)
def test_each_learns_with_every_parameter_and_tells_layers_apart(kind: str) -> None:
    hypernet, generator = made(kind), torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(hypernet.parameters(), lr=1e-2)
    targets = {path: torch.randn(shape, generator=generator) for path, shape in SHAPES.items()}
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = torch.stack([(o.delta() - targets[path]).square().mean() for path, o in hypernet().items()]).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert all(p.grad is not None and p.grad.any() for p in hypernet.parameters())
    offsets = hypernet()
    assert not torch.allclose(offsets["a.to_q"].delta(), offsets["b.to_q"].delta())


def test_only_in_the_recurrent_one_a_layer_depends_on_those_before_it() -> None:
    for kind in GENERATORS:
        hypernet = made(kind)
        for head in hypernet.heads.values():
            torch.nn.init.ones_(head.weight)  # type: ignore[arg-type]
        before = {path: offset.up.detach().clone() for path, offset in hypernet().items()}
        with torch.no_grad():
            hypernet.layers[1] += 1
        changed = {path for path, offset in hypernet().items() if not torch.equal(offset.up, before[path])}
        assert changed == ({"a.to_k", "b.to_q", "b.conv"} if kind == "recurrent" else {"a.to_k"})


def test_a_capture_takes_one_by_name(base: BaseModel) -> None:
    few = {"steps": 1, "size_px": 64, "crops": 1, "batch_size": 1, "painting": 0, "warmup": 0, "autocast": "off"}
    hashes = {sigstyle.capture(make_painting(), base=base, generator=kind, **few).hash for kind in GENERATORS}
    assert len(hashes) == len(GENERATORS)
    with pytest.raises(ConfigError, match="generator"):
        sigstyle.capture(make_painting(), base=base, generator="gru", **few)

import torch

from sigstyle.style.hypernet import StyleHypernet, constant_norm

SHAPES = {"a.to_q": (8, 8), "a.to_k": (8, 12), "b.to_q": (8, 8), "b.conv": (4, 36)}


def test_it_starts_at_the_identity() -> None:
    for offset in StyleHypernet(SHAPES, rank=3)().values():
        assert not offset.delta().any()
        assert offset.down.any()


def test_offsets_have_the_shapes_asked_for() -> None:
    offsets = StyleHypernet(SHAPES, rank=2)()
    assert {path: offset.shape for path, offset in offsets.items()} == SHAPES
    assert {offset.rank for offset in offsets.values()} == {2}


def test_the_same_seed_makes_the_same_network() -> None:
    first, again, other = (StyleHypernet(SHAPES, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["style"], other["style"])


def test_making_one_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    state = StyleHypernet(SHAPES).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(99)
    assert all(torch.equal(value, state[key]) for key, value in StyleHypernet(SHAPES).state_dict().items())
    torch.random.set_rng_state(before)


def test_every_parameter_learns_and_layers_of_one_shape_differ() -> None:
    hypernet = StyleHypernet(SHAPES, seed=0)
    optimizer = torch.optim.Adam(hypernet.parameters(), lr=1e-2)
    targets = {path: torch.randn(shape, generator=torch.Generator().manual_seed(1)) for path, shape in SHAPES.items()}
    for _ in range(3):
        optimizer.zero_grad()
        torch.stack([(o.delta() - targets[path]).square().mean() for path, o in hypernet().items()]).sum().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.any() for p in hypernet.parameters())
    offsets = hypernet()
    assert not torch.allclose(offsets["a.to_q"].delta(), offsets["b.to_q"].delta())


def test_it_can_learn_a_given_offset() -> None:
    hypernet = StyleHypernet({"a": (8, 8)}, rank=3, seed=0)
    target = torch.outer(torch.linspace(-1, 1, 8), torch.linspace(0, 1, 8))
    optimizer = torch.optim.Adam(hypernet.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        loss = (hypernet()["a"].delta() - target).square().mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.02 * target.square().mean()


def test_inputs_have_constant_norm() -> None:
    values = torch.randn(5, 7) * torch.logspace(-3, 3, 5).unsqueeze(1)
    assert torch.allclose(constant_norm(values).norm(dim=-1), torch.full((5,), 7**0.5))

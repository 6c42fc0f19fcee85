"""Collections: many styles in one hypernetwork, which forgets none of them; and what lies between styles."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import digest, make_painting, make_parts
from test_cli import done, refused
from test_shared_hypernet import network

import sigstyle.style.instant as instant_module
from sigstyle.base.model import BaseModel
from sigstyle.config import CollectionConfig
from sigstyle.errors import Cancelled, ConfigError, StyleFileError
from sigstyle.learning.collecting import add_to_collection, forgetting, new_collection
from sigstyle.style.collection import Collection
from sigstyle.style.collection_file import load_collection, save_collection
from sigstyle.style.drift import Held, offsets_sketch
from sigstyle.style.fusion import fused
from sigstyle.style.instant import save_hypernetwork
from sigstyle.style.offsets import Offset, of_rank
from sigstyle.style.shared_hypernet import EMBEDDING, Predicted, SharedHypernet
from sigstyle.style.style import Style
from sigstyle.style.tensor_file import read_tensors

FEW = CollectionConfig(steps=2, painting=1, crops=1, size_px=64, autocast="off")


@pytest.fixture(scope="module")
def base() -> BaseModel:
    """A tiny base, for all tests here: each leaves it as it was."""
    return BaseModel.from_pipeline(make_parts(), name="tiny")


@pytest.fixture(scope="module")
def empty(base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """A collection on the tiny base, whose hypernetwork lies where the one that ships would."""
    path = tmp_path_factory.mktemp("network") / "hypernetwork.safetensors"
    save_hypernetwork(path, network(base), base.fingerprint, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instant_module, "HYPERNETWORK_FILE", path)
        patch.setattr("sigstyle.learning.measured.SIDE_PX", 64)  # what is measured on a painting this small is the same
        yield new_collection(base)


@pytest.fixture(scope="module")
def one(base: BaseModel, empty: Collection) -> Collection:
    """With a style in it."""
    return add_to_collection(base, empty, [make_painting()], "Level", FEW)


@pytest.fixture(scope="module")
def pair(base: BaseModel, one: Collection) -> Collection:
    """With two styles in it."""
    return add_to_collection(base, one, [make_painting().rotate(90, expand=True)], "Upright", FEW)


def moved(net: SharedHypernet, amount: float, seed: int = 3) -> SharedHypernet:
    """Every parameter, a little off."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(amount * torch.randn(parameter.shape, generator=generator))
    return net


def embeddings(count: int, seed: int = 0) -> torch.Tensor:
    return SharedHypernet.normed(torch.randn(count, EMBEDDING, generator=torch.Generator().manual_seed(seed)))


def test_drift_is_that_of_the_matrices_and_zero_where_nothing_changed(base: BaseModel) -> None:
    net, known = network(base), embeddings(2)
    held = Held.of(net, known)
    assert held.drift(net).tolist() == [0, 0]
    before = [net.predict(e) for e in known]
    matrices = [{path: o.delta() for path, o in net.offsets(p.coefficients).items()} for p in before]
    found = held.drift(moved(net, 1e-3))
    for index, embedding in enumerate(known):
        now = net.predict(embedding)
        after = {path: offset.delta() for path, offset in net.offsets(now.coefficients).items()}
        change = sum((after[path] - old).square().sum() for path, old in matrices[index].items())
        size = sum(old.square().sum() for old in matrices[index].values())
        shift = (now.token - before[index].token).square().sum() / before[index].token.square().sum()
        torch.testing.assert_close(found[index], change / size + shift, rtol=1e-3, atol=0)
    found.sum().backward()
    assert net.ups.grad is not None and net.ups.grad.any()


def test_sketches_tell_distances(base: BaseModel) -> None:
    net, (first, second) = network(base), embeddings(2)
    one, other = (net.offsets(net.predict(e).coefficients) for e in (first, second))
    true = sum((one[path].delta() - other[path].delta()).square().sum() for path in one) ** 0.5
    told = (offsets_sketch(one) - offsets_sketch(other)).norm()
    assert torch.equal(offsets_sketch(one), offsets_sketch(one))
    torch.testing.assert_close(told, torch.as_tensor(true), rtol=0.25, atol=0)


def test_a_style_is_added_and_everything_else_stays(
    base: BaseModel, empty: Collection, one: Collection, pair: Collection
) -> None:
    assert [member.name for member in pair.members] == ["Level", "Upright"] and not empty.members
    again = add_to_collection(base, empty, [make_painting()], "Level", FEW)
    assert again.network.hash == one.network.hash
    assert torch.equal(again.members[0].embedding, pair.members[0].embedding)
    assert len({collection.network.hash for collection in (empty, one, pair)}) == 3
    assert pair.network.space == empty.network.space
    torch.testing.assert_close(pair.members[0].embedding.norm(), torch.tensor(8.0), rtol=1e-3, atol=0)


def test_the_base_comes_back_as_it_was(base: BaseModel, empty: Collection) -> None:
    before = digest(base.unet), digest(base.vae), digest(base.text_encoder)
    stops = iter([False, True])
    with pytest.raises(Cancelled, match="stays as it was"):
        add_to_collection(base, empty, [make_painting()], "Level", FEW, should_stop=lambda: next(stops))
    assert (digest(base.unet), digest(base.vae), digest(base.text_encoder)) == before


def test_the_penalty_forgets_less(base: BaseModel, one: Collection) -> None:
    freely = {"holding": "penalty", "steps": 6, "lr": 1e-2}
    other = [make_painting().rotate(90, expand=True)]
    kept, lost = (
        forgetting(base, add_to_collection(base, one, other, "Upright", CollectionConfig(**{**vars(FEW), **changes})))
        for changes in ({"hold": 1000.0, **freely}, {"hold": 0.0, **freely})
    )
    assert kept[0].offsets < 0.6 * lost[0].offsets
    assert kept[1].offsets == lost[1].offsets == 0
    assert forgetting(base, one)[0].picture == 0


def test_held_exactly_earlier_styles_stay_while_the_new_one_is_learned(base: BaseModel, one: Collection) -> None:
    other = [make_painting().rotate(90, expand=True)]
    config = CollectionConfig(**{**vars(FEW), "own_lr": 0.1, "steps": 6})
    two = add_to_collection(base, one, other, "Upright", config)
    (kept, new), (level, upright) = forgetting(base, two), two.members
    assert kept.offsets < 1e-3 and kept.picture < 0.1 and new.offsets == new.picture == 0
    before, after = (collection.offsets(level.embedding) for collection in (one, two))
    for path, offset in before.items():
        torch.testing.assert_close(after[path].delta(), offset.delta(), rtol=1e-2, atol=1e-3)
    untrained, trained = (offsets_sketch(collection.offsets(upright.embedding)) for collection in (one, two))
    assert (trained - untrained).norm() > 0.02 * untrained.norm()


def test_what_is_remembered_changes_nothing_of_others(base: BaseModel) -> None:
    net, known = network(base), embeddings(40)
    before = [net.predict(embedding) for embedding in known]
    generator = torch.Generator().manual_seed(1)
    change = Predicted(*(torch.randn(part.shape, generator=generator) for part in vars(before[0]).values()))
    net.remember(known[0], change, known[1:])
    for embedding, then in zip(known[1:], before[1:], strict=True):
        now = net.predict(embedding)
        torch.testing.assert_close(now.coefficients, then.coefficients, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(now.token, then.token, rtol=1e-4, atol=1e-4)
    now = net.predict(known[0])
    torch.testing.assert_close(now.coefficients, before[0].coefficients + change.coefficients, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(now.token, before[0].token + change.token, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="mixture of others"):
        net.remember(known[1], change, known[1:])


def test_a_file_gives_the_same_collection_again(pair: Collection, tmp_path: Path) -> None:
    path = tmp_path / "all.safetensors"
    save_collection(path, pair)
    found = load_collection(path)
    assert found.network.hash == pair.network.hash and found.base_name == pair.base_name
    for old, new in zip(pair.members, found.members, strict=True):
        assert (old.name, old.thumbnail, old.metadata) == (new.name, new.thumbnail, new.metadata)
        assert torch.equal(old.embedding, new.embedding) and torch.equal(old.offsets_then, new.offsets_then)
    save_collection(tmp_path / "again.safetensors", found)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    own = {key: t for key, t in read_tensors(path, ("F16", "F32", "U8"))[0].items() if key.startswith("style0.")}
    assert sum(t.nbytes for key, t in own.items() if not key.endswith("thumbnail")) < 1400


@pytest.mark.parametrize("damage", ["nothing", "cut", "flipped", "style"])
def test_a_damaged_collection_is_one_line(pair: Collection, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "all.safetensors"
    save_collection(path, pair)
    data = bytearray(path.read_bytes())
    if damage == "style":
        pair.style({"Level": 1}).save(path)
    elif damage == "nothing":
        path.unlink()
    else:
        data[-9] ^= 1
        path.write_bytes(data if damage == "flipped" else data[:-10])
    with pytest.raises(StyleFileError, match=r"all\.safetensors"):
        load_collection(path)
    assert "\n" not in refused("collection", "list", path).strip()


def test_a_style_that_is_taken_is_an_ordinary_one(base: BaseModel, pair: Collection, tmp_path: Path) -> None:
    style = pair.style({"Level": 1})
    style.save(tmp_path / "level.safetensors")
    again = Style.load(tmp_path / "level.safetensors")
    assert again.hash == style.hash and again.abilities == ["default", "paper"]
    again.check_base(base)
    made = pair.offsets(pair.members[0].embedding)
    for path, offset in style.offsets.items():
        torch.testing.assert_close(offset.delta(), made[path].delta(), rtol=1e-2, atol=1e-3)
    with pytest.raises(ConfigError, match="there are: Level, Upright"):
        pair.style({"Nobody": 1})
    with pytest.raises(ConfigError, match="shares"):
        pair.style({"Level": 0})


def test_the_nearest_of_a_rank_is_that_of_the_singular_values() -> None:
    offset = Offset(torch.randn(9, 5), torch.randn(5, 7))
    u, values, v = torch.linalg.svd(offset.delta())
    near = of_rank(offset, 2)
    assert near.rank == 2 and of_rank(offset, 5) is offset
    torch.testing.assert_close(near.delta(), u[:, :2] * values[:2] @ v[:2], rtol=1e-4, atol=1e-4)


def test_what_is_left_stays_when_a_style_goes(pair: Collection) -> None:
    rest = pair.without("Level")
    assert [member.name for member in rest.members] == ["Upright"]
    assert rest.style({"Upright": 1}).hash == pair.style({"Upright": 1}).hash
    with pytest.raises(ConfigError, match="there are: Upright"):
        rest.without("Level")


def test_between_styles_the_norm_stays_and_the_ends_are_the_styles(pair: Collection) -> None:
    first, second = (member.embedding for member in pair.members)
    middle = fused([first, second], [1, 1])
    torch.testing.assert_close(middle.norm(), torch.tensor(8.0), rtol=1e-3, atol=0)
    assert torch.equal(fused([first], [3]), first)
    assert torch.equal(middle, fused([second, first], [2, 2]))
    torch.testing.assert_close(fused([first, second], [1e6, 1e-6]), first, rtol=1e-2, atol=1e-2)
    style = pair.style({"Level": 0.5, "Upright": 0.5})
    assert style.name == "Level and Upright" and style.metadata["collection"]["shares"] == {
        "Level": 0.5,
        "Upright": 0.5,
    }


def test_what_cannot_be_added_is_told_before_anything_is_learned(
    base: BaseModel, pair: Collection, make_base: object
) -> None:
    for images, name, words in (([], "New", "no style image"), ([make_painting()], "Level", "already")):
        with pytest.raises(ConfigError, match=words):
            add_to_collection(base, pair, images, name, FEW)
    wrongs: list[dict[str, Any]] = [{"hold": 3.0}, {"lr": 0.1}, {"holding": "penalty", "own_lr": 0.5}]
    for wrong in wrongs:
        with pytest.raises(ConfigError, match="is not used with holding"):
            CollectionConfig(**wrong)
    with pytest.raises(ConfigError, match="cannot tell this style from those"):
        add_to_collection(base, pair, [make_painting()], "Level too", FEW)
    with pytest.raises(ConfigError, match="is of the base"):
        forgetting(make_base(seed=5), pair)  # type: ignore[operator]


def test_the_commands(
    base: BaseModel, pair: Collection, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sigstyle.base.model.load_base", lambda *_, **__: base)
    file, few = tmp_path / "all.safetensors", ["--steps", 1, "--painting", 1, "--size-px", 64, "--autocast", "off"]
    done("collection", "new", file)
    assert "was not made by this command" in refused("collection", "new", file)
    assert json.loads(done("collection", "add", file, photo, *few, "--json").stdout)["styles"] == 1
    assert done("collection", "list", file).stdout.split() == ["photo"]
    save_collection(file, pair)
    assert "already" in refused("collection", "add", file, photo, "--name", "Level", *few)
    assert "steps" in refused("collection", "add", file, photo, "--steps", 0)
    rows = json.loads(done("collection", "report", file, "--json").stdout)["styles"]
    assert [row["name"] for row in rows] == ["Level", "Upright"] and rows[1]["offsets"] == 0
    out = tmp_path / "between.safetensors"
    taken = json.loads(done("collection", "take", file, "Level:0.7", "Upright:.3", "-o", out, "--json").stdout)
    assert taken["box_width"] >= 0 and Style.load(out).name == "Level and Upright"
    for words, told in ((["Level", "Level"], "twice"), (["Nobody"], "no style"), (["Level:0"], "above 0")):
        assert told in refused("collection", "take", file, *words, "-o", tmp_path / "none.safetensors")
    assert "collection take" in refused("info", file)
    done("collection", "remove", file, "Level")
    assert done("collection", "list", file).stdout.split() == ["Upright"]

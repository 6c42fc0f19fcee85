"""The hypernetwork for every style, its file, and styles that it gives at once."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TEXT_DIM, make_painting

import sigstyle
import sigstyle.style.instant as instant_module
from sigstyle.base.model import BaseModel
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.learning.instant import Start, instant_style
from sigstyle.learning.measured import Measured
from sigstyle.learning.recent import Recent
from sigstyle.learning.trial import MOST_CONTENT, Trial
from sigstyle.scoring.features import CHANNELS, style_features
from sigstyle.style.factors_file import split_offsets, with_more
from sigstyle.style.instant import (
    DECODER,
    hypernetwork_of,
    load_hypernetwork,
    save_hypernetwork,
)
from sigstyle.style.offsets import Offset
from sigstyle.style.shared_hypernet import EMBEDDING, SharedHypernet
from sigstyle.style.style import Style
from sigstyle.style.targets import decoder_layers, target_layers

MEASURES = 2 * sum(CHANNELS)


def network(base: BaseModel, seed: int = 0, trained: bool = True) -> SharedHypernet:
    """A network for a tiny base; `trained` gives its basis values, as training would."""
    shapes = target_layers(base.unet, "decoder+all")
    shapes |= {DECODER + path: shape for path, shape in decoder_layers(base.vae, 1).items()}
    net = SharedHypernet(shapes, MEASURES, (1, TEXT_DIM), basis=3, width=16, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    net.fit(torch.randn(40, MEASURES, generator=generator))
    if trained:
        with torch.no_grad():
            net.ups.copy_(0.05 * torch.randn(net.ups.shape, generator=generator))
            net.token_head.weight.normal_(generator=generator)
    return net


@pytest.fixture
def shipped(base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hypernetwork of the tiny base where the one that ships would be."""
    path = tmp_path / "hypernetwork.safetensors"
    save_hypernetwork(path, network(base), base.fingerprint, {"steps": 3})
    monkeypatch.setattr(instant_module, "HYPERNETWORK_FILE", path)
    load_hypernetwork.cache_clear()
    return path


def test_a_grown_network_makes_the_same_offsets_and_has_more_to_learn_with(base: BaseModel) -> None:
    net = network(base)
    larger = net.grown(5, seed=1)
    embedding = net.embed(torch.randn(MEASURES))
    known, grown = (one.predict(embedding) for one in (net, larger))
    assert torch.equal(known.token, grown.token)
    assert torch.allclose(known.coefficients, grown.coefficients[:, :3], atol=1e-6) and grown.coefficients[:, 3:].all()
    for path, offset in net.offsets(known.coefficients).items():
        same = larger.offsets(grown.coefficients)[path]
        assert same.rank == 5 and torch.allclose(offset.delta(), same.delta(), atol=1e-6)
    with pytest.raises(ValueError, match="cannot shrink to 2"):
        net.grown(2)


def test_untrained_it_gives_the_base_model_and_styles_apart(base: BaseModel) -> None:
    net = network(base, trained=False)
    first, second = (net.predict(net.embed(torch.randn(MEASURES))) for _ in range(2))
    assert all(not offset.delta().any() for offset in net.offsets(first.coefficients).values())
    assert not first.token.any()
    assert not torch.allclose(first.coefficients, second.coefficients)


def test_embeddings_have_a_constant_norm_also_for_what_was_never_seen(base: BaseModel) -> None:
    net = network(base)
    for measured in (torch.randn(MEASURES), 1e6 * torch.randn(MEASURES), torch.full((MEASURES,), 1e-3)):
        embedding = net.embed(measured)
        assert embedding.shape == (EMBEDDING,)
        torch.testing.assert_close(embedding.norm(), torch.tensor(EMBEDDING**0.5), rtol=1e-3, atol=0)


def test_offsets_are_the_coefficients_times_the_basis(base: BaseModel) -> None:
    net = network(base)
    coefficients = torch.randn(len(net.shapes), 3)
    offsets = net.offsets(coefficients)
    assert list(offsets) == list(net.shapes)
    assert all(offset.shape == net.shapes[path] and offset.rank == 3 for path, offset in offsets.items())
    doubled = net.offsets(2 * coefficients)
    path = next(iter(offsets))
    torch.testing.assert_close(doubled[path].delta(), 2 * offsets[path].delta())


def test_it_is_the_same_for_a_seed_and_leaves_the_global_generator(base: BaseModel) -> None:
    before = torch.random.get_rng_state()
    first, second, other = network(base), network(base), network(base, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.head.weight, other.head.weight)


def test_a_file_gives_the_same_network_again(base: BaseModel, shipped: Path) -> None:
    found = load_hypernetwork(shipped)
    assert found.base_fingerprint == base.fingerprint
    torch.testing.assert_close(found.net.ups, network(base).ups, rtol=1e-3, atol=1e-4)
    assert load_hypernetwork(shipped) is found


@pytest.mark.parametrize("data", [b"", b"nothing", b"x" * 400])
def test_a_damaged_file_is_said_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "broken.safetensors").write_bytes(data)
    with pytest.raises(StyleFileError, match=r"broken\.safetensors"):
        load_hypernetwork(tmp_path / "broken.safetensors")


def test_a_style_file_is_no_hypernetwork(base: BaseModel, shipped: Path, tmp_path: Path) -> None:
    instant_style(base, [make_painting()], "Waves").save(tmp_path / "waves.safetensors")
    with pytest.raises(StyleFileError, match="no hypernetwork"):
        load_hypernetwork(tmp_path / "waves.safetensors")


def test_an_instant_style_is_small_and_the_same_once_saved(base: BaseModel, shipped: Path, tmp_path: Path) -> None:
    style, path = instant_style(base, [make_painting()], "Waves"), tmp_path / "waves.safetensors"
    style.save(path)
    again = Style.load(path)
    assert again.hash == style.hash
    assert again.instant is not None and again.instant.network == load_hypernetwork(shipped).hash
    assert set(style.tensors()) == {
        "embedding", "coefficients", "token", "palette_mean", "palette_covariance", "brushwork",
        "strokes",
    }  # fmt: skip
    for name in ("offsets", "decoder_offsets"):
        given, read = getattr(style, name), getattr(again, name)
        assert given and all(given[layer] == read[layer] for layer in given)


def test_a_style_that_would_dissolve_photos_is_given_in_part(
    base: BaseModel, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = style_features()
    measured, told = Measured.on([make_painting()], features, base.device), list[str]()
    predicted = load_hypernetwork(shipped).instant(measured.vector)[0].coefficients
    whole, trial = Start.of(base, measured, features), Trial.of(base, measured, features)
    lost = [trial.content(whole.offsets, whole.prompt(base), share) for share in (0.0, 0.5, 1.0)]
    assert lost == [trial.content(whole.offsets, whole.prompt(base), share) for share in (0.0, 0.5, 1.0)]
    assert len(set(lost)) == 3 and min(lost) > MOST_CONTENT, "on a random base photos never stand"
    assert whole.share == 1 and torch.equal(whole.instant.coefficients, predicted)
    monkeypatch.setattr(Trial, "content", lambda _self, _offsets, _prompt, share: 2 * share)
    monkeypatch.setattr("sigstyle.learning.instant.TRIED", Recent(1))
    style = instant_style(base, [make_painting()], "Waves", told.append)
    assert style.metadata["share"] == 0.4 and style.instant is not None
    assert torch.equal(style.instant.coefficients, (0.4 * predicted).half().float())
    assert "A capture in steps does better" in told[0] and "has 0.4 of it" in told[0]


def test_what_was_tried_or_measured_lately_is_not_worked_out_again(
    base: BaseModel, shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sigstyle.learning.instant.TRIED", Recent(2))
    tried, share = list[int](), Trial.share
    monkeypatch.setattr(Trial, "share", lambda trial, *given: (tried.append(1), share(trial, *given))[1])
    images = [make_painting().rotate(angle) for angle in (0, 90, 180)]
    styles = [instant_style(base, [image], "Waves") for image in (images[0], images[0], *images)]
    assert len(tried) == 3 and styles[0].hash == styles[1].hash == styles[2].hash != styles[3].hash
    instant_style(base, [images[0]], "Waves")
    assert len(tried) == 4, "only the last few are remembered"


def test_the_image_decides_the_style(base: BaseModel, shipped: Path) -> None:
    one = instant_style(base, [make_painting()], "One")
    other = instant_style(base, [make_painting().rotate(90).convert("L").convert("RGB")], "One")
    assert one.hash == instant_style(base, [make_painting()], "One").hash
    assert one.hash != other.hash


def test_what_was_learned_beside_it_is_kept_apart(base: BaseModel, shipped: Path, tmp_path: Path) -> None:
    style = instant_style(base, [make_painting()], "Waves")
    layer = next(iter(style.offsets))
    more = {layer: Offset(torch.randn(style.offsets[layer].shape[0], 2), torch.randn(2, style.offsets[layer].shape[1]))}
    refined = Style(**{**vars(style), "offsets": with_more(style.offsets, more)})
    refined.save(tmp_path / "refined.safetensors")
    again = Style.load(tmp_path / "refined.safetensors")
    assert refined.tensors()[f"offsets.{layer}.up"].shape[1] == 2
    assert again.hash == refined.hash
    assert again.offsets[layer] == refined.offsets[layer]


def test_a_style_of_another_hypernetwork_is_refused(base: BaseModel, shipped: Path, tmp_path: Path) -> None:
    instant_style(base, [make_painting()], "Waves").save(tmp_path / "waves.safetensors")
    save_hypernetwork(shipped, network(base, seed=5), base.fingerprint, {})
    load_hypernetwork.cache_clear()
    with pytest.raises(StyleFileError, match="needs the hypernetwork"):
        Style.load(tmp_path / "waves.safetensors")


def test_a_base_without_one_is_told(base: BaseModel, shipped: Path, make_base: object) -> None:
    save_hypernetwork(shipped, network(base), "another", {})
    load_hypernetwork.cache_clear()
    assert hypernetwork_of(base.fingerprint) is None
    with pytest.raises(ConfigError, match="no hypernetwork for the base"):
        instant_style(base, [make_painting()], "Waves")
    with pytest.raises(ConfigError, match="no style image"):
        instant_style(base, [], "Waves")


def test_offsets_are_split_by_what_they_belong_to() -> None:
    offset = Offset(torch.zeros(2, 1), torch.zeros(1, 3))
    assert split_offsets({"up_blocks.0": offset, f"{DECODER}layers.1": offset}) == (
        {"up_blocks.0": offset},
        {"layers.1": offset},
    )


def test_several_images_are_measured_as_their_mean() -> None:
    images, network = [make_painting(), make_painting().rotate(180)], style_features()
    both, one = (Measured.on(some, network, torch.device("cpu")) for some in (images, images[:1]))
    assert both.vector.shape == one.vector.shape == (MEASURES,)
    assert not torch.equal(both.vector, one.vector)


def test_capture_gives_it_at_once_and_paints_a_photo(base: BaseModel, shipped: Path) -> None:
    style = sigstyle.capture(make_painting(), base=base, name="Waves", instant=True)
    assert style == instant_style(base, [make_painting()], "Waves")
    painted = sigstyle.transfer(make_painting(), style, base=base, size_px=64)
    assert painted.recipe["styles"][0]["hash"] == style.hash
    cases: list[dict[str, Any]] = [{"steps": 5}, {"preset": "paper"}, {"resume": True}, {"bank": "photos"}]
    for unused in cases:
        with pytest.raises(ConfigError, match="not trained"):
            sigstyle.capture(make_painting(), base=base, instant=True, **unused)


def test_a_capture_may_begin_where_the_hypernetwork_is(base: BaseModel, shipped: Path, tmp_path: Path) -> None:
    few = {"steps": 1, "size_px": 64, "crops": 2, "batch_size": 1, "painting": 1, "warmup": 0, "autocast": "off"}
    instant = instant_style(base, [make_painting()], "Waves")
    still = sigstyle.capture(
        make_painting(), base=base, name="Waves", start="instant", hypernet_lr=0, token_lr=0, **few
    )
    assert still.instant is not None and torch.equal(still.instant.coefficients, instant.instant.coefficients)  # type: ignore[union-attr]
    for path, offset in instant.offsets.items():
        torch.testing.assert_close(still.offsets[path].delta(), offset.delta(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(still.token.embedding, instant.token.embedding)
    learned = sigstyle.capture(make_painting(), base=base, name="Waves", start="instant", **few)
    learned.save(tmp_path / "learned.safetensors")
    assert Style.load(tmp_path / "learned.safetensors").hash == learned.hash != still.hash


def test_a_base_without_a_hypernetwork_begins_at_zero_alone(base: BaseModel, shipped: Path) -> None:
    save_hypernetwork(shipped, network(base), "another", {})
    load_hypernetwork.cache_clear()
    with pytest.raises(ConfigError, match="no hypernetwork for the base"):
        sigstyle.capture(make_painting(), base=base, start="instant", steps=1, size_px=64)

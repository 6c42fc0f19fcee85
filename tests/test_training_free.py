"""Repainting after an image that nothing was learned from: the injected attention, the run, the command."""

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakeBase, digest, make_parts, make_unet
from PIL import Image
from test_attention import evaluate, noise, prepared
from test_base_model import save_pipeline
from test_cli import done, refused

import sigstyle
from sigstyle.base.model import BaseModel
from sigstyle.cli.info import describe
from sigstyle.config import TrainingFreeConfig
from sigstyle.diffusion.attention import Projections, recorded, recording, self_attention_layers
from sigstyle.diffusion.attention_cross_image import CrossImage, crossed, fine_decoder_layers
from sigstyle.errors import Cancelled, ConfigError
from sigstyle.imaging.images import read_recipe
from sigstyle.painting.cost import training_free_cost

SMALL: dict[str, Any] = {"steps": 3, "size_px": 64}


def features_of(unet: Any, latents: torch.Tensor) -> dict:
    with recording(unet, self_attention_layers(unet), keys=True, values=True) as recorders:
        evaluate(unet, latents)
        return recorded(recorders)


@pytest.fixture
def photo() -> Image.Image:
    y, x = np.mgrid[0:64, 0:80]
    return Image.fromarray(np.stack([x * 3, y * 4, (x > 40) * 200], -1).astype(np.uint8))


def test_an_images_own_attention_changes_nothing(base: BaseModel) -> None:
    latents = noise(1, 4, 8, 8)
    features = features_of(base.unet, latents)
    plain = evaluate(base.unet, latents)
    for gamma in (0.0, 0.5, 1.0):
        with prepared(base.unet, CrossImage({0: features}, gamma, temperature=1)):
            torch.testing.assert_close(evaluate(base.unet, latents), plain)


def test_injected_attention_is_that_of_the_formula(base: BaseModel) -> None:
    """softmax(temperature (gamma q_c + (1 - gamma) q) k_s / sqrt(d)) v_s, by hand, with another number of tokens."""
    path = fine_decoder_layers(base.unet)[0]
    layer: Any = base.unet.get_submodule(path)
    width = layer.to_q.in_features
    hidden, content, style = noise(1, 20, width), noise(1, 20, width, seed=1), noise(1, 33, width, seed=2)
    query = 0.7 * layer.to_q(content) + 0.3 * layer.to_q(hidden)
    heads = [x.unflatten(-1, (layer.heads, -1)).transpose(1, 2) for x in (query, layer.to_k(style), layer.to_v(style))]
    weights = (1.5 * heads[0] @ heads[1].mT / math.sqrt(heads[0].shape[-1])).softmax(-1)
    expected = layer.to_out[0]((weights @ heads[2]).transpose(1, 2).flatten(2))
    found = Projections(layer.to_q(content), layer.to_k(style), layer.to_v(style))
    with prepared(base.unet, CrossImage({0: {path: found}}, 0.7, 1.5)):
        torch.testing.assert_close(layer(hidden), expected)


def test_without_features_and_after_it_nothing_is_changed(base: BaseModel) -> None:
    latents, before = noise(1, 4, 8, 8), dict(base.unet.attn_processors)
    plain = evaluate(base.unet, latents)
    attention = CrossImage({0: features_of(base.unet, latents * 2)}, 0.5, 1.5)
    with attention.installed(base.unet):
        assert torch.equal(evaluate(base.unet, latents), plain)
        attention.prepare(0, 0, rows=1)
        assert not torch.equal(evaluate(base.unet, latents), plain)
        attention.prepare(1, 1, rows=1)
        assert torch.equal(evaluate(base.unet, latents), plain)
    with pytest.raises(KeyboardInterrupt), attention.installed(base.unet):
        raise KeyboardInterrupt
    assert all(base.unet.attn_processors[name] is processor for name, processor in before.items())


def test_the_layers_are_six_to_eleven_of_stable_diffusion() -> None:
    unet = make_unet(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        layers_per_block=2,
    )
    expected = [f"up_blocks.{block}.attentions.{i}" for block in (2, 3) for i in range(3)]
    assert [path.split(".transformer_blocks")[0] for path in fine_decoder_layers(unet)] == expected


def test_crossed_features_have_the_contents_queries_and_the_styles_keys(base: BaseModel) -> None:
    ours, theirs = features_of(base.unet, noise(1, 4, 8, 8)), features_of(base.unet, noise(1, 4, 8, 8, seed=1))
    for path, found in crossed(ours, theirs).items():
        assert found.query is ours[path].query
        assert found.key is theirs[path].key and found.value is theirs[path].value


@pytest.mark.parametrize("settings", [{"vae": "kl"}, {"vae": "tiny", "prediction_type": "v_prediction"}])
def test_a_run_is_reproducible_and_leaves_the_base_as_it_was(
    make_base: MakeBase, settings: dict, photo: Image.Image, painting: Image.Image
) -> None:
    base = make_base(**settings)
    weights, processors = digest(base.unet), dict(base.unet.attn_processors)
    run = functools.partial(sigstyle.transfer_training_free, photo, painting, base=base, noise_sigma=4.0, **SMALL)
    first, second = run(), run()
    assert first.images[0].tobytes() == second.images[0].tobytes()
    assert first.images[0].size == (80, 64)
    assert digest(base.unet) == weights
    assert all(base.unet.attn_processors[name] is processor for name, processor in processors.items())
    assert run(seed=1).images[0].tobytes() != first.images[0].tobytes()


def test_the_style_image_counts_and_gamma_too(base: BaseModel, photo: Image.Image, painting: Image.Image) -> None:
    run = functools.partial(sigstyle.transfer_training_free, photo, base=base, **SMALL)
    made = [run(painting), run(painting.rotate(90, expand=True)), run(painting, gamma=0.0)]
    assert len({result.images[0].tobytes() for result in made}) == 3


def test_progress_counts_every_evaluation_and_a_run_can_be_stopped(
    base: BaseModel, photo: Image.Image, painting: Image.Image
) -> None:
    counted: list[int] = []
    handle = base.unet.register_forward_hook(lambda *_: counted.append(1))
    seen: list[tuple[int, int]] = []
    run = functools.partial(sigstyle.transfer_training_free, photo, painting, base=base, **SMALL)
    run(on_progress=lambda done, total: seen.append((done, total)))
    handle.remove()
    assert seen == [(done, 9) for done in range(1, 10)] and len(counted) == 9
    assert training_free_cost(TrainingFreeConfig(**SMALL)).calls == 9
    for last in (1, 4, 8):
        seen.clear()
        with pytest.raises(Cancelled):
            run(on_progress=lambda done, total: seen.append((done, total)), should_stop=lambda n=last: len(seen) >= n)
        assert len(seen) == last


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="gamma is 2"):
        TrainingFreeConfig(gamma=2)
    assert TrainingFreeConfig.preset("paper").steps == 50


def test_the_command_writes_a_picture_that_info_can_make_again(
    photo: Image.Image, painting: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_pipeline(tmp_path / "tiny", make_parts())
    photo.save("photo.png")
    painting.save("painting.png")
    small = ["--steps", "3", "--size-px", "64", "--base", "tiny"]
    done("transfer", "photo.png", "-s", "painting.png", "--training-free", "-o", "out.png", *small, "--seed", "5")
    recipe = read_recipe("out.png")
    assert recipe["kind"] == "training-free" and recipe["styles"][0]["path"] == "painting.png"
    command = describe("out.png")["command"].split()
    done(*command[3:])
    assert Image.open("again.png").tobytes() == Image.open("out.png").tobytes()

    free = ["transfer", "photo.png", "-s", "painting.png", "--training-free", "-o", "no.png", *small]
    assert "expected one picture" in refused(*free, "-s", "photo.png")
    assert "--mask" in refused(*free, "--mask", "photo.png")
    assert "Unknown setting strength" in refused(*free, "--strength", "0.5")
    assert not Path("no.png").exists()

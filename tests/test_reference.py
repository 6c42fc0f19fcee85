"""The style image as a reference: shares, costs, blends, files, and that nothing stays behind."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import digest
from PIL import Image
from random_style import random_style
from test_attention import prepared
from torch import Tensor

import sigstyle
from pipelines import SigStylePipeline
from sigstyle.base.conditioning import Conditioning
from sigstyle.base.model import BaseModel
from sigstyle.base.reference_latents import reference_latents
from sigstyle.config import TransferConfig
from sigstyle.diffusion.attention import self_attention_layers
from sigstyle.diffusion.attention_reference import Refer
from sigstyle.diffusion.denoise import predict
from sigstyle.diffusion.step_attention import Shown
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.painting.cost import transfer_cost
from sigstyle.painting.reference import References
from sigstyle.style.blend import Blend
from sigstyle.style.style import Style
from sigstyle.style.tensor_file import read_tensors, write_tensors

CLASSIC = TransferConfig.preset("classic", steps=5, size_px=64)
FEW: dict[str, Any] = {"config": CLASSIC, "output_type": "latent"}


@pytest.fixture
def style(base: BaseModel) -> Style:
    return random_style(base)


@pytest.fixture
def pipe(base: BaseModel, style: Style) -> SigStylePipeline:
    pipe = SigStylePipeline.from_base(base)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_style(style)
    return pipe


def seen(base: BaseModel, shown: Mapping[str, Sequence[Shown]] | None) -> Tensor:
    """One evaluation whose self-attention layers are shown this; None is the UNet as it is."""
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    cond = Conditioning(torch.zeros(2, 77, base.unet.config.cross_attention_dim))
    if shown is None:
        return predict(base.unet, latents, torch.tensor(400), cond)
    with prepared(base.unet, Refer(self_attention_layers(base.unet), lambda _step, _timestep: shown)):
        return predict(base.unet, latents, torch.tensor(400), cond)


def shown_with(base: BaseModel, style: Style, *shares: float) -> Mapping[str, Sequence[Shown]]:
    """The style's reference at one step, with each of these shares."""
    assert style.reference is not None
    cond = Conditioning(torch.zeros(1, 77, base.unet.config.cross_attention_dim))
    references = References([(style.reference, share) for share in shares])
    return dict(references.attention(base.unet, base.scheduler, cond).look(0, 400))


@torch.no_grad()
def test_shares_add_up_and_nothing_shown_changes_nothing(base: BaseModel, style: Style) -> None:
    plain = seen(base, None)
    torch.testing.assert_close(seen(base, {}), plain, rtol=0, atol=1e-6)
    torch.testing.assert_close(seen(base, shown_with(base, style, 0.0)), plain, rtol=0, atol=1e-6)
    whole, halves = (seen(base, shown_with(base, style, *shares)) for shares in ((1.0,), (0.5, 0.5)))
    torch.testing.assert_close(halves, whole, rtol=0, atol=1e-5)
    assert (whole - plain).abs().max() > 1e-3


@torch.no_grad()
def test_a_reference_is_shown_to_the_decoder_alone_and_at_every_second_step(base: BaseModel, style: Style) -> None:
    shown = shown_with(base, style, 1.0)
    assert shown and all(path.startswith("up_blocks.") for path in shown)
    assert style.reference is not None
    counted: list[int] = []
    references = References([(style.reference, 1.0)], on_evaluation=lambda: counted.append(1))
    cond = Conditioning(torch.zeros(1, 77, base.unet.config.cross_attention_dim))
    look = references.attention(base.unet, base.scheduler, cond).look
    for step in range(5):
        assert look(step, 900 - 100 * step)
    assert len(counted) == transfer_cost(CLASSIC).referring == 3
    assert transfer_cost(dataclasses.replace(CLASSIC, reference=0.0)).referring == 0
    assert transfer_cost(CLASSIC, references=2).referring == 6


def test_every_evaluation_is_counted_and_announced(pipe: SigStylePipeline, painting: Image.Image) -> None:
    counts: list[tuple[int, int]] = []
    rows: list[int] = []
    handle = pipe.unet.register_forward_pre_hook(lambda _module, args: rows.append(len(args[0])))
    pipe(painting, callback_on_evaluation=lambda _pipe, done, total: counts.append((done, total)), **FEW)
    handle.remove()
    assert counts == [(done, 13) for done in range(1, 14)]  # 5 to invert, 5 to denoise, 3 of the reference
    assert len(rows) == 13
    rows.clear()
    pipe(painting, reference=0.0, **FEW)
    assert not rows


def test_a_style_without_its_image_is_refused_unless_reference_is_0(
    pipe: SigStylePipeline, style: Style, painting: Image.Image
) -> None:
    without = pipe(painting, reference=0.0, **FEW).images
    pipe.unload_style()
    pipe.load_style(dataclasses.replace(style, reference=None))
    assert torch.equal(pipe(painting, reference=0.0, **FEW).images, without)
    with pytest.raises(ConfigError, match="--preset classic"):
        pipe(painting, **FEW)


def test_the_noise_of_a_reference_does_not_hang_on_the_seed_nor_touch_other_randomness(
    pipe: SigStylePipeline, painting: Image.Image
) -> None:
    settings: dict[str, Any] = FEW | {"eta": 0.0}
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = pipe(painting, generator=torch.Generator().manual_seed(1), **settings).images
    assert torch.equal(torch.get_rng_state(), before)
    second = pipe(painting, generator=torch.Generator().manual_seed(2), **settings).images
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_layers_are_as_before_also_when_looking_at_the_reference_fails(
    pipe: SigStylePipeline, painting: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, processors = digest(pipe.unet), dict(pipe.unet.attn_processors)
    monkeypatch.setattr("sigstyle.painting.reference.predict", lambda *_args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        pipe(painting, **FEW)
    assert digest(pipe.unet) == before and pipe.unet.attn_processors == processors


def test_a_blend_shares_the_attention_by_weight(style: Style) -> None:
    twin = dataclasses.replace(style, name="twin")
    alone = dataclasses.replace(style, name="alone", reference=None)
    shares = [share for _, share in Blend((style, twin, alone), (0.3, 0.1, 0.6)).references(1.0)]
    assert shares == pytest.approx([0.75, 0.25])
    assert [share for _, share in Blend((style,), (0.5,)).references(0.5)] == pytest.approx([0.5])
    assert Blend((alone,), (1.0,)).references(1.0) == Blend((style,), (1.0,)).references(0.0) == []


def test_a_file_keeps_the_reference_and_one_without_it_still_loads(style: Style, tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    style.save(path)
    again = Style.load(path)
    assert again.reference is not None and torch.equal(again.reference, style.reference)  # type: ignore[arg-type]
    assert again.hash == style.hash
    without = dataclasses.replace(style, reference=None)
    without.save(path)
    assert Style.load(path).reference is None and without.hash != style.hash


@pytest.mark.parametrize("shape", [(4, 8), (3, 8, 8), (4, 0, 8)])
def test_a_reference_of_another_shape_is_refused(style: Style, tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "style.safetensors"
    style.save(path)
    tensors = style.tensors() | {"reference": torch.zeros(shape).half()}
    write_tensors(path, tensors, read_tensors(path)[1])
    with pytest.raises(StyleFileError, match="reference of shape"):
        Style.load(path)


def test_a_capture_keeps_the_latents_of_its_image(base: BaseModel, painting: Image.Image) -> None:
    style = sigstyle.capture(
        painting, base=base, name="wave", preset="classic", steps=1, batch_size=1, crops=1, size_px=64
    )
    expected = reference_latents(base, painting)
    assert style.reference is not None
    torch.testing.assert_close(style.reference, expected.half().float(), rtol=0, atol=0)


def test_rows_under_guidance_all_see_the_reference(pipe: SigStylePipeline, painting: Image.Image) -> None:
    several: dict[str, Any] = FEW | {"num_images_per_prompt": 2, "guidance_scale": 2.0, "eta": 0.0}
    both, without = (pipe(painting, reference=amount, **several).images for amount in (1.0, 0.0))
    torch.testing.assert_close(both[0], both[1], rtol=0, atol=1e-5)
    assert ((both - without).flatten(1).abs().amax(1) > 1e-3).all()

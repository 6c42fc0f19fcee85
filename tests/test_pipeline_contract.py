"""What a user of diffusers relies on: parts that are replaced, stops, offloading, devices, latents and callbacks."""

import dataclasses
import threading
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakeBase, make_parts, make_text_encoder, make_unet, make_vae
from PIL import Image
from random_style import random_style
from torch import Tensor

import sigstyle
from pipelines import SigStylePipeline, SigStyleText2ImgPipeline
from sigstyle.base.model import BaseModel
from sigstyle.base.placement import execution_device
from sigstyle.batches.jobs import Look, Photo
from sigstyle.batches.paint import Loaded, Painter
from sigstyle.cli.info import command_of
from sigstyle.config import GenerateConfig, TransferConfig
from sigstyle.errors import BaseMismatchError, ConfigError
from sigstyle.painting.cost import generate_cost
from sigstyle.style.style import Style

CLASSIC = TransferConfig.preset("classic", reference=0.0, size_px=64)  # so that only the parts in question differ
FEW: dict[str, Any] = {"config": CLASSIC, "num_inference_steps": 3}
SMALL: dict[str, Any] = {"num_inference_steps": 2, "height": 64, "width": 64, "output_type": "latent"}
BOTH = [SigStylePipeline, SigStyleText2ImgPipeline]


@pytest.fixture
def style(base: BaseModel) -> Style:
    return random_style(base)


def made(kind: Any, base: BaseModel, style: Style) -> Any:
    pipe = kind.from_base(base)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_style(style)
    return pipe


def paint(pipe: Any, painting: Image.Image, **more: Any) -> Any:
    """The latents of a short run of either pipeline."""
    if isinstance(pipe, SigStylePipeline):
        return pipe(painting, output_type="latent", **FEW, **more).images
    return pipe("a tower", generator=torch.Generator().manual_seed(0), **SMALL, **more).images


# --- parts


@pytest.mark.parametrize("part", ["vae", "text_encoder"])
def test_a_part_replaced_after_a_style_was_loaded_counts(
    base: BaseModel, style: Style, painting: Image.Image, part: str
) -> None:
    pipe = made(SigStylePipeline, base, style)
    before = paint(pipe, painting)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        other = make_vae("tiny") if part == "vae" else make_text_encoder(base.tokenizer)
    setattr(pipe, part, other.eval())
    assert getattr(pipe.base, part) is other and pipe.base.name == base.name
    changed = paint(pipe, painting)
    assert not torch.equal(changed, before)
    fresh = made(SigStylePipeline, dataclasses.replace(base, **{part: other}), style)
    assert torch.equal(paint(fresh, painting), changed)


def test_a_style_of_the_unet_that_was_replaced_is_refused(base: BaseModel, style: Style, painting: Image.Image) -> None:
    pipe = made(SigStylePipeline, base, style)
    pipe.unet = make_unet().eval()
    with pytest.raises(BaseMismatchError):
        paint(pipe, painting)


# --- stopping


@pytest.mark.parametrize("kind", BOTH)
def test_a_waiting_run_takes_no_stop_from_the_one_before_it(
    kind: Any, base: BaseModel, style: Style, painting: Image.Image
) -> None:
    pipe = made(kind, base, style)
    results: list[Any] = []
    waiting = threading.Thread(target=lambda: results.append(paint(pipe, painting)))
    with base.lock:
        pipe.stop()
        waiting.start()
        waiting.join(timeout=0.5)
        assert waiting.is_alive() and pipe.interrupt  # the stop is still there for whoever holds the lock
    waiting.join()
    assert torch.equal(results[0], paint(pipe, painting))


def test_a_stopped_prompt_is_not_decoded(base: BaseModel, style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = made(SigStyleText2ImgPipeline, base, style)
    decodes: list[int] = []
    monkeypatch.setattr(base.vae, "decode", lambda *_: decodes.append(1))

    def stop(called: Any, _step: int, _timestep: int, _tensors: dict[str, Tensor]) -> None:
        called.stop()

    output = pipe("a tower", callback_on_step_end=stop, **(SMALL | {"output_type": "pil"}))
    assert output.interrupted and output.images == [] and not decodes
    reached = pipe("a tower", callback_on_step_end=stop, **SMALL)
    assert reached.interrupted and reached.images.shape == (1, 4, 8, 8)


# --- devices


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a GPU"))])  # fmt: skip
def test_offloaded_parts_paint_the_same_and_go_back(
    kind: Any, device: str, base: BaseModel, style: Style, painting: Image.Image
) -> None:
    pipe = made(kind, base, style)
    expected = paint(pipe, painting)
    pipe.enable_model_cpu_offload(device=device)
    assert execution_device(pipe.unet).type == device == pipe.base.device.type
    for _ in range(2):
        found = paint(pipe, painting)
        torch.testing.assert_close(found.cpu(), expected, atol=1e-2, rtol=1e-2)
        assert {part.device.type for part in (pipe.unet, pipe.vae, pipe.text_encoder)} == {"cpu"}


def test_a_trace_made_on_one_device_serves_on_another(
    base: BaseModel, painting: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the meta device nothing is computed, but tensors of two devices in one operation are refused as anywhere."""
    pipe = made(SigStylePipeline, base, random_style(base))
    mask = Image.new("L", painting.size, 128)
    settings: dict[str, Any] = {"swap": "qk", "mask": mask, "output_type": "latent", **FEW}
    settings |= {"strength": 0.0}  # an offset's autocast knows no meta device
    trace = pipe(painting, **settings).trace
    for module in (base.unet, base.vae, base.text_encoder):
        module.to("meta")
    monkeypatch.setattr(BaseModel, "from_pipeline", lambda *_: pytest.fail("the base is the same"))
    result = pipe(painting, trace=trace, **settings)
    assert result.trace is trace and not result.notices
    assert result.images.device.type == "meta" and result.images.shape == (1, 4, 8, 8)


# --- latents and callbacks


@pytest.mark.parametrize(
    ("shape", "more"),
    [
        ((3, 4, 8, 8), {"num_images_per_prompt": 2}),
        ((3, 4, 8, 8), {}),
        ((1, 3, 8, 8), {}),
        ((1, 4, 8), {}),
        ((1, 4, 8, 16), {}),
        ((1, 4, 9, 8), {"height": None}),
    ],
)
def test_latents_of_another_number_or_shape_are_refused(
    base: BaseModel, style: Style, shape: tuple[int, ...], more: dict[str, Any]
) -> None:
    pipe = made(SigStyleText2ImgPipeline, base, style)
    with pytest.raises(ConfigError, match=r"latents have the shape .*num_images_per_prompt"):
        pipe("a tower", latents=torch.zeros(shape), **(SMALL | more))
    two = pipe("a tower", latents=torch.zeros(2, 4, 8, 12), num_images_per_prompt=2, **(SMALL | {"width": None}))
    assert two.images.shape == (2, 4, 8, 12)


@pytest.mark.parametrize("kind", BOTH)
def test_a_callback_gets_what_the_class_says_it_can_get(
    kind: Any, base: BaseModel, style: Style, painting: Image.Image
) -> None:
    pipe, seen = made(kind, base, style), []

    def on_step_end(_pipe: Any, _step: int, _timestep: int, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.append(set(tensors))
        return tensors

    names = kind._callback_tensor_inputs
    paint(pipe, painting, callback_on_step_end=on_step_end, callback_on_step_end_tensor_inputs=names)
    assert names == ["latents", "pred_x0"] and seen and all(given == set(names) for given in seen)
    with pytest.raises(ConfigError, match=r"expected some of .'latents', 'pred_x0'"):
        paint(pipe, painting, callback_on_step_end=on_step_end, callback_on_step_end_tensor_inputs=["clean"])


# --- a prompt's own settings


def test_a_setting_of_a_transfer_is_refused_by_name(base: BaseModel, style: Style) -> None:
    unknown: list[dict[str, Any]] = [{"anchor": 0.5}, {"swap_until": 0.3}, {"reference": 1.0}]
    for setting in unknown:
        with pytest.raises(ConfigError, match=f"Unknown setting {next(iter(setting))}"):
            sigstyle.generate("a tower", style, base=base, steps=2, **setting)
    with pytest.raises(ConfigError, match="a TransferConfig; expected a GenerateConfig"):
        made(SigStyleText2ImgPipeline, base, style)("a tower", config=TransferConfig())


def test_a_recipe_of_a_prompt_lists_what_was_applied_and_older_ones_are_read(base: BaseModel, style: Style) -> None:
    calls: list[tuple[int, int]] = []
    result = sigstyle.generate(
        "a tower", style, base=base, steps=2, size_px=64, on_progress=lambda *at: calls.append(at)
    )
    settings = result.recipe["settings"]
    assert set(settings) == {field.name for field in dataclasses.fields(GenerateConfig)}
    assert calls == [(done, 4) for done in range(1, 5)]  # two steps, the reading of their picture, its painting
    assert generate_cost(GenerateConfig.from_dict(settings)).calls == 4
    older = {**TransferConfig().to_dict(), **settings}
    assert GenerateConfig.from_recipe(older) == GenerateConfig.from_dict(settings)
    with pytest.raises(ConfigError, match="Unknown setting speed"):
        GenerateConfig.from_recipe({**older, "speed": 1})
    assert command_of({**result.recipe, "settings": older}) == command_of(result.recipe)


# --- several photos at once


def test_photos_painted_together_are_told_from_others_by_all_of_them(
    make_base: MakeBase, painting: Image.Image, style: Style
) -> None:
    painter = Painter(BaseModel.from_pipeline(make_parts(), name="tiny"), None)
    photos = [painting, painting.rotate(180), painting.rotate(180).transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    loaded = [Loaded(Photo(photo, str(i), str(i)), photo, {}) for i, photo in enumerate(photos)]
    config = dataclasses.replace(CLASSIC, steps=2)

    def settings(*chosen: int) -> dict[str, Any]:
        return painter.wanted([loaded[i] for i in chosen], Look(style, None, "wave"), config).settings

    assert settings(0, 1) == settings(0, 1)
    assert len({settings(*chosen)["content"] for chosen in ((0,), (0, 1), (0, 2), (1, 0))}) == 4
    alone = made(SigStylePipeline, painter.base, style)(painting, config=config).trace
    assert settings(0)["content"] == alone.settings["content"]
    first = painter.paint(loaded[:2], Look(style, None, "wave"), config, lambda *_: None, lambda: False)
    assert [np.asarray(taken.image).shape for taken in first] == [(64, 77, 3)] * 2

"""Painting a photo in a few evaluations: what it costs, what its dials do, and that everything is as before."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakeBase, digest
from PIL import Image
from random_style import random_style
from test_pipelines import count, difference, pixels, traced
from torch import Tensor

import sigstyle
from pipelines import SigStylePipeline
from sigstyle.base.autoencoder import encode_latents
from sigstyle.base.model import BaseModel
from sigstyle.batches.jobs import Look, Photo
from sigstyle.batches.paint import Loaded, Painter
from sigstyle.config import TransferConfig
from sigstyle.errors import ConfigError
from sigstyle.imaging.images import mirrored_margin, to_tensor
from sigstyle.imaging.palette import Palette
from sigstyle.painting.cost import transfer_cost
from sigstyle.style.style import Style

FEW: dict[str, Any] = {"size_px": 64}


@pytest.fixture
def base(make_base: MakeBase) -> BaseModel:
    return make_base(prediction_type="v_prediction")


@pytest.fixture
def style(base: BaseModel) -> Style:
    return random_style(base)


@pytest.fixture
def pipe(base: BaseModel, style: Style) -> SigStylePipeline:
    return piped(base, style)


def piped(base: BaseModel, *styles: Style, weight: float | None = None) -> Any:
    pipe = SigStylePipeline.from_base(base)
    pipe.set_progress_bar_config(disable=True)
    for style in styles:
        pipe.load_style(style, weight)
    return pipe


def latents(pipe: Any, image: Image.Image, **more: Any) -> Tensor:
    return pipe(image, output_type="latent", **(FEW | more)).images


def levelled(base: BaseModel) -> BaseModel:
    """The base with latents of about deviation 1, as real autoencoders give them and random ones do not."""
    with torch.no_grad():
        deviation = encode_latents(base.vae, to_tensor(Image.linear_gradient("L").convert("RGB"))).std().item()
    base.vae.register_to_config(scaling_factor=base.vae.config.scaling_factor / deviation)
    return base


# --- costs


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_a_photo_costs_one_evaluation_and_one_a_step_and_a_trace_saves_the_first(
    pipe: SigStylePipeline, base: BaseModel, painting: Image.Image, steps: int
) -> None:
    met, told = count(base), []
    cold = pipe(painting, num_inference_steps=steps, callback_on_evaluation=lambda _p, *at: told.append(at), **FEW)
    cost = transfer_cost(TransferConfig(steps=steps))
    assert met == [1] * (1 + steps) and cost.calls == cost.evaluations == 1 + steps
    assert told == [(done, 1 + steps) for done in range(1, 2 + steps)]
    met.clear()
    pipe(painting, num_inference_steps=steps, trace=traced(cold), **FEW)
    assert met == [1] * steps and cost.calls - cost.reading == steps


def test_the_default_costs_two_evaluations_and_one_more_of_a_photo_at_hand(
    pipe: SigStylePipeline, base: BaseModel, painting: Image.Image
) -> None:
    met = count(base)
    cold = pipe(painting, **FEW)
    assert len(met) == 2
    pipe(painting, trace=traced(cold), **FEW)
    assert len(met) == 3


# --- strength


@pytest.mark.parametrize("vae", ["tiny", "kl"])
def test_strength_zero_gives_the_photo_back(make_base: MakeBase, painting: Image.Image, vae: str) -> None:
    base = levelled(make_base(vae=vae, prediction_type="v_prediction"))
    content = painting.resize((96, 64))
    pipe = piped(base, random_style(base))
    with torch.no_grad():
        expected = encode_latents(base.vae, to_tensor(mirrored_margin(content, 32)))
    inner = expected[..., 4:-4, 4:-4]
    found = latents(pipe, content, prompt="a tower in the style of <wave>", strength=0)
    assert (found - inner).abs().max() < 0.05 < 0.5 < (latents(pipe, content) - inner).abs().max()
    for steps in (1, 8):
        shown = pipe(content, strength=0, num_inference_steps=steps, **FEW).images[0]
        assert difference(shown, content) == 0


def test_strength_is_continuous_and_goes_on_above_1(base: BaseModel, painting: Image.Image) -> None:
    pipe = piped(base, random_style(base, scale=0.2))
    none, hint, whole, above, more = (latents(pipe, painting, strength=s) for s in (0.0, 0.01, 1.0, 1.01, 1.5))
    whole_way = (whole - none).norm()
    assert 0 < (hint - none).norm() < 0.2 * whole_way
    assert 0 < (above - whole).norm() < 0.1 * (more - whole).norm()


# --- dials


def timestep_of(pipe: Any, image: Image.Image, **settings: Any) -> int:
    """The noise level that a photo is painted from."""
    met: list[int] = []
    config = TransferConfig(size_px=64, **settings)
    pipe(image, config=config, callback_on_step_end=lambda _pipe, _step, timestep, _tensors: met.append(timestep))
    return met[0]


def test_freedom_and_strength_raise_the_noise_level(pipe: SigStylePipeline, painting: Image.Image) -> None:
    levels = [timestep_of(pipe, painting, freedom=freedom) for freedom in (0.0, 0.3, 0.6, 1.0)]
    assert levels == sorted(set(levels)) and levels[0] > 0 and levels[-1] < 1000
    strengths = [timestep_of(pipe, painting, strength=strength) for strength in (0.0, 0.5, 1.0)]
    assert strengths == sorted(set(strengths)) and strengths[0] == 0
    assert timestep_of(pipe, painting, strength=2.0) == strengths[-1]


def test_steps_go_down_from_the_noise_level(pipe: SigStylePipeline, painting: Image.Image) -> None:
    met: list[tuple[int, int]] = []
    pipe(
        painting,
        num_inference_steps=4,
        callback_on_step_end=lambda _pipe, step, timestep, _tensors: met.append((step, timestep)),
        **FEW,
    )
    assert [step for step, _ in met] == [0, 1, 2, 3]
    timesteps = [timestep for _, timestep in met]
    assert timesteps == sorted(set(timesteps), reverse=True) and timesteps[-1] > 0


def with_palette(style: Style, mean: float, **changes: Any) -> Style:
    palette = Palette(torch.full((3,), mean), 0.001 * torch.eye(3))
    return dataclasses.replace(style, palette=palette, **changes)


def test_palette_0_leaves_the_styles_colours_out_and_1_takes_them(
    base: BaseModel, style: Style, painting: Image.Image
) -> None:
    dark, light = (piped(base, with_palette(style, mean)) for mean in (-0.5, 0.5))

    def mean(pipe: Any, amount: float) -> float:
        config = TransferConfig(size_px=64, palette=amount, strokes=0.0, margin_px=0)
        return float(pipe(painting.resize((96, 64)), config=config, output_type="pt").images.mean() * 2 - 1)

    assert mean(dark, 0.0) == mean(light, 0.0)
    assert mean(dark, 1.0) == pytest.approx(-0.5, abs=0.01) and mean(light, 1.0) == pytest.approx(0.5, abs=0.01)
    for pipe in (dark, light):
        none, half, all_of_it = (mean(pipe, amount) for amount in (0.0, 0.5, 1.0))
        assert min(none, all_of_it) < half < max(none, all_of_it)


@pytest.mark.parametrize("change", [{"palette": 0.5}, {"strokes": 2.0}, {"freedom": 0.8}, {"prompt": "a hut"}])
def test_every_dial_has_an_effect(pipe: SigStylePipeline, painting: Image.Image, change: dict[str, Any]) -> None:
    plain = latents(pipe, painting)
    assert not torch.equal(latents(pipe, painting, **change), plain)
    assert torch.equal(latents(pipe, painting, config=TransferConfig(**change)), latents(pipe, painting, **change))


def test_offsets_of_the_decoder_are_seen_in_the_picture_alone(
    base: BaseModel, style: Style, painting: Image.Image
) -> None:
    whole, without = (piped(base, each) for each in (style, dataclasses.replace(style, decoder_offsets={})))
    assert torch.equal(latents(whole, painting), latents(without, painting))
    assert difference(whole(painting, **FEW).images[0], without(painting, **FEW).images[0]) > 1


def test_brushwork_of_0_lays_no_strokes(base: BaseModel, style: Style, painting: Image.Image) -> None:
    flat = piped(base, dataclasses.replace(style, brushwork=style.brushwork.times(0)))
    config = TransferConfig(strokes=0.0)
    assert torch.equal(latents(flat, painting), latents(piped(base, style), painting, config=config))


# --- traces


def test_a_trace_gives_the_same_picture_bit_for_bit(pipe: SigStylePipeline, painting: Image.Image) -> None:
    cold = pipe(painting, **FEW)
    warm = pipe(painting, trace=traced(cold), **FEW)
    assert warm.trace is cold.trace and not warm.notices
    assert difference(cold.images[0], warm.images[0]) == 0
    again = pipe(painting, "a hut", trace=traced(cold), num_inference_steps=3, **FEW)
    assert again.trace is cold.trace and not again.notices  # neither prompt nor steps count for it


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"freedom": 0.9}, "timestep"),
        ({"palette": 0.5}, "colour"),
        ({"strokes": 0.5}, "strokes"),
        ({"margin_px": 0}, "size"),
        ({"generator": 7}, "seeds"),
        ({"num_images_per_prompt": 2}, "seeds"),
        ({"config": TransferConfig.preset("classic", steps=2)}, "instead of"),
    ],
)
def test_a_trace_of_something_else_is_not_used(
    pipe: SigStylePipeline, painting: Image.Image, change: dict[str, Any], told: str
) -> None:
    def changed() -> dict[str, Any]:
        seed = {"generator": torch.Generator().manual_seed(change["generator"])} if "generator" in change else {}
        return FEW | change | seed

    trace = traced(pipe(painting, **FEW))
    result = pipe(painting, trace=trace, **changed())
    assert result.trace is not trace
    assert len(result.notices) == 1 and told in result.notices[0] and "\n" not in result.notices[0]
    fresh = pipe(painting, **changed())
    assert all(difference(a, b) == 0 for a, b in zip(result.images, fresh.images, strict=True))


def test_a_trace_of_another_photo_style_or_method_is_not_used(
    pipe: SigStylePipeline, base: BaseModel, painting: Image.Image
) -> None:
    trace = traced(pipe(painting, **FEW))
    assert "content" in pipe(painting.rotate(180), trace=trace, **FEW).notices[0]
    other = piped(base, random_style(base, "other", seed=1))
    assert "palette" in other(painting, trace=trace, **FEW).notices[0]
    classic = traced(pipe(painting, config=TransferConfig.preset("classic", steps=2), **FEW))
    assert "method" in pipe(painting, trace=classic, **FEW).notices[0]


# --- seeds, several images, several photos


def test_the_seed_alone_decides_the_picture(pipe: SigStylePipeline, painting: Image.Image) -> None:
    plain = pipe(painting, **FEW).images[0]
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert difference(pipe(painting, generator=torch.Generator().manual_seed(0), **FEW).images[0], plain) == 0
    assert torch.equal(torch.get_rng_state(), before)
    assert difference(pipe(painting, config=TransferConfig(seed=5), **FEW).images[0], plain) > 0


def test_images_of_one_prompt_differ_and_the_first_is_the_single_one(
    pipe: SigStylePipeline, base: BaseModel, painting: Image.Image
) -> None:
    met = count(base)
    two = pipe(painting, num_images_per_prompt=2, **FEW)
    assert met == [2, 2] and len(two.images) == 2
    assert difference(*two.images) > 1
    assert difference(two.images[0], pipe(painting, **FEW).images[0]) <= 1
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    seeded = pipe(painting, num_images_per_prompt=2, generator=generators, **FEW).images
    alone = pipe(painting, generator=torch.Generator().manual_seed(4), **FEW).images
    assert difference(seeded[1], alone[0]) <= 1
    with pytest.raises(ConfigError, match="num_images_per_prompt"):
        pipe(painting, num_images_per_prompt=3, generator=generators, **FEW)


def test_photos_painted_together_are_as_each_alone(base: BaseModel, style: Style, painting: Image.Image) -> None:
    photos = [painting, painting.rotate(180), painting.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    loaded = [Loaded(Photo(photo, str(i), str(i)), photo, {}) for i, photo in enumerate(photos)]
    painter, config, look = Painter(base, None), TransferConfig(size_px=64), Look(style, None, "wave")
    together = painter.paint(loaded, look, config, lambda *_: None, lambda: False)
    for taken, photo in zip(together, photos, strict=True):
        image, alone = taken.image, piped(base, style)(photo, config=config).images[0]
        assert image.size == alone.size and difference(image, alone) <= 1
    met = count(base)
    again = painter.paint(loaded, look, config, lambda *_: None, lambda: False)
    assert met == [3]  # the photos are at hand
    assert all(difference(a.image, b.image) == 0 for a, b in zip(together, again, strict=True))


# --- blends


def test_a_blend_of_one_style_or_of_its_twins_is_that_style(
    base: BaseModel, style: Style, painting: Image.Image
) -> None:
    alone = piped(base, style)(painting, **FEW).images[0]
    assert difference(piped(base, style, weight=1.0)(painting, **FEW).images[0], alone) == 0
    twins = piped(base, style, dataclasses.replace(style, name="twin"))
    assert difference(twins(painting, **FEW).images[0], alone) <= 1


def test_weights_lead_from_one_style_to_the_other(base: BaseModel, painting: Image.Image) -> None:
    first, second = random_style(base, "one", scale=0.2), random_style(base, "two", seed=1, scale=0.2)

    def blended(*weights: float) -> Tensor:
        pipe = piped(base)
        for style, weight in zip((first, second), weights, strict=True):
            if weight:
                pipe.load_style(style, weight)
        return pipe(painting, output_type="pt", **FEW).images

    ends, almost, half = (blended(1, 0), blended(0, 1)), blended(0.999, 0.001), blended(0.5, 0.5)
    apart = (ends[0] - ends[1]).abs().mean()
    assert (almost - ends[0]).abs().mean() < 0.1 * apart
    assert all((half - end).abs().mean() > 0.1 * apart for end in ends)


# --- masks, outputs, callbacks


def test_outside_a_mask_every_pixel_is_the_photos(pipe: SigStylePipeline, painting: Image.Image) -> None:
    mask = Image.new("L", painting.size, 0)
    mask.paste(255, (0, 0, 48, 80))
    result = pipe(painting, mask=mask, **FEW).images[0]
    assert result.size == painting.size
    changed = (pixels(result) != pixels(painting)).any(-1)
    assert not changed[:, 48:].any() and changed[:, :40].mean() > 0.9
    assert difference(pipe(painting, mask=Image.new("L", painting.size, 0), **FEW).images[0], painting) == 0


def test_output_types(pipe: SigStylePipeline, painting: Image.Image) -> None:
    pil, array, tensor, latent = (
        pipe(painting, output_type=kind, **FEW).images for kind in ("pil", "np", "pt", "latent")
    )
    assert pil[0].size == (77, 64)
    assert array.shape == (1, 64, 77, 3) and tensor.shape == (1, 3, 64, 77) and latent.shape == (1, 4, 8, 8)
    assert np.array_equal((array[0] * 255).round(), pixels(pil[0]))
    assert torch.equal(tensor[0].permute(1, 2, 0), torch.from_numpy(array[0]))
    images, trace = pipe(painting, return_dict=False, **FEW)
    assert difference(images[0], pil[0]) == 0 and trace is not None


def test_a_step_callback_sees_and_changes_latents(pipe: SigStylePipeline, painting: Image.Image) -> None:
    seen: list[set[str]] = []

    def on_step_end(called: Any, step: int, timestep: int, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        assert called is pipe
        seen.append(set(tensors))
        return {"latents": torch.zeros_like(tensors["latents"])}

    names = ["latents", "pred_x0"]
    more = {"callback_on_step_end": on_step_end, "callback_on_step_end_tensor_inputs": names}
    assert not latents(pipe, painting, **more).any() and seen == [set(names)]


def test_the_library_and_the_pipeline_paint_the_same(
    pipe: SigStylePipeline, base: BaseModel, style: Style, painting: Image.Image, tmp_path: Path
) -> None:
    style.save(tmp_path / "wave.safetensors")
    made = sigstyle.transfer(painting, tmp_path / "wave.safetensors", base=base, freedom=0.6, **FEW)
    assert difference(made.images[0], pipe(painting, freedom=0.6, **FEW).images[0]) == 0
    settings = made.recipe["settings"]
    assert settings["freedom"] == 0.6 and settings["method"] == "paint" and "anchor" not in settings
    assert TransferConfig.from_recipe(settings) == TransferConfig(freedom=0.6, size_px=64)


# --- everything as before


class Watch:
    """What must be the same afterwards: the weights of UNet and autoencoder, and the attention processors."""

    def __init__(self, base: BaseModel) -> None:
        self.base = base
        self.digests, self.processors = self._digests(), dict(base.unet.attn_processors)

    def _digests(self) -> list[str]:
        return [digest(module) for module in (self.base.unet, self.base.vae, self.base.text_encoder)]

    def check(self) -> None:
        assert self._digests() == self.digests
        assert all(self.base.unet.attn_processors[name] is each for name, each in self.processors.items())
        assert self.base.lock.acquire(blocking=False)
        self.base.lock.release()


def test_a_run_leaves_the_base_as_it_was(pipe: SigStylePipeline, base: BaseModel, painting: Image.Image) -> None:
    watch = Watch(base)
    pipe(painting, **FEW)
    watch.check()


@pytest.mark.parametrize("moment", [1, 2, 3])  # reading the photo, painting, at the very end
def test_an_exception_leaves_the_base_as_it_was(
    pipe: SigStylePipeline, base: BaseModel, painting: Image.Image, moment: int
) -> None:
    watch = Watch(base)

    def fail(_pipe: Any, done: int, _total: int) -> None:
        if done == moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipe(painting, num_inference_steps=2, callback_on_evaluation=fail, **FEW)
    watch.check()


def test_an_exception_while_decoding_leaves_the_base_as_it_was(
    pipe: SigStylePipeline, base: BaseModel, painting: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(base)

    def fail(vae: Any, _latents: Tensor) -> Tensor:
        assert digest(vae) != watch.digests[1]  # styled just now
        raise KeyboardInterrupt

    monkeypatch.setattr("sigstyle.painting.direct.decode_latents", fail)
    with pytest.raises(KeyboardInterrupt):
        pipe(painting, **FEW)
    watch.check()


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_stop_ends_within_a_step_and_decodes_nothing(
    pipe: SigStylePipeline, base: BaseModel, painting: Image.Image, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, met = Watch(base), count(base)
    whole = pipe(painting, num_inference_steps=2, **FEW)
    met.clear()
    decodes: list[int] = []
    monkeypatch.setattr(base.vae, "decode", lambda *_: decodes.append(1))

    def stop(pipe: Any, done: int, _total: int) -> None:
        if done == moment:
            pipe.stop()

    result = pipe(painting, num_inference_steps=2, callback_on_evaluation=stop, **FEW)
    assert len(met) == moment and result.interrupted and result.images == [] and not decodes
    watch.check()
    monkeypatch.undo()
    assert difference(pipe(painting, num_inference_steps=2, **FEW).images[0], whole.images[0]) == 0
    if moment == 1:  # what was read of the photo serves the next run
        met.clear()
        pipe(painting, num_inference_steps=2, trace=traced(result), **FEW)
        assert len(met) == 2


def test_a_half_precision_base_works_on_float32_latents(make_base: MakeBase, painting: Image.Image) -> None:
    made = []
    for dtype in (torch.float32, torch.bfloat16):
        base = make_base(prediction_type="v_prediction")
        style = random_style(base, scale=0.1)
        for module in (base.unet, base.vae, base.text_encoder):
            module.to(dtype)
        made.append(latents(piped(base, style), painting))
        assert made[-1].dtype == torch.float32
        assert piped(base, style)(painting, **FEW).images[0].size == (77, 64)
    assert (made[0] - made[1]).abs().mean() < 0.1 * made[0].std()


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a GPU"))])  # fmt: skip
def test_offloaded_parts_paint_the_same_and_go_back(
    pipe: SigStylePipeline, device: str, base: BaseModel, painting: Image.Image
) -> None:
    watch = Watch(base)
    expected = pipe(painting, output_type="pt", **FEW).images
    pipe.enable_model_cpu_offload(device=device)
    for _ in range(2):
        torch.testing.assert_close(pipe(painting, output_type="pt", **FEW).images, expected, atol=1e-2, rtol=0)
        assert {part.device.type for part in (pipe.unet, pipe.vae, pipe.text_encoder)} == {"cpu"}
    watch.check()


# --- refusals


def refused(run: Any, *parts: str) -> None:
    """That `run` raises a ConfigError of one line with these parts."""
    with pytest.raises(ConfigError) as found:
        run()
    assert all(part in str(found.value) for part in parts) and "\n" not in str(found.value)


@pytest.mark.parametrize(
    "setting",
    [
        {"swap_until": 0.3},
        {"swap": "qk"},
        {"guidance_scale": 3.0},
        {"negative_prompt": "mud"},
        {"eta": 0.0},
        {"anchor": 0.5},
        {"smoothing": 0.01},
        {"adain": 0.5},
        {"reference": 0.0},
        {"noise_sigma": 1.0},
        {"inversion_iterations": 2},
    ],
)
def test_settings_of_the_other_method_are_refused_by_name(
    pipe: SigStylePipeline, style: Style, base: BaseModel, painting: Image.Image, setting: dict[str, Any]
) -> None:
    name = next(iter(setting))
    refused(lambda: pipe(painting, preset="default", **setting, **FEW), f"{name} is not used", "--preset classic")
    refused(lambda: sigstyle.transfer(painting, style, base=base, **setting, **FEW), f"{name} is not used")
    refused(lambda: TransferConfig.preset("default", **setting), f"{name} is not used")


@pytest.mark.parametrize("preset", ["classic", "paper"])
@pytest.mark.parametrize("setting", [{"freedom": 0.3}, {"strokes": 2.0}])
def test_settings_of_painting_are_refused_by_classic_and_paper(
    pipe: SigStylePipeline, painting: Image.Image, preset: str, setting: dict[str, Any]
) -> None:
    config, name = TransferConfig.preset(preset), next(iter(setting))
    refused(lambda: pipe(painting, config=config, **setting, **FEW), f"{name} is not used", "--preset default")


def test_more_steps_than_painting_takes_are_refused(pipe: SigStylePipeline, painting: Image.Image) -> None:
    refused(lambda: pipe(painting, num_inference_steps=9, **FEW), "steps is 9", "1 to 8", "classic")


def test_a_style_that_has_not_learned_to_paint_is_refused_before_anything_is_done(
    base: BaseModel, style: Style, painting: Image.Image
) -> None:
    met = count(base)
    remembering = dataclasses.replace(style, palette=None)
    refused(lambda: piped(base, remembering)(painting, **FEW), "wave has not learned to paint", "--preset classic")
    both = piped(base, style, dataclasses.replace(remembering, name="old"))
    refused(lambda: both(painting, **FEW), "old has not learned to paint")
    assert not met


def test_classic_with_a_style_that_holds_no_reference_tells_how_to_capture_one(
    base: BaseModel, style: Style, painting: Image.Image
) -> None:
    met, config = count(base), TransferConfig.preset("classic", steps=2)
    painting_alone = dataclasses.replace(style, reference=None)
    how = "sigstyle capture IMAGE -o STYLE --preset classic"
    refused(lambda: piped(base, painting_alone)(painting, config=config, **FEW), "wave", how)
    assert not met
    assert piped(base, painting_alone)(painting, config=config, reference=0.0, **FEW).images


def test_a_base_of_another_prediction_type_is_refused(make_base: MakeBase, painting: Image.Image) -> None:
    base = make_base(prediction_type="sample")
    pipe = piped(base, random_style(base))
    refused(lambda: pipe(painting, **FEW), "'sample'", "expected epsilon or v_prediction")

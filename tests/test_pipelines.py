"""The pipelines: the published method by hand, laws, costs, sizes, and that everything is as before afterwards."""

import gc
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import digest, make_parts
from diffusers import DDIMInverseScheduler, DiffusionPipeline, PNDMScheduler, StableDiffusionPipeline
from PIL import Image
from random_style import random_style
from torch import Tensor

from pipelines import SigStylePipeline, SigStyleText2ImgPipeline
from pipelines.style_mixin import SigStyleOutput
from sigstyle.base.autoencoder import decode_latents, encode_latents
from sigstyle.base.fingerprints import fingerprint
from sigstyle.base.locks import lock_of
from sigstyle.base.model import BaseModel
from sigstyle.config import TransferConfig
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.errors import BaseMismatchError, ConfigError, ImageError, StyleFileError
from sigstyle.imaging.images import fit, mirrored_margin, to_tensor
from sigstyle.style.attach import styled
from sigstyle.style.style import Style

MakeBase = Callable[..., BaseModel]
CLASSIC = TransferConfig.preset("classic")  # this is of inverting and swapping; painting is in test_direct
FEW: dict[str, Any] = {"num_inference_steps": 4, "size_px": 64, "config": CLASSIC}


@pytest.fixture
def style(base: BaseModel) -> Style:
    return random_style(base)


@pytest.fixture
def pipe(base: BaseModel, style: Style) -> SigStylePipeline:
    pipe = quiet(SigStylePipeline.from_base(base))
    pipe.load_style(style)
    return pipe


def quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def traced(result: SigStyleOutput) -> ContentTrace:
    """The trace of a result that has one."""
    assert isinstance(result.trace, ContentTrace)
    return result.trace


def pixels(image: Any) -> np.ndarray:
    return np.asarray(image, dtype=np.int16)


def difference(a: Any, b: Any) -> int:
    """Largest difference of two images, in steps of 0 to 255."""
    return int(np.abs(pixels(a) - pixels(b)).max())


def count(base: BaseModel) -> list[int]:
    """A list that grows by the number of images at every UNet evaluation."""
    met: list[int] = []
    base.unet.register_forward_pre_hook(lambda _module, args: met.append(len(args[0])))
    return met


def stable_diffusion(parts: Any, **changes: Any) -> StableDiffusionPipeline:
    components = {name: getattr(parts, name) for name in ("unet", "vae", "text_encoder", "tokenizer", "scheduler")}
    absent = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return quiet(StableDiffusionPipeline(**(components | absent | changes)))


# --- the method


@torch.no_grad()
def published(base: BaseModel, style: Style, image: Image.Image, prompt: str, counts: Sequence[int]) -> list[Tensor]:
    """SigStyle's transfer from scratch, with forward hooks: pixels [1, 3, h, w] for each count of swapped steps.

    Plain DDIM inversion, then guided denoising with styled weights, in which the conditional half takes the content's
    self-attention queries in the first steps.
    """
    unet, steps, scale = base.unet, 50, 7.5
    queries: dict[tuple[int, str], Tensor] = {}
    now = {"timestep": 0, "mode": "off"}

    def hook(path: str) -> Callable[..., Tensor | None]:
        def act(_module: Any, _args: Any, output: Tensor) -> Tensor | None:
            key = (now["timestep"], path)
            if now["mode"] == "record":
                queries[key] = output
            if now["mode"] == "swap":
                return torch.stack([output[0], queries[key][0]])
            return None

        return act

    layers = [name for name, _ in unet.named_modules() if name.endswith("attn1.to_q")]
    handles = [unet.get_submodule(name).register_forward_hook(hook(name)) for name in layers]
    source, empty = base.reader.encode([prompt, ""]).embeds.split(1)
    styled_prompt = f"{prompt} in the style of {style.token.token}"
    target = base.reader.encode([styled_prompt], [style.token]).embeds

    inverse: Any = DDIMInverseScheduler.from_config(base.scheduler.config)
    inverse.set_timesteps(steps)
    noise = encode_latents(base.vae, to_tensor(image))
    for timestep in inverse.timesteps.tolist():
        now |= {"timestep": timestep, "mode": "record"}
        noise = inverse.step(unet(noise, timestep, source).sample, timestep, noise).prev_sample

    before = {path: unet.get_submodule(path).weight.clone() for path in style.offsets}
    for path, offset in style.offsets.items():
        unet.get_submodule(path).weight.mul_(1 + offset.up @ offset.down)
    base.scheduler.set_timesteps(steps)
    images = []
    for swapped in counts:
        latents = noise
        for step, timestep in enumerate(base.scheduler.timesteps.tolist()):
            now |= {"timestep": timestep, "mode": "swap" if step < swapped else "off"}
            without, prompted = unet(torch.cat([latents] * 2), timestep, torch.cat([empty, target])).sample.chunk(2)
            latents = base.scheduler.step(without + scale * (prompted - without), timestep, latents).prev_sample
        images.append(decode_latents(base.vae, latents))
    for path, weight in before.items():
        unet.get_submodule(path).weight.copy_(weight)
    for handle in handles:
        handle.remove()
    return images


def test_the_paper_preset_is_the_published_swap(base: BaseModel, painting: Image.Image) -> None:
    style = random_style(base, scale=0.2)
    pipe = quiet(SigStylePipeline.from_base(base))
    pipe.load_style(style)
    content = fit(painting, 32, 32)
    config = TransferConfig.preset("paper", prompt="a tower", size_px=32)
    latents = pipe(content, config=config, output_type="latent").images
    expected, other = published(base, style, content, "a tower", counts=(15, 14))
    torch.testing.assert_close(decode_latents(base.vae, latents), expected, atol=1e-4, rtol=0)
    assert (other - expected).abs().max() > 1e-4  # the comparison does see one swapped step


@pytest.mark.parametrize("vae", ["tiny", "kl"])
@pytest.mark.parametrize("guidance_scale", [1.0, 7.5])
def test_strength_zero_gives_the_input_back(
    make_base: MakeBase, painting: Image.Image, vae: str, guidance_scale: float
) -> None:
    base = make_base(vae=vae, prediction_type="v_prediction")
    content = painting.resize((96, 64))
    with torch.no_grad():  # random encoders give almost flat latents, real ones a deviation of about 1
        deviation = encode_latents(base.vae, to_tensor(content)).std().item()
        base.vae.register_to_config(scaling_factor=base.vae.config.scaling_factor / deviation)
        expected = encode_latents(base.vae, to_tensor(mirrored_margin(content, 32)))
    pipe = quiet(SigStylePipeline.from_base(base))
    pipe.load_style(random_style(base))
    more: dict[str, Any] = {"noise_sigma": 0, "adain": 1.0, "inversion_iterations": 16, "output_type": "latent"}
    more |= {"guidance_scale": guidance_scale, **FEW}
    prompt = "a tower in the style of <wave>"
    inner = expected[..., 4:-4, 4:-4]
    torch.testing.assert_close(pipe(content, prompt, strength=0, **more).images, inner, atol=1e-3, rtol=0)
    assert (pipe(content, prompt, **more).images - inner).abs().max() > 0.1
    for steps in (1, 4):
        shown = pipe(content, prompt, strength=0, **(more | {"output_type": "pil", "num_inference_steps": steps}))
        assert difference(shown.images[0], content) == 0


def test_strength_is_continuous(pipe: SigStylePipeline, painting: Image.Image) -> None:
    none, hint, whole = (pipe(painting, strength=s, output_type="latent", **FEW).images for s in (0.0, 0.01, 1.0))
    assert 0 < (hint - none).norm() < 0.2 * (whole - none).norm()


def test_the_classic_preset_keeps_to_its_budget(pipe: SigStylePipeline, base: BaseModel, painting: Image.Image) -> None:
    met = count(base)
    cold = pipe(painting, config=CLASSIC, size_px=64)
    assert sum(met) <= 54
    pipe.unload_style()
    pipe.load_style(random_style(base, "other", seed=1))
    met.clear()
    pipe(painting, config=CLASSIC, size_px=64, trace=traced(cold))
    assert sum(met) <= 34


def test_only_swapped_layers_and_steps_are_kept(pipe: SigStylePipeline, painting: Image.Image) -> None:
    trace = traced(pipe(painting, swap_until=0.5, **FEW))
    assert len(trace.projections) == 2
    assert all(found.key is None for layers in trace.projections.values() for found in layers.values())
    assert all(len(layers) == 7 for layers in trace.projections.values())
    assert traced(pipe(painting, swap="none", **FEW)).projections == {}
    keyed = traced(pipe(painting, swap="qk", swap_until=0.1, **FEW))
    assert [len(layers) for layers in keyed.projections.values()] == [7]
    assert all(found.key is not None for layers in keyed.projections.values() for found in layers.values())


@pytest.mark.parametrize(
    "change",
    [
        {"swap": "none"},
        {"swap": "qk"},
        {"eta": 0.5},
        {"anchor": 0.0},
        {"smoothing": 0.02},
        {"reference": 0.5},
        {"reference": 0.0},
        {"adain": 0.0},
        {"noise_sigma": 4.0},
        {"margin_px": 0},
        {"guidance_scale": 3.0},
    ],
)
def test_every_setting_has_an_effect(pipe: SigStylePipeline, painting: Image.Image, change: dict[str, Any]) -> None:
    plain = pipe(painting, output_type="latent", **FEW).images
    assert not torch.equal(pipe(painting, output_type="latent", **FEW, **change).images, plain)


# --- traces


def test_a_trace_gives_the_same_image_without_the_inversion(
    pipe: SigStylePipeline, base: BaseModel, painting: Image.Image
) -> None:
    met = count(base)
    cold = pipe(painting, **FEW)
    denoising = 4 + 2  # two of them of the style's image
    inverting = len(met) - denoising
    met.clear()
    warm = pipe(painting, trace=traced(cold), **FEW)
    assert len(met) == denoising and inverting >= 4
    assert warm.trace is cold.trace and not warm.notices
    assert difference(cold.images[0], warm.images[0]) == 0
    assert not pipe(painting, trace=traced(cold), swap_until=0.1, **FEW).notices  # fewer swapped steps are there too


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"prompt": "a hut"}, "prompt"),
        ({"noise_sigma": 1.0}, "noise_sigma"),
        ({"swap": "qk"}, "features"),
        ({"swap_until": 1.0}, "features"),
        ({"num_inference_steps": 5}, "steps"),
        ({"generator": torch.Generator().manual_seed(7)}, "seeds"),
    ],
)
def test_a_trace_of_something_else_is_not_used(
    pipe: SigStylePipeline, painting: Image.Image, change: dict[str, Any], told: str
) -> None:
    noisy: dict[str, Any] = FEW | {"noise_sigma": 4.0}
    trace = traced(pipe(painting, **noisy))
    result = pipe(painting, trace=trace, **(noisy | change))
    assert result.trace is not trace
    assert len(result.notices) == 1 and told in result.notices[0]


def test_a_trace_of_another_image_is_not_used(pipe: SigStylePipeline, painting: Image.Image) -> None:
    trace = traced(pipe(painting, **FEW))
    assert "content" in pipe(painting.rotate(180), trace=trace, **FEW).notices[0]


# --- blends


def test_a_blend_of_a_style_with_itself_is_that_style(
    pipe: SigStylePipeline, style: Style, painting: Image.Image
) -> None:
    alone = pipe(painting, output_type="latent", **FEW).images
    twin = Style(**{**vars(style), "name": "twin"})
    pipe.load_style(twin)
    torch.testing.assert_close(pipe(painting, output_type="latent", **FEW).images, alone, atol=1e-3, rtol=1e-3)


def test_weights_lead_from_one_style_to_the_other(base: BaseModel, painting: Image.Image) -> None:
    first, second = random_style(base, "one"), random_style(base, "two", seed=1)

    def blended(*weights: float) -> Tensor:
        pipe = quiet(SigStylePipeline.from_base(base))
        for style, weight in zip((first, second), weights, strict=True):
            if weight:
                pipe.load_style(style, weight)
        return pipe(painting, "a tower", output_type="latent", **FEW).images

    ends, almost, half = (blended(1, 0), blended(0, 1)), blended(0.999, 0.001), blended(0.5, 0.5)
    assert (almost - ends[0]).abs().max() < 0.1 * (ends[0] - ends[1]).abs().max()
    assert all((half - end).abs().max() > 1e-2 for end in ends)


def test_styles_are_loaded_replaced_and_taken_out(pipe: SigStylePipeline, base: BaseModel, tmp_path: Path) -> None:
    random_style(base, "two", seed=1).save(tmp_path / "two.safetensors")
    assert pipe.load_style(tmp_path / "two.safetensors").name == "two"
    pipe.load_style(random_style(base, "two", seed=2))
    assert list(pipe.styles) == ["wave", "two"]
    pipe.unload_style("two")
    assert list(pipe.styles) == ["wave"]
    with pytest.raises(ConfigError, match="No style 'two' is loaded; loaded are wave"):
        pipe.unload_style("two")
    pipe.unload_style()
    with pytest.raises(ConfigError, match="Load a style first"):
        pipe(Image.new("RGB", (64, 64)), **FEW)


def test_unusable_styles_and_weights_are_refused(pipe: SigStylePipeline, make_base: MakeBase, tmp_path: Path) -> None:
    with pytest.raises(BaseMismatchError, match="tiny"):
        pipe.load_style(random_style(make_base(seed=1), "foreign"))
    with pytest.raises(StyleFileError):
        pipe.load_style(tmp_path / "missing.safetensors")
    pipe.load_style(pipe.styles["wave"], weight=-1)
    with pytest.raises(ConfigError, match="above 0"):
        pipe(Image.new("RGB", (64, 64)), **FEW)


# --- masks, sizes, outputs


def test_outside_a_mask_every_pixel_is_the_contents(pipe: SigStylePipeline, painting: Image.Image) -> None:
    mask = Image.new("L", painting.size, 0)
    mask.paste(255, (0, 0, 48, 80))
    result = pipe(painting, mask=mask, **FEW).images[0]
    assert result.size == painting.size
    changed = (pixels(result) != pixels(painting)).any(-1)
    assert not changed[:, 48:].any()
    assert changed[:, :40].mean() > 0.9


def test_a_masked_out_region_follows_the_content_in_the_latents(pipe: SigStylePipeline, painting: Image.Image) -> None:
    content = painting.resize((96, 64))
    mask = Image.new("L", content.size, 0)
    mask.paste(255, (0, 0, 48, 64))
    result = pipe(content, mask=mask, output_type="latent", margin_px=0, **FEW)
    torch.testing.assert_close(result.images[..., 6:], traced(result).path[0][..., 6:])
    assert (result.images[..., :6] - traced(result).path[0][..., :6]).abs().max() > 0.1


def test_a_black_mask_gives_the_content_and_a_white_one_the_style(
    pipe: SigStylePipeline, painting: Image.Image
) -> None:
    black, white = (pipe(painting, mask=Image.new("L", (192, 160), value), **FEW).images[0] for value in (0, 255))
    assert difference(black, painting) == 0
    plain = pipe(painting, **FEW).images[0]
    assert difference(white.resize(plain.size), plain) < 60


def test_a_mask_of_another_shape_is_refused(pipe: SigStylePipeline, painting: Image.Image) -> None:
    with pytest.raises(ImageError, match="96x80"):
        pipe(painting, mask=Image.new("L", (64, 64)), **FEW)


@pytest.mark.parametrize(
    ("size", "expected"), [((96, 80), (77, 64)), ((33, 97), (64, 188)), ((200, 50), (256, 64)), ((64, 64), (64, 64))]
)
def test_the_result_has_the_contents_aspect(
    pipe: SigStylePipeline, painting: Image.Image, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert pipe(painting.resize(size), config=CLASSIC, num_inference_steps=2, size_px=64).images[0].size == expected


def test_output_types(pipe: SigStylePipeline, painting: Image.Image) -> None:
    pil, array, tensor, latent = (
        pipe(painting, output_type=kind, **FEW).images for kind in ("pil", "np", "pt", "latent")
    )
    assert array.shape == (1, 64, 77, 3) and tensor.shape == (1, 3, 64, 77) and latent.shape == (1, 4, 8, 8)
    assert np.array_equal((array[0] * 255).round(), pixels(pil[0]))
    assert torch.equal(tensor[0].permute(1, 2, 0), torch.from_numpy(array[0]))
    images, trace = pipe(painting, return_dict=False, **FEW)
    assert difference(images[0], pil[0]) == 0 and trace is not None
    with pytest.raises(ConfigError, match="output_type"):
        pipe(painting, output_type="jpeg", **FEW)


# --- seeds


def test_the_seed_decides_the_image(pipe: SigStylePipeline, painting: Image.Image) -> None:
    def paint(**more: Any) -> Any:
        return pipe(painting, **(FEW | more)).images[0]

    plain = paint()
    assert difference(paint(), plain) == 0
    assert difference(paint(generator=torch.Generator().manual_seed(0)), plain) == 0
    assert difference(paint(config=TransferConfig.preset("classic", seed=5)), plain) > 0
    assert (
        difference(
            paint(generator=torch.Generator().manual_seed(5)), paint(config=TransferConfig.preset("classic", seed=5))
        )
        == 0
    )


@pytest.mark.parametrize(("settings", "inversions"), [({"noise_sigma": 4.0, "eta": 0.0}, 2), ({"eta": 1.0}, 1)])
def test_images_of_one_prompt_differ_by_their_noise(
    pipe: SigStylePipeline, painting: Image.Image, settings: dict[str, Any], inversions: int
) -> None:
    few = FEW | settings
    two = pipe(painting, num_images_per_prompt=2, **few)
    assert traced(two).initial_noise.shape[0] == inversions and difference(*two.images) > 0
    again = pipe(painting, num_images_per_prompt=2, trace=traced(two), **few)
    assert all(difference(a, b) == 0 for a, b in zip(two.images, again.images, strict=True))
    assert difference(two.images[0], pipe(painting, **few).images[0]) <= 1
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    seeded = pipe(painting, num_images_per_prompt=2, generator=generators, **few).images
    alone = pipe(painting, generator=torch.Generator().manual_seed(4), **few).images
    assert difference(seeded[1], alone[0]) <= 1
    same = pipe(painting, num_images_per_prompt=2, eta=0.0, **FEW)
    assert traced(same).initial_noise.shape[0] == 1 and difference(*same.images) == 0
    with pytest.raises(ConfigError, match="num_images_per_prompt"):
        pipe(painting, num_images_per_prompt=3, generator=generators, **FEW)


# --- everything as before


class Watch:
    """What must be the same afterwards: weights and attention processors."""

    def __init__(self, base: BaseModel) -> None:
        self.unet = base.unet
        self.weights, self.processors = digest(base.unet), dict(base.unet.attn_processors)

    def check(self) -> None:
        assert digest(self.unet) == self.weights
        assert all(self.unet.attn_processors[name] is each for name, each in self.processors.items())


def test_a_run_leaves_the_base_as_it_was(pipe: SigStylePipeline, base: BaseModel, painting: Image.Image) -> None:
    watch = Watch(base)
    pipe(painting, **FEW)
    watch.check()


@pytest.mark.parametrize("moment", [1, 5, 9])  # inverting, swapping, after the swap
def test_an_exception_leaves_the_base_as_it_was(
    pipe: SigStylePipeline, base: BaseModel, painting: Image.Image, moment: int
) -> None:
    watch = Watch(base)

    def fail(_pipe: Any, done: int, _total: int) -> None:
        if done == moment:
            raise KeyboardInterrupt

    few: dict[str, Any] = FEW | {"num_inference_steps": 5}
    with pytest.raises(KeyboardInterrupt):
        pipe(painting, inversion_iterations=1, callback_on_evaluation=fail, **few)
    watch.check()
    assert base.lock.acquire(blocking=False)


@pytest.mark.parametrize("moment", [2, 5, 7, 10])  # inverting, denoising, and at the very end
def test_an_interrupt_stops_within_a_step_and_decodes_nothing(
    pipe: SigStylePipeline, base: BaseModel, painting: Image.Image, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, met = Watch(base), count(base)
    whole = pipe(painting, **FEW)
    met.clear()
    decodes: list[int] = []
    monkeypatch.setattr(base.vae, "decode", lambda *_: decodes.append(1))

    def stop(pipe: Any, done: int, _total: int) -> None:
        pipe._interrupt = done == moment

    result = pipe(painting, inversion_iterations=1, callback_on_evaluation=stop, **FEW)
    assert len(met) == moment and result.interrupted and result.images == [] and not decodes
    watch.check()
    monkeypatch.undo()
    assert difference(pipe(painting, **FEW).images[0], whole.images[0]) == 0


def test_callback_on_step_end_sees_and_changes_latents(pipe: SigStylePipeline, painting: Image.Image) -> None:
    steps: list[tuple[int, int]] = []

    def on_step_end(called: Any, step: int, timestep: int, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        assert called is pipe
        steps.append((step, timestep))
        called._interrupt = step == 2
        return {"latents": torch.zeros_like(tensors["latents"])}

    result = pipe(painting, callback_on_step_end=on_step_end, output_type="latent", **FEW)
    assert [step for step, _ in steps] == [0, 1, 2] and steps[0][1] > steps[1][1]
    assert result.interrupted and not result.images.any()
    with pytest.raises(ConfigError, match="latents"):
        pipe(painting, callback_on_step_end=on_step_end, callback_on_step_end_tensor_inputs=["prompt_embeds"], **FEW)


@pytest.mark.parametrize("shared", ["base", "unet", "pipe"])
def test_two_users_at_once_get_what_each_gets_alone(base: BaseModel, painting: Image.Image, shared: str) -> None:
    first = SigStylePipeline.from_base(base)

    def user(seed: int) -> SigStylePipeline:
        if shared == "pipe":
            pipe = quiet(SigStylePipeline.from_pipe(first))
        else:
            pipe = quiet(SigStylePipeline.from_base(base if shared == "base" else BaseModel.from_pipeline(base)))
        assert pipe.unet is base.unet
        pipe.load_style(random_style(base, seed=seed))
        return pipe

    config = TransferConfig.preset("classic", steps=3, size_px=64)
    alone = [user(seed)(painting, config=config).images[0] for seed in (0, 1)]
    together: dict[int, Any] = {}
    threads = [
        threading.Thread(
            target=lambda seed=seed: together.update({seed: user(seed)(painting, config=config).images[0]})
        )
        for seed in (0, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(difference(together[seed], alone[seed]) == 0 for seed in (0, 1))


def test_a_unet_has_one_lock_as_long_as_it_lives() -> None:
    first, second = make_parts(), make_parts(seed=1)
    bases = [BaseModel.from_pipeline(parts) for parts in (first, first, second)]
    assert bases[0].lock is bases[1].lock is not bases[2].lock
    assert lock_of(torch.compile(first.unet, backend="eager")) is bases[0].lock
    gone = weakref.ref(bases[0].lock)
    del first, bases
    gc.collect()
    assert gone() is None


def test_a_base_is_told_by_its_own_weights_while_another_pipeline_paints(base: BaseModel) -> None:
    found: list[str] = []
    other = threading.Thread(target=lambda: found.append(BaseModel.from_pipeline(base).fingerprint))
    with base.lock, styled(base.unet, [(random_style(base, scale=3.0).offsets, 1.0)]):
        other.start()
        other.join(timeout=0.2)
        assert other.is_alive()
        assert fingerprint(base.unet) != base.fingerprint
    other.join()
    assert found == [base.fingerprint]


def test_a_half_precision_base_works_on_float32_latents(make_base: MakeBase, painting: Image.Image) -> None:
    latents = []
    plain: dict[str, Any] = FEW | {"eta": 0.0, "anchor": 0.0, "smoothing": 0.0, "margin_px": 0}
    for dtype in (torch.float32, torch.bfloat16):
        base = make_base(prediction_type="v_prediction")
        style = random_style(base, scale=0.1)
        for module in (base.unet, base.vae, base.text_encoder):
            module.to(dtype)
        pipe = quiet(SigStylePipeline.from_base(base))
        pipe.load_style(style)
        result = pipe(painting, adain=0.5, guidance_scale=2.0, output_type="latent", **plain)
        assert result.images.dtype == torch.float32
        assert {each.query.dtype for layers in result.trace.projections.values() for each in layers.values()} == {dtype}
        latents.append(result.images)
    assert (latents[0] - latents[1]).abs().mean() < 0.1 * latents[0].std()


# --- as diffusers pipelines


def test_from_pretrained_and_as_a_custom_pipeline(painting: Image.Image, tmp_path: Path) -> None:
    parts = make_parts()
    stable_diffusion(parts).save_pretrained(tmp_path)
    style = random_style(BaseModel.from_pipeline(parts, name="tiny"))
    custom = Path(__file__).parent.parent / "pipelines" / "pipeline_sigstyle.py"
    loaded: list[Any] = [
        SigStylePipeline.from_pretrained(tmp_path),
        DiffusionPipeline.from_pretrained(tmp_path, custom_pipeline=str(custom), trust_remote_code=True),
    ]
    images = []
    for pipe in loaded:
        quiet(pipe).load_style(style)
        images.append(pipe(image=painting, prompt="a tower", **FEW).images[0])
    assert type(loaded[0]) is SigStylePipeline and type(loaded[1]).__name__ == "SigStylePipeline"
    assert difference(*images) == 0


def test_from_pipe_shares_modules_and_turns_any_scheduler_into_ddim(painting: Image.Image) -> None:
    parts = make_parts()
    known = ("beta_start", "beta_end", "beta_schedule", "steps_offset", "set_alpha_to_one", "prediction_type")
    pndm = PNDMScheduler(skip_prk_steps=True, **{name: parts.scheduler.config[name] for name in known})
    source = stable_diffusion(parts, scheduler=pndm)
    pipe = quiet(SigStylePipeline.from_pipe(source))
    assert pipe.unet is source.unet
    style = random_style(pipe.base)
    pipe.load_style(style)
    plain = quiet(SigStylePipeline.from_pipe(stable_diffusion(parts)))
    plain.load_style(style)
    assert difference(pipe(painting, **FEW).images[0], plain(painting, **FEW).images[0]) == 0


# --- text to image


@pytest.fixture
def painter(base: BaseModel, style: Style) -> SigStyleText2ImgPipeline:
    pipe = quiet(SigStyleText2ImgPipeline.from_base(base))
    pipe.load_style(style)
    return pipe


def test_without_strength_the_base_paints_the_prompt(painter: SigStyleText2ImgPipeline) -> None:
    plain: Any = stable_diffusion(make_parts())
    more: dict[str, Any] = {"height": 64, "width": 96, "guidance_scale": 4.0, "num_inference_steps": 4}
    more |= {"output_type": "latent", "negative_prompt": "mud"}
    expected = plain("a tower", generator=torch.Generator().manual_seed(3), **more).images
    found = painter("a tower", generator=torch.Generator().manual_seed(3), strength=0, signal_leak=0, **more).images
    torch.testing.assert_close(found, expected)


def test_painting_a_prompt_takes_the_style_and_leaves_the_base(
    painter: SigStyleText2ImgPipeline, base: BaseModel
) -> None:
    watch = Watch(base)
    more: dict[str, Any] = {"height": 70, "width": 64, "num_inference_steps": 3}
    styled = painter("a tower", num_images_per_prompt=2, **more).images
    assert [image.size for image in styled] == [(64, 64)] * 2 and difference(*styled) > 0
    assert difference(styled[0], painter("a tower", num_images_per_prompt=2, strength=0, **more).images[0]) > 0
    start = torch.ones(1, 4, 8, 8)
    assert painter("a tower", latents=start, output_type="latent", return_dict=False, **more)[0].shape == start.shape

    def stop(pipe: Any, _step: int, _timestep: int, _tensors: dict[str, Tensor]) -> None:
        pipe._interrupt = True

    assert painter("a tower", callback_on_step_end=stop, **more).interrupted
    watch.check()
    with pytest.raises(ConfigError, match="num_images_per_prompt"):
        painter("a tower", num_images_per_prompt=0, **more)

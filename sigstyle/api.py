"""The library's front door: capture a style, repaint with it, paint prompts with it."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image

from pipelines import SigStylePipeline, SigStyleText2ImgPipeline
from pipelines.style_mixin import OnStepEnd, SigStyleOutput
from sigstyle.base.model import EMBEDDED, BaseLike, BaseModel, default_size_px
from sigstyle.config import CaptureConfig, GenerateConfig, TransferConfig
from sigstyle.defaults import resolved
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.diffusion.preview import Preview
from sigstyle.errors import Cancelled, ConfigError
from sigstyle.files import check_destination
from sigstyle.imaging.images import Source, load_image
from sigstyle.learning.instant import instant_style
from sigstyle.learning.loop import OnProgress, capture_style
from sigstyle.painting.evaluations import never, unwatched
from sigstyle.painting.generate import fitting
from sigstyle.painting.notices import few_steps_notice
from sigstyle.painting.sparing import smaller_sides, sparing
from sigstyle.parts import Parts, RegionLike
from sigstyle.recipe import asked_for, file_entry, input_files, recipe
from sigstyle.repaint import Repaint, watching
from sigstyle.result import TransferResult
from sigstyle.settings import resolve
from sigstyle.style.blend import Blend
from sigstyle.style.ingredients import Ingredients, Loading, Ready
from sigstyle.style.lora_file import LoraLike
from sigstyle.style.shipped import StyleLike
from sigstyle.style.style import Style
from sigstyle.text import check_style_name, style_name_of

OnPreview = Callable[[Image.Image], None]


def capture(
    images: Source | Sequence[Source],
    *,
    base: BaseLike = EMBEDDED,
    name: str | None = None,
    preset: str | None = None,
    config: CaptureConfig | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    memory: str = "auto",
    prediction_type: str | None = None,
    loras: Sequence[LoraLike] = (),
    compile: bool = False,
    bank: str | Path | None = None,
    state_path: str | Path | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] = never,
    should_finish: Callable[[], bool] = never,
    on_notice: Callable[[str], None] = warnings.warn,
    instant: bool = False,
    **settings: Any,
) -> Style:
    """Learn the style of one image, or of several by one hand; `settings` are those of CaptureConfig (steps, seed, …).

    Without a `name` the style is called as the first file; what is not said is as the base's family has it. `bank` is a
    folder of photos to paint while learning, None the one that ships. With a `state_path` an interrupted capture can
    `resume`. When `should_finish` turns true, the style is what was learned so far. `on_notice` hears of images read
    otherwise than as they are. With `instant` the hypernetwork that ships says at once what it knows. `loras` (files or
    pairs of a file and a weight) lie under the style; `prediction_type`, `memory`, `compile` are as in `load_base`.
    Raises: ImageError, ConfigError for unusable input; Cancelled when stopped; CaptureError when training fails.
    """
    sources = [images] if isinstance(images, Source) else list(images)
    resolve(CaptureConfig, preset, config, settings)  # what is wrong is told before a base is loaded
    loaded = [load_image(source) for source in sources]
    for image in loaded:
        if "notice" in image.info:
            on_notice(image.info["notice"])
    named = next((style_name_of(Path(source).stem) for source in sources if isinstance(source, str | Path)), "style")
    check_style_name(name or named)
    loading = Loading(device, dtype, prediction_type, loras, memory, compile)
    if instant:
        _refuse_training(settings, preset, config, bank, state_path, resume, loras, compile)
        return instant_style(loading.base(base), loaded, name or named, on_notice)
    if state_path is not None:
        check_destination(state_path, input_files(*sources, *loading.files), overwrite=True)
    with loading.carrying(loading.base(base), learning=True) as ready:
        style = capture_style(
            ready.base,
            loaded,
            name or named,
            resolved(CaptureConfig, preset, config, settings, ready.base.family),
            bank=bank,
            state_path=state_path,
            resume=resume,
            on_progress=on_progress,
            should_stop=should_stop,
            should_finish=should_finish,
        )
    return replace(style, metadata={**style.metadata, **ready.entries}) if ready.entries else style


def _refuse_training(*given: Any) -> None:
    if any(given):
        raise ConfigError(
            "An instant style is not trained; leave out its settings, bank, state_path, resume, LoRAs, compile."
        )


def transfer(
    content: Source,
    styles: StyleLike | Sequence[StyleLike],
    *,
    weights: Sequence[float] | None = None,
    mask: Source | None = None,
    regions: Sequence[RegionLike] = (),
    gradient: str | None = None,
    palette_from: StyleLike | None = None,
    texture: Source | None = None,
    base: BaseLike | None = None,
    preset: str | None = None,
    config: TransferConfig | None = None,
    trace: ContentTrace | None = None,
    num_images: int = 1,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    memory: str = "auto",
    prediction_type: str | None = None,
    loras: Sequence[LoraLike] = (),
    compile: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    on_preview: OnPreview | None = None,
    should_stop: Callable[[], bool] = never,
    **settings: Any,
) -> TransferResult:
    """Repaint `content` in one style or a blend; `settings` are those of TransferConfig (prompt, strength, seed, …).

    Styles are files, names of shipped styles, or Style objects, and with a `base` LoRAs and textual inversions, for
    the preset paper; without `weights` they share evenly. `regions` are pairs of where (a mask, or a place such as
    'subject' or '10%,10%,40%,50%') and the style that is painted there; `styles` may then be empty. `texture`, a
    picture, or 'style' for a surface painted in `styles`, is laid on what is painted. `base` is by default the styles'
    own, loaded for this call: pass a BaseModel to keep it loaded. `on_progress(done, total)` counts UNet evaluations;
    `on_preview` gets a small picture of what is becoming of it. Else as in SigStylePipeline, `load_base`, `capture`.
    Raises: ImageError, ConfigError, StyleFileError, BaseMismatchError for unusable input; Cancelled when stopped.
    """
    resolve(TransferConfig, preset, config, settings)
    used = {"content": file_entry(content), "mask": None if mask is None else file_entry(mask), "images": num_images}
    parts = Parts.opened(regions, gradient, palette_from, texture)
    styles, weights = _having_part(styles, weights)
    wanted = Ingredients.of(styles, base, Loading(device, dtype, prediction_type, loras, memory, compile), parts.styles)
    chosen = resolved(TransferConfig, preset, config, settings, wanted.first.family)
    blend = Blend.of(wanted.styles, weights, parts.colours) if wanted.styles else None
    photo = load_image(content)
    parts.check(photo, mask, chosen, blend)  # what cannot be used is told before a base is loaded
    with wanted.ready() as ready:
        pipe = _loaded(SigStylePipeline, ready, wanted, weights)
        repaint = Repaint(pipe, content, photo, parts.arguments(pipe.base, blend, chosen), trace, should_stop)
        repaint.arguments |= {"mask": mask, "num_images_per_prompt": num_images}
        repaint.arguments |= {"callback_on_step_end": _previewing(pipe.base, on_preview)}
        taken, how = repaint.sparing(chosen, blend, on_progress or unwatched)
        entries = recipe("transfer", taken[0].config.to_dict(), pipe.base, asked_for(base), blend, wanted.paths)
        told = few_steps_notice(ready.base) if chosen.method == "swap" else []
    entries |= {**used, **parts.entries, **how.entries, **taken[0].entries, **ready.entries}
    notices = [*repaint.notices, *taken[0].notices, *how.notices, *wanted.notices, *told]
    files = input_files(content, mask, *wanted.files, *parts.files)
    return TransferResult([one.image for one in taken], entries, repaint.kept_trace(taken), notices, files)


def generate(
    prompt: str,
    styles: StyleLike | Sequence[StyleLike],
    *,
    weights: Sequence[float] | None = None,
    height: int | None = None,
    width: int | None = None,
    base: BaseLike | None = None,
    preset: str | None = None,
    num_images: int = 1,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    memory: str = "auto",
    prediction_type: str | None = None,
    loras: Sequence[LoraLike] = (),
    compile: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    on_preview: OnPreview | None = None,
    should_stop: Callable[[], bool] = never,
    **settings: Any,
) -> TransferResult:
    """Paint `prompt` in one style or a blend; `settings` are those of GenerateConfig (steps, strength, seed, …).

    The base makes a picture of the prompt, which is painted as a photo is; with preset='classic' noise is denoised in
    the style, for styles that have not learned to paint. All else is as in `transfer`; a base made for few steps gets
    them unless `settings` say otherwise. Units: height and width in pixels; `on_progress` counts calls of the UNet.
    Raises: ConfigError, StyleFileError, BaseMismatchError for unusable input; Cancelled when stopped.
    """
    styles, weights = _having_part(styles, weights)
    GenerateConfig.preset(preset or "default", **{**settings, "prompt": prompt})
    wanted = Ingredients.of(styles, base, Loading(device, dtype, prediction_type, loras, memory, compile))
    chosen = resolved(GenerateConfig, preset, None, {**settings, "prompt": prompt}, wanted.styles[0].family)
    Blend.of(wanted.styles, weights)
    with wanted.ready() as ready:
        pipe = _loaded(SigStyleText2ImgPipeline, ready, wanted, weights)
        chosen, fitted = fitting(chosen, settings, bool(pipe.base.few_steps))
        side_px = chosen.size_px or default_size_px(pipe.base)
        sides = (height or side_px, width or side_px)

        def make(size_px: int | None) -> SigStyleOutput:
            made = pipe(
                config=chosen,
                **smaller_sides(height, width, sides, size_px),
                num_images_per_prompt=num_images,
                callback_on_evaluation=watching(on_progress, should_stop),
                callback_on_step_end=_previewing(pipe.base, on_preview),
                callback_on_step_end_tensor_inputs=["pred_x0"],
            )
            return cast(SigStyleOutput, made)

        spared = sparing(pipe.base, min(sides), make)
        output = spared.made
        if output.interrupted:
            raise Cancelled("The generation was stopped.")
        entries = recipe("generate", chosen.to_dict(), pipe.base, asked_for(base), pipe.blend, wanted.paths)
    entries |= {**smaller_sides(height, width, sides, spared.size_px), "images": num_images}
    entries = {**entries, **spared.entries, **ready.entries}
    notices = [*output.notices, *spared.notices, *wanted.notices]
    notices += few_steps_notice(ready.base, fitted) if fitted else []
    return TransferResult(output.images, entries, notices=notices, inputs=input_files(*wanted.files))


def _loaded(kind: Any, ready: Ready, wanted: Ingredients, weights: Sequence[float] | None) -> Any:
    """A pipeline of this kind with the styles in it."""
    pipe = kind.from_base(ready.base)
    _load(pipe, wanted.styles, weights)
    return pipe


def _previewing(base: BaseModel, on_preview: OnPreview | None) -> OnStepEnd | None:
    """A step callback that hands previews to `on_preview`."""
    if on_preview is None:
        return None
    preview = Preview(base)

    def shown(pipe: Any, step: int, timestep: int, tensors: dict[str, Any]) -> None:
        on_preview(preview(tensors["pred_x0"]))

    return shown


def _having_part(
    styles: StyleLike | Sequence[StyleLike], weights: Sequence[float] | None
) -> tuple[Sequence[StyleLike], Sequence[float] | None]:
    """The styles that have a part, and their weights: one of weight 0 has none."""
    wanted = [styles] if isinstance(styles, StyleLike) else list(styles)
    if weights is None or len(weights) != len(wanted) or not any(weights):
        return wanted, weights
    kept = [place for place, weight in enumerate(weights) if weight != 0]
    return [wanted[place] for place in kept], [weights[place] for place in kept]


def _load(pipe: Any, styles: Sequence[Style], weights: Sequence[float] | None) -> None:
    """Load `styles` with their weights into a pipeline, whose own progress bar is turned off.

    Styles of one name are held apart by their places; each prompt is encoded apart, so equal tokens do not meet.
    Raises: ConfigError for another number of weights, BaseMismatchError for a style of another base.
    """
    pipe.set_progress_bar_config(disable=True)
    if weights is not None and len(weights) != len(styles):
        raise ConfigError(f"There are {len(styles)} styles and {len(weights)} weights; expected one weight each.")
    for place, (style, weight) in enumerate(zip(styles, weights or [None] * len(styles), strict=True), 1):
        pipe.load_style(style, weight, name=f"{place}: {style.name}")

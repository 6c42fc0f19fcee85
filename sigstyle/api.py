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
from sigstyle.base.model import EMBEDDED, BaseLike, BaseModel, default_size_px, load_base
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
from sigstyle.painting.luck import Chosen
from sigstyle.painting.sparing import smaller_sides, sparing
from sigstyle.parts import Parts, RegionLike
from sigstyle.recipe import asked_for, file_entry, input_files, recipe
from sigstyle.repaint import Repaint, watching
from sigstyle.result import TransferResult
from sigstyle.settings import resolve
from sigstyle.style.blend import Blend
from sigstyle.style.shipped import StyleLike, load_own_base, open_style
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

    Without a `name` the style is called as the first file. What neither settings nor a config say is as the family of
    the base has it; `memory` is as in `load_base`. `bank` is a folder of photos to paint while learning, None
    the one that ships. With a `state_path` an interrupted capture can `resume`.
    When `should_finish` turns true, the style is what was learned so far. `on_notice` hears of images that were read
    otherwise than as they are, such as the first frame of an animation. With `instant` nothing is trained: the
    hypernetwork that ships says at once what it knows of the style.
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
    if instant:
        if settings or preset or config or bank or state_path or resume:
            raise ConfigError("An instant style is not trained; leave out its settings, bank, state_path and resume.")
        return instant_style(load_base(base, device, dtype, memory=memory), loaded, name or named)
    if state_path is not None:
        check_destination(state_path, input_files(*sources), overwrite=True)
    model = load_base(base, device, dtype, memory=memory)
    return capture_style(
        model,
        loaded,
        name or named,
        resolved(CaptureConfig, preset, config, settings, model.family),
        bank=bank,
        state_path=state_path,
        resume=resume,
        on_progress=on_progress,
        should_stop=should_stop,
        should_finish=should_finish,
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
    on_progress: Callable[[int, int], None] | None = None,
    on_preview: OnPreview | None = None,
    should_stop: Callable[[], bool] = never,
    **settings: Any,
) -> TransferResult:
    """Repaint `content` in one style or a blend; `settings` are those of TransferConfig (prompt, strength, seed, …).

    Styles are files, names of shipped styles, or Style objects; without `weights` they share evenly. `regions` are
    pairs of where (a mask, or a place such as 'subject' or '10%,10%,40%,50%') and the style that is painted there;
    `styles` may then be empty. `texture`, a picture, or 'style' for a surface painted in `styles`, is laid on what is
    painted. `gradient`, `palette_from` and settings such as where='subject': as in SigStylePipeline. `base` is by
    default the styles' own, loaded for this call: pass a BaseModel to keep it loaded. `on_progress(done, total)`
    counts UNet evaluations; `on_preview` gets a small picture of what is becoming of it after each denoising step but
    the first. `trace`, `mask` and the images of one prompt: as in SigStylePipeline; `memory` as in `load_base`.
    Raises: ImageError, ConfigError, StyleFileError, BaseMismatchError for unusable input; Cancelled when stopped.
    """
    parts = Parts.opened(regions, gradient, palette_from, texture)
    opened, paths, weights = _weighted(styles, weights, may_lack=bool(parts.regions))
    first = [*opened, *parts.styles][0]
    chosen = resolved(TransferConfig, preset, config, settings, first.family)
    if chosen.best_of > 1 and num_images > 1:
        raise ConfigError(f"best_of is {chosen.best_of} with {num_images} images; expected one image to choose.")
    used = {"content": file_entry(content), "mask": None if mask is None else file_entry(mask), "images": num_images}
    blend = Blend.of(opened, weights, parts.colours) if opened else None
    parts.check(load_image(content), mask, chosen, blend)  # what cannot be used is told before a base is loaded
    pipe = SigStylePipeline.from_base(_base(base, first, device, dtype, memory))
    _load(pipe, opened, weights)
    repaint = Repaint(pipe, content, parts.arguments(pipe.base, blend, chosen), trace, should_stop)
    repaint.arguments |= {"mask": mask, "num_images_per_prompt": num_images}
    repaint.arguments |= {"callback_on_step_end": _previewing(pipe.base, on_preview)}
    spared = sparing(
        pipe.base,
        chosen.size_px,
        lambda size_px: repaint.lucky(replace(chosen, size_px=size_px), blend, on_progress or unwatched),
    )
    taken: list[Chosen] = spared.made
    entries = recipe("transfer", taken[0].config.to_dict(), pipe.base, asked_for(base), blend, paths)
    entries |= {**used, **parts.entries, **spared.entries, **taken[0].entries}
    notices = [*repaint.notices, *taken[0].notices, *spared.notices]
    files = input_files(content, mask, *paths, *parts.files)
    kept_trace = None if "asked" in taken[0].entries else repaint.trace
    return TransferResult([one.image for one in taken], entries, kept_trace, notices, files)


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
    on_progress: Callable[[int, int], None] | None = None,
    on_preview: OnPreview | None = None,
    should_stop: Callable[[], bool] = never,
    **settings: Any,
) -> TransferResult:
    """Paint `prompt` in one style or a blend; `settings` are those of GenerateConfig (steps, strength, seed, …).

    The base makes a picture of the prompt, which is painted as a photo is; with preset='classic' noise is denoised in
    the style, for styles that have not learned to paint. `styles`, `weights`, `base`, `memory` and `on_preview` as in
    `transfer`. Units: height and width in pixels; `on_progress` counts calls of the UNet.
    Raises: ConfigError, StyleFileError, BaseMismatchError for unusable input; Cancelled when stopped.
    """
    opened, paths, weights = _weighted(styles, weights)
    chosen = resolved(GenerateConfig, preset, None, {**settings, "prompt": prompt}, opened[0].family)
    Blend.of(opened, weights)
    pipe = SigStyleText2ImgPipeline.from_base(_base(base, opened[0], device, dtype, memory))
    _load(pipe, opened, weights)

    wanted = chosen.size_px or default_size_px(pipe.base)
    sides = (height or wanted, width or wanted)

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
    entries = recipe("generate", chosen.to_dict(), pipe.base, asked_for(base), pipe.blend, paths)
    entries |= {**smaller_sides(height, width, sides, spared.size_px), "images": num_images} | spared.entries
    notices = [*output.notices, *spared.notices]
    return TransferResult(output.images, entries, notices=notices, inputs=input_files(*paths))


def _previewing(base: BaseModel, on_preview: OnPreview | None) -> OnStepEnd | None:
    """A step callback that hands previews to `on_preview`."""
    if on_preview is None:
        return None
    preview = Preview(base)

    def shown(pipe: Any, step: int, timestep: int, tensors: dict[str, Any]) -> None:
        on_preview(preview(tensors["pred_x0"]))

    return shown


def _base(
    base: BaseLike | None, style: Style, device: str | torch.device | None, dtype: torch.dtype | None, memory: str
) -> BaseModel:
    """The base that was asked for, else the style's own, which is never fetched."""
    if base:
        return load_base(base, device, dtype, memory=memory)
    return load_own_base(style, device, dtype, memory)


def _opened(styles: StyleLike | Sequence[StyleLike]) -> tuple[list[Style], list[str | None]]:
    """The styles, and the path or name each was asked for by."""
    wanted = [styles] if isinstance(styles, StyleLike) else list(styles)
    if not wanted:
        raise ConfigError("There is no style; give a style file or the name of a shipped style.")
    return [open_style(style) for style in wanted], [None if isinstance(s, Style) else str(s) for s in wanted]


def _weighted(
    styles: StyleLike | Sequence[StyleLike], weights: Sequence[float] | None, may_lack: bool = False
) -> tuple[list[Style], list[str | None], Sequence[float] | None]:
    """The styles that have a part, what each was asked for by, and their weights: one of weight 0 has none."""
    if may_lack and not isinstance(styles, StyleLike) and not styles:
        return [], [], None
    opened, paths = _opened(styles)
    if weights is None or len(weights) != len(opened) or not any(weights):
        return opened, paths, weights
    kept = [i for i, weight in enumerate(weights) if weight != 0]
    return [opened[i] for i in kept], [paths[i] for i in kept], [weights[i] for i in kept]


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

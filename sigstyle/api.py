"""The library's front door: capture a style, repaint with it, paint prompts with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image

from pipelines import SigStylePipeline, SigStyleText2ImgPipeline
from pipelines.style_mixin import OnStepEnd, SigStyleOutput
from sigstyle.base.model import EMBEDDED, BaseModel, is_hub_id, load_base
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.data import shipped_path
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.diffusion.preview import Preview
from sigstyle.errors import Cancelled, ConfigError
from sigstyle.imaging.images import Source, load_image, load_mask, save_png
from sigstyle.imaging.masks import matching
from sigstyle.learning.loop import OnProgress, capture_style
from sigstyle.recipe import file_entry, recipe
from sigstyle.style.blend import Blend
from sigstyle.style.style import Style

STYLES_FOLDER = shipped_path("weights/styles")

OnPreview = Callable[[Image.Image], None]
StyleLike = Style | str | Path
BaseLike = BaseModel | str | Path


def never() -> bool:
    """The `should_stop` of work that nobody stops."""
    return False


@dataclass(frozen=True)
class TransferResult:
    """Finished images and everything about them.

    `recipe` goes into every PNG; `trace` saves the inversion when the same content is painted in another style;
    `notices` are lines worth showing.
    """

    images: list[Image.Image]
    recipe: dict[str, Any]
    trace: ContentTrace | None = None
    notices: list[str] = field(default_factory=list)

    def save(self, path: str | Path) -> list[Path]:
        """Write PNGs that carry their recipe: `path`, or for several images `path` with -1, -2, … added to its name.

        Raises: ConfigError when the name does not end in .png, ImageError when a file cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise ConfigError(f"The result is to be written to {path.name}; expected a name that ends in .png.")
        several = len(self.images) > 1
        paths = [path.with_stem(f"{path.stem}-{i + 1}") if several else path for i in range(len(self.images))]
        for i, (image, place) in enumerate(zip(self.images, paths, strict=True)):
            save_png(image, place, {**self.recipe, "index": i})
        return paths


def capture(
    images: Source | Sequence[Source],
    *,
    base: BaseLike = EMBEDDED,
    name: str | None = None,
    preset: str = "default",
    config: CaptureConfig | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    state_path: str | Path | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] = never,
    should_finish: Callable[[], bool] = never,
    **settings: Any,
) -> Style:
    """Learn the style of one image, or of several by one hand; `settings` are those of CaptureConfig (steps, seed, …).

    Without a `name` the style is called as the first file. With a `state_path` an interrupted capture can `resume`.
    When `should_finish` turns true, the style is what was learned so far.
    Raises: ImageError, ConfigError for unusable input; Cancelled when stopped; CaptureError when training fails.
    """
    sources = [images] if isinstance(images, Source) else list(images)
    chosen = _config(CaptureConfig, preset, config, settings)
    loaded = [load_image(source) for source in sources]
    named = next((Path(source).stem for source in sources if isinstance(source, str | Path)), "style")
    return capture_style(
        load_base(base, device, dtype),
        loaded,
        name or named,
        chosen,
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
    base: BaseLike | None = None,
    preset: str = "default",
    config: TransferConfig | None = None,
    trace: ContentTrace | None = None,
    num_images: int = 1,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_preview: OnPreview | None = None,
    should_stop: Callable[[], bool] = never,
    **settings: Any,
) -> TransferResult:
    """Repaint `content` in one style or a blend; `settings` are those of TransferConfig (prompt, strength, seed, …).

    Styles are files, names of shipped styles, or Style objects; without `weights` they share evenly. `base` is by
    default the styles' own, loaded for this call: pass a BaseModel to keep it loaded. `on_progress(done, total)`
    counts UNet evaluations; `on_preview` gets a small picture of what is becoming of it after each denoising step but
    the first. `trace`, `mask` and the images of one prompt: as in SigStylePipeline.
    Raises: ImageError, ConfigError, StyleFileError, BaseMismatchError for unusable input; Cancelled when stopped.
    """
    chosen = _config(TransferConfig, preset, config, settings)
    used = {"content": file_entry(content), "mask": None if mask is None else file_entry(mask), "images": num_images}
    opened, paths = _opened(styles)
    Blend.of(opened, weights)
    photo = load_image(content)  # what cannot be used is told before a base is loaded
    if mask is not None:
        matching(load_mask(mask), photo.size)
    pipe = SigStylePipeline.from_base(load_base(base or own_base(opened[0]), device, dtype))
    _load(pipe, opened, weights)

    def watch(pipe: SigStylePipeline, done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(done, total)
        pipe._interrupt = pipe.interrupt or should_stop()

    made = pipe(
        content,
        config=chosen,
        mask=mask,
        trace=trace,
        num_images_per_prompt=num_images,
        callback_on_evaluation=watch,
        callback_on_step_end=_previewing(pipe.base, on_preview),
        callback_on_step_end_tensor_inputs=["clean"],
    )
    output = cast(SigStyleOutput, made)
    if output.interrupted:
        raise Cancelled("The transfer was stopped.")
    entries = recipe("transfer", chosen.to_dict(), pipe.base, _path(base), pipe.blend, paths)
    return TransferResult(output.images, entries | used, output.trace, output.notices)


def generate(
    prompt: str,
    styles: StyleLike | Sequence[StyleLike],
    *,
    weights: Sequence[float] | None = None,
    height: int | None = None,
    width: int | None = None,
    base: BaseLike | None = None,
    num_images: int = 1,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_preview: OnPreview | None = None,
    should_stop: Callable[[], bool] = never,
    **settings: Any,
) -> TransferResult:
    """Paint `prompt` in one style or a blend; `settings` are steps, strength, guidance_scale, negative_prompt, seed.

    `styles`, `weights` and `base` as in `transfer`. Units: height and width in pixels; `on_progress` counts steps;
    `on_preview` as in `transfer`.
    Raises: ConfigError, StyleFileError, BaseMismatchError for unusable input; Cancelled when stopped.
    """
    chosen = TransferConfig.preset("generate", **settings, prompt=prompt)
    opened, paths = _opened(styles)
    Blend.of(opened, weights)
    pipe = SigStyleText2ImgPipeline.from_base(load_base(base or own_base(opened[0]), device, dtype))
    _load(pipe, opened, weights)

    preview = _previewing(pipe.base, on_preview)

    def watch(pipe: SigStyleText2ImgPipeline, step: int, timestep: int, tensors: dict) -> dict:
        if on_progress is not None:
            on_progress(step + 1, chosen.steps)
        if preview is not None:
            preview(pipe, step, timestep, tensors)
        pipe._interrupt = pipe.interrupt or should_stop()
        return tensors

    made = pipe(
        config=chosen,
        height=height,
        width=width,
        num_images_per_prompt=num_images,
        callback_on_step_end=watch,
        callback_on_step_end_tensor_inputs=["clean"],
    )
    output = cast(SigStyleOutput, made)
    if output.interrupted:
        raise Cancelled("The generation was stopped.")
    entries = recipe("generate", chosen.to_dict(), pipe.base, _path(base), pipe.blend, paths)
    return TransferResult(output.images, entries | {"height": height, "width": width, "images": num_images})


def _previewing(base: BaseModel, on_preview: OnPreview | None) -> OnStepEnd | None:
    """A step callback that hands previews to `on_preview`."""
    if on_preview is None:
        return None
    preview = Preview(base)

    def shown(pipe: Any, step: int, timestep: int, tensors: dict[str, Any]) -> None:
        on_preview(preview(tensors["clean"]))

    return shown


def open_style(style: StyleLike) -> Style:
    """A style from its file, or from the name of a shipped one.

    Raises: StyleFileError when it is missing or cannot be used.
    """
    if isinstance(style, Style):
        return style
    shipped = STYLES_FOLDER / f"{style}.safetensors"
    is_name = isinstance(style, str) and Path(style).name == style and not Path(style).exists()
    return Style.load(shipped if is_name and shipped.is_file() else style)


def own_base(style: Style) -> str:
    """What to load the style's own base by: the embedded base, a path that is here, or a hub id 'owner/name'.

    Raises: ConfigError, without asking the hub, for a base that was a folder or a file elsewhere.
    """
    name = style.base_name
    if name == EMBEDDED or is_hub_id(name) or Path(name).exists():
        return name
    raise ConfigError(
        f"The style {style.name} was captured on the base {name} ({style.base_fingerprint}), which is neither embedded "
        "nor a path here; give that base with --base (in Python base=)."
    )


def _config(kind: type, preset: str, config: Any, settings: dict[str, Any]) -> Any:
    """Settings from a preset, or from a ready config, with `settings` on top. Raises: ConfigError."""
    if config is None:
        return kind.preset(preset, **settings)
    return kind.from_dict({**config.to_dict(), **settings})


def _opened(styles: StyleLike | Sequence[StyleLike]) -> tuple[list[Style], list[str | None]]:
    """The styles, and the path or name each was asked for by."""
    wanted = [styles] if isinstance(styles, StyleLike) else list(styles)
    if not wanted:
        raise ConfigError("There is no style; give a style file or the name of a shipped style.")
    return [open_style(style) for style in wanted], [None if isinstance(s, Style) else str(s) for s in wanted]


def _path(base: BaseLike | None) -> str | None:
    """What a base was asked for by, where that is not an object in memory."""
    return str(base) if isinstance(base, str | Path) else None


def _load(pipe: Any, styles: Sequence[Style], weights: Sequence[float] | None) -> None:
    """Load `styles` with their weights into a pipeline, whose own progress bar is turned off.

    Raises: ConfigError for another number of weights or equal names, BaseMismatchError for a style of another base.
    """
    pipe.set_progress_bar_config(disable=True)
    if weights is not None and len(weights) != len(styles):
        raise ConfigError(f"There are {len(styles)} styles and {len(weights)} weights; expected one weight each.")
    for style, weight in zip(styles, weights or [None] * len(styles), strict=True):
        if style.name in pipe.styles:
            raise ConfigError(f"Two styles are called {style.name}; expected different ones.")
        pipe.load_style(style, weight)

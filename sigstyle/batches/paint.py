"""Painting for a batch: one inversion for all looks of a photo, and several photos in one UNet evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pipelines import SigStylePipeline
from pipelines.pipeline_sigstyle import Run
from sigstyle.base.model import BaseModel, ddim
from sigstyle.batches.jobs import Look, Photo
from sigstyle.config import TransferConfig
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.errors import Cancelled, ImageError
from sigstyle.imaging.images import load_image, unfit
from sigstyle.painting.anchor import EdgeAnchor
from sigstyle.painting.content import Content, Inversion
from sigstyle.recipe import file_entry, recipe


@dataclass(frozen=True)
class Loaded:
    """A photo that was read: its pixels, what a recipe says of its file, and what is worth saying of it."""

    photo: Photo
    image: Image.Image
    entry: dict[str, Any]
    notice: str = ""


def load_photo(photo: Photo) -> Loaded:
    """Read a photo. Raises: ImageError when it cannot be used."""
    if isinstance(photo.source, str) or hasattr(photo.source, "__fspath__"):
        try:
            str(photo.source).encode()
        except UnicodeEncodeError as error:
            raise ImageError(f"{photo.source!r} is no readable file name. Rename the file.") from error
    image = load_image(photo.source)
    return Loaded(photo, image, file_entry(photo.source), image.info.get("notice", ""))


@dataclass(frozen=True)
class _Together(Content):
    """Contents of one working size, inverted as the rows of one batch; `image` and `work` are the first one's."""

    contents: tuple[Content, ...] = field(default=())

    def latents(self, base: BaseModel, sigma: float, copies: int, generator: Any, smoothing: float = 0.0) -> Tensor:
        """Latents [contents, c, h, w], each as if it were alone."""
        pairs = zip(self.contents, generator, strict=True)
        return torch.cat([content.latents(base, sigma, 1, own, smoothing) for content, own in pairs])

    def anchor(self, base: BaseModel, strength: float) -> EdgeAnchor:
        """What holds the edges of each content."""
        anchors = [content.anchor(base, strength) for content in self.contents]
        return EdgeAnchor(torch.cat([a.latents for a in anchors]), torch.cat([a.edges for a in anchors]), strength)


class Painter:
    """Paints groups of photos on one base, keeping the inversion of the group at hand."""

    def __init__(self, base: BaseModel, base_path: str | None) -> None:
        self.base, self.base_path = base, base_path
        self.pipe = SigStylePipeline.from_base(base)
        self.pipe.set_progress_bar_config(disable=True)
        self._photos: list[str] = []
        self._trace: ContentTrace | None = None
        self._contents: dict[tuple[int, int | None, int], Content] = {}

    def forget(self) -> None:
        """Let go of the photos painted so far."""
        self._photos, self._trace, self._contents = [], None, {}

    def _content(self, loaded: Loaded, config: TransferConfig) -> Content:
        """The content to work at, made once for all looks."""
        key = (id(loaded), config.size_px, config.margin_px)
        if key not in self._contents:
            self._contents[key] = Content.load(loaded.image, self.base, *key[1:])
        return self._contents[key]

    def alike(self, photos: Sequence[Loaded], config: TransferConfig) -> list[list[Loaded]]:
        """The photos in groups that can be painted together: those of one working size."""
        groups: dict[tuple[int, int], list[Loaded]] = {}
        for loaded in photos:
            size = self._content(loaded, config).work.size
            groups.setdefault(size, []).append(loaded)
        return list(groups.values())

    def paint(
        self,
        group: Sequence[Loaded],
        look: Look,
        config: TransferConfig,
        on_evaluation: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> list[Image.Image]:
        """The photos of `group`, of one working size, in `look`; one alone comes out as `api.transfer` makes it.

        Raises: BaseMismatchError for a style of another base, Cancelled when stopped.
        """
        self.pipe.unload_style()
        self.pipe.load_style(look.style)
        contents = tuple(self._content(loaded, config) for loaded in group)
        wanted = Inversion(
            base=self.base,
            scheduler=ddim(self.pipe.scheduler),
            content=_Together(contents[0].image, contents[0].work, contents[0].margin_px, contents),
            prompt=self.pipe.blend.source_prompt(config.prompt),
            config=config,
            generator=[torch.Generator().manual_seed(config.seed) for _ in contents],
            images=len(contents),
            amount=self.pipe.blend.amount(config.strength),
        )

        def watch(pipe: SigStylePipeline, done: int, total: int) -> None:
            on_evaluation(done, total)
            pipe._interrupt = pipe.interrupt or should_stop()

        run = Run(self.pipe, wanted, self.pipe.blend, None, self.pipe._step_callback(None, ()), watch)
        return self._run(run, contents, [loaded.photo.label for loaded in group], config)

    @torch.no_grad()
    def _run(
        self, run: Run, contents: Sequence[Content], photos: list[str], config: TransferConfig
    ) -> list[Image.Image]:
        """Raises: Cancelled."""
        trace = self._trace if photos == self._photos else None
        self._trace, self.pipe._interrupt = None, False
        with self.base.lock:
            output = run.repaint(trace, "latent")
            if output.interrupted:
                raise Cancelled("The batch was stopped.")
            images = self.pipe._decoded(output.images)
        self._photos, self._trace = photos, output.trace
        sizes = [content.result_size(config.size_px, self.base) for content in contents]
        images = [content.without_margin(image) for content, image in zip(contents, images, strict=True)]
        return [unfit(image, size) for image, size in zip(images, sizes, strict=True)]

    def recipe(self, loaded: Loaded, look: Look, config: TransferConfig, together: int) -> dict[str, Any]:
        """The recipe of a picture, as `api.transfer` writes it; photos painted together are counted in it."""
        made = recipe("transfer", config.to_dict(), self.base, self.base_path, self.pipe.blend, [look.path])
        made |= {"content": loaded.entry, "mask": None, "images": 1, "index": 0}
        return made | ({"together": together} if together > 1 else {})

"""Painting for a batch: one inversion for all looks of a photo, and several photos in one UNet evaluation."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.model import BaseModel, ddim
from sigstyle.batches.jobs import Look
from sigstyle.batches.photos import Photo
from sigstyle.config import TransferConfig
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.errors import Cancelled
from sigstyle.imaging.images import load_image
from sigstyle.imaging.palette import Palette
from sigstyle.painting.anchor import EdgeAnchor
from sigstyle.painting.content import Content
from sigstyle.painting.inversion import ContentInversion
from sigstyle.painting.notices import prompt_notices
from sigstyle.painting.run import run_of
from sigstyle.recipe import file_entry, recipe
from sigstyle.style.blend import Blend


@dataclass(frozen=True)
class Loaded:
    """A photo that was read: its pixels, what a recipe says of its file, and what is worth saying of it."""

    photo: Photo
    image: Image.Image
    entry: dict[str, Any]
    notice: str = ""


def load_photo(photo: Photo) -> Loaded:
    """Read a photo. Raises: ImageError when it cannot be used."""
    image = load_image(photo.source)
    return Loaded(photo, image, file_entry(photo.source), image.info.get("notice", ""))


@dataclass(frozen=True)
class _Together(Content):
    """Contents of one working size, inverted as the rows of one batch; `image` and `work` are the first one's."""

    contents: tuple[Content, ...] = field(default=())

    @property
    def digest(self) -> str:
        """That of the one content, or one over those of all."""
        digests = [content.digest for content in self.contents]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()[:12]

    def pixels(self, smoothing: float = 0.0) -> Tensor:
        """Those of each content, [contents, 3, h, w]."""
        return torch.cat([content.pixels(smoothing) for content in self.contents])

    def recoloured(self, palette: Palette, amount: float, own: Palette | None = None) -> "_Together":
        """Each content by itself moved to a palette."""
        contents = tuple(content.recoloured(palette, amount, own) for content in self.contents)
        return _Together(contents[0].image, contents[0].work, contents[0].margin_px, contents)

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
        self.notices: list[str] = []  # about what was painted last
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

    @torch.no_grad()
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
        look.style.check_base(self.base)
        wanted, photos = self.wanted(group, look, config), [loaded.photo.label for loaded in group]
        trace = self._trace if photos == self._photos else None
        self._trace = None
        blend = Blend.of([look.style])
        self.notices = prompt_notices(blend, self.base, config, guided=config.method == "swap")
        run = run_of(wanted, blend, trace=trace, on_evaluation=on_evaluation, should_stop=should_stop)
        with self.base.lock:
            made = run.paint()
            if made.latents is None or made.interrupted:
                raise Cancelled("The batch was stopped.")
            images = run.decoded(made.latents)
        self._photos, self._trace = photos, made.trace
        contents = (self._content(loaded, config) for loaded in group)
        return [
            content.finished(image, config.size_px, self.base, amount=wanted.amount)
            for content, image in zip(contents, images, strict=True)
        ]

    def wanted(self, group: Sequence[Loaded], look: Look, config: TransferConfig) -> ContentInversion:
        """The one inversion of all photos of a group."""
        blend, contents = Blend.of([look.style]), tuple(self._content(loaded, config) for loaded in group)
        return ContentInversion(
            base=self.base,
            scheduler=ddim(self.base.scheduler),
            content=_Together(contents[0].image, contents[0].work, contents[0].margin_px, contents),
            prompt=blend.source_prompt(config.prompt),
            config=config,
            generator=[torch.Generator().manual_seed(config.seed) for _ in contents],
            images=len(contents),
            amount=blend.amount(config.strength),
        )

    def recipe(self, loaded: Loaded, look: Look, config: TransferConfig, together: int) -> dict[str, Any]:
        """The recipe of a picture, as `api.transfer` writes it; photos painted together are counted in it."""
        made = recipe("transfer", config.to_dict(), self.base, self.base_path, Blend.of([look.style]), [look.path])
        made |= {"content": loaded.entry, "mask": None, "images": 1, "index": 0}
        return made | ({"together": together} if together > 1 else {})

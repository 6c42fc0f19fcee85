"""Painting for a batch: one inversion for all looks of a photo, and several photos in one UNet evaluation."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
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
from sigstyle.imaging.areas import area_of
from sigstyle.imaging.faces import Face
from sigstyle.imaging.images import load_image
from sigstyle.imaging.palette import Palette
from sigstyle.painting.anchor import EdgeAnchor
from sigstyle.painting.content import Content
from sigstyle.painting.inversion import ContentInversion
from sigstyle.painting.local import Local, check_area
from sigstyle.painting.luck import Attempts, Chosen, lucky
from sigstyle.painting.notices import prompt_notices
from sigstyle.painting.painted import unchanged
from sigstyle.painting.protection import protection_notices
from sigstyle.painting.run import run_of
from sigstyle.recipe import file_entry, recipe
from sigstyle.style.blend import Blend
from sigstyle.style.ingredients import PLAIN, Loading


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

    @cached_property
    def faces(self) -> Sequence[Sequence[Face]]:
        """Those of each content."""
        return [faces for content in self.contents for faces in content.faces]

    def recoloured(self, palette: Palette, amount: float, own: Palette | None = None) -> "_Together":
        """Each content by itself moved to a palette."""
        contents = tuple(content.recoloured(palette, amount, own) for content in self.contents)
        return _together(contents)

    def each(self, images: int) -> list[Content]:
        """The contents themselves."""
        return list(self.contents)

    def latents(self, base: BaseModel, sigma: float, copies: int, generator: Any, smoothing: float = 0.0) -> Tensor:
        """Latents [contents, c, h, w], each as if it were alone."""
        pairs = zip(self.contents, generator, strict=True)
        return torch.cat([content.latents(base, sigma, 1, own, smoothing) for content, own in pairs])

    def anchor(self, base: BaseModel, strength: float) -> EdgeAnchor:
        """What holds the edges of each content."""
        anchors = [content.anchor(base, strength) for content in self.contents]
        return EdgeAnchor(torch.cat([a.latents for a in anchors]), torch.cat([a.edges for a in anchors]), strength)


def _together(contents: tuple[Content, ...]) -> _Together:
    first = contents[0]
    return _Together(first.image, first.work, first.margin_px, first.sizes, contents)


class Painter:
    """Paints groups of photos on one base, keeping the inversion of the group at hand.

    `loading` is how the base was loaded; the LoRAs are those of each look.
    """

    def __init__(self, base: BaseModel, base_path: str | None, loading: Loading = PLAIN) -> None:
        self.base, self.base_path, self.loading = base, base_path, loading
        self.notices: list[str] = []  # about what was painted last
        self._photos: list[str] = []
        self._trace: ContentTrace | None = None
        self._contents: dict[tuple[Any, ...], Content] = {}
        self._masks: dict[tuple[int, str, str, float], Image.Image] = {}

    def forget(self) -> None:
        """Let go of the photos painted so far."""
        self._photos, self._trace, self._contents, self._masks = [], None, {}, {}

    def _content(self, loaded: Loaded, config: TransferConfig) -> Content:
        """The content to work at, made once for all looks."""
        key = (id(loaded), config.method, config.size_px, config.margin_px, config.stroke, config.max_megapixels)
        if key not in self._contents:
            self._contents[key] = Content.wanted(loaded.image, self.base, config)
        return self._contents[key]

    def about(self, loaded: Loaded, config: TransferConfig) -> list[str]:
        """Lines about one photo, as it was read and painted."""
        read = [loaded.notice] if loaded.notice else []
        return [*read, *protection_notices(self._content(loaded, config), config)]

    def alike(self, photos: Sequence[Loaded], config: TransferConfig) -> list[list[Loaded]]:
        """The photos in groups that can be painted together: those of one working size and one size of the picture."""
        groups: dict[tuple[Any, ...], list[Loaded]] = {}
        for loaded in photos:
            content = self._content(loaded, config)
            groups.setdefault((content.work.size, content.sizes), []).append(loaded)
        if config.where:  # a part of each photo, which is another one in each
            return [[loaded] for group in groups.values() for loaded in group]
        return list(groups.values())

    @torch.no_grad()
    def paint(
        self,
        group: Sequence[Loaded],
        look: Look,
        config: TransferConfig,
        on_evaluation: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> list[Chosen]:
        """The photos of `group`, of one working size, in `look`; one alone comes out as `api.transfer` makes it.

        Raises: BaseMismatchError for a style of another base, Cancelled when stopped.
        """
        look.style.check_base(self.base)
        attempts = Attempts(on_evaluation, config)
        with self._prepared(look).carrying(self.base) as ready:

            def paint(own: TransferConfig) -> list[Image.Image]:
                attempts.next_one()
                return self._painted(ready.base, group, look, own, attempts, should_stop)

            return lucky(config, Blend.of([look.style]), [loaded.image for loaded in group], paint)

    def _prepared(self, look: Look) -> Loading:
        return replace(self.loading, loras=look.loras)

    def _painted(
        self,
        base: BaseModel,
        group: Sequence[Loaded],
        look: Look,
        config: TransferConfig,
        on_evaluation: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> list[Image.Image]:
        """The photos of a group, painted once with these settings."""
        wanted, photos = self.wanted(group, look, config, base), [loaded.photo.label for loaded in group]
        trace = self._trace if photos == self._photos else None
        self._trace = None
        blend = look.blend
        self.notices = prompt_notices(blend, base, config, guided=config.method == "swap")
        if look.parts.layered:
            return self._layered(wanted, look, config, on_evaluation, should_stop)
        mask = self._mask(group[0], config)
        run = run_of(wanted, blend, mask, trace, on_evaluation=on_evaluation, should_stop=should_stop)
        with base.lock:
            made = run.paint()
            if made.latents is None or made.interrupted:
                raise Cancelled("The batch was stopped.")
            images = run.decoded(made.latents)
        self._photos, self._trace = photos, made.trace
        contents = (self._content(loaded, config) for loaded in group)
        return [
            content.finished(image, config.size_px, base, mask, wanted.amount)
            for content, image in zip(contents, images, strict=True)
        ]

    def _layered(
        self,
        wanted: ContentInversion,
        look: Look,
        config: TransferConfig,
        on_evaluation: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> list[Image.Image]:
        """One photo with its regions or its texture. Raises: Cancelled when stopped."""
        surface = look.parts.arguments(wanted.base, look.blend, config)["texture"]
        texture = None if surface is None else load_image(surface)
        local = Local(None, look.parts.regions, None, texture)
        run = local.run(wanted, look.blend, None, unchanged, on_evaluation, should_stop)
        with wanted.base.lock:
            made = run.paint()
            if made.latents is None or made.interrupted:
                raise Cancelled("The batch was stopped.")
            images = run.decoded(made.latents)
        self.notices = made.notices
        return run.finished(images)

    def _mask(self, loaded: Loaded, config: TransferConfig) -> Image.Image | None:
        """What of a photo is painted, found once for all looks; None where that is everything. Raises: ImageError."""
        check_area(None, config.place, config.invert_mask)
        if config.place is None:
            return None
        key = (id(loaded), config.where, config.invert_mask, config.feather)
        if key not in self._masks:
            invert = config.invert_mask == "on"
            self._masks[key] = area_of(loaded.image, config.place, invert, config.feather)
        mask = self._masks[key]
        self.notices += [mask.info["notice"]] if "notice" in mask.info else []
        return mask

    def wanted(
        self, group: Sequence[Loaded], look: Look, config: TransferConfig, base: BaseModel | None = None
    ) -> ContentInversion:
        """The one inversion of all photos of a group, by a base as it is carried along, else the plain one."""
        base = base or self.base
        blend, contents = Blend.of([look.style]), tuple(self._content(loaded, config) for loaded in group)
        return ContentInversion(
            base=base,
            scheduler=ddim(base.scheduler),
            content=_together(contents),
            prompt=blend.source_prompt(config.prompt),
            config=config,
            generator=[torch.Generator().manual_seed(config.seed) for _ in contents],
            images=len(contents),
            amount=blend.amount(config.strength),
        )

    def recipe(self, loaded: Loaded, look: Look, config: TransferConfig, together: int) -> dict[str, Any]:
        """The recipe of a picture, as `api.transfer` writes it; photos painted together are counted in it."""
        base = replace(self.base, compiled=self.base.compiled or self.loading.compile)
        made = recipe("transfer", config.to_dict(), base, self.base_path, look.blend, [look.path])
        made |= {"content": loaded.entry, "mask": None, "images": 1, "index": 0} | dict(look.parts.entries)
        made |= self._prepared(look).entries(self.base)
        return made | ({"together": together} if together > 1 else {})

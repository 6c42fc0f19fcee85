"""Parts of the photo in styles of their own: added from what is chosen, listed, put in order, taken away."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import ImageOps

from sigstyle.errors import ConfigError, SigStyleError
from sigstyle.imaging.images import load_image, thumbnail_uri
from sigstyle.places import Spot
from sigstyle.studio.folder import Workspace
from sigstyle.studio.limits import MOST_REGIONS
from sigstyle.studio.origins import caption_of
from sigstyle.studio.paint import Wanted
from sigstyle.studio.regions import WantedRegion, cut_out
from sigstyle.ui.dropped import files_of, first_of
from sigstyle.ui.handlers import PRIVATE, Changes, told, who_asks
from sigstyle.ui.painted_part import ALL, PLACE, PaintedPart
from sigstyle.ui.parts import Page, Tile, heading

STYLE, PHOTO = "style", "photo"
REST = {"In the style above": STYLE, "As in the photo": PHOTO}
_THUMB_PX = 96


@dataclass(frozen=True)
class ListedRegion:
    """A region on the page, the small picture of it, and what its photo is told apart by."""

    region: WantedRegion
    thumb: str
    photo: tuple[str, str]


@dataclass(frozen=True)
class RegionRow:
    """The place of one region in the list."""

    whole: gr.Row
    about: gr.HTML
    up: gr.Button
    remove: gr.Button


@dataclass(frozen=True)
class Regions:
    """The controls; `listed` holds the regions, later ones over earlier ones."""

    page: Page
    part: PaintedPart
    adding: gr.Row
    style: gr.Dropdown
    add: gr.Button
    whole: gr.Column
    rows: tuple[RegionRow, ...]
    rest: gr.Radio
    listed: gr.State

    @classmethod
    def build(cls, page: Page, part: PaintedPart) -> "Regions":
        """Place the controls; a region is where `part` says."""
        with gr.Row(visible=False, equal_height=True, elem_classes=["adding"]) as adding:
            style = gr.Dropdown([], label="Another style for this part", elem_id="region-style", scale=3, min_width=160)
            add = gr.Button("Add as a region", size="lg", elem_id="add-region", scale=2, min_width=120)
        with gr.Column(visible=False, elem_id="regions") as whole:
            gr.HTML(heading("Regions"), padding=False)
            rows = tuple(_row(place) for place in range(MOST_REGIONS))
            rest = gr.Radio(list(REST.items()), value=STYLE, label="Outside of them", elem_id="rest")
        return cls(page, part, adding, style, add, whole, rows, rest, gr.State([]))

    def connect(self, photos: gr.Gallery, telling: Mapping[str, Any]) -> None:
        """Connect them; `telling` is the event that says anew how long painting takes."""
        quick: dict[str, Any] = {"queue": False, **PRIVATE}
        chosen = [self.part.where, self.part.place, self.part.inverted, self.part.editor]
        inputs = [self.page.key, photos, self.style, self.listed, *chosen]
        outputs = [*self.outputs, *self.part.outputs, self.part.where]
        self.add.click(self._add, inputs, outputs, **quick).then(**telling)
        self.part.where.change(lambda where: gr.Row(visible=where != ALL), self.part.where, self.adding, **quick)
        for place, row in enumerate(self.rows):
            row.remove.click(partial(_without, place), self.listed, self.listed, **quick).then(
                self.shown, self.listed, self.outputs, **quick
            ).then(**telling)
            row.up.click(partial(_raised, place), self.listed, self.listed, **quick).then(
                self.shown, self.listed, self.outputs, **quick
            )
        self.rest.input(**telling)

    @property
    def controls(self) -> list[Any]:
        """What `wanted` reads."""
        return [self.listed, self.rest]

    @property
    def outputs(self) -> list[Any]:
        """What `shown` changes."""
        rows = [part for row in self.rows for part in (row.whole, row.about)]
        return [self.listed, self.whole, self.add, *rows]

    def filled(self, tiles: Sequence[Tile], kept: str | None) -> Changes:
        """The list of styles."""
        names = [tile.name for tile in tiles]
        value = kept if kept in names else next(iter([*names[1:], *names]), None)
        return {self.style: gr.Dropdown([(tile.caption, tile.name) for tile in tiles], value=value)}

    def shown(self, listed: Sequence[ListedRegion]) -> Changes:
        """The list of these regions."""
        changes: Changes = {
            self.listed: list(listed),
            self.whole: gr.Column(visible=bool(listed)),
            self.add: gr.Button(interactive=len(listed) < MOST_REGIONS),
        }
        for place, row in enumerate(self.rows):
            there = place < len(listed)
            changes[row.whole] = gr.Row(visible=there)
            changes[row.about] = _about(place, listed[place]) if there else ""
        return changes

    def of_photo(self, photos: Any, listed: Sequence[ListedRegion]) -> Changes:
        """The list with those regions alone that are of the photo there is now."""
        return self.shown([each for each in listed if each.photo == first_of(photos)])

    def restored(
        self, workspace: Workspace, photo: Path | None, regions: Sequence[WantedRegion], alone: bool
    ) -> Changes:
        """The list as it was when a picture was made of a photo; `alone` where nothing was painted beside it."""
        key = (photo.parent.name, photo.name) if photo else ("", "")
        listed = []
        for region in regions if photo else ():
            try:
                listed.append(ListedRegion(region, _thumb(photo, region, workspace), key))
            except SigStyleError:  # what its recipe needs and is not here is told beside it
                continue
        opened: Changes = {self.part.whole: gr.Accordion(open=True)} if listed else {}
        return self.shown(listed) | opened | {self.rest: PHOTO if listed and alone else STYLE}

    def wanted(self, main: Wanted, listed: Sequence[ListedRegion], rest: str, where: str) -> tuple[Wanted, list[Any]]:
        """What all else is painted in, and the regions. Raises: ConfigError where a part has no style."""
        regions = [each.region for each in listed or []]
        if not regions or rest == STYLE:
            return main, regions
        if where != ALL:
            raise ConfigError(
                "A part is chosen, and outside of the regions it stays as in the photo. Add the part as a region, "
                "choose All of it, or let the style above be outside."
            )
        return (), regions

    def _add(
        self, request: gr.Request, key: str, photos: Any, style: str | None, listed: list[ListedRegion], where: str,
        place: str, inverted: bool, edited: Mapping[str, Any] | None,
    ) -> Changes:  # fmt: skip
        with told():
            files = files_of(photos)
            if not files:
                raise ConfigError("There is no photo yet. Drop one, then choose a part of it.")
            if where == ALL:
                raise ConfigError("Choose a part first: the subject, the background, a place, or paint over it.")
            workspace = self.page.studio.admitted(who_asks(request, key))
            region = self._region(workspace, style or "", where, place, inverted, edited)
            added = ListedRegion(region, _thumb(files[0], region, workspace), first_of(photos))
            cleared: Changes = self.part.shown(ALL, "", False, None) | {self.part.where: ALL}
            cleared |= {self.part.place: gr.Textbox(value="", visible=False)}
            cleared |= {self.part.inverted: gr.Checkbox(value=False, visible=False)}
            return self.shown([*listed, added]) | cleared

    def _region(
        self, workspace: Workspace, style: str, where: str, place: str, inverted: bool, edited: Mapping[str, Any] | None
    ) -> WantedRegion:
        """What is chosen, as a region. Raises: ConfigError."""
        if not style:
            raise ConfigError("Choose the style of this part.")
        mask = self.part.mask(where, edited)
        if mask is not None:
            mask = ImageOps.invert(mask) if inverted else mask
            return WantedRegion(style, mask=workspace.keep_photo(mask).stem)
        if where == PLACE:
            text = (place or "").strip()
            Spot.parsed(text)
            if inverted:
                raise ConfigError("A place cannot be turned round as a region. Take The background, or paint over it.")
            return WantedRegion(style, text)
        other = {"subject": "background", "background": "subject"}
        return WantedRegion(style, other[where] if inverted else where)


def _row(place: int) -> RegionRow:
    with gr.Row(visible=False, equal_height=True, elem_classes=["region"], elem_id=f"region-{place + 1}") as whole:
        about = gr.HTML(padding=False)
        up = gr.Button("Up", size="sm", visible=place > 0, min_width=60, scale=0)
        remove = gr.Button("Remove", size="sm", min_width=84, scale=0)
    return RegionRow(whole, about, up, remove)


def _about(place: int, listed: ListedRegion) -> str:
    region, style = listed.region, caption_of(listed.region.style)
    words = f"<strong>{place + 1} · {html.escape(style)}</strong><span>{html.escape(region.words)}</span>"
    return f'<div class="about-region"><img src="{listed.thumb}" alt=""><p>{words}</p></div>'


def _thumb(photo: Path | None, region: WantedRegion, workspace: Workspace) -> str:
    """A small picture of a region. Raises: SigStyleError where it is not found."""
    return thumbnail_uri(cut_out(load_image(photo or ""), region.where(workspace)), _THUMB_PX)


def _without(place: int, listed: Sequence[ListedRegion]) -> list[ListedRegion]:
    return [each for number, each in enumerate(listed) if number != place]


def _raised(place: int, listed: Sequence[ListedRegion]) -> list[ListedRegion]:
    order = list(listed)
    order[place - 1 : place + 1] = reversed(order[place - 1 : place + 1])
    return order

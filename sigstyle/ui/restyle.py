"""Restyle: a photo in every style to choose from, a few dials, and the picture on the stage."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.errors import SigStyleError
from sigstyle.studio.drafts import drafts
from sigstyle.studio.lane import Job, Update
from sigstyle.studio.paint import Picture, restyle
from sigstyle.studio.restore import repeat, restore
from sigstyle.studio.studio import Who
from sigstyle.studio.words import duration
from sigstyle.ui.blending import Blending
from sigstyle.ui.dropped import Dropped, files_of
from sigstyle.ui.handlers import PRIVATE, Changes, done, followed, place_of, rejoined, served, status, who_asks
from sigstyle.ui.messages import without_flags
from sigstyle.ui.painted_part import ALL, KeptMask, PaintedPart
from sigstyle.ui.parts import Page, StylePicker, example_row
from sigstyle.ui.regions import STYLE, Regions
from sigstyle.ui.sizing import SizeChoice
from sigstyle.ui.stage import Stage
from sigstyle.ui.strip import Strip
from sigstyle.ui.transfer_dials import TransferDials

EXAMPLES = ("cat.jpg", "eiffel-tower.jpg", "neuschwanstein.jpg", "macaw.jpg", "horses.jpg", "colosseum.jpg")
TO_STAGE = "() => { if (innerWidth <= 640) document.getElementById('stage').scrollIntoView({behavior: 'smooth'}); }"


@dataclass(frozen=True)
class Restyle:
    """The tab's controls."""

    page: Page
    dropped: Dropped
    picker: StylePicker
    blending: Blending
    part: PaintedPart
    regions: Regions
    size: SizeChoice
    dials: TransferDials
    stage: Stage
    strip: Strip
    go: gr.Button
    stop: gr.Button
    all_styles: gr.Button
    status: gr.HTML

    @classmethod
    def build(cls, page: Page) -> "Restyle":
        """Place the tab's controls and connect them."""
        with gr.Row(equal_height=False, elem_classes=["desk"]):
            with gr.Column(scale=5, min_width=320, elem_classes=["choices"]):
                dropped = Dropped.build("Photos", "photos")
                examples, files = example_row("content", "Or try one of these", EXAMPLES)
                picker = StylePicker.build()
                size = SizeChoice.build()
                front = TransferDials.front()
                blending = Blending.build(picker.chosen)
                with gr.Accordion("Parts and regions", open=False, elem_id="part") as whole:
                    part = PaintedPart.build(whole)
                    regions = Regions.build(page, part)
                with gr.Accordion("Expert", open=False, elem_classes=["expert"]):
                    dials = TransferDials.build(front, part, size)
            with gr.Column(scale=7, min_width=320, elem_classes=["stage"], elem_id="stage"):
                stage = Stage.build()
                with gr.Column(elem_classes=["actions"]):
                    with gr.Row():
                        go = gr.Button("Restyle", variant="primary", size="lg", elem_classes=["go"], elem_id="restyle")
                        stop = gr.Button(
                            "Stop", variant="stop", size="lg", visible=False, elem_id="stop-restyle",
                            elem_classes=["halt"],
                        )  # fmt: skip
                        all_styles = gr.Button("All styles", size="lg", visible=False, elem_id="all-styles")
                        stage.download.render()
                    line = gr.HTML("", padding=False, elem_classes=["status"], elem_id="restyle-status")
                strip = Strip.build(page, stage)
        controls = (picker, blending, part, regions, size, dials)
        tab = cls(page, dropped, *controls, stage, strip, go, stop, all_styles, line)
        tab._connect(examples, files)
        return tab

    def _connect(self, examples: gr.Gallery, files: list[Path]) -> None:
        key, base, chosen = self.page.key, self.page.base, self.picker.chosen

        def pick(event: gr.SelectData) -> list[tuple[str, None]]:
            return [(served(files[place_of(event)]), None)]

        looked: dict[str, Any] = {"trigger_mode": "multiple", **self.looking}
        examples.select(pick, None, self.photos, queue=False, **PRIVATE).then(**looked)
        self.photos.change(**looked)
        inputs = [key, base, self.photos, chosen, self.part.editor, *self.asked]
        run = {"fn": self._run, "inputs": inputs, "outputs": self.outputs, "trigger_mode": "once", **PRIVATE}
        self.part.connect(self.photos)
        self.regions.connect(self.photos, self.telling)
        choices = [self.part.where.input, self.size.choice.input, self.size.custom.change, self.dials.preset.input]
        gr.on([*choices, base.change], **self.telling)
        self.go.click(**run)
        gr.on([self.go.click, self.photos.upload, examples.select], None, None, None, js=TO_STAGE)
        quick: dict[str, Any] = {"queue": False, **PRIVATE}
        taken = [chosen, self.picker.gallery, self.blending.others]
        picked = self.stage.drafts.select(self._take, [self.stage.drafted, self.picker.names], taken, **quick)
        picked.then(**run)
        self.stop.click(self._stop, key, None, **quick)
        self.all_styles.click(self.stage.back_to_drafts, self.stage.drafted, self.stage.outputs, **quick)
        self.strip.use.click(self._use, [key, self.strip.current], self.photos, **quick).then(**looked)
        larger = {**run, "fn": self._larger, "inputs": [key, base, self.strip.current]}
        self.stage.larger.click(None, None, None, js=TO_STAGE)
        self.stage.larger.click(**larger)

    @property
    def asked(self) -> list[Any]:
        """The controls that say what a picture is to be like."""
        return [self.part.where, *self.regions.controls, *self.blending.controls, *self.dials.controls]

    @property
    def telling(self) -> dict[str, Any]:
        """The event that says how large pictures get and how long that takes."""
        inputs = [self.page.base, self.photos, self.picker.chosen, self.size.choice, *self.asked]
        return {"fn": self._told, "inputs": inputs, "outputs": self.size.outputs, "queue": False, **PRIVATE}

    def _told(
        self, base: str, photos: Any, chosen: str, size: str, where: str, listed: Any, rest: str, *values: Any
    ) -> Changes:
        others = {each.region.style for each in listed or []} - {chosen}
        styles = len(others) + (not listed or rest == STYLE)
        parts = where != ALL or bool(listed)
        config = partial(self.dials.config, values[len(self.blending.controls) :])
        return self.size.told(self.page.studio, base, files_of(photos), config, size, styles, parts)

    @property
    def looking(self) -> dict[str, Any]:
        """The event that looks at new photos: to be chained to whatever puts them there, as the page tells of none."""
        part = self.part
        inputs = [self.page.key, self.page.base, self.photos, self.dropped.known, self.picker.chosen, self.size.choice]
        inputs += [part.kept, part.place, part.inverted, *self.asked]
        outputs = [*self.stage.outputs, *self.dropped.outputs, self.status, self.all_styles, *part.outputs]
        outputs += [*self.regions.outputs, *self.size.outputs]
        return {"fn": self._dropped, "inputs": inputs, "outputs": outputs, **PRIVATE}

    @property
    def photos(self) -> gr.Gallery:
        """Where photos are dropped."""
        return self.dropped.gallery

    @property
    def outputs(self) -> list[Any]:
        """What changes while a picture is painted, and with it."""
        return [self.status, self.go, self.stop, self.all_styles, *self.stage.outputs, *self.strip.outputs]

    def _dropped(
        self, request: gr.Request, key: str, base: str, photos: Any, known: list[Any], chosen: str, size: str,
        kept: KeptMask | None, place: str, inverted: bool, where: str, listed: Any, *values: Any,
    ) -> Iterator[Changes]:  # fmt: skip
        """New photos: each is looked at, the old picture goes, and the first one is shown in every style.

        Regions, and a mask that came back, stay where they are of the first of these photos.
        """
        found, changes = self.dropped.looked_at(photos, known)
        if found is None:
            yield changes
            return
        photo, good = next(iter(found.good), None), [(str(file), None) for file in found.good]
        changes |= self.stage.cleared(photo) | {self.status: "", self.all_styles: gr.Button(visible=False)}
        changes |= self.part.shown(where, place, inverted, photo, self.part.mask_of(good, kept))
        changes |= self.regions.of_photo(good, listed or [])
        yield changes | self._told(base, good, chosen, size, where, changes[self.regions.listed], *values)
        if photo is not None:
            yield from self._drafted(who_asks(request, key), photo, base, chosen)

    def _drafted(self, who: Who, photo: Path, base: str, chosen: str) -> Iterator[Changes]:
        """The photo in every style, the chosen one first; nothing else on the stage is touched after the beginning."""
        able = [tile for tile in self.page.tiles(who, base) if tile.paints]
        tiles = sorted(able, key=lambda tile: tile.name != chosen)
        if not tiles:
            return
        files: dict[str, str] = {}
        try:
            job = drafts(self.page.studio, who, photo, [tile.name for tile in tiles], base)
            yield self.stage.drafting(tiles, files) | {self.all_styles: gr.Button(visible=False)}
            for update in job.follow(every_s=0.3):
                if update.detail:
                    yield self.stage.drafted_so_far(tiles, update.detail, files)
        except SigStyleError:
            return  # drafts are an extra: whatever stands in their way is told when a picture is asked for

    def _take(self, drafted: Sequence[str], names: Sequence[str], event: gr.SelectData) -> list[Any]:
        name = drafted[place_of(event)]
        return [name, gr.Gallery(selected_index=names.index(name) if name in names else None), []]

    def _use(self, request: gr.Request, key: str, current: str) -> list[tuple[str, None]]:
        return [(served(self.strip.kept(request, key, current).path), None)]

    def _run(
        self, request: gr.Request, key: str, base: str, photos: Any, chosen: str, edited: Any, where: str, listed: Any,
        rest: str, others: Any, *values: Any,
    ) -> Iterator[Changes]:  # fmt: skip
        who, count = who_asks(request, key), len(self.blending.shares)

        def start() -> Any:
            main, config = self.blending.wanted(chosen, others, values[:count]), self.dials.config(values[count:])
            style, regions = self.regions.wanted(main, listed, rest, where)
            mask, files = self.part.mask(where, edited), files_of(photos)
            return restyle(self.page.studio, who, files, style, base, config, mask, regions, own_size=True)

        yield from followed(start, self.showing, lambda made: self.finished(who, made), self._idle)

    def _larger(self, request: gr.Request, key: str, base: str, current: str) -> Iterator[Changes]:
        """The picture looked at, once more at its photo's size."""
        who = who_asks(request, key)

        def start() -> Any:
            kept = self.strip.kept(request, key, current)
            restored = restore(self.page.studio, who, kept.path, base, kept.photo)
            return repeat(self.page.studio, who, restored.at_own_size(), base)

        yield from followed(start, self.showing, lambda made: self.finished(who, made), self._idle)

    def rejoin(self, request: gr.Request, key: str) -> Iterator[Changes]:
        """When the page is opened: the pictures there are, and one that is being painted."""
        who = who_asks(request, key)
        yield self.strip.filled(who)
        job: Job[list[Picture]] | None = self.page.studio.under_way(who, "restyle")
        yield from rejoined(job, self.showing, lambda made: self.finished(who, made), self._idle)

    def _stop(self, request: gr.Request, key: str) -> None:
        self.page.studio.stop(who_asks(request, key), "restyle")

    def showing(self, update: Update) -> Changes:
        """The page while a picture is being painted."""
        changes: Changes = {
            self.status: status(update, "Painting"),
            self.go: gr.Button(interactive=False),
            self.stop: gr.Button(visible=True),
        }
        return changes if update.preview is None else changes | self.stage.painting(update.preview)

    def finished(self, who: Who, pictures: list[Picture]) -> Changes:
        """The page with finished pictures."""
        seconds, first = sum(picture.seconds for picture in pictures), pictures[0]
        kept = " The photo was known, so a part of the work was skipped." if any(p.reused for p in pictures) else ""
        notices = "".join(f" {without_flags(notice)}" for picture in pictures for notice in picture.notices)
        several = len(pictures) > 1
        text = f"{len(pictures)} picture{'s' * several} in {duration(seconds)}.{kept}{notices}"
        strip = self.strip.filled(who)
        current = self.strip.history(who).of(first.path)
        looked = {} if current is None else self.strip.looking(current, seconds=first.seconds)
        looked[self.stage.download] = gr.DownloadButton(
            "Download all" if several else "Download", value=download_of(pictures), visible=True
        )
        return strip | looked | {self.status: done(text), self.all_styles: gr.Button(visible=True)}

    def _idle(self) -> Changes:
        return {self.status: "", self.go: gr.Button(interactive=True), self.stop: gr.Button(visible=False)}


def download_of(pictures: Sequence[Picture]) -> str:
    """The one picture, or a zip of all."""
    if len(pictures) == 1:
        return served(pictures[0].path)
    archive = pictures[0].path.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as zipped:
        for picture in pictures:
            zipped.write(picture.path, picture.path.name)
    return served(archive)

"""Recipe: a picture made here is dropped, its settings come back, and it is made again."""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.config import TextureConfig, TransferConfig
from sigstyle.studio.lane import Update
from sigstyle.studio.paint import Picture
from sigstyle.studio.restore import Restored, repeat, restore, same_pixels
from sigstyle.studio.studio import Who
from sigstyle.studio.words import duration
from sigstyle.ui.handlers import PRIVATE, Changes, done, empty, followed, served, status, told, who_asks
from sigstyle.ui.imagine import SHEET, TILE, WORDS, Imagine
from sigstyle.ui.messages import as_text, inform
from sigstyle.ui.parts import Page
from sigstyle.ui.restyle import Restyle
from sigstyle.ui.transfer_dials import PRESETS

EMPTY = empty("Every picture made here carries its recipe", "Drop one to see it, and to make it again.", "stage-empty")
SAME = "The same, pixel for pixel."
DIFFERENT = "Close, but not the same: another machine or device rounds otherwise."
_MADE_AS = {"transfer": "a restyled photo", "generate": "a painted prompt", "texture": "a surface"}
_TEXTS = {"prompt": "what it shows", "negative_prompt": "what it must not show"}


@dataclass(frozen=True)
class RecipeTab:
    """The tab's controls."""

    page: Page
    tabs: gr.Tabs
    picture: gr.File
    photo: gr.File
    facts: gr.HTML
    repeat: gr.Button
    open: gr.Button
    stop: gr.Button
    status: gr.HTML
    preview: gr.Image
    result: gr.Image
    download: gr.DownloadButton

    @classmethod
    def build(cls, page: Page, tabs: gr.Tabs, restyle: Restyle, imagine: Imagine) -> "RecipeTab":
        """Place the tab's controls and connect them."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                picture = gr.File(label="A picture made here", height=170, elem_id="recipe-picture")
                photo = gr.File(label="Its photo, where that is not kept here", height=170, visible=False)
                with gr.Row():
                    again = gr.Button("Make it again", variant="primary", size="lg", interactive=False, elem_id="again")
                    open_ = gr.Button("Open its settings", size="lg", interactive=False, elem_id="open-settings")
                    stop = gr.Button("Stop", variant="stop", size="lg", visible=False)
                line = gr.HTML("", padding=False, elem_classes=["status"], elem_id="recipe-status")
                preview = gr.Image(label="Painting", visible=False, interactive=False, buttons=[], format="jpeg")
                result = gr.Image(
                    label="Made again", visible=False, interactive=False, buttons=["fullscreen"], type="filepath"
                )
                download = gr.DownloadButton("Download", visible=False)
            with gr.Column(scale=7, min_width=320):
                facts = gr.HTML(EMPTY, padding=False, elem_classes=["facts"], elem_id="recipe-facts")
        tab = cls(page, tabs, picture, photo, facts, again, open_, stop, line, preview, result, download)
        tab._connect(restyle, imagine)
        return tab

    def _connect(self, restyle: Restyle, imagine: Imagine) -> None:
        inputs = [self.page.key, self.page.base, self.picture, self.photo]
        shown = [self.facts, self.photo, self.repeat, self.open]
        gr.on([self.picture.change, self.photo.change], self._read, inputs, shown, queue=False, **PRIVATE)
        outputs = [self.status, self.repeat, self.stop, self.preview, self.result, self.download]
        self.repeat.click(self._repeat, inputs, outputs, trigger_mode="once", **PRIVATE)
        self.stop.click(self._stop, self.page.key, None, queue=False, **PRIVATE)

        def open_settings(request: gr.Request, key: str, base: str, picture: str | None, photo: str | None) -> Changes:
            with told():
                restored = self._restored(request, key, base, picture, photo)
                here = Here(who_asks(request, key), base)
                self._lay(here.who, base, restored)
                return opened(self.page, here, self.tabs, restored, restyle, imagine)

        def open_kept(request: gr.Request, key: str, base: str, current: str) -> Changes:
            with told():
                kept = restyle.strip.kept(request, key, current)
            return open_settings(request, key, base, str(kept.path), str(kept.photo) if kept.photo else None)

        targets, quick = [self.tabs, *targets_of(restyle, imagine)], {"queue": False, **PRIVATE}
        kept = [*inputs[:2], restyle.strip.current]
        for event in (
            self.open.click(open_settings, inputs, targets, **quick),
            restyle.strip.settings.click(open_kept, kept, targets, **quick),
        ):
            event.then(**restyle.telling).then(**restyle.looking)

    def _lay(self, who: Who, base: str, restored: Restored) -> None:
        """The person's LoRAs as the picture had them."""
        loaded = self.page.studio.bases.loaded(base)
        changed = self.page.studio.loras(who).match(restored.loras, loaded.fingerprint) if loaded else []
        if changed:
            inform(f"LoRAs as the picture had them: {', '.join(changed)}.", duration=8)

    def _restored(self, request: gr.Request, key: str, base: str, picture: str | None, photo: str | None) -> Restored:
        given = Path(photo) if photo else None
        return restore(self.page.studio, who_asks(request, key), Path(picture or ""), base, given)

    def _read(self, request: gr.Request, key: str, base: str, picture: str | None, photo: str | None) -> Changes:
        off = {self.repeat: gr.Button(interactive=False), self.open: gr.Button(interactive=False)}
        if not picture:
            return {self.facts: EMPTY, self.photo: gr.File(None, visible=False), **off}
        with told():
            restored = self._restored(request, key, base, picture, photo)
        lacks_photo = restored.kind == "transfer" and (restored.photo is None or photo is not None)
        return {
            self.facts: facts(restored),
            self.photo: gr.File(visible=lacks_photo),
            self.repeat: gr.Button(interactive=not restored.missing),
            self.open: gr.Button(interactive=True),
        }

    def _repeat(
        self, request: gr.Request, key: str, base: str, picture: str | None, photo: str | None
    ) -> Iterator[Changes]:
        who = who_asks(request, key)

        def start() -> Any:
            restored = self._restored(request, key, base, picture, photo)
            return repeat(self.page.studio, who, restored, base)

        def finished(pictures: list[Picture]) -> Changes:
            made = pictures[0]
            same = same_pixels(made.path, Path(picture or ""))
            verdict = SAME if same else DIFFERENT
            text = f"Made again in {duration(made.seconds)}. {verdict}"
            return {
                self.status: done(text),
                self.result: gr.Image(served(made.path), visible=True),
                self.download: gr.DownloadButton(value=served(made.path), visible=True),
            }

        yield from followed(start, self.showing, finished, self._idle)

    def _stop(self, request: gr.Request, key: str) -> None:
        who = who_asks(request, key)
        self.page.studio.stop(who, "restyle")
        self.page.studio.stop(who, "imagine")

    def showing(self, update: Update) -> Changes:
        """The page while the picture is being painted."""
        changes: Changes = {
            self.status: status(update, "Painting"),
            self.repeat: gr.Button(interactive=False),
            self.stop: gr.Button(visible=True),
        }
        if update.preview is not None:
            changes |= {
                self.preview: gr.Image(update.preview, visible=True),
                self.result: gr.Image(visible=False),
            }
        return changes

    def _idle(self) -> Changes:
        return {
            self.status: "",
            self.repeat: gr.Button(interactive=True),
            self.stop: gr.Button(visible=False),
            self.preview: gr.Image(None, visible=False),
        }


def targets_of(restyle: Restyle, imagine: Imagine) -> list[Any]:
    """What `opened` changes beside the tabs."""
    targets = [restyle.photos, restyle.picker.chosen, restyle.picker.gallery, *restyle.blending.outputs]
    part, regions = restyle.part, restyle.regions
    targets += [part.whole, part.editor, part.found, part.kept, *regions.outputs, regions.rest]
    targets += [*restyle.dials.outputs, imagine.kind, imagine.prompt, imagine.picker.chosen, imagine.picker.gallery]
    targets += [imagine.strength, imagine.shape, imagine.size, imagine.count]
    return [*targets, *imagine.dials.controls, *imagine.surface.controls]


@dataclass(frozen=True)
class Here:
    """Who opens a picture's settings, and on which base."""

    who: Who
    base: str


def opened(page: Page, here: Here, tabs: gr.Tabs, restored: Restored, restyle: Restyle, imagine: Imagine) -> Changes:
    """The tab that made a picture, with its settings."""
    config, is_photo = restored.config, restored.kind == "transfer"
    target = restyle if is_photo else imagine
    changes: Changes = {tabs: gr.Tabs(selected="restyle" if is_photo else "imagine")}
    if isinstance(config, TransferConfig):
        photo = Path(served(restored.photo)) if restored.photo else None
        changes |= restyle.dials.showing(config)
        changes |= restyle.size.showing(config, page.studio.bases.usual_px(here.base))
        changes |= restyle.part.restored(config, photo, restored.mask)
        workspace = page.studio.workspace(here.who)
        changes |= restyle.regions.restored(workspace, photo, restored.regions, alone=not restored.styles)
        changes |= restyle.blending.showing([(entry.name, weight) for entry, weight in restored.styles])
    elif isinstance(config, TextureConfig):
        changes |= {imagine.strength: config.strength, imagine.size: config.size_px, imagine.count: 1}
        changes |= {imagine.kind: TILE if config.seamless == "on" else SHEET, **imagine.surface.showing(config)}
    else:
        changes |= {imagine.kind: WORDS, imagine.prompt: config.prompt, imagine.count: 1}
        changes |= {imagine.strength: config.strength, **imagine.dials.showing(config)}
    if restored.style is not None:
        filled = target.picker.filled(page.tiles(here.who, here.base), restored.style.name)
        changes |= {part: filled[part] for part in (target.picker.gallery, target.picker.chosen)}
    if is_photo and restored.photo is not None:
        changes[restyle.photos] = [(served(restored.photo), None)]
    return changes


def facts(restored: Restored) -> str:
    """A recipe as a table, and what of it is not here."""
    recipe = restored.recipe
    rows = {"made as": _MADE_AS[restored.kind]}
    shares = [(f"{s['name']} ({s['hash']})", s.get("weight", 1.0)) for s in recipe["styles"]]
    rows["style"] = ", ".join(name if len(shares) == 1 else f"{weight:.0%} {name}" for name, weight in shares)
    rows["style"] = rows["style"] or "none: outside of the regions it is the photo"
    rows |= {f"region {place}": f"{each.style}, {each.words}" for place, each in enumerate(restored.regions, 1)}
    rows["base"] = f"{recipe['base']['name']} ({recipe['base']['fingerprint']})"
    if restored.loras.loras:
        rows["over the LoRA"] = ", ".join(lora.label for lora in restored.loras)
    if isinstance(restored.config, TransferConfig):
        rows["way"] = next(label for label, preset in PRESETS.items() if preset == restored.config.nearest)
    settings = restored.config.to_dict()
    given = {key: value for key, value in settings.items() if value not in (None, "") and key != "method"}
    rows |= {_TEXTS.get(key, key.replace("_", " ")): str(value) for key, value in given.items()}
    body = "".join(f"<tr><td>{html.escape(key)}</td><td>{html.escape(value)}</td></tr>" for key, value in rows.items())
    missing = "".join(f"<p><strong>{as_text(sentence)}</strong></p>" for sentence in restored.missing)
    return f"{missing}<table><tbody>{body}</tbody></table>"

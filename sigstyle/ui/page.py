"""The whole page: the tabs, and what passes between them."""

import secrets
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sigstyle.errors import SigStyleError
from sigstyle.studio.studio import Studio
from sigstyle.ui import endpoints
from sigstyle.ui.clip import ClipTab
from sigstyle.ui.folder import FolderTab
from sigstyle.ui.handlers import PRIVATE, Changes, who_asks
from sigstyle.ui.imagine import Imagine
from sigstyle.ui.learn import Learn
from sigstyle.ui.library import LibraryView
from sigstyle.ui.lora_section import LoraSection
from sigstyle.ui.messages import warn
from sigstyle.ui.model import ModelTab
from sigstyle.ui.parts import EXAMPLES, Page
from sigstyle.ui.queue_panel import QueuePanel
from sigstyle.ui.recipe import RecipeTab
from sigstyle.ui.restyle import Restyle
from sigstyle.ui.theme import CSS, SCRIPT, theme

HEADER = '<header id="top"><h1>SigStyle</h1><p>Your photos in the signature style of one painting.</p></header>'
_AT_ONCE = 40
_WAITING = 64
_DAY_S = 86_400


@dataclass(frozen=True)
class Tabs:
    """The tabs, as far as they know of each other."""

    page: Page
    restyle_tab: gr.Tab
    restyle: Restyle
    learn: Learn
    library: LibraryView
    imagine: Imagine
    folder: FolderTab
    clip: ClipTab
    model_tab: gr.Tab
    model: ModelTab
    loras: LoraSection

    @property
    def _lists(self) -> list[Any]:
        return [*self.folder.outputs, *self.clip.outputs]

    @property
    def refreshed(self) -> list[Any]:
        """What `refresh` changes."""
        pickers = [self.restyle.picker, self.imagine.picker, self.library.picker]
        parts = [*(part for picker in pickers for part in picker.outputs), *self._lists]
        return [*parts, self.library.left_out, self.restyle.blending.others, self.restyle.regions.style]

    @property
    def refresh_inputs(self) -> list[Any]:
        """What `refresh` reads."""
        pickers = [self.restyle.picker, self.imagine.picker, self.library.picker]
        chosen = [picker.chosen for picker in pickers]
        taken = [self.restyle.blending.others, self.restyle.regions.style]
        return [self.page.key, self.page.base, *chosen, self.folder.styles, *taken]

    def refresh(
        self, request: gr.Request, key: str, base: str, restyle: str, imagine: str, library: str, ticked: list[str],
        blended: list[str], region: str | None,
    ) -> Changes:  # fmt: skip
        """All galleries with the styles there are now."""
        who = who_asks(request, key)
        tiles, unusable = self.page.tiles(who, base), self.library.unusable(who)
        changes = unusable | self.restyle.picker.filled(tiles, restyle) | self.imagine.picker.filled(tiles, imagine)
        changes |= self.library.picker.filled(tiles, library) | self.clip.filled(tiles)
        changes |= self.folder.filled(tiles, ticked)
        return changes | self.restyle.blending.filled(tiles, blended) | self.restyle.regions.filled(tiles, region)

    def with_learned(
        self, request: gr.Request, key: str, base: str, learned: tuple[str, str] | None, ticked: list[str],
        blended: list[str], region: str | None,
    ) -> Changes:  # fmt: skip
        """All galleries with the style that was just learned chosen, as it is what one wants to try."""
        name = learned[0] if learned else ""
        return self.refresh(request, key, base, name, name, name, ticked, blended, region)

    def opened(self, request: gr.Request, key: str) -> Changes:
        """The page when it is opened: the browser's key, the base, what can be resumed."""
        key = key or secrets.token_urlsafe(24)
        studio = self.page.studio
        try:
            if studio.bases.loaded(studio.bases.first) is None:
                studio.load(who_asks(request, key), studio.bases.first).wait()
        except SigStyleError as error:
            warn(str(error), title="The base", duration=30)
        first = studio.bases.first
        changes: Changes = {self.page.key: key, self.page.base: first, self.model.own_key: key}
        changes |= self.model.listed(first) | self.loras.filled(who_asks(request, key), first)
        return changes | self.learn.leftover(request, key)


def build(studio: Studio) -> gr.Blocks:
    """The page over a studio."""
    with gr.Blocks(title="SigStyle", analytics_enabled=False, delete_cache=(_DAY_S, _DAY_S)) as demo:
        gr.HTML(HEADER, padding=False)
        key = gr.BrowserState("", storage_key="sigstyle-key", secret=studio.folder.secret())
        page = Page(studio, key, gr.State(studio.bases.first))
        QueuePanel.build(page)
        with gr.Tabs() as tabs:
            with gr.Tab("Restyle", id="restyle") as restyle_tab:
                restyle = Restyle.build(page)
            with gr.Tab("Learn", id="learn") as learn_tab:
                learn = Learn.build(page, learn_tab, restyle.photos)
                library = LibraryView.build(page)
            with gr.Tab("Imagine", id="imagine"):
                imagine = Imagine.build(page)
            with gr.Tab("Folder", id="folder"):
                folder = FolderTab.build(page)
            with gr.Tab("Clip", id="clip"):
                clip = ClipTab.build(page)
            with gr.Tab("Recipe", id="recipe"):
                RecipeTab.build(page, tabs, restyle, imagine)
            with gr.Tab("Model", id="model") as model_tab:
                model, loras = ModelTab.build(page, model_tab)
        endpoints.connect(studio)
        _connect(demo, Tabs(page, restyle_tab, restyle, learn, library, imagine, folder, clip, model_tab, model, loras))
    demo.queue(max_size=_WAITING, default_concurrency_limit=_AT_ONCE)
    return demo


def _connect(demo: gr.Blocks, all_: Tabs) -> None:
    page, quick = all_.page, {"queue": False, **PRIVATE}
    opened = [page.key, page.base, all_.model.own_key, *all_.model.listing, *all_.loras.outputs]
    opened += all_.learn.leftover_outputs
    here = demo.load(all_.opened, page.key, opened, **PRIVATE)
    here.then(all_.refresh, all_.refresh_inputs, all_.refreshed, **quick).then(**all_.restyle.telling).then(
        **all_.folder.telling
    )
    here.then(all_.restyle.rejoin, page.key, all_.restyle.outputs, **PRIVATE)
    here.then(all_.folder.rejoin, page.key, all_.folder.changing, **PRIVATE)
    here.then(all_.imagine.rejoin, page.key, all_.imagine.outputs, **PRIVATE)
    here.then(all_.learn.rejoin, page.key, [*all_.learn.changing, all_.learn.learned], **PRIVATE)
    learned = [page.key, page.base, all_.learn.learned, all_.folder.styles, *all_.refresh_inputs[-2:]]
    library = all_.library
    all_.learn.learned.change(all_.with_learned, learned, all_.refreshed, **quick).then(
        library.describe, [page.key, library.picker.chosen], library.described, **quick
    )
    changes = [all_.library.changed.change, all_.model.deleted.change, page.base.change, page.key.change]
    gr.on(changes, all_.refresh, all_.refresh_inputs, all_.refreshed, **quick)
    owner = [all_.model.deleted.change, page.base.change, page.key.change, all_.model_tab.select]
    gr.on(owner, all_.loras.refreshed, [page.key, page.base], all_.loras.outputs, **quick)
    strip = all_.restyle.strip
    seen = [all_.model.deleted.change, page.key.change, all_.restyle_tab.select]
    gr.on(seen, strip.refreshed, [page.key, strip.count], strip.outputs, **quick)


def launch(demo: gr.Blocks, **options: Any) -> gr.Blocks:
    """Serve the page; `options` are those of Blocks.launch. Comes back when serving ends, or as they say at once."""
    demo.launch(
        theme=theme(),
        css=CSS,
        js=SCRIPT,
        allowed_paths=[str(EXAMPLES)],
        max_file_size="256mb",
        ssr_mode=False,
        footer_links=["api", "settings"],
        show_error=False,  # what is not told on purpose may name places on this computer; the log has it
        enable_monitoring=False,
        run_history=False,
        **options,
    )
    return demo

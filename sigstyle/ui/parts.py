"""Parts that several tabs have: the style gallery, dials made from the configs, pictures as they become."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import gradio as gr
from PIL import Image

from sigstyle.config import CaptureConfig, GenerateConfig, TextureConfig, TransferConfig
from sigstyle.data import shipped_path
from sigstyle.settings import field_type
from sigstyle.studio.studio import Studio, Who
from sigstyle.ui.handlers import PRIVATE, empty, place_of

EXAMPLES = shipped_path("examples")
NO_STYLES = empty(
    "No style yet",
    "Open the Learn tab, drop a painting and press learn: it takes a minute or two, and the style appears here.",
)
_LABELS = {"palette": "Colour", "freedom": "Keep", "seed": "Variation", "stroke": "Stroke"}
_WORDS = {"freedom": "how much of the photo is kept: 1 all that can be, 0 little"}
_PLACES = (("All of it", ""), ("The subject", "subject"), ("The background", "background"))
_INVERSE = ("freedom",)  # from 0 to 1, and shown as how much of the opposite is wanted
STRENGTH = "0 is none of the style, 1 all of it, more is bolder."


def heading(text: str) -> str:
    """A small heading above a gallery."""
    return f'<h2 class="head">{text}</h2>'


@dataclass(frozen=True)
class Page:
    """What every tab needs: the studio, the browser's key and the base that this page uses."""

    studio: Studio
    key: gr.BrowserState
    base: gr.State

    def tiles(self, who: Who, base: str) -> list["Tile"]:
        """The styles that fit the base."""
        loaded = self.studio.bases.loaded(base)
        entries = self.studio.library(who).entries(loaded.fingerprint if loaded else None)
        return [Tile(e.name, e.caption, e.thumbnail(), "default" in e.style.abilities) for e in entries]


@dataclass(frozen=True)
class Tile:
    """A style to choose: what it is called inside and for people, its little picture, and whether it paints at once."""

    name: str
    caption: str
    picture: Image.Image
    paints: bool = True


@dataclass(frozen=True)
class StylePicker:
    """A gallery of styles; the chosen one's name is in `chosen`."""

    gallery: gr.Gallery
    hint: gr.HTML
    chosen: gr.State
    names: gr.State  # of the tiles, in order

    @classmethod
    def build(cls, label: str = "Style", columns: int = 4) -> "StylePicker":
        """Place it on the page."""
        gr.HTML(heading(label), padding=False)
        hint = gr.HTML(NO_STYLES, visible=False, padding=False)
        gallery = gr.Gallery(
            label=label,
            show_label=False,
            container=False,
            fit_columns=False,
            columns=columns,
            height="auto",
            object_fit="cover",
            allow_preview=False,
            interactive=False,
            buttons=[],
            elem_classes=["tiles"],
        )
        chosen, names = gr.State(""), gr.State([])
        gallery.select(_picked, names, chosen, queue=False, **PRIVATE)
        return cls(gallery, hint, chosen, names)

    @property
    def outputs(self) -> list[Any]:
        """What `filled` changes."""
        return [self.gallery, self.hint, self.chosen, self.names]

    def filled(self, tiles: Sequence[Tile], chosen: str) -> dict[Any, Any]:
        """The gallery with these styles; the chosen one stays, or the first one is."""
        names = [tile.name for tile in tiles]
        name = chosen if chosen in names else next(iter(names), "")
        index = names.index(name) if name else None
        return {
            self.gallery: gr.Gallery(
                value=[(tile.picture, tile.caption) for tile in tiles], selected_index=index, visible=bool(tiles)
            ),
            self.hint: gr.HTML(visible=not tiles),
            self.chosen: name,
            self.names: names,
        }


def _picked(names: Sequence[str], event: gr.SelectData) -> str:
    return names[place_of(event)]


class Controls(Protocol):
    """Controls that stand for settings, one or several for each."""

    @property
    def names(self) -> tuple[str, ...]:
        """The settings."""
        ...

    @property
    def controls(self) -> list[Any]:
        """What `settings` reads, in order."""
        ...

    def of(self, name: str) -> list[Any]:
        """The controls of one setting; none where it is not among these."""
        ...

    def settings(self, values: Sequence[Any]) -> dict[str, Any]:
        """The settings that these values mean."""
        ...

    def showing(self, config: TransferConfig) -> dict[Any, Any]:
        """The controls at these settings."""
        ...


@dataclass(frozen=True)
class Dials:
    """Controls for fields of a config, each with a sentence."""

    names: tuple[str, ...]
    controls: list[Any]
    optional: frozenset[str]  # numbers that may be None, for which an empty field shows 0

    @classmethod
    def build(
        cls,
        defaults: TransferConfig | GenerateConfig | TextureConfig | CaptureConfig,
        names: Sequence[str],
        ranges: dict[str, tuple[float, float, float]] | None = None,
    ) -> "Dials":
        """Place them; `ranges` gives (lowest, highest, step) of those that are sliders."""
        fields = {entry.name: entry for entry in dataclasses.fields(defaults)}
        controls = [_dial(fields[name], getattr(defaults, name), (ranges or {}).get(name)) for name in names]
        optional = frozenset(name for name in names if getattr(defaults, name) is None)
        return cls(tuple(names), controls, optional)

    def of(self, name: str) -> list[Any]:
        """The control of a setting, where there is one."""
        return [self.controls[self.names.index(name)]] if name in self.names else []

    def with_(self, other: "Dials") -> "Dials":
        """These and others."""
        return Dials((*self.names, *other.names), [*self.controls, *other.controls], self.optional | other.optional)

    def settings(self, values: Sequence[Any]) -> dict[str, Any]:
        """The settings that these values of the controls mean."""
        given = zip(self.names, values, self.controls, strict=True)
        plain = {name: _turned(name, _plain(value, control)) for name, value, control in given}
        return {name: None if name in self.optional and not value else value for name, value in plain.items()}

    def showing(self, config: TransferConfig | GenerateConfig | TextureConfig | CaptureConfig) -> dict[Any, Any]:
        """The controls at this config's values."""
        values = {name: _turned(name, getattr(config, name)) for name in self.names}
        shown = {name: 0 if name in self.optional and values[name] is None else values[name] for name in self.names}
        return dict(zip(self.controls, shown.values(), strict=True))


def _turned(name: str, value: Any) -> Any:
    """From a setting to what its dial shows, and back."""
    return round(1 - value, 12) if name in _INVERSE and isinstance(value, int | float) else value


def _plain(value: Any, control: Any) -> Any:
    if isinstance(control, gr.Textbox) or getattr(control, "allow_custom_value", False):
        return value or ""
    if value is None or value == "":
        return None
    return int(value) if getattr(control, "precision", None) == 0 else value


def _dial(entry: dataclasses.Field, value: Any, limits: tuple[float, float, float] | None) -> Any:
    label = _LABELS.get(entry.name, entry.name.replace("_px", " (pixels)").replace("_", " ").capitalize())
    text, value = str(_WORDS.get(entry.name) or entry.metadata["help"]), _turned(entry.name, value)
    info = text[0].upper() + text[1:] + "."
    if entry.name == "where":
        return gr.Dropdown(list(_PLACES), value=value, label="Found by itself", info=info, allow_custom_value=True)
    if "choices" in entry.metadata:
        return gr.Dropdown(list(entry.metadata["choices"]), value=value, label=label, info=info)
    if field_type(entry) is str:
        return gr.Textbox(value, label=label, info=info, lines=1)
    whole = 0 if field_type(entry) is int else None
    if value is None:
        info = info.partition(";")[0].rstrip(".") + "; 0 is the base's own."
        return gr.Number(0, label=label, info=info, precision=whole)
    if limits is None:
        return gr.Number(value, label=label, info=info, precision=whole)
    low, high, step = limits
    return gr.Slider(low, high, value=value, step=step, precision=whole, label=label, info=info, buttons=["reset"])


def example_row(folder: str, label: str, names: Sequence[str]) -> tuple[gr.Gallery, list[Path]]:
    """Small pictures of examples, to be clicked; and their files."""
    files = [EXAMPLES / folder / name for name in names if (EXAMPLES / folder / name).is_file()]
    tiles = [(_small(file), file.stem.replace("-", " ")) for file in files]
    gr.HTML(heading(label), padding=False)
    gallery = gr.Gallery(
        tiles,
        label=label,
        show_label=False,
        container=False,
        columns=max(1, len(tiles)),
        height="auto",
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        buttons=[],
        visible=bool(tiles),
        elem_classes=["tiles", "examples"],
    )
    return gallery, files


def _small(file: Path) -> Image.Image:
    with Image.open(file) as image:
        image.draft("RGB", (240, 240))
        small = image.convert("RGB")
    side = min(small.size)
    left, top = ((length - side) // 2 for length in small.size)
    return small.crop((left, top, left + side, top + side)).resize((160, 160), Image.Resampling.LANCZOS)

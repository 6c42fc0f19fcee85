"""The documented API: what the tabs do, by name, for gradio_client and MCP. Files go in and come out as files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.imaging.images import read_recipe
from sigstyle.studio.batch import BatchOutcome, paint_all
from sigstyle.studio.keeping import usage
from sigstyle.studio.lane import Job, Update
from sigstyle.studio.learn import learn, resumable, resume
from sigstyle.studio.library import Entry
from sigstyle.studio.paint import Picture, imagine, restyle
from sigstyle.studio.restore import repeat, restore, same_pixels
from sigstyle.studio.studio import Studio
from sigstyle.ui.handlers import served, told, who_asks
from sigstyle.ui.parameters import bounded

Reply = list[Any]


def told_of(update: Update) -> dict[str, Any]:
    """An update as plain values."""
    values = {"state": update.state, "before": update.before, "done": update.done, "total": update.total}
    return values | {"eta_s": None if update.eta_s is None else round(update.eta_s, 1)}


def replies(start: Callable[[], Job[Any]], finished: Callable[[Any], Reply], files: int = 1) -> Iterator[Reply]:
    """Where a job stands, again and again, and in the end its files and facts; giving up on it stops it."""
    with told(page=False):
        job = start()
    for update in job.follow(every_s=0.5):
        if not job.ended:
            yield [*([None] * files), told_of(update)]
    with told(page=False):
        yield finished(job.result())


def _pictures(pictures: Sequence[Picture]) -> Reply:
    facts = [
        {"name": p.name, "seconds": round(p.seconds, 2), "inversion_reused": p.reused, "notices": list(p.notices)}
        for p in pictures
    ]
    return [[served(picture.path) for picture in pictures], {"state": "done", "pictures": facts}]


def _entry(entry: Entry) -> dict[str, Any]:
    style = entry.style
    facts = {"name": style.name, "hash": style.hash, "own": entry.own, "token": style.token.token}
    facts["can"] = style.abilities
    return facts | {"base": style.base_name, "base_fingerprint": style.base_fingerprint}


def _preset(settings: dict[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """The preset among these settings, and the others."""
    given = {**(settings or {})}
    return str(given.pop("preset", "default")), given


def _transfer(strength: float, settings: dict[str, Any] | None) -> TransferConfig:
    preset, given = _preset(settings)
    return TransferConfig.preset(preset, **{"strength": float(strength), **given})


@dataclass(frozen=True)
class Endpoints:
    """The functions behind the API; every docstring is what the API's page says."""

    studio: Studio

    def _base(self, base: str) -> str:
        return base or self.studio.bases.first

    def restyle(
        self, request: gr.Request, photos: list[str], style: str, strength: float, settings: dict, base: str, key: str
    ) -> Iterator[Reply]:
        """Repaint photos in a style. settings: a preset, fields of TransferConfig; base and key may stay empty."""
        who = who_asks(request, key)

        def start() -> Job[list[Picture]]:
            config = _transfer(strength, settings)
            return restyle(self.studio, who, photos or [], style, self._base(base), config)

        yield from replies(start, _pictures)

    def imagine(
        self, request: gr.Request, prompt: str, style: str, strength: float, settings: dict, base: str, key: str
    ) -> Iterator[Reply]:
        """Paint a prompt in a style. settings: a preset, fields of GenerateConfig, width, height, count."""
        who = who_asks(request, key)

        def start() -> Job[list[Picture]]:
            given = {"strength": float(strength), **(settings or {})}
            count = given.pop("count", 1)
            return imagine(self.studio, who, prompt, style, self._base(base), given, count)

        yield from replies(start, _pictures)

    def folder(
        self, request: gr.Request, photos: list[str], styles: list[str], strength: float, settings: dict, base: str,
        key: str,
    ) -> Iterator[Reply]:  # fmt: skip
        """Repaint every photo in every style: a zip, a contact sheet, and what could not be made."""
        who = who_asks(request, key)

        def start() -> Job[BatchOutcome]:
            config = _transfer(strength, settings)
            return paint_all(self.studio, who, photos or [], styles or [], self._base(base), config)

        def finished(made: BatchOutcome) -> Reply:
            names = [path.name for path in made.pictures]
            facts = {"state": "done", "pictures": names, "problems": list(made.problems)}
            archive = served(made.archive) if made.archive else None
            return [archive, [served(sheet) for sheet in made.sheets], facts]

        yield from replies(start, finished, files=2)

    def learn(
        self, request: gr.Request, paintings: list[str], name: str, settings: dict, base: str, key: str
    ) -> Iterator[Reply]:
        """Learn the style of paintings and keep it under a name. settings: a preset, fields of CaptureConfig."""
        who = who_asks(request, key)

        def start() -> Job[Entry]:
            preset, given = _preset(settings)
            config = CaptureConfig.preset(preset, **given)
            return learn(self.studio, who, paintings or [], name, self._base(base), config.to_dict())

        yield from replies(start, lambda entry: [served(entry.path), {"state": "done", **_entry(entry)}])

    def resume(self, request: gr.Request, unfinished: str, key: str) -> Iterator[Reply]:
        """Go on with a style that was not learned to the end; ids as in /unfinished."""
        start = lambda: resume(self.studio, who_asks(request, key), unfinished)  # noqa: E731
        yield from replies(start, lambda entry: [served(entry.path), {"state": "done", **_entry(entry)}])

    def unfinished(self, request: gr.Request, key: str) -> list[dict[str, Any]]:
        """Styles that were not learned to the end."""
        with told(page=False):
            found = resumable(self.studio, who_asks(request, key))
        return [{"id": c.id, "name": c.name, "step": c.step, "steps": c.config.steps} for c in found]

    def finish(self, request: gr.Request, key: str) -> bool:
        """Good enough: let the style that this client is learning end with what it has."""
        return self.studio.finish(who_asks(request, key), "learn")

    def stop(self, request: gr.Request, key: str) -> bool:
        """Stop everything this client has running or waiting."""
        return self.studio.stop(who_asks(request, key))

    def styles(self, request: gr.Request, key: str) -> list[dict[str, Any]]:
        """The styles there are."""
        with told(page=False):
            return [_entry(entry) for entry in self.studio.library(who_asks(request, key)).entries()]

    def style_file(self, request: gr.Request, name: str, key: str) -> str:
        """The file of a style, by name or hash."""
        with told(page=False):
            return served(self.studio.library(who_asks(request, key)).get(name).path)

    def add_style(self, request: gr.Request, file: str, key: str) -> dict[str, Any]:
        """Put a style file into the library."""
        with told(page=False):
            return _entry(self.studio.library(who_asks(request, key)).add_file(Path(file or "")))

    def rename_style(self, request: gr.Request, name: str, new_name: str, key: str) -> dict[str, Any]:
        """Call one of your own styles differently."""
        with told(page=False):
            return _entry(self.studio.library(who_asks(request, key)).rename(name, new_name))

    def remove_style(self, request: gr.Request, name: str, key: str) -> list[dict[str, Any]]:
        """Delete one of your own styles; the styles that are left."""
        with told(page=False):
            self.studio.library(who_asks(request, key)).remove(name)
        return self.styles(request, key)

    def unusable_styles(self, request: gr.Request, key: str) -> list[str]:
        """Files in the library that are left out because they are no usable styles, each with the reason."""
        with told(page=False):
            return self.studio.library(who_asks(request, key)).unusable()

    def my_things(self, request: gr.Request, key: str) -> dict[str, Any]:
        """What the app keeps of you, and how much and how long it may."""
        keeping, found = self.studio.keeping, usage(self.studio.workspace(who_asks(request, key)))
        return {**asdict(found), **asdict(keeping)}

    def delete_my_things(self, request: gr.Request, key: str) -> dict[str, Any]:
        """Stop all your work and delete everything the app keeps of you; what that was."""
        with told(page=False):
            return asdict(self.studio.delete_all(who_asks(request, key)))

    def recipe(self, request: gr.Request, picture: str) -> dict[str, Any]:
        """The recipe that a picture carries."""
        del request
        with told(page=False):
            return read_recipe(picture or "")

    def repeat(self, request: gr.Request, picture: str, photo: str | None, base: str, key: str) -> Iterator[Reply]:
        """Make a picture again from its recipe; photo only where the app does not keep it already."""
        who, chosen = who_asks(request, key), self._base(base)

        def start() -> Job[list[Picture]]:
            restored = restore(self.studio, who, Path(picture or ""), chosen, Path(photo) if photo else None)
            return repeat(self.studio, who, restored, chosen)

        def finished(pictures: list[Picture]) -> Reply:
            files, facts = _pictures(pictures)
            return [files, facts | {"same_pixels": same_pixels(pictures[0].path, Path(picture))}]

        yield from replies(start, finished)

    def bases(self, request: gr.Request) -> list[dict[str, Any]]:
        """The bases there are, with what each takes."""
        del request
        choices = self.studio.bases.choices()
        return [{"base": c.name, "label": c.label, "takes": self.studio.bases.words(c.key)} for c in choices]

    def load_base(self, request: gr.Request, base: str, key: str) -> str:
        """Load a base and say what using it takes, by its measured speed."""
        with told(page=False):
            return self.studio.measured(who_asks(request, key), self._base(base)).wait()


def connect(studio: Studio) -> None:
    """Connect the API, through controls that nobody sees."""
    points = Endpoints(studio)
    with gr.Row(visible=False):
        many = gr.File(label="photos", file_count="multiple")
        one = gr.File(label="file")
        other = gr.File(label="photo")
        key, base = gr.Textbox("", label="key"), gr.Textbox("", label="base")
        name, new_name = gr.Textbox(label="name"), gr.Textbox(label="new_name")
        style, prompt = gr.Textbox(label="style"), gr.Textbox(label="prompt")
        strength, settings = gr.Number(1.0, label="strength"), gr.JSON({}, label="settings")
        styles = gr.JSON([], label="styles")
        files, file = gr.File(label="pictures", file_count="multiple"), gr.File(label="file")
        facts, flag, text = gr.JSON(label="facts"), gr.Checkbox(label="done"), gr.Textbox(label="text")

        def at(function: Callable[..., Any], inputs: list[Any], outputs: Any) -> None:
            about, checked = (function.__doc__ or "").strip(), bounded(function, [c.label for c in inputs])
            gr.Button(visible=False).click(
                checked, inputs, outputs, api_name=function.__name__, api_description=about, show_progress="hidden"
            )

        at(points.restyle, [many, style, strength, settings, base, key], [files, facts])
        at(points.imagine, [prompt, style, strength, settings, base, key], [files, facts])
        at(points.folder, [many, styles, strength, settings, base, key], [file, files, facts])
        at(points.learn, [many, name, settings, base, key], [file, facts])
        at(points.resume, [name, key], [file, facts])
        at(points.repeat, [one, other, base, key], [files, facts])
        for function, inputs, output in (
            (points.unfinished, [key], facts),
            (points.finish, [key], flag),
            (points.stop, [key], flag),
            (points.styles, [key], facts),
            (points.style_file, [name, key], file),
            (points.add_style, [one, key], facts),
            (points.rename_style, [name, new_name, key], facts),
            (points.remove_style, [name, key], facts),
            (points.unusable_styles, [key], facts),
            (points.my_things, [key], facts),
            (points.delete_my_things, [key], facts),
            (points.recipe, [one], facts),
            (points.bases, [], facts),
            (points.load_base, [base, key], text),
        ):
            at(function, inputs, output)

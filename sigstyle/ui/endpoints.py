"""The documented API: what the tabs do, by name, for gradio_client and MCP. Files go in and come out as files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.imaging.images import read_recipe
from sigstyle.studio.batch import BatchOutcome, paint_all
from sigstyle.studio.lane import Job, Update
from sigstyle.studio.learn import learn, resumable, resume
from sigstyle.studio.library import Entry
from sigstyle.studio.loras import Underlay
from sigstyle.studio.paint import Picture, imagine, restyle
from sigstyle.studio.restore import repeat, restore, same_pixels
from sigstyle.studio.studio import Studio, Who
from sigstyle.studio.texture import surface
from sigstyle.ui.endpoints_own import OwnEndpoints, entry_facts
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


def _preset(settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The preset among these settings, and the others."""
    given = {**settings}
    return str(given.pop("preset", "default")), given


def _transfer(strength: float, settings: dict[str, Any]) -> TransferConfig:
    preset, given = _preset(settings)
    return TransferConfig.preset(preset, **{"strength": float(strength), **given})


@dataclass(frozen=True)
class Endpoints:
    """The functions behind the API; every docstring is what the API's page says."""

    studio: Studio

    def _base(self, base: str) -> str:
        return base or self.studio.bases.first

    def _under(self, who: Who, settings: dict[str, Any] | None) -> tuple[Underlay, dict[str, Any]]:
        """The LoRAs among these settings, without any those that are on; and the other settings."""
        given = {**(settings or {})}
        return self.studio.loras(who).chosen(given.pop("loras", None)), given

    def restyle(
        self, request: gr.Request, photos: list[str], style: str, strength: float, settings: dict, base: str, key: str
    ) -> Iterator[Reply]:
        """Repaint photos in a style. settings: a preset, fields of TransferConfig, loras; base and key may be empty."""
        who = who_asks(request, key)

        def start() -> Job[list[Picture]]:
            loras, given = self._under(who, settings)
            config = _transfer(strength, given)
            return restyle(self.studio, who, photos or [], style, self._base(base), config, loras=loras)

        yield from replies(start, _pictures)

    def imagine(
        self, request: gr.Request, prompt: str, style: str, strength: float, settings: dict, base: str, key: str
    ) -> Iterator[Reply]:
        """Paint a prompt in a style. settings: a preset, fields of GenerateConfig, width, height, count, loras."""
        who = who_asks(request, key)

        def start() -> Job[list[Picture]]:
            loras, given = self._under(who, settings)
            given = {"strength": float(strength), **given}
            count = given.pop("count", 1)
            return imagine(self.studio, who, prompt, style, self._base(base), given, count, loras)

        yield from replies(start, _pictures)

    def texture(
        self, request: gr.Request, style: str, strength: float, settings: dict, base: str, key: str
    ) -> Iterator[Reply]:
        """Paint a tile without a seam, or a sheet, in a style. settings: fields of TextureConfig, count, loras."""
        who = who_asks(request, key)

        def start() -> Job[list[Picture]]:
            loras, given = self._under(who, settings)
            given = {"strength": float(strength), "size_px": 512, "seamless": "on", **given}
            count = given.pop("count", 1)
            return surface(self.studio, who, style, self._base(base), given, count, loras)

        yield from replies(start, _pictures)

    def folder(
        self, request: gr.Request, photos: list[str], styles: list[str], strength: float, settings: dict, base: str,
        key: str,
    ) -> Iterator[Reply]:  # fmt: skip
        """Repaint every photo in every style: a zip, a contact sheet, and what could not be made."""
        who = who_asks(request, key)

        def start() -> Job[BatchOutcome]:
            loras, given = self._under(who, settings)
            config = _transfer(strength, given)
            return paint_all(self.studio, who, photos or [], styles or [], self._base(base), config, loras=loras)

        def finished(made: BatchOutcome) -> Reply:
            names = [path.name for path in made.pictures]
            facts = {"state": "done", "pictures": names, "problems": list(made.problems)}
            archive = served(made.archive) if made.archive else None
            return [archive, [served(sheet) for sheet in made.sheets], facts]

        yield from replies(start, finished, files=2)

    def learn(
        self, request: gr.Request, paintings: list[str], name: str, settings: dict, base: str, key: str
    ) -> Iterator[Reply]:
        """Learn the style of paintings and keep it under a name. settings: a preset, fields of CaptureConfig, loras."""
        who = who_asks(request, key)

        def start() -> Job[Entry]:
            loras, given = self._under(who, settings)
            preset, given = _preset(given)
            config = CaptureConfig.preset(preset, **given).to_dict()
            return learn(self.studio, who, paintings or [], name, self._base(base), config, loras=loras)

        yield from replies(start, lambda entry: [served(entry.path), {"state": "done", **entry_facts(entry)}])

    def resume(self, request: gr.Request, unfinished: str, key: str) -> Iterator[Reply]:
        """Go on with a style that was not learned to the end; ids as in /unfinished."""
        start = lambda: resume(self.studio, who_asks(request, key), unfinished)  # noqa: E731
        yield from replies(start, lambda entry: [served(entry.path), {"state": "done", **entry_facts(entry)}])

    def unfinished(self, request: gr.Request, key: str) -> list[dict[str, Any]]:
        """Styles that were not learned to the end."""
        with told(page=False):
            found = resumable(self.studio, who_asks(request, key))
        return [{"id": c.id, "name": c.name, "step": c.step, "steps": c.config.steps} for c in found]

    def finish(self, request: gr.Request, key: str) -> bool:
        """Good enough: let the style that this client is learning end with what it has."""
        return self.studio.finish(who_asks(request, key), "learn")

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

    def use_memory(self, request: gr.Request, memory: str, base: str, key: str) -> str:
        """Load bases with 'auto', 'low' or 'high' use of memory from now on, for everybody; what using one takes."""
        with told(page=False):
            return self.studio.measured(who_asks(request, key), self._base(base), memory).wait()


def connect(studio: Studio) -> None:
    """Connect the API, through controls that nobody sees."""
    points, own = Endpoints(studio), OwnEndpoints(studio)
    with gr.Row(visible=False):
        many = gr.File(label="photos", file_count="multiple")
        one = gr.File(label="file")
        other = gr.File(label="photo")
        key, base = gr.Textbox("", label="key"), gr.Textbox("", label="base")
        name, new_name = gr.Textbox(label="name"), gr.Textbox(label="new_name")
        style, prompt = gr.Textbox(label="style"), gr.Textbox(label="prompt")
        strength, settings = gr.Number(1.0, label="strength"), gr.JSON({}, label="settings")
        styles, id_ = gr.JSON([], label="styles"), gr.Textbox(label="id")
        on, weight = gr.Checkbox(True, label="on"), gr.Number(1.0, label="weight")
        memory = gr.Textbox("auto", label="memory")
        files, file = gr.File(label="pictures", file_count="multiple"), gr.File(label="file")
        facts, flag, text = gr.JSON(label="facts"), gr.Checkbox(label="done"), gr.Textbox(label="text")

        def at(function: Callable[..., Any], inputs: list[Any], outputs: Any) -> None:
            about, checked = (function.__doc__ or "").strip(), bounded(function, [c.label for c in inputs])
            gr.Button(visible=False).click(
                checked, inputs, outputs, api_name=function.__name__, api_description=about, show_progress="hidden"
            )

        at(points.restyle, [many, style, strength, settings, base, key], [files, facts])
        at(points.imagine, [prompt, style, strength, settings, base, key], [files, facts])
        at(points.texture, [style, strength, settings, base, key], [files, facts])
        at(points.folder, [many, styles, strength, settings, base, key], [file, files, facts])
        at(points.learn, [many, name, settings, base, key], [file, facts])
        at(points.resume, [name, key], [file, facts])
        at(points.repeat, [one, other, base, key], [files, facts])
        for function, inputs, output in (
            (points.unfinished, [key], facts),
            (points.finish, [key], flag),
            (own.stop, [key], flag),
            (own.queue, [key], facts),
            (own.cancel, [id_, key], text),
            (own.styles, [key], facts),
            (own.style_file, [name, key], file),
            (own.add_style, [one, key], facts),
            (own.rename_style, [name, new_name, key], facts),
            (own.favourite, [name, on, key], facts),
            (own.remove_style, [name, key], facts),
            (own.unusable_styles, [key], facts),
            (own.loras, [key], facts),
            (own.add_lora, [one, base, key], facts),
            (own.set_lora, [name, weight, on, key], facts),
            (own.remove_lora, [name, key], facts),
            (own.my_things, [key], facts),
            (own.delete_my_things, [key], facts),
            (points.recipe, [one], facts),
            (points.bases, [], facts),
            (points.load_base, [base, key], text),
            (points.use_memory, [memory, base, key], text),
        ):
            at(function, inputs, output)

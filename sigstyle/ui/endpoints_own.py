"""The documented API on what is a person's own: the queue, styles with their stars, LoRAs, and all that is kept."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sigstyle.studio.keeping import usage
from sigstyle.studio.library import Entry
from sigstyle.studio.loras import KeptLora
from sigstyle.studio.queue import cancel, queue_of
from sigstyle.studio.studio import Studio
from sigstyle.ui.handlers import served, told, who_asks


def entry_facts(entry: Entry) -> dict[str, Any]:
    """What a program is told of a style."""
    style = entry.style
    facts = {"name": style.name, "hash": style.hash, "own": entry.own, "token": style.token.token}
    facts |= {"can": style.abilities, "favourite": entry.favourite}
    return facts | {"base": style.base_name, "base_fingerprint": style.base_fingerprint}


def lora_facts(lora: KeptLora) -> dict[str, Any]:
    """What a program is told of a LoRA."""
    facts = {"name": lora.name, "hash": lora.hash, "base_kind": lora.base, "trigger": lora.trigger}
    return facts | {"weight": lora.weight, "on": lora.on}


@dataclass(frozen=True)
class OwnEndpoints:
    """The functions behind the API; every docstring is what the API's page says."""

    studio: Studio

    def stop(self, request: gr.Request, key: str) -> bool:
        """Stop everything this client has running or waiting."""
        return self.studio.stop(who_asks(request, key))

    def styles(self, request: gr.Request, key: str) -> list[dict[str, Any]]:
        """The styles there are."""
        with told(page=False):
            return [entry_facts(entry) for entry in self.studio.library(who_asks(request, key)).entries()]

    def style_file(self, request: gr.Request, name: str, key: str) -> str:
        """The file of a style, by name or hash."""
        with told(page=False):
            return served(self.studio.library(who_asks(request, key)).get(name).path)

    def add_style(self, request: gr.Request, file: str, key: str) -> dict[str, Any]:
        """Put a style file into the library."""
        with told(page=False):
            return entry_facts(self.studio.library(who_asks(request, key)).add_file(Path(file or "")))

    def rename_style(self, request: gr.Request, name: str, new_name: str, key: str) -> dict[str, Any]:
        """Call one of your own styles differently."""
        with told(page=False):
            return entry_facts(self.studio.library(who_asks(request, key)).rename(name, new_name))

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

    def queue(self, request: gr.Request, key: str) -> dict[str, Any]:
        """Your jobs that run or wait, in their order and with times; how many jobs others have."""
        with told(page=False):
            found = queue_of(self.studio, who_asks(request, key))
        return {"own": [asdict(job) for job in found.own], "others": found.others}

    def cancel(self, request: gr.Request, id_: str, key: str) -> str:
        """Cancel one of your jobs, by its id in /queue; what it was."""
        with told(page=False):
            return cancel(self.studio, who_asks(request, key), id_)

    def favourite(self, request: gr.Request, name: str, on: bool, key: str) -> dict[str, Any]:
        """Star a style, so that it comes first, or take its star away."""
        with told(page=False):
            return entry_facts(self.studio.library(who_asks(request, key)).star(name, on))

    def loras(self, request: gr.Request, key: str) -> list[dict[str, Any]]:
        """Your LoRAs, with their weights, and whether they lie under styles now."""
        with told(page=False):
            return [lora_facts(lora) for lora in self.studio.loras(who_asks(request, key)).all()]

    def add_lora(self, request: gr.Request, file: str, base: str, key: str) -> dict[str, Any]:
        """Keep a LoRA that was made for a base; it lies under styles from then on."""
        with told(page=False):
            who = who_asks(request, key)
            self.studio.admitted(who)
            wanted = self.studio.bases.check(base or self.studio.bases.first)
            loaded = self.studio.bases.loaded(wanted) or self.studio.load(who, wanted).wait()
            return lora_facts(self.studio.loras(who).add(Path(file or ""), loaded))

    def set_lora(self, request: gr.Request, name: str, weight: float, on: bool, key: str) -> dict[str, Any]:
        """Give one of your LoRAs a weight, and lay it under styles or let it rest."""
        with told(page=False):
            return lora_facts(self.studio.loras(who_asks(request, key)).change(name, weight, on))

    def remove_lora(self, request: gr.Request, name: str, key: str) -> list[dict[str, Any]]:
        """Delete one of your LoRAs; those that are left."""
        with told(page=False):
            self.studio.loras(who_asks(request, key)).remove(name)
        return self.loras(request, key)

"""Adding a style to a collection, while what the network makes for earlier ones is held; and how well that held."""

import copy
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import starting_embedding, token_for
from sigstyle.config import CollectionConfig
from sigstyle.errors import Cancelled, ConfigError
from sigstyle.imaging.brushwork import Brushwork
from sigstyle.imaging.images import thumbnail_uri, to_tensor
from sigstyle.imaging.palette import Palette
from sigstyle.learning.bank import bank_files
from sigstyle.learning.instant import DOMAIN, known_hypernetwork
from sigstyle.learning.lessons import Lesson, Remembering
from sigstyle.learning.measured import Measured
from sigstyle.learning.newcomer import CollectionLearner, Holding
from sigstyle.learning.painting import Painting
from sigstyle.learning.provenance import provenance
from sigstyle.learning.stepper import Stepper
from sigstyle.scoring.features import style_features
from sigstyle.style.attach import frozen
from sigstyle.style.collection import Collection, Member, stacked
from sigstyle.style.drift import Held, offsets_sketch, picture_sketch
from sigstyle.style.instant import Hypernetwork, network_of, written_form
from sigstyle.style.shared_hypernet import SharedHypernet
from sigstyle.style.similar import look

OnStep = Callable[[int, int, float], None]


def new_collection(base: BaseModel) -> Collection:
    """An empty collection on a base, whose network is the one that ships. Raises: ConfigError where there is none."""
    start = starting_embedding(base.tokenizer, base.text_encoder, DOMAIN).detach().cpu().float()
    return Collection(known_hypernetwork(base), base.name, start)


def add_to_collection(
    base: BaseModel,
    collection: Collection,
    images: Sequence[Image.Image],
    name: str,
    config: CollectionConfig | None = None,
    *,
    bank: str | Path | None = None,
    on_step: OnStep = lambda step, steps, loss: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Collection:
    """The collection with the style of `images` (as `load_image` gives them) in it; the given one stays as it was.

    It is trained on a capture's lessons, from where the network sees the style image. Held exactly, the network learns
    only what it is to say of this embedding, and says of all earlier ones what it said; with the penalty embedding and
    network are trained, while the drift of all earlier styles is part of the loss. The base comes back as it was.
    Raises: ConfigError for no images, a name that is taken or another base; Cancelled; CaptureError as a capture.
    """
    config = config or CollectionConfig()
    token = token_for(name)
    _check(base, collection, images, name)
    network = style_features().to(base.device)
    measured = Measured.on(images, network, base.device)
    net, embedding = copy.deepcopy(collection.network.net), collection.network.embed(measured.vector)
    others = stacked(collection.members)
    if config.holding == "exact":
        _check_room(net, embedding, others)
    with base.lock, frozen(base.text_encoder):
        learner = CollectionLearner(base, config, net, embedding, token)
        lessons: list[Lesson[Any]] = [Painting.of(learner, measured, bank_files(bank), network)]
        lessons.append(Remembering.of(learner, images))
        if collection.members and config.holding == "penalty" and config.hold:
            held = Held.of(net, others.to(base.device))
            lessons.append(Holding(held, net, config.hold))
        _train(learner, config, lessons, on_step, should_stop)
    with torch.no_grad():
        embedding = net.normed(learner.state.token.detach()).cpu().half().float()
        if learner.newcomer.exactly:
            net.cpu().remember(embedding, learner.newcomer.change, others)
    trained = _rounded(net, base.fingerprint)
    origin = {**provenance(base, images), **look(measured.vector), "config": config.to_dict()}
    member = Member(
        name=name,
        embedding=embedding,
        palette=measured.palette,
        brushwork=measured.brushwork,
        offsets_then=offsets_sketch(trained.offsets(trained.at(embedding)[0])),
        picture_then=picture_sketch(_painted(base, trained.net, embedding, measured.palette, measured.brushwork)),
        thumbnail=thumbnail_uri(images[0]),
        metadata=origin,
    )
    return collection.with_member(trained, member)


def _check(base: BaseModel, collection: Collection, images: Sequence[Image.Image], name: str) -> None:
    """Raises: ConfigError for what cannot be added, before anything is done."""
    if not images:
        raise ConfigError("There is no style image; give one or more.")
    if name in [member.name for member in collection.members]:
        raise ConfigError(f"There is a style called {name} in the collection already. Choose another name.")
    check_base_of(collection, base)


def check_base_of(collection: Collection, base: BaseModel) -> None:
    """Raises: ConfigError unless the collection's network was trained on `base`."""
    if collection.network.base_fingerprint != base.fingerprint:
        raise ConfigError(
            f"The collection is of the base {collection.base_name} ({collection.network.base_fingerprint}); the "
            f"base in use is {base.name} ({base.fingerprint}). Load the collection's base, or begin a new collection."
        )


def _train(
    learner: CollectionLearner,
    config: CollectionConfig,
    lessons: Sequence[Lesson[Any]],
    on_step: OnStep,
    should_stop: Callable[[], bool],
) -> None:
    """Step until done. Raises: Cancelled, CaptureError."""
    state, chosen = learner.state, learner.arithmetic()
    state.progression.autocast, state.progression.autocast_reason = chosen.bfloat16, chosen.reason
    stepper, safe = Stepper(state, learner.config, lessons), state.snapshot()
    with learner.attached() as refresh:
        while state.progression.step < config.steps:
            if should_stop():
                raise Cancelled("Adding the style was stopped; the collection stays as it was.")
            loss = stepper.step(refresh)
            if loss is None:
                safe = stepper.rolled_back(safe)
                continue
            on_step(state.progression.step, config.steps, loss)


def _check_room(net: SharedHypernet, embedding: Tensor, others: Tensor) -> None:
    """Raises: ConfigError where nothing can be added to what the network says of an embedding alone."""
    try:
        net.apart(embedding, others)
    except ValueError as error:
        raise ConfigError(
            "The hypernetwork cannot tell this style from those that the collection has. Add it to another collection, "
            "or let the others change a little: holding 'penalty'."
        ) from error


def _rounded(net: SharedHypernet, base_fingerprint: str) -> Hypernetwork:
    """The network as its file has it, so that what is measured is what is read again."""
    tensors, header = written_form(copy.deepcopy(net).cpu())
    return network_of(tensors, header, base_fingerprint)


@torch.no_grad()
def _painted(base: BaseModel, net: SharedHypernet, embedding: Tensor, palette: Palette, brushwork: Brushwork) -> Tensor:
    """Pixels of one and the same photo, painted as while learning, in float32 on every machine."""
    config = CollectionConfig(autocast="off")
    net = copy.deepcopy(net)
    with base.lock, ExitStack() as undo:
        undo.enter_context(frozen(base.text_encoder))
        learner = CollectionLearner(base, config, net, embedding, token_for(DOMAIN))
        undo.enter_context(learner.attached())
        measured = Measured([], palette, brushwork)
        painting = Painting.of(learner, measured, bank_files()[:1], style_features())
        return to_tensor(painting.preview(windows=1))


@dataclass(frozen=True)
class Forgotten:
    """How much a style of a collection has changed since it was added.

    Units: offsets as a share of what they were; picture as root mean square of 0 to 255, on one photo.
    """

    name: str
    offsets: float
    picture: float


def forgetting(base: BaseModel, collection: Collection) -> list[Forgotten]:
    """What became of every style since it was added, in the order in which they came. Raises: ConfigError."""
    check_base_of(collection, base)
    found = []
    for member in collection.members:
        now = offsets_sketch(collection.offsets(member.embedding))
        moved = float((now - member.offsets_then).norm() / member.offsets_then.norm().clamp_min(1e-12))
        pixels = _painted(base, collection.network.net, member.embedding, member.palette, member.brushwork)
        apart = float((picture_sketch(pixels) - member.picture_then).norm()) * 127.5
        found.append(Forgotten(member.name, moved, apart))
    return found

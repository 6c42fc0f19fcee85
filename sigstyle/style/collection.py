"""A collection: many styles in one hypernetwork, each of them an embedding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from sigstyle.base.prompts import StyleToken, token_for
from sigstyle.errors import ConfigError
from sigstyle.imaging.brushwork import Brushwork
from sigstyle.imaging.palette import Palette
from sigstyle.style.factors_file import split_offsets
from sigstyle.style.fusion import fused
from sigstyle.style.instant import Hypernetwork
from sigstyle.style.offsets import Offset, of_rank
from sigstyle.style.shared_hypernet import EMBEDDING
from sigstyle.style.style import Style
from sigstyle.text import check_style_name


@dataclass(frozen=True, eq=False)
class Member:
    """A style of a collection: its embedding, what was measured on its images, and how it was when it was added.

    Shapes: embedding [64]; offsets_then and picture_then [128] are sketches (see `style.drift`) of its offsets and of
    the picture that was painted with them.
    """

    name: str
    embedding: Tensor
    palette: Palette
    brushwork: Brushwork
    offsets_then: Tensor
    picture_then: Tensor
    domain: str = "painting"
    thumbnail: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_style_name(self.name)
        token_for(self.name)


@dataclass(frozen=True, eq=False)
class Collection:
    """One hypernetwork and the styles it was trained to make, in the order in which they came; it never changes.

    Shapes: start [n, dim] is where style tokens start on its base.
    Raises: ConfigError for two members of one name.
    """

    network: Hypernetwork
    base_name: str
    start: Tensor
    members: tuple[Member, ...] = ()

    def __post_init__(self) -> None:
        names = [member.name for member in self.members]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ConfigError(f"There is a style called {twice} in the collection already. Choose another name.")

    def member(self, name: str) -> Member:
        """The style of this name. Raises: ConfigError, which lists what there is."""
        for member in self.members:
            if member.name == name:
                return member
        known = ", ".join(member.name for member in self.members) or "none yet"
        raise ConfigError(f"There is no style {name!r} in the collection; there are: {known}.")

    def with_member(self, network: Hypernetwork, member: Member) -> Self:
        """The collection with one more style, and the network that was trained for it."""
        return replace(self, network=network, members=(*self.members, member))

    def without(self, name: str) -> Self:
        """The collection without a style; the network stays as it is. Raises: ConfigError for an unknown name."""
        gone = self.member(name)
        return replace(self, members=tuple(member for member in self.members if member is not gone))

    def offsets(self, embedding: Tensor) -> dict[str, Offset]:
        """What the network makes for an embedding [64], by layer path."""
        return self.network.offsets(self.network.at(embedding)[0])

    def style(self, shares: Mapping[str, float], name: str | None = None, rank: int | None = None) -> Style:
        """An ordinary style: one of the collection, or one between several, whose shares are numbers above 0.

        Its offsets are what the network makes, or the nearest ones of a lower `rank`, which is a smaller file.
        Raises: ConfigError.
        """
        chosen = self._chosen(shares)
        members, amounts = [member for member, _ in chosen], [share for _, share in chosen]
        embedding = fused([member.embedding for member in members], amounts)
        instant, shift = self.network.at(embedding)
        offsets = self.network.offsets(instant)
        rank = min(rank or self.network.net.basis, self.network.net.basis)
        unet, decoder = split_offsets({path: of_rank(offset, rank) for path, offset in offsets.items()})
        called = name or " and ".join(member.name for member in members)
        return Style(
            name=called,
            token=StyleToken(token_for(called), self.start + shift),
            offsets=unet,
            decoder_offsets=decoder,
            domain=members[0].domain,
            base_fingerprint=self.network.base_fingerprint,
            base_name=self.base_name,
            palette=Palette.mix([member.palette for member in members], amounts),
            brushwork=Brushwork.mean_of([member.brushwork for member in members], amounts),
            metadata=self._metadata(chosen, rank),
            thumbnail=members[amounts.index(max(amounts))].thumbnail,
        )

    def _chosen(self, shares: Mapping[str, float]) -> Sequence[tuple[Member, float]]:
        if not shares or not all(1e-6 <= share <= 1e6 for share in shares.values()):
            raise ConfigError(f"The shares are {dict(shares)}; expected one style or more, each with a number above 0.")
        return [(self.member(name), float(share)) for name, share in shares.items()]

    def _metadata(self, chosen: Sequence[tuple[Member, float]], rank: int) -> dict[str, Any]:
        own = dict(chosen[0][0].metadata) if len(chosen) == 1 else _in_common([m.metadata for m, _ in chosen])
        origin = {"network": self.network.hash, "shares": {m.name: share for m, share in chosen}, "rank": rank}
        return {**own, "collection": origin}


def _in_common(several: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries that all have alike."""
    first, *rest = several
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in rest)}


def stacked(members: Sequence[Member]) -> Tensor:
    """The embeddings [t, 64] of members."""
    return torch.stack([member.embedding for member in members]) if members else torch.zeros(0, EMBEDDING)

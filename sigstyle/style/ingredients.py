"""What a picture is made with: styles, the base they are for, and the LoRAs under them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch

from sigstyle.base.compiling import check_compiler, compiled
from sigstyle.base.devices import default_device
from sigstyle.base.model import EMBEDDED, BaseLike, BaseModel, load_base
from sigstyle.errors import ConfigError
from sigstyle.style.foreign import is_foreign, opened_with
from sigstyle.style.lora_file import LoraFile, LoraLike, loras_of
from sigstyle.style.shipped import StyleLike, load_own_base, open_style
from sigstyle.style.style import Style
from sigstyle.style.under import lora_entries, under
from sigstyle.text import shown


@dataclass(frozen=True)
class Loading:
    """How a base is loaded, and what goes under the style: None is what fits the device and the checkpoint."""

    device: str | torch.device | None = None
    dtype: torch.dtype | None = None
    prediction_type: str | None = None
    loras: Sequence[LoraLike] = ()
    memory: str = "auto"
    compile: bool = False

    @property
    def files(self) -> list[str]:
        """The LoRAs that are files."""
        return [path for path in map(_path, self.loras) if path is not None]

    def base(self, base: BaseLike | None, style: Style | None = None) -> BaseModel:
        """The base that was asked for, else the style's own, which is never fetched."""
        if self.compile:
            check_compiler(torch.device(self.device or default_device()))
        how: dict[str, Any] = {"prediction_type": self.prediction_type, "memory": self.memory}
        if base or style is None:
            return load_base(base or EMBEDDED, self.device, self.dtype, **how)
        return load_own_base(style, self.device, self.dtype, **how)

    def opened(self, base: BaseModel) -> Self:
        """The same with the LoRAs read, for a base. Raises: StyleFileError, ConfigError."""
        return replace(self, loras=loras_of(self.loras, base))

    def entries(self, base: BaseModel) -> dict[str, Any]:
        """What a recipe says of how the base was prepared; nothing of a plain one."""
        found: dict[str, Any] = {}
        if self.loras:
            found["loras"] = lora_entries(loras_of(self.loras, base))
        if self.prediction_type is not None:
            found["prediction_type"] = self.prediction_type
        return found

    @contextmanager
    def carrying(self, base: BaseModel, learning: bool = False) -> Iterator["Ready"]:
        """The base with the LoRAs on it, compiled if so, and what a recipe says of that.

        While `learning` the decoder is left as it is: offsets come and go there. Raises: StyleFileError, ConfigError.
        """
        own = self.opened(base)
        with under(base, loras_of(own.loras, base)) as ready, ExitStack() as undo:
            if self.compile:
                ready = undo.enter_context(compiled(ready, encoder_only=learning))
            yield Ready(ready, own.entries(base))

    def notices(self, styles: Sequence[Style]) -> list[str]:
        """Lines about what styles were made for and is not given, or what of them is not used."""
        found = []
        for style in styles:
            left_out, over = style.metadata.get("left_out"), style.metadata.get("loras")
            if left_out:
                found.append(
                    f"{style.name} as a style leaves out its part in the text encoder; --lora takes all of it."
                )
            if isinstance(over, list) and over and not self.loras:
                names = ", ".join(str(entry.get("name")) for entry in over if isinstance(entry, dict))
                found.append(f"The style {style.name} was captured over the LoRA {shown(names)}; give it too (--lora).")
        return found


PLAIN = Loading()


@dataclass(frozen=True)
class Ready:
    """A base as pictures are made with it, and what a recipe says of how it was prepared; nothing of a plain one."""

    base: BaseModel
    entries: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ingredients:
    """Styles, the paths or names they were asked for by, and the base: None is the styles' own.

    `beside` are further styles that are made with the same base, as those of regions.
    """

    styles: list[Style]
    paths: list[str | None]
    base: BaseLike | None
    loading: Loading
    beside: Sequence[Style] = ()

    @classmethod
    def of(
        cls,
        styles: StyleLike | Sequence[StyleLike],
        base: BaseLike | None,
        loading: Loading,
        beside: Sequence[Style] = (),
    ) -> Self:
        """Open styles; for files of other programs the base is loaded first, for all others only when it is needed.

        Raises: ConfigError for no style, or a file of another program without a base; StyleFileError.
        """
        wanted = [styles] if isinstance(styles, StyleLike) else list(styles)
        if not wanted and not beside:
            raise ConfigError("There is no style; give a style file or the name of a shipped style.")
        paths = [None if isinstance(style, Style) else str(style) for style in wanted]
        foreign = next((path for style, path in zip(wanted, paths, strict=True) if is_foreign(style)), None)
        if foreign is None:
            return cls([open_style(style) for style in wanted], paths, base, loading, beside)
        if base is None:
            raise ConfigError(
                f"{Path(foreign).name} is a LoRA or a textual inversion, which does not say what base it is for; give "
                "that base with --base (in Python base=)."
            )
        loaded = loading.base(base)
        return cls([opened_with(style, loaded) for style in wanted], paths, loaded, loading, beside)

    @property
    def first(self) -> Style:
        """The style whose base and family count where none is named."""
        return [*self.styles, *self.beside][0]

    @property
    def files(self) -> list[str]:
        """What was read: styles and LoRAs that were asked for by a path or a name."""
        return [*(path for path in self.paths if path is not None), *self.loading.files]

    @contextmanager
    def ready(self) -> Iterator[Ready]:
        """The base, loaded, with the LoRAs on it for a while."""
        with self.loading.carrying(self.loading.base(self.base, self.first)) as ready:
            yield ready

    @property
    def notices(self) -> list[str]:
        """Lines about what the styles were made for and is not given, or what of them is not used."""
        return self.loading.notices(self.styles)


def _path(entry: LoraLike) -> str | None:
    given = entry[0] if isinstance(entry, tuple) else entry
    return given.path if isinstance(given, LoraFile) else str(given)

"""The bases the app may use: found, described in plain words before anything starts, loaded once."""

import re
import struct
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from sigstyle.base.devices import check_memory, default_device, default_dtype, free_bytes, low_dtype
from sigstyle.base.memory import give_back
from sigstyle.base.model import EMBEDDED, EMBEDDED_FOLDER, BaseModel, default_size_px, load_base
from sigstyle.base.speed import Speed
from sigstyle.config import CaptureConfig, TransferConfig
from sigstyle.doctor import ESTIMATE_SIZE_PX, cached_bases, measured_tflops
from sigstyle.errors import ConfigError
from sigstyle.learning.bank import LARGEST_WINDOW, SMALLEST_WINDOW
from sigstyle.learning.cost import capture_cost
from sigstyle.painting.cost import picture_s, transfer_cost
from sigstyle.studio.folder import DataFolder
from sigstyle.studio.words import duration, memory
from sigstyle.text import parsed_json

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
_FORWARD_TFLOP = 0.803  # one SD 1.5 UNet evaluation at 512 px, by its 860 million parameters
_FORWARD_PARAMETERS = 860e6
_ENCODING, _DECODING = 1.6, 3.7  # what its autoencoder takes beside that: 1.08 and 2.48 TFLOP against 0.68, counted
_SHARE_OF_PEAK = 0.5  # of a plain matrix product's speed that a UNet reaches
_WORKING_BYTES = 1.5e9  # program and activations at 512 px
_LOADED_AT_ONCE = 2


@dataclass(frozen=True)
class BaseChoice:
    """A base that is there. Units: parameters counts numbers, 0 when unknown."""

    key: str
    label: str
    parameters: int

    @property
    def name(self) -> str:
        """What it is called outside: the key, which for a file or folder of this computer is its name alone."""
        return Path(self.key).name if Path(self.key).exists() else self.key


class Bases:
    """Bases by key: 'mini', a path below the models folder, the one the app was started with, or a hub id."""

    def __init__(
        self,
        folder: DataFolder,
        first: str = EMBEDDED,
        device: str | torch.device | None = None,
        may_download: bool = True,
        memory_use: str = "auto",
    ) -> None:
        check_memory(memory_use)
        self.folder, self.first, self.may_download, self.memory_use = folder, first, may_download, memory_use
        self.device = torch.device(device) if device is not None else default_device()
        self.speeds: dict[str, Speed] = {}  # measured at 512 px
        self._paces: dict[str, tuple[Speed, float]] = {}  # at which speed, and how much longer the last picture took
        self._loaded: OrderedDict[str, BaseModel] = OrderedDict()

    @cached_property
    def _cached(self) -> dict[str, Path]:
        return {entry["base"]: Path(entry["where"]) for entry in cached_bases()}

    def _fetched(self) -> dict[str, Path]:
        """Hub ids that this app has downloaded."""
        return {entry["base"]: Path(entry["where"]) for entry in cached_bases(self.folder.folder("models") / "hub")}

    def choices(self) -> list[BaseChoice]:
        """What can be used without any download."""
        found = {self.first: _label(self.first), EMBEDDED: "mini · comes with the app"}
        models = self.folder.folder("models")
        for path in sorted(models.iterdir()):
            if (path / "unet").is_dir() or path.suffix == ".safetensors":
                found[str(path)] = f"{path.name} · in the models folder"
        found |= {key: f"{key} · downloaded earlier" for key in (*self._cached, *self._fetched())}
        return [BaseChoice(key, label, self._parameters(key)) for key, label in found.items()]

    def check(self, name: str) -> str:
        """The key of what is called `name`, when the app may try to load it.

        Raises: ConfigError, which says what is possible instead.
        """
        key = "".join(letter for letter in name if letter.isprintable()).strip()
        for choice in self.choices():
            if key in (choice.key, choice.name):
                return choice.key
        models = self.folder.folder("models")
        if (models / key).resolve().parent == models and (models / key).exists():
            return str(models / key)
        if not _HUB_ID.fullmatch(key) or Path(key).exists():
            raise ConfigError(
                f"There is no base {key!r}. Put a diffusers folder or .safetensors checkpoint of Stable Diffusion 1.x, "
                "2.x or XL into the app's folder models, start the app with --base PATH, or give a hub id such as "
                "owner/name."
            )
        if not self.may_download:
            raise ConfigError("Downloads are off while strangers can reach this app. Choose from the list.")
        return key

    def get(self, key: str) -> BaseModel:
        """The base, loaded at its first use; call this in the lane. Raises: ConfigError."""
        if key not in self._loaded:
            while len(self._loaded) >= _LOADED_AT_ONCE:
                self._loaded.popitem(last=False)
            fetched = key not in self._cached and _HUB_ID.fullmatch(key) and not Path(key).exists()
            cache = self.folder.folder("models") / "hub" if fetched else None
            self._loaded[key] = load_base(key, self.device, cache=cache, memory=self.memory_use)
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def use_memory(self, how: str) -> None:
        """Load bases otherwise from now on, 'auto', 'low' or 'high'; call this in the lane. Raises: ConfigError."""
        check_memory(how)
        if how != self.memory_use:
            self.memory_use = how
            self._loaded.clear()
            self.speeds.clear()
            give_back()

    def loaded(self, key: str) -> BaseModel | None:
        """The base if it is in memory."""
        return self._loaded.get(key)

    def words(self, key: str) -> str:
        """What using this base takes, in plain words."""
        choice = next((choice for choice in self.choices() if key in (choice.key, choice.name)), None)
        if choice is None:
            return (
                f"{key} is not on this computer. Loading it downloads about 2 to 5 GB from the Hugging Face hub "
                "once; afterwards it works offline."
            )
        key, free = choice.key, free_bytes(self.device)
        needed = self._weights_bytes(choice) + _WORKING_BYTES
        lines = [f"{choice.label}: about {memory(needed)} of memory ({memory(free)} are free now)."]
        speed = self._speed(choice)
        guess = "measured here" if key in self.speeds else "a rough guess"
        painting = speed.seconds(transfer_cost(TransferConfig()).evaluations, encodings=1, decodings=1)
        lines.append(
            f"On {self.device} a picture takes about {duration(painting)}, learning a style about "
            f"{duration(self.learning_s(key, CaptureConfig()))} ({guess})."
        )
        loaded = self.loaded(key)
        if loaded is not None:
            spared = ", one network at a time on the card" if loaded.offloaded else ""
            kind = str(loaded.dtype).removeprefix("torch.")
            lines.append(f"Its weights take {memory(bytes_of(loaded))} in {kind}{spared}.")
        if needed > free and loaded is None:
            lines.append("That is more memory than is free: close other programs, or stay with mini.")
        return " ".join(lines)

    def learning_s(self, key: str, config: CaptureConfig) -> float:
        """Seconds that learning a style takes about, on a base that is there."""
        speed = self._speed(next(choice for choice in self.choices() if choice.key == key))
        latents = SMALLEST_WINDOW if key == EMBEDDED else LARGEST_WINDOW
        window = speed.scaled((8 * latents / 512) ** 2)
        crop = speed.scaled(0.25) if key == EMBEDDED else speed  # trained at 256 px, a quarter of the pixels
        return capture_cost(config).seconds(crop, window, speed)

    def _weights_bytes(self, choice: BaseChoice) -> float:
        """What the weights of a base take: counted where it is loaded, else by their number."""
        loaded = self.loaded(choice.key)
        kind = low_dtype(self.device) if self.memory_use == "low" else default_dtype(self.device)
        return choice.parameters * kind.itemsize if loaded is None else bytes_of(loaded)

    def of_fingerprint(self, fingerprint: str) -> str | None:
        """The key of the base of this fingerprint, where it is in memory."""
        return next((key for key, base in list(self._loaded.items()) if base.fingerprint == fingerprint), None)

    def usual_px(self, key: str) -> int:
        """The short side a base works at where no size is asked for; the embedded one's while it is not loaded."""
        base = self.loaded(key)
        return ESTIMATE_SIZE_PX if base is None else default_size_px(base)

    def painting_s(self, key: str, config: TransferConfig, photo: tuple[int, int], styles: int = 1) -> float | None:
        """Seconds that a photo of (width, height) takes about in so many styles; None on a base that is not loaded.

        By the base's speed, and by how long the last picture took here against what that speed says.
        """
        base = self.loaded(key)
        if base is None:
            return None
        speed = self._speed(next(choice for choice in self.choices() if choice.key == key))
        pace = self._paces.get(key, (speed, 1.0))
        return styles * picture_s(config, base, photo, speed) * (pace[1] if pace[0] == speed else 1.0)

    def took(self, key: str, config: TransferConfig, photo: tuple[int, int], styles: int, seconds: float) -> None:
        """Notes how long a picture took, for `painting_s`."""
        base = self.loaded(key)
        if base is not None:
            speed = self._speed(next(choice for choice in self.choices() if choice.key == key))
            self._paces[key] = speed, seconds / max(1e-6, styles * picture_s(config, base, photo, speed))

    def _speed(self, choice: BaseChoice) -> Speed:
        return self.speeds.get(choice.key) or self._guessed(choice.parameters)

    @cached_property
    def _speed_tflops(self) -> float:
        measured = measured_tflops(self.device, torch.float16 if self.device.type == "cuda" else torch.float32)
        return measured if isinstance(measured, float) else 0.1

    def _guessed(self, parameters: int) -> Speed:
        """A guess at the speed at 512 px, from the number of parameters and this machine's speed."""
        work = _FORWARD_TFLOP * max(parameters, 1) / (_FORWARD_PARAMETERS * 1.25)
        evaluation_s = work / (self._speed_tflops * _SHARE_OF_PEAK)
        return Speed(evaluation_s, _ENCODING * evaluation_s, _DECODING * evaluation_s)

    def _parameters(self, key: str) -> int:
        path = EMBEDDED_FOLDER if key == EMBEDDED else {**self._cached, **self._fetched()}.get(key, Path(key))
        return count_parameters(path)


def bytes_of(base: BaseModel) -> int:
    """Bytes of all weights of a base."""
    return sum(tensor.nbytes for network in base.modules for tensor in network.state_dict().values())


def _label(key: str) -> str:
    return f"{Path(key).name} · given at the start"


def count_parameters(path: Path) -> int:
    """How many numbers the weights at a folder or a .safetensors file hold, from their headers alone."""
    files = [path] if path.is_file() else [file for part in _PARTS for file in path.rglob(f"{part}/*.safetensors")]
    return sum(_numbers_in(file) for file in files)


def _numbers_in(file: Path) -> int:
    try:
        with file.open("rb") as opened:
            size = struct.unpack("<Q", opened.read(8))[0]
            header = parsed_json(opened.read(min(size, 2**26)))
        shapes = [entry["shape"] for key, entry in header.items() if key != "__metadata__"]
        return sum(int(torch.Size(shape).numel()) for shape in shapes)
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return 0

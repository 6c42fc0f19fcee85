"""Offsets on UNet weights, while training and while painting: the only code that touches those weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sigstyle.base.wrapped import bare
from sigstyle.errors import ConfigError
from sigstyle.style.offsets import Added, Offset, mix

Offsets = Mapping[str, Offset]


class _Styled(nn.Module):
    """A parametrization that reads its offset from a slot shared with `training`."""

    def __init__(self, slot: dict[str, Offset], path: str) -> None:
        super().__init__()
        self._slot, self._path = slot, path
        self.on = True

    def forward(self, weight: Tensor) -> Tensor:
        return self._slot[self._path].apply(weight) if self.on else weight


def _layer(unet: nn.Module, path: str) -> nn.Module:
    """The module at `path`, in a compiled UNet and inside an adapter too.

    Raises: ConfigError when there is none with a weight.
    """
    try:
        layer = bare(getattr(unet, "_orig_mod", unet).get_submodule(path))
    except AttributeError:
        layer = None
    if layer is None or not isinstance(getattr(layer, "weight", None), Tensor):
        raise ConfigError(f"This base's UNet has no layer {path}; use the base the style was captured on.")
    return layer


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Within the context no parameter of `modules` asks for gradients; afterwards each asks as it did."""
    asked = [(p, p.requires_grad) for module in modules for p in module.parameters()]
    try:
        for parameter, _ in asked:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, flag in asked:
            parameter.requires_grad_(flag)


@contextmanager
def training(unet: nn.Module, make_offsets: Callable[[], Offsets]) -> Iterator[Callable[[], None]]:
    """Attach differentiable offsets to the UNet; yields `refresh`, to be called once before each step.

    `refresh` evaluates `make_offsets` (a StyleHypernet, say), whose result holds until the next call, so a
    checkpointed recomputation sees the same weights. The UNet's own parameters are frozen meanwhile, and come back
    as they were. Raises: ConfigError when a layer is missing.
    """
    slot = dict(make_offsets())
    layers = {path: _layer(unet, path) for path in slot}
    with ExitStack() as undo:
        undo.enter_context(frozen(unet))
        for path, layer in layers.items():
            undo.callback(_reorder, layer, [name for name, _ in layer.named_parameters(recurse=False)])
            parametrize.register_parametrization(layer, "weight", _Styled(slot, path), unsafe=True)
            undo.callback(parametrize.remove_parametrizations, layer, "weight", leave_parametrized=False)
        yield lambda: slot.update(make_offsets())


@contextmanager
def unstyled(module: nn.Module) -> Iterator[None]:
    """Within the context the weights that `training` styles are the base's own."""
    found = [part for part in module.modules() if isinstance(part, _Styled) and part.on]
    try:
        for part in found:
            part.on = False
        yield
    finally:
        for part in found:
            part.on = True


def _reorder(layer: nn.Module, names: Sequence[str]) -> None:
    """Bring a layer's parameters back into this order, which a parametrization leaves changed."""
    for name in names:
        parameter = layer.get_parameter(name)
        delattr(layer, name)
        layer.register_parameter(name, parameter)


@contextmanager
def styled(unet: nn.Module, styles: Sequence[tuple[Offsets, float]]) -> Iterator[None]:
    """Within the context the UNet's weights carry `styles`, pairs of (offsets by path, strength).

    Weights become `W * (1 + sum of strength * delta)` in place, and then plus what is added, so a compiled UNet sees
    them; afterwards they are bit-equal to what they were, also after an exception.
    Raises: ConfigError when a layer is missing or has another shape, with nothing changed.
    """
    weights = {path: (base_weight(unet, path), offsets) for path, offsets in _mixed(styles).items()}
    kept = {path: weight.detach().clone() for path, (weight, _) in weights.items()}
    try:
        with torch.no_grad():
            for weight, offsets in weights.values():
                for offset in offsets:
                    weight.copy_(offset.apply(weight))
        yield
    finally:
        with torch.no_grad():
            for path, (weight, _) in weights.items():
                weight.copy_(kept[path])


def base_weight(unet: nn.Module, path: str) -> Tensor:
    """The weight at `path`, as it is now. Raises: ConfigError when there is none."""
    return _layer(unet, path).weight  # type: ignore[return-value]


def _mixed(styles: Sequence[tuple[Offsets, float]]) -> dict[str, list[Offset]]:
    """What each layer gets that some style with a strength other than 0 reaches: one to multiply, one to add."""
    found: dict[str, dict[type[Offset], list[tuple[Offset, float]]]] = {}
    for offsets, strength in styles:
        for path, offset in offsets.items() if strength else ():
            found.setdefault(path, {}).setdefault(type(offset), []).append((offset, strength))
    return {
        path: [mix(*zip(*kinds[kind], strict=True)) for kind in (Offset, Added) if kind in kinds]
        for path, kinds in found.items()
    }

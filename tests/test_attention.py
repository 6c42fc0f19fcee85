"""Recording and swapping: what changes, what does not, and that everything comes back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from conftest import make_unet
from torch import Tensor

from sigstyle.base.model import BaseModel
from sigstyle.diffusion.attention import Projections, recorded, recording, self_attention_layers
from sigstyle.diffusion.attention_reference import Refer
from sigstyle.diffusion.attention_swap import Swap
from sigstyle.diffusion.step_attention import Combined, Shown, StepAttention

TIMESTEP = torch.tensor(500)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def evaluate(unet: Any, latents: Tensor, **more: Any) -> Tensor:
    embeds = noise(1, 7, unet.config.cross_attention_dim, seed=9).expand(len(latents), -1, -1)
    with torch.no_grad():
        return unet(latents, TIMESTEP, embeds, **more).sample


@contextmanager
def hooked_queries(unet: Any, make: Any) -> Iterator[None]:
    """An independent way to change queries: forward hooks on the projections."""
    handles = [
        unet.get_submodule(f"{path}.to_q").register_forward_hook(
            lambda _module, _args, output, path=path: make(path, output)
        )
        for path in self_attention_layers(unet)
    ]
    yield
    for handle in handles:
        handle.remove()


def own_queries(unet: Any, latents: Tensor) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    with hooked_queries(unet, lambda path, output: found.update({path: output})):
        evaluate(unet, latents)
    return found


def test_layers_are_all_self_attention_layers_of_the_unet(base: BaseModel) -> None:
    layers = self_attention_layers(base.unet)
    assert len(layers) == 7  # 2 down, 1 mid, 2 x 2 up
    assert all(path.endswith("attn1") for path in layers)
    assert {path.split(".")[0] for path in layers} == {"down_blocks", "mid_block", "up_blocks"}


class Still(StepAttention):
    """Steers these layers, and does nothing to them."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def layers(self, unet: Any) -> list[str]:
        return self.paths

    def prepare(self, step: int, timestep: int, rows: int) -> None:
        """Nothing to do."""


def swapping(unet: Any, projections: Mapping[str, Projections]) -> Any:
    """The context in which an evaluation of one image has these swapped in."""
    return prepared(unet, Swap({0: projections}))


@contextmanager
def prepared(unet: Any, attention: StepAttention) -> Iterator[None]:
    with attention.installed(unet):
        attention.prepare(0, 0, rows=1)
        yield


def still(unet: Any, layers: list[str]) -> Any:
    """The context in which these layers are steered nowhere."""
    return Still(layers).installed(unet)


@pytest.mark.parametrize("install", [recording, still])
def test_with_empty_slots_nothing_changes(base: BaseModel, install: Any) -> None:
    latents = noise(2, 4, 8, 8)
    plain = evaluate(base.unet, latents)
    with install(base.unet, self_attention_layers(base.unet)):
        assert torch.equal(evaluate(base.unet, latents), plain)


def test_an_attention_mask_is_obeyed(base: BaseModel) -> None:
    path = self_attention_layers(base.unet)[0]
    layer = base.unet.get_submodule(path)
    hidden, mask = noise(2, 64, 16), noise(2, 1, 64, seed=1)
    plain = layer(hidden, attention_mask=mask)
    with still(base.unet, [path]):
        assert torch.equal(layer(hidden, attention_mask=mask), plain)
        assert not torch.equal(layer(hidden), plain)


def test_what_is_recorded_is_what_the_projections_gave(base: BaseModel) -> None:
    layers = self_attention_layers(base.unet)
    latents = noise(1, 4, 8, 8)
    with recording(base.unet, layers, keys=True) as recorders:
        evaluate(base.unet, latents)
        features = recorded(recorders)
        assert recorded(recorders) == {}  # slots are emptied
    queries = own_queries(base.unet, latents)
    assert list(features) == layers
    for path, found in features.items():
        assert torch.equal(found.query, queries[path])
        assert found.key is not None and found.key.shape == found.query.shape
    with recording(base.unet, layers[:1]) as recorders:
        evaluate(base.unet, latents)
        assert recorded(recorders)[layers[0]].key is None


@pytest.mark.parametrize("keys", [False, True])
def test_an_images_own_features_change_nothing(base: BaseModel, keys: bool) -> None:
    layers = self_attention_layers(base.unet)
    latents = noise(1, 4, 8, 8)
    with recording(base.unet, layers, keys) as recorders:
        plain = evaluate(base.unet, latents)
        features = recorded(recorders)
    with swapping(base.unet, features):
        torch.testing.assert_close(evaluate(base.unet, latents), plain)


def test_only_the_conditional_half_is_swapped(base: BaseModel) -> None:
    unet = base.unet
    both, other = noise(2, 4, 8, 8), noise(1, 4, 8, 8, seed=1)
    plain = evaluate(unet, both)
    queries = own_queries(unet, other)
    with swapping(unet, {path: Projections(query) for path, query in queries.items()}):
        swapped = evaluate(unet, both)
    with hooked_queries(unet, lambda path, output: torch.cat([output[:1], queries[path]])):
        by_hand = evaluate(unet, both)
    torch.testing.assert_close(swapped[0], plain[0])
    torch.testing.assert_close(swapped, by_hand)
    assert (swapped[1] - plain[1]).abs().max() > 1e-4


def test_swapped_keys_count_too(base: BaseModel) -> None:
    layers = self_attention_layers(base.unet)
    latents, other = noise(1, 4, 8, 8), noise(1, 4, 8, 8, seed=1)
    with recording(base.unet, layers, keys=True) as recorders:
        evaluate(base.unet, other)
        features = recorded(recorders)
    outputs = []
    for chosen in (features, {path: Projections(found.query) for path, found in features.items()}):
        with swapping(base.unet, chosen):
            outputs.append(evaluate(base.unet, latents))
    assert not torch.equal(*outputs)


def test_layers_and_steps_without_a_recording_keep_their_own(base: BaseModel) -> None:
    latents = noise(1, 4, 8, 8)
    recording_of_step_0 = {path: Projections(q) for path, q in own_queries(base.unet, latents * 2).items()}
    swap, plain = Swap({0: recording_of_step_0}), evaluate(base.unet, latents)
    with swap.installed(base.unet):
        swap.prepare(0, 0, rows=1)
        assert not torch.equal(evaluate(base.unet, latents), plain)
        swap.prepare(1, 1, rows=1)
        assert torch.equal(evaluate(base.unet, latents), plain)


@pytest.mark.parametrize("install", [recording, still])
def test_processors_come_back_as_the_same_objects(base: BaseModel, install: Any) -> None:
    before = dict(base.unet.attn_processors)
    with install(base.unet, self_attention_layers(base.unet)):
        assert base.unet.attn_processors != before
    assert all(base.unet.attn_processors[name] is processor for name, processor in before.items())
    with pytest.raises(KeyboardInterrupt), install(base.unet, self_attention_layers(base.unet)):
        raise KeyboardInterrupt
    assert all(base.unet.attn_processors[name] is processor for name, processor in before.items())


def test_a_compiled_unet_swaps_the_same() -> None:
    small = {"down_block_types": ("CrossAttnDownBlock2D",), "up_block_types": ("CrossAttnUpBlock2D",)}
    unet = make_unet(block_out_channels=(8,), mid_block_type=None, **small).eval()
    compiled = torch.compile(unet, backend="eager")
    latents = noise(1, 4, 8, 8)
    features = {path: Projections(query) for path, query in own_queries(unet, latents * 2).items()}
    outputs = []
    for model in (unet, compiled):
        swap = Swap({0: features})
        with swap.installed(model):
            outputs.append(evaluate(model, latents))
            swap.prepare(0, 0, rows=1)
            outputs.append(evaluate(model, latents))
    torch.testing.assert_close(outputs[:2], outputs[2:])
    assert not torch.equal(outputs[0], outputs[1])


def test_several_act_at_once_and_two_of_a_kind_are_refused(base: BaseModel) -> None:
    latents, other = noise(1, 4, 8, 8), noise(1, 4, 8, 8, seed=1)
    layers = self_attention_layers(base.unet)
    with recording(base.unet, layers, keys=True, values=True) as recorders:
        evaluate(base.unet, other)
        found = recorded(recorders)
    shown = {path: [Shown(each.key, each.value, 0.5)] for path, each in found.items()}  # type: ignore[arg-type]
    swap, refer = Swap({0: found}), Refer(layers, lambda _step, _timestep: shown)
    outputs = [evaluate(base.unet, latents)]
    for attention in (swap, refer, Combined(swap, refer), Combined(refer, swap)):
        with prepared(base.unet, attention):
            outputs.append(evaluate(base.unet, latents))
        assert not attention.processors and not swap.processors
    assert torch.equal(outputs[3], outputs[4])
    assert all(not torch.equal(a, b) for i, a in enumerate(outputs[:4]) for b in outputs[:i])
    with pytest.raises(ValueError, match=r"two of one kind among \['Swap', 'Swap'\]"):
        Combined(swap, Swap({}))

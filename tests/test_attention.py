"""Recording and swapping: what changes, what does not, and that everything comes back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from conftest import make_unet
from torch import Tensor

from sigstyle.base.model import BaseModel
from sigstyle.diffusion.attention import Features, fill, recorded, recording, self_attention_layers, swapping

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


@pytest.mark.parametrize("install", [recording, swapping])
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
    with swapping(base.unet, [path]):
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
    with swapping(base.unet, layers) as swappers:
        fill(swappers, features, rows=1)
        torch.testing.assert_close(evaluate(base.unet, latents), plain)


def test_only_the_conditional_half_is_swapped(base: BaseModel) -> None:
    unet, layers = base.unet, self_attention_layers(base.unet)
    both, other = noise(2, 4, 8, 8), noise(1, 4, 8, 8, seed=1)
    plain = evaluate(unet, both)
    queries = own_queries(unet, other)
    with swapping(unet, layers) as swappers:
        fill(swappers, {path: Features(query) for path, query in queries.items()}, rows=1)
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
    for chosen in (features, {path: Features(found.query) for path, found in features.items()}):
        with swapping(base.unet, layers) as swappers:
            fill(swappers, chosen, rows=1)
            outputs.append(evaluate(base.unet, latents))
    assert not torch.equal(*outputs)


def test_layers_without_features_keep_their_own(base: BaseModel) -> None:
    layers = self_attention_layers(base.unet)
    latents = noise(1, 4, 8, 8)
    with swapping(base.unet, layers) as swappers:
        fill(swappers, {path: Features(q) for path, q in own_queries(base.unet, latents * 2).items()}, rows=1)
        fill(swappers, {}, rows=1)
        swapped = evaluate(base.unet, latents)
    assert torch.equal(swapped, evaluate(base.unet, latents))


@pytest.mark.parametrize("install", [recording, swapping])
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
    compiled: Any = torch.compile(unet, backend="eager")
    latents = noise(1, 4, 8, 8)
    features = {path: Features(query) for path, query in own_queries(unet, latents * 2).items()}
    outputs = []
    for model in (unet, compiled):
        with swapping(model, self_attention_layers(model)) as swappers:
            outputs.append(evaluate(model, latents))
            fill(swappers, features, rows=1)
            outputs.append(evaluate(model, latents))
    torch.testing.assert_close(outputs[:2], outputs[2:])
    assert not torch.equal(outputs[0], outputs[1])

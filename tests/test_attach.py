from collections.abc import Mapping
from typing import Any, cast

import pytest
import torch
from conftest import TEXT_DIM, digest, make_unet
from diffusers import UNet2DConditionModel
from peft import HiraConfig, inject_adapter_in_model
from torch import Tensor, nn

from sigstyle.errors import ConfigError
from sigstyle.style.attach import frozen, styled, training
from sigstyle.style.hypernet import StyleHypernet
from sigstyle.style.offsets import Offset
from sigstyle.style.targets import target_layers


def random_offsets(
    unet: UNet2DConditionModel, group: str = "attention", rank: int = 3, scale: float = 0.3
) -> dict[str, Offset]:
    return {
        path: Offset(scale * torch.randn(fan_out, rank), scale * torch.randn(rank, fan_in))
        for path, (fan_out, fan_in) in target_layers(unet, group).items()
    }


def evaluate(unet: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    sample = torch.randn(1, 4, 8, 8, generator=generator)
    text = torch.randn(1, 7, TEXT_DIM, generator=generator)
    return unet(sample, torch.tensor([400]), encoder_hidden_states=text).sample


@pytest.fixture
def unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return make_unet().eval()


@torch.no_grad()
@pytest.mark.parametrize("group", ["attention", "decoder"])
def test_styled_multiplies_the_weights_and_restores_every_bit(unet: UNet2DConditionModel, group: str) -> None:
    offsets, before, plain = random_offsets(unet, group), digest(unet), evaluate(unet)
    weights = {path: unet.get_parameter(f"{path}.weight").clone() for path in offsets}
    with styled(unet, [(offsets, 0.7)]):
        for path, weight in weights.items():
            assert torch.allclose(unet.get_parameter(f"{path}.weight"), offsets[path].apply(weight, 0.7), atol=1e-6)
        assert not torch.allclose(evaluate(unet), plain)
    assert digest(unet) == before
    assert torch.equal(evaluate(unet), plain)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_styled_restores_after_an_exception(unet: UNet2DConditionModel, error: type[BaseException]) -> None:
    before = digest(unet)
    with pytest.raises(error), styled(unet, [(random_offsets(unet), 1.0)]):
        raise error
    assert digest(unet) == before


def test_styled_keeps_the_same_parameters(unet: UNet2DConditionModel) -> None:
    before = {name: (id(p), p.data_ptr(), p.requires_grad) for name, p in unet.named_parameters()}
    with styled(unet, [(random_offsets(unet), 1.0)]):
        assert {name: (id(p), p.data_ptr(), p.requires_grad) for name, p in unet.named_parameters()} == before


@torch.no_grad()
def test_strength_zero_is_the_base_bit_for_bit(unet: UNet2DConditionModel) -> None:
    plain = evaluate(unet)
    with styled(unet, [(random_offsets(unet), 0.0)]):
        assert torch.equal(evaluate(unet), plain)


@torch.no_grad()
def test_several_styles_add_up_and_opposites_cancel(unet: UNet2DConditionModel) -> None:
    offsets, plain = random_offsets(unet), evaluate(unet)
    with styled(unet, [(offsets, 0.25), (offsets, 0.75)]):
        mixed = evaluate(unet)
    with styled(unet, [(offsets, 1.0)]):
        assert torch.allclose(evaluate(unet), mixed, atol=1e-5)
    with styled(unet, [(offsets, 1.0), (offsets, -1.0)]):
        assert torch.allclose(evaluate(unet), plain, atol=1e-5)


def test_styles_can_be_nested(unet: UNet2DConditionModel) -> None:
    before = digest(unet)
    with styled(unet, [(random_offsets(unet), 1.0)]):
        outer = digest(unet)
        with styled(unet, [(random_offsets(unet), 1.0)]):
            pass
        assert digest(unet) == outer
    assert digest(unet) == before


@pytest.mark.parametrize(
    "offsets",
    [
        {"up_blocks.9.nothing": Offset(torch.ones(4, 1), torch.ones(1, 4))},
        {"conv_in": Offset(torch.ones(4, 1), torch.ones(1, 4))},
    ],
)
def test_offsets_that_do_not_fit_change_nothing(unet: UNet2DConditionModel, offsets: Mapping[str, Offset]) -> None:
    before = digest(unet)
    with pytest.raises(ConfigError), styled(unet, [(random_offsets(unet), 1.0), (offsets, 1.0)]):
        pass
    assert digest(unet) == before


@torch.no_grad()
def test_a_compiled_unet_sees_the_style(unet: UNet2DConditionModel) -> None:
    offsets = random_offsets(unet)
    compiled = cast(nn.Module, torch.compile(unet, backend="eager"))
    plain = evaluate(compiled)
    with styled(unet, [(offsets, 1.0)]):
        expected = evaluate(unet)
    with styled(compiled, [(offsets, 1.0)]):
        assert torch.allclose(evaluate(compiled), expected, atol=1e-6)
    assert torch.allclose(evaluate(compiled), plain, atol=1e-6)


@torch.no_grad()
def test_training_and_styled_give_the_same_weights_and_outputs(unet: UNet2DConditionModel) -> None:
    offsets = random_offsets(unet)
    with styled(unet, [(offsets, 1.0)]):
        merged = evaluate(unet)
    with training(unet, lambda: offsets):
        assert torch.equal(evaluate(unet), merged)


def test_training_gives_the_same_parameters_back(unet: UNet2DConditionModel) -> None:
    unet.get_parameter("conv_in.weight").requires_grad_(False)
    before, state = digest(unet), {name: (id(p), p.requires_grad) for name, p in unet.named_parameters()}
    types = {name: type(module) for name, module in unet.named_modules()}
    with pytest.raises(RuntimeError), training(unet, lambda: random_offsets(unet)):
        raise RuntimeError
    assert digest(unet) == before
    assert {name: (id(p), p.requires_grad) for name, p in unet.named_parameters()} == state
    assert {name: type(module) for name, module in unet.named_modules()} == types


def test_training_reaches_the_hypernetwork_and_nothing_else(unet: UNet2DConditionModel) -> None:
    hypernet = StyleHypernet(target_layers(unet))
    with training(unet, hypernet) as refresh:
        refresh()
        evaluate(unet).square().mean().backward()
    assert any(p.grad is not None and p.grad.any() for p in hypernet.parameters())
    assert all(p.grad is None for p in unet.parameters())


def test_gradients_are_exact_under_checkpointing(unet: UNet2DConditionModel) -> None:
    hypernet = StyleHypernet(target_layers(unet))
    gradients = []
    for checkpointed in (False, True):
        hypernet.zero_grad()
        if checkpointed:
            unet.enable_gradient_checkpointing()
            unet.train()
        with training(unet, hypernet):
            evaluate(unet).square().mean().backward()
        gradients.append([p.grad.clone() for p in hypernet.parameters() if p.grad is not None])
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(*gradients, strict=True))


def test_frozen_restores_each_flag() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    with pytest.raises(RuntimeError), frozen(layer):
        assert not any(p.requires_grad for p in layer.parameters())
        raise RuntimeError
    assert layer.weight.requires_grad and not layer.bias.requires_grad


@torch.no_grad()
def test_the_same_form_as_pefts_hira(unet: UNet2DConditionModel) -> None:
    paths = [path for path in target_layers(unet) if path.endswith("to_q")]
    ours = {path: offset for path, offset in random_offsets(unet).items() if path in paths}
    with styled(unet, [(ours, 1.0)]):
        merged = evaluate(unet)
    inject_adapter_in_model(HiraConfig(r=3, target_modules=paths, hira_dropout=0.0), unet)
    for path, offset in ours.items():
        layer: Any = unet.get_submodule(path)
        layer.hira_A["default"].copy_(offset.down)
        layer.hira_B["default"].copy_(offset.up)
    assert torch.allclose(evaluate(unet), merged, atol=1e-5)

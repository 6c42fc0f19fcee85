from pathlib import Path

import pytest
import torch
from conftest import make_unet
from diffusers import UNet2DConditionModel

from sigstyle.base.prompts import StyleToken
from sigstyle.errors import ConfigError
from sigstyle.style.offsets import Offset
from sigstyle.style.style import Style
from sigstyle.style.targets import target_layers


def test_attention_is_q_k_v_of_both_attentions_in_the_decoder_only() -> None:
    layers = target_layers(make_unet(), "attention")
    blocks = 2 * 2  # two up blocks with attention, two layers each
    assert len(layers) == blocks * 2 * 3
    assert all(path.startswith("up_blocks.") for path in layers)
    assert {path.rsplit(".", 1)[1] for path in layers} == {"to_q", "to_k", "to_v"}
    assert {path.split(".")[-2] for path in layers} == {"attn1", "attn2"}


def test_stable_diffusion_1_5_has_54_layers() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
    layers = target_layers(unet)
    assert len(layers) == 54
    numbers = sum(3 * (fan_out + fan_in) for fan_out, fan_in in layers.values())
    assert 2 * numbers < 0.5 * 2**20


@pytest.mark.parametrize(
    ("group", "rank", "megabytes"),
    [("attention", 3, 0.7), ("attention+out", 3, 0.7), ("decoder", 1, 0.9), ("auto", 3, 1)],
)
def test_a_style_of_stable_diffusion_1_5_stays_under_a_megabyte(
    group: str, rank: int, megabytes: float, tmp_path: Path
) -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
    layers = target_layers(unet, group, rank).items()
    offsets = {path: Offset(torch.rand(fan_out, rank), torch.rand(rank, fan_in)) for path, (fan_out, fan_in) in layers}
    token, mean, std = StyleToken("<wave>", torch.rand(1, 768)), torch.rand(4), torch.rand(4)
    style = Style("wave", token, offsets, "painting", "0-0", "sd", mean, std, mean.clone(), std.clone())
    style.save(tmp_path / "style.safetensors")
    assert (tmp_path / "style.safetensors").stat().st_size < megabytes * 1e6


def test_shapes_are_those_of_the_flattened_weights() -> None:
    unet = make_unet()
    for path, shape in target_layers(unet, "decoder").items():
        assert unet.get_parameter(f"{path}.weight").flatten(1).shape == shape


def test_groups_grow() -> None:
    unet = make_unet()
    paper, attention, out, decoder = (
        set(target_layers(unet, group)) for group in ("paper", "attention", "attention+out", "decoder")
    )
    assert paper == attention < out < decoder
    assert {path.rsplit(".", 1)[1] for path in decoder - out} == {"conv1", "conv2"}


def test_auto_is_the_whole_decoder_where_that_stays_small() -> None:
    tiny = make_unet()
    with torch.device("meta"):
        large = UNet2DConditionModel(cross_attention_dim=768)
    assert target_layers(tiny, "auto") == target_layers(tiny, "decoder")
    assert target_layers(large, "auto") == target_layers(large, "attention")
    assert target_layers(large, "auto", rank=1) == target_layers(large, "decoder")


def test_unknown_groups_and_unets_without_targets_are_refused() -> None:
    with pytest.raises(ConfigError, match="no target group 'all'"):
        target_layers(make_unet(), "all")
    bare = make_unet(down_block_types=("DownBlock2D",) * 3, up_block_types=("UpBlock2D",) * 3, mid_block_type=None)
    with pytest.raises(ConfigError, match="no layers"):
        target_layers(bare)

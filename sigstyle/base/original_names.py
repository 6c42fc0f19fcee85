"""The names that the original code has for a UNet's parts, by which single files and many LoRAs go."""

import re
from collections.abc import Iterable

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_OUTER = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.attentions.0": "middle_block.1",
}
_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)(\.(.*))?")
_MIDDLE = re.compile(r"mid_block\.resnets\.(\d)\.(\w+)(.*)")


def original_names(names: Iterable[str], layers: int) -> dict[str, str]:
    """Original names of a UNet's layers or parameters; `layers` is how many residual blocks each level has.

    Blocks are counted through, and an upsampler stands behind its block's attention where there is any.
    """
    names = list(names)
    attentive = {found[1] for name in names if (found := re.match(r"up_blocks\.(\d+)\.attentions\.", name))}
    return {name: _original_name(name, layers, attentive) for name in names}


def _original_name(name: str, layers: int, attentive: set[str]) -> str:
    for ours, theirs in _OUTER.items():
        if name == ours or name.startswith(f"{ours}."):
            return theirs + name.removeprefix(ours)
    if found := _MIDDLE.fullmatch(name):
        return f"middle_block.{2 * int(found[1])}.{_RESNET[found[2]]}{found[3]}"
    found = _BLOCK.fullmatch(name)
    if found is None:
        return name
    side, level, kind, place, rest = found[1], found[2], found[3], int(found[4]), found[6] or ""
    first = int(level) * (layers + 1) + (side == "down")
    block = f"{'in' if side == 'down' else 'out'}put_blocks.{first + place}"
    if kind == "resnets":
        part, dot, end = rest.partition(".")
        return f"{block}.0.{_RESNET.get(part, part)}{dot}{end}"
    if kind == "attentions":
        return f"{block}.1.{rest}"
    if side == "down":
        return f"input_blocks.{first + layers}.0.{rest.replace('conv', 'op')}"
    return f"output_blocks.{first + layers}.{1 + (level in attentive)}.{rest}"

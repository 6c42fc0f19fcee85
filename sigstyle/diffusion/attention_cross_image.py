"""Show one image's self-attention to another: its keys and values, met by the content's queries."""

from collections.abc import Iterable, Mapping

from torch import nn

from sigstyle.diffusion.attention import Projections, ProjectionsByTimestep, self_attention_layers
from sigstyle.diffusion.step_attention import Foreign, StepAttention

BLOCKS = 2  # of the decoder, those with the most tokens: layers 6 to 11 of Stable Diffusion


class CrossImage(StepAttention):
    """Layers attend to recorded keys and values, with queries part recorded, part their own.

    `gamma` is the recording's share of the queries; `temperature` above 1 sharpens the attention. `recorded` has keys
    and values in every layer.
    Source: Chung et al., "Style Injection in Diffusion" (2312.09008, section 3).
    """

    def __init__(self, recorded: ProjectionsByTimestep, gamma: float, temperature: float) -> None:
        self.recorded, self.gamma, self.temperature = recorded, gamma, temperature

    def layers(self, unet: nn.Module) -> Iterable[str]:
        return dict.fromkeys(path for layers in self.recorded.values() for path in layers)

    def prepare(self, step: int, timestep: int, rows: int) -> None:
        now = self.recorded.get(timestep, {})
        for path, processor in self.processors.items():
            processor.foreign = self._foreign(now[path], rows) if path in now else None

    def _foreign(self, found: Projections, rows: int) -> Foreign:
        """Raises: ValueError for a recording without keys or values."""
        if found.key is None or found.value is None:
            raise ValueError("A recording for cross-image attention lacks keys or values; record them too.")
        query, key, value = (x.expand(rows, -1, -1) for x in (found.query, found.key, found.value))
        return Foreign(query, key, value, self.gamma, self.temperature)


def fine_decoder_layers(unet: nn.Module) -> list[str]:
    """The self-attention layers of the last decoder blocks that have any."""
    decoder = [path for path in self_attention_layers(unet) if path.startswith("up_blocks.")]
    blocks = sorted({int(path.split(".")[1]) for path in decoder})[-BLOCKS:]
    return [path for path in decoder if int(path.split(".")[1]) in blocks]


def crossed(content: Mapping[str, Projections], style: Mapping[str, Projections]) -> dict[str, Projections]:
    """One step's recording for `CrossImage`: the content's queries, the style image's keys and values."""
    return {path: Projections(found.query, style[path].key, style[path].value) for path, found in content.items()}

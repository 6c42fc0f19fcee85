"""Show reference images to self-attention layers that paint another: their keys and values, next to the layers' own."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import nn

from sigstyle.diffusion.step_attention import Shown, StepAttention

Look = Callable[[int, int], Mapping[str, Sequence[Shown]]]  # (step, timestep) -> what each layer is shown


class Refer(StepAttention):
    """Shows `steered` layers what `look` gives for a step; layers without any attend to themselves alone.

    `look` may evaluate the UNet, for which it puts processors of its own into all of its layers.
    """

    def __init__(self, steered: Sequence[str], look: Look) -> None:
        self.steered, self.look = steered, look

    def layers(self, unet: nn.Module) -> Iterable[str]:
        return self.steered

    def prepare(self, step: int, timestep: int, rows: int) -> None:
        shown = self.look(step, timestep)
        for path, processor in self.processors.items():
            processor.shown = shown.get(path, ())

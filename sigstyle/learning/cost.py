"""What a capture costs, counted in UNet evaluations: the one place that knows."""

from dataclasses import dataclass

from sigstyle.config import CaptureConfig
from sigstyle.learning.statistics import STATISTICS_STEPS

_PASSES = 2  # forward, and backward through the decoder alone: measured as twice a forward
_HALF_SIZE = 1 / 4  # a half-size window has a quarter of the pixels


@dataclass(frozen=True)
class CaptureCost:
    """UNet evaluations of a capture: `training` in those of a whole crop, `measuring` in those of a style image.

    A crop has the size the base was trained at, or the one asked for; a style image the size the base paints at.
    """

    training: float
    measuring: int

    def seconds(self, crop_s: float, image_s: float) -> float:
        """Seconds of the capture, from those of one evaluation of a crop and of an image."""
        return self.training * crop_s + self.measuring * image_s


def capture_cost(config: CaptureConfig, images: int = 1) -> CaptureCost:
    """What a capture of this many images with these settings costs."""
    share = 1 - config.subcrop * (1 - _HALF_SIZE)
    return CaptureCost(config.steps * config.batch_size * share * _PASSES, images * STATISTICS_STEPS)

"""What a capture costs, counted in UNet evaluations and ways through the autoencoder: the one place that knows."""

from dataclasses import dataclass

from sigstyle.base.speed import Speed
from sigstyle.config import CaptureConfig
from sigstyle.learning.held_out import CHECK_EVERY, CROPS, PHOTOS
from sigstyle.learning.statistics import STATISTICS_STEPS

_STYLED, _STYLED_LINEAR = 2.6, 2.3  # evaluations in a styled one with its way back through the UNet's decoder alone,
# where convolutions learn too, and where only linear layers do: counted on the embedded base
_DECODED, _DECODED_PLAIN = 3, 2  # decodings in one with its way back, where the autoencoder learns and where not
_HALF_SIZE = 1 / 4  # a half-size window has a quarter of the pixels


@dataclass(frozen=True)
class CaptureCost:
    """What a capture takes.

    `training` counts UNet evaluations of a whole crop, which has the size the base was trained at, or the one asked
    for; `painting`, `encoding` and `decoding` count evaluations, encodings and decodings of a painted window;
    `measuring` counts evaluations of a style image, at the size the base paints at.
    """

    training: float
    painting: float
    encoding: float
    decoding: float
    measuring: int

    def seconds(self, crop: Speed, window: Speed, image: Speed) -> float:
        """Seconds of the capture, from the speed at the size of a crop, of a painted window and of an image."""
        painting = window.seconds(self.painting, self.encoding, self.decoding)
        return crop.seconds(self.training) + painting + image.seconds(self.measuring)


def capture_cost(config: CaptureConfig, images: int = 1) -> CaptureCost:
    """What a capture of this many images with these settings costs, at most where it ends at the best.

    A painted photo is encoded, evaluated once by the plain UNet, which reads its noise, and once by the styled one,
    whose latents are decoded; gradients come back through decoding and UNet. What the feature network takes of it is
    less than 1 %.
    """
    share = 1 - config.subcrop * (1 - _HALF_SIZE)
    photos = config.steps * config.painting
    checks = config.steps // CHECK_EVERY if config.until == "best" else 0
    held = checks * PHOTOS if config.painting else 0  # these are painted, and nothing is learned from them
    styled = _STYLED if config.targets in ("most", "decoder+all") else _STYLED_LINEAR
    return CaptureCost(
        training=config.steps * config.batch_size * share * styled + checks * CROPS,
        painting=photos * (1 + styled) + held,
        encoding=photos,
        decoding=photos * (_DECODED if config.autoencoder == "on" else _DECODED_PLAIN) + held,
        measuring=images * STATISTICS_STEPS if config.classic else 0,
    )

"""How fast a base runs here, in seconds of the three things that all work is made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """Seconds of one evaluation of the UNet, and of one encoding and one decoding, of a square image of some size."""

    evaluation_s: float
    encoding_s: float
    decoding_s: float

    def seconds(self, evaluations: float, encodings: float = 0, decodings: float = 0) -> float:
        """Seconds of so many of each."""
        return evaluations * self.evaluation_s + encodings * self.encoding_s + decodings * self.decoding_s

    def scaled(self, share: float) -> "Speed":
        """That of an image with a share of the pixels: all three take about as much less."""
        return Speed(share * self.evaluation_s, share * self.encoding_s, share * self.decoding_s)

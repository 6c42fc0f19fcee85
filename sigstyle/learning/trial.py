"""A predicted style, tried on windows of photos before anybody sees it: how much of it leaves the photos standing."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from sigstyle.base.conditioning import Conditioning
from sigstyle.base.devices import training_arithmetic
from sigstyle.base.model import BaseModel
from sigstyle.base.placement import resident
from sigstyle.diffusion.denoise import predict
from sigstyle.imaging.strokes import seeded
from sigstyle.learning.bank import Bank, bank_files, window_px
from sigstyle.learning.measured import Measured
from sigstyle.learning.painting_terms import HIGHEST, LOWEST, at_noise, painted_over
from sigstyle.scoring.features import StyleFeatures
from sigstyle.scoring.style_loss import structure_distance
from sigstyle.style.attach import styled
from sigstyle.style.factors_file import split_offsets
from sigstyle.style.offsets import Offset

WINDOWS = 4  # of photos, at noise levels from the lowest to the highest that styles are learned at
MOST_CONTENT = 1.0  # of the photos' structure lost: features that agree by half; a capture keeps to 0.85
LESS = (0.85, 0.7, 0.55, 0.4, 0.25)  # shares, where all of it is too much


@dataclass(frozen=True, eq=False)
class Trial:
    """Windows of the photos that ship, at their noise, in a style's palette and with its stroke seeds.

    Shapes: wanted, the photos' deepest features, [b, c, H, W]; noisy [b, c, h, w]; timesteps [b].
    """

    base: BaseModel
    network: StyleFeatures
    casting: Callable[[], torch.autocast]
    wanted: Tensor
    noisy: Tensor
    timesteps: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, base: BaseModel, measured: Measured, network: StyleFeatures) -> Self:
        """The trial of whatever is predicted for the style that was measured; always the same windows."""
        side_px, generator = window_px(base), torch.Generator().manual_seed(0)
        photos = Bank.of(bank_files(), measured.palette, side_px).crops(WINDOWS, side_px, generator)
        bfloat16 = training_arithmetic(base.device, base.dtype).bfloat16

        def casting() -> torch.autocast:
            return torch.autocast(base.device.type, dtype=torch.bfloat16, enabled=bfloat16)

        def fresh(shape: torch.Size) -> Tensor:
            return torch.randn(shape, generator=generator)

        strokes = [torch.Generator().manual_seed(number) for number in range(WINDOWS)]
        laid = seeded(photos, measured.palette, measured.brushwork, strokes)
        levels = torch.linspace(LOWEST, HIGHEST, WINDOWS) * base.scheduler.config.num_train_timesteps
        timesteps = levels.long().to(base.device)
        with base.lock, resident([base.unet, base.vae]):
            noisy = at_noise(base, laid, timesteps, base.reader.encode([""]), casting, fresh)
        return cls(base, network, casting, network(photos.to(base.device))[-1], noisy, timesteps)

    @torch.no_grad()
    def content(self, offsets: Mapping[str, Offset], prompt: Conditioning, share: float) -> float:
        """How much of the photos' structure is lost where so large a share of the offsets paints them."""
        base, of_unet_and_decoder = self.base, split_offsets(offsets)
        with base.lock, resident([base.unet, base.vae]), ExitStack() as undo:
            for part, own in zip((base.unet, base.vae.decoder), of_unet_and_decoder, strict=True):
                undo.enter_context(styled(part, [(own, share)]))
            with self.casting():
                output = predict(base.unet, self.noisy, self.timesteps, prompt.expand(len(self.noisy))).float()
            pictures = painted_over(base, self.noisy, self.timesteps, output, self.casting)
        return float(structure_distance(self.network(pictures)[-1], self.wanted))

    def share(self, offsets: Mapping[str, Offset], prompt: Conditioning) -> float:
        """The largest share of the offsets that leaves the photos standing, or the least there is.

        All of it where photos do not stand without any either, as then it is not the offsets that dissolve them.
        """

        def stand(share: float) -> bool:
            return self.content(offsets, prompt, share) <= MOST_CONTENT

        if stand(1.0) or not stand(0.0):
            return 1.0
        return next((share for share in LESS if stand(share)), LESS[-1])

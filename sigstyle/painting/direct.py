"""One transfer by painting: the photo at the noise that the plain UNet reads in it, and one to eight styled steps."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import astuple, dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.autoencoder import decode_latents, encode_latents
from sigstyle.base.finite import Finiteness
from sigstyle.base.prompts import encode_prompts
from sigstyle.diffusion.denoise import OnStep, predict
from sigstyle.diffusion.implied_noise import FRESH, clean_and_noise, implied_noise, levels, with_fresh
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.imaging.brushwork import Brushwork
from sigstyle.imaging.images import to_pil
from sigstyle.imaging.palette import recoloured
from sigstyle.imaging.strokes import SMOOTHING, seeded
from sigstyle.painting.cost import transfer_cost
from sigstyle.painting.evaluations import Evaluations, OnEvaluation, never, unwatched
from sigstyle.painting.inversion import ContentInversion
from sigstyle.painting.notices import transfer_notices
from sigstyle.painting.painted import Painted, unchanged
from sigstyle.painting.seeds import fresh_generators
from sigstyle.style.attach import styled
from sigstyle.style.blend import Blend

LOWEST, HIGHEST = 0.05, 0.75  # noise levels of freedom 0 and 1, as shares of the schedule


@dataclass
class DirectRun:
    """One transfer by painting: what is wanted, in which blend, where, and who watches.

    The photo takes the style's palette and seeds of strokes, is encoded and brought to the noise level of `freedom`
    with the noise the plain UNet reads in it (one evaluation); the styled UNet and the styled decoder paint it.
    Weights are as they were afterwards, also after an exception. The trace holds the encoded photo and its noise.
    Raises: ConfigError, at once, for a blend with a style that has not learned to paint.
    """

    wanted: ContentInversion
    blend: Blend
    mask: Image.Image | None = None  # as large as the content
    trace: ContentTrace | None = None
    on_step: OnStep = unchanged
    on_evaluation: OnEvaluation = unwatched
    should_stop: Callable[[], bool] = never
    notices: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._finite = Finiteness(self.wanted.base.dtype)
        self._palette = self.blend.palette()
        problem = self._mismatch(self.trace) if self.trace is not None else None
        if problem:
            self.trace, self.notices = None, [f"The photo was encoded anew: {problem}."]
        self.notices += transfer_notices(self.wanted, self.blend, self.mask)
        cost = transfer_cost(self.wanted.config)
        total = cost.calls if self.trace is None else cost.calls - cost.reading
        self._evaluations = Evaluations(total, self.on_evaluation, self.should_stop)

    @property
    def total(self) -> int:
        """UNet evaluations that will be announced."""
        return self._evaluations.total

    @property
    def timestep(self) -> int:
        """The noise level the photo is painted from: that of `freedom`, less for less style."""
        config, schedule = self.wanted.config, self.wanted.scheduler.config["num_train_timesteps"]
        share = (LOWEST + (HIGHEST - LOWEST) * config.freedom) * self.wanted.amount
        return min(schedule - 1, round(share * schedule))

    @property
    def settings(self) -> dict[str, Any]:
        """What the trace depends on, as plain values."""
        wanted = self.wanted
        return {
            "method": "paint",
            "base": wanted.base.fingerprint,
            "content": wanted.content.digest,
            "size": list(wanted.content.work.size),
            "palette": self._palette.digest,
            "colour": wanted.config.palette * wanted.amount,
            "strokes": list(astuple(self._strokes)),
            "timestep": self.timestep,
            "seeds": [generator.initial_seed() for generator in self._generators()],
        }

    @property
    def _strokes(self) -> Brushwork:
        return self.blend.brushwork().times(self.wanted.config.strokes * self.wanted.amount)

    def _stroke_generators(self) -> list[torch.Generator]:
        """Those of the strokes, one for each image: with one seed other palettes have other strokes."""
        own = int(self._palette.digest, 16)
        return [torch.Generator().manual_seed((each.initial_seed() ^ own) % 2**63) for each in self._generators()]

    def _generators(self) -> list[torch.Generator]:
        return fresh_generators(self.wanted.generator, self.wanted.images)

    def _mismatch(self, trace: ContentTrace) -> str | None:
        """Why `trace` is not the one wanted, or None."""
        wanted = self.settings
        differing = [key for key in wanted if trace.settings.get(key) != wanted[key]]
        return f"the trace was made with another {', '.join(differing)}" if differing else None

    @torch.no_grad()
    def paint(self) -> Painted:
        """Make the latents, with the base locked."""
        with self.wanted.base.lock:
            trace = self.trace or self._encoded()
            if self._evaluations.stopped():
                return Painted(None, trace, self.notices, interrupted=True)
            self._finite.look_at_path(trace.path, "encoding the photo", "reading its noise, evaluation")
            latents = self._painted(trace)
            self._finite.check()
        return Painted(latents, trace, self.notices, self._evaluations.stopped())

    def _encoded(self) -> ContentTrace:
        """The photo's latents and its noise, one for each image."""
        wanted, base = self.wanted, self.wanted.base
        generators = self._generators()
        content = wanted.content.recoloured(self._palette, wanted.config.palette * wanted.amount)
        pixels = content.pixels(SMOOTHING * wanted.amount).expand(wanted.images, -1, -1, -1)
        laid = seeded(pixels, self._palette, self._strokes, self._stroke_generators())
        clean = encode_latents(base.vae, laid).to(base.device)
        embeds = encode_prompts(base.tokenizer, base.text_encoder, [""]).expand(len(clean), -1, -1)

        def plain(noisy: Tensor, timesteps: Tensor) -> Tensor:
            output = predict(base.unet, noisy, timesteps, embeds)
            self._evaluations.count()
            return output

        own = implied_noise(plain, wanted.scheduler, clean, self._timesteps(clean, self.timestep))
        fresh = torch.stack([torch.randn(clean.shape[1:], generator=generator) for generator in generators])
        return ContentTrace(torch.stack([clean, with_fresh(own, fresh.to(own), FRESH)]), {}, self.settings)

    def _painted(self, trace: ContentTrace) -> Tensor:
        """Latents [images, c, h, w] painted in the style."""
        wanted, base, config = self.wanted, self.wanted.base, self.wanted.config
        clean, noise = trace.path.to(base.device)
        cond = self.blend.embed(base.tokenizer, base.text_encoder, config.prompt, config.strength)
        cond = cond.expand(len(clean), -1, -1)
        with styled(base.unet, self.blend.offsets(config.strength)):
            for step in range(config.steps):
                timesteps = self._timesteps(clean, round(self.timestep * (1 - step / config.steps)))
                kept, noise_level = levels(wanted.scheduler, timesteps, clean)
                noisy = kept * clean + noise_level * noise
                output = predict(base.unet, noisy, timesteps, cond)
                pred_x0, _ = clean_and_noise(wanted.scheduler, noisy, output, timesteps)
                clean = self.on_step(step, int(timesteps[0]), pred_x0, pred_x0)
                self._finite.look(f"step {step + 1} of {config.steps}", clean)
                self._evaluations.count()
                if self._evaluations.stopped():
                    break
        return clean

    def _timesteps(self, like: Tensor, timestep: int) -> Tensor:
        return torch.full((len(like),), timestep, device=like.device)

    @torch.no_grad()
    def decoded(self, latents: Tensor) -> list[Image.Image]:
        """Working copies of latents [b, c, h, w], by the styled decoder, in the style's palette once more."""
        base, config = self.wanted.base, self.wanted.config
        colour = config.palette * self.wanted.amount
        offsets = self.blend.decoder_offsets(config.strength)
        with base.lock, ExitStack() as undo:
            if offsets:
                undo.enter_context(styled(base.vae.decoder, offsets))
            rows = [decode_latents(base.vae, row.unsqueeze(0)).cpu() for row in latents]
        return [to_pil(recoloured(row, self._palette, colour)) for row in rows]

    def finished(self, images: list[Image.Image]) -> list[Image.Image]:
        """Decoded working copies, brought to the content's aspect; outside a mask they are the content."""
        wanted = self.wanted
        how = (wanted.config.size_px, wanted.base, self.mask, wanted.amount)
        return [wanted.content.finished(image, *how) for image in images]

"""One transfer, by the method that its settings name; and the method of inverting and swapping."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.conditioning import Conditioning
from sigstyle.base.finite import Finiteness
from sigstyle.diffusion.attention_swap import Swap
from sigstyle.diffusion.denoise import OnStep, adain, denoise
from sigstyle.diffusion.inversion import ContentTrace, swapped_steps
from sigstyle.diffusion.step_attention import Combined, StepAttention
from sigstyle.imaging.images import to_pil, to_tensor
from sigstyle.imaging.palette import recoloured
from sigstyle.painting.content import decoded
from sigstyle.painting.cost import transfer_cost
from sigstyle.painting.direct import DirectRun
from sigstyle.painting.evaluations import Evaluations, OnEvaluation, never, unwatched
from sigstyle.painting.inversion import ContentInversion
from sigstyle.painting.notices import transfer_notices
from sigstyle.painting.painted import Painted, unchanged
from sigstyle.painting.reference import References
from sigstyle.painting.seeds import fresh_generators
from sigstyle.style.attach import styled
from sigstyle.style.blend import Blend


class Run(Protocol):
    """One transfer, whatever the method."""

    wanted: ContentInversion

    @property
    def total(self) -> int:
        """UNet evaluations that will be announced."""
        ...

    def paint(self) -> Painted:
        """Make the latents, with the base locked."""
        ...

    def without_margin(self, latents: Tensor) -> Tensor:
        """Latents [b, c, h, w] of the pictures alone."""
        ...

    def decoded(self, latents: Tensor) -> list[Image.Image]:
        """Pictures of what `paint` made: working copies, or refined ones without a margin."""
        ...

    def finished(self, images: list[Image.Image]) -> list[Image.Image]:
        """Decoded working copies, brought to the content's aspect; outside a mask they are the content."""
        ...


@dataclass
class SwapRun:
    """One transfer by inversion and attention swapping: what is wanted, in which blend, where, and who watches.

    A `trace` that is not of what is wanted is not used, and a notice says why. UNet weights and attention processors
    are as they were afterwards, also after an exception.
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
        config = self.wanted.config
        self._finite = Finiteness(self.wanted.base.dtype)
        self.blend.check_able(config)
        if config.palette:
            content = self.wanted.content.recoloured(self.blend.palette(), config.palette * self.wanted.amount)
            self.wanted = dataclasses.replace(self.wanted, content=content)
        problem = self.wanted.mismatch(self.trace) if self.trace is not None else None
        if problem:
            self.trace, self.notices = None, [f"The content was inverted anew: {problem}."]
        self.notices += transfer_notices(self.wanted, self.blend, self.mask)
        self._references = self.blend.references(config.reference * self.wanted.amount)
        cost = transfer_cost(config, len(self._references))
        total = cost.calls if self.trace is None else cost.further_calls
        self._evaluations = Evaluations(total, self.on_evaluation, self.should_stop)

    @property
    def total(self) -> int:
        """UNet evaluations that will be announced."""
        return self._evaluations.total

    @torch.no_grad()
    def paint(self) -> Painted:
        """Make the latents, with the base locked."""
        with self.wanted.base.lock:
            trace = self.trace
            if trace is None:
                trace = self.wanted.run(self._evaluations.count, self._evaluations.stopped)
            if trace is None:
                return Painted(None, None, self.notices, interrupted=True)
            self._finite.look_at_path(trace.path, "encoding the photo", "inversion step")
            latents = self._denoised(trace)
            self._finite.check()
        return Painted(latents, trace, self.notices, self._evaluations.stopped())

    def _denoised(self, trace: ContentTrace) -> Tensor:
        """Latents [images, c, h, w] denoised from the trace's noise by the styled UNet."""
        base, config, amount = self.wanted.base, self.wanted.config, self.wanted.amount
        noise = trace.initial_noise.to(base.device).expand(self.wanted.images, -1, -1, -1)
        cond = self.blend.embed(base.reader, config.prompt, config.strength)
        uncond = base.reader.encode([config.negative_prompt])
        anchor = config.anchor * amount
        with styled(base.unet, self.blend.offsets(config.strength)):
            return denoise(
                base.unet,
                self.wanted.scheduler,
                self._coloured(noise, config.adain * amount),
                cond.expand(len(noise)),
                uncond.expand(len(noise)),
                steps=config.steps,
                guidance_scale=1 + (config.guidance_scale - 1) * amount,
                attention=self._attention(trace, cond),
                eta=config.eta * amount,
                eta_from=swapped_steps(config.swap_until, config.steps),
                generators=fresh_generators(self.wanted.generator, self.wanted.images),
                draw=self.wanted.content.anchor(base, anchor) if anchor else None,
                on_step=self._stepping(trace, noise),
                should_stop=self._evaluations.stopped,
            )

    def _coloured(self, noise: Tensor, amount: float) -> Tensor:
        """The noise [images, c, h, w] with the channel means of that of the styles' images."""
        return noise if amount == 0 else adain(noise, self.blend.start_mean(), None, amount)

    def _attention(self, trace: ContentTrace, cond: Conditioning) -> StepAttention:
        """The content's queries in the first steps, and the styles' images beside them."""
        swap = Swap(self.wanted.projections(trace) or {})
        if not self._references:
            return swap
        base = self.wanted.base
        references = References(self._references, self._evaluations.count)
        return Combined(references.attention(base.unet, self.wanted.scheduler, cond), swap)

    def _stepping(self, trace: ContentTrace, noise: Tensor) -> OnStep:
        """What happens after each step: outside the mask the content's own latents, then whoever watches."""
        content = self.wanted.content
        painted = None if self.mask is None else content.region(self.mask, noise)

        def on_step(step: int, timestep: int, latents: Tensor, pred_x0: Tensor) -> Tensor:
            if painted is not None:
                latents = torch.lerp(trace.latents_after(step).to(latents), latents, painted)
            latents = self.on_step(step, timestep, latents, pred_x0)
            self._finite.look(f"step {step + 1} of {self.wanted.config.steps}", latents)
            self._evaluations.count()
            return latents

        return on_step

    def without_margin(self, latents: Tensor) -> Tensor:
        """Latents [b, c, h, w] of the pictures alone."""
        return self.wanted.content.latents_without_margin(latents, self.wanted.base)

    def decoded(self, latents: Tensor) -> list[Image.Image]:
        """Working copies of latents [b, c, h, w], in the style's palette once more where that is asked for."""
        images = decoded(self.wanted.base.vae, latents)
        colour = self.wanted.config.palette * self.wanted.amount
        if colour == 0:
            return images
        return [to_pil(recoloured(to_tensor(image), self.blend.palette(), colour)) for image in images]

    def finished(self, images: list[Image.Image]) -> list[Image.Image]:
        """Decoded working copies, brought to the content's aspect; outside a mask they are the content."""
        wanted = self.wanted
        how = (wanted.config.size_px, wanted.base, self.mask, wanted.amount)
        return [wanted.content.finished(image, *how) for image in images]


def run_of(
    wanted: ContentInversion,
    blend: Blend,
    mask: Image.Image | None = None,
    trace: ContentTrace | None = None,
    on_step: OnStep = unchanged,
    on_evaluation: OnEvaluation = unwatched,
    should_stop: Callable[[], bool] = never,
    seen: Image.Image | None = None,
) -> Run:
    """The transfer that `wanted.config` asks for; `mask` is as large as the content, as is where it will be `seen`.

    A `trace` that is not of what is wanted is not used, and a notice says why.
    Raises: ConfigError when the blend lacks what the method needs.
    """
    watched = (on_step, on_evaluation, should_stop)
    if wanted.config.method == "paint":
        return DirectRun(wanted, blend, mask, trace, *watched, seen)
    return SwapRun(wanted, blend, mask, trace, *watched)

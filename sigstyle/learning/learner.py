"""The learner of a capture: the UNet's prediction as a function of the style token and the offsets."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sigstyle.base.autoencoder import decode_unclamped
from sigstyle.base.conditioning import Conditioning
from sigstyle.base.devices import Arithmetic, training_arithmetic
from sigstyle.base.model import BaseModel
from sigstyle.base.placement import resident, rest
from sigstyle.base.prompts import StyleToken, style_prompt
from sigstyle.base.split_unet import split_forward
from sigstyle.config import CaptureConfig
from sigstyle.imaging.images import to_pil
from sigstyle.learning.batches import Batch, noisy_batch, pred_x0_of
from sigstyle.learning.instant import Start
from sigstyle.learning.state import TrainingState
from sigstyle.style.attach import frozen, training
from sigstyle.style.factors_file import split_offsets, with_more
from sigstyle.style.hypernet import make_hypernet
from sigstyle.style.instant import DECODER
from sigstyle.style.offsets import Offset
from sigstyle.style.targets import MOST_BYTES, decoder_layers, offset_bytes, target_layers


class Learner:
    """A base, the state that is trained on it, the prompt that names the style, and what is `given` to begin with.

    Without a `state` it begins at the identity, with the token at the domain's own embedding or where it is given.
    """

    def __init__(
        self,
        base: BaseModel,
        config: CaptureConfig,
        token: str,
        given: Start | None = None,
        state: TrainingState | None = None,
    ) -> None:
        self.base, self.config, self.token_name, self.given = base, config, token, given
        start = base.reader.starting_embedding(config.domain).to(base.device)
        if given is not None:
            start = start + given.shift
        self.state = state or _new_state(base, config, nn.Parameter(start))
        prompt = style_prompt("", config.domain, token)
        self._prompt = base.reader.tokenized([prompt], [self.token])

    @property
    def token(self) -> StyleToken:
        """The style token with the vectors being learned."""
        return StyleToken(self.token_name, self.state.token)

    def offsets(self) -> dict[str, Offset]:
        """The offsets as they are now, by layer path: what is given, and what is learned beside it."""
        learned = self.state.hypernet()
        return learned if self.given is None else with_more(self.given.offsets, learned)

    @property
    def decoders(self) -> list[nn.Module]:
        """The parts that gradients come back through: the decoders of UNet and autoencoder."""
        return [self.base.unet.up_blocks, self.base.vae.decoder]

    @property
    def models(self) -> list[nn.Module]:
        """The networks of the base."""
        return self.base.modules

    def casting(self) -> torch.autocast:
        """The context of the arithmetic that was chosen for this capture."""
        device = self.base.device.type
        return torch.autocast(device, dtype=torch.bfloat16, enabled=self.state.progression.autocast)

    @contextmanager
    def attached(self) -> Iterator[Callable[[], None]]:
        """Offsets on the UNet and on the autoencoder's decoder; yields `refresh`, to be called before each forward.

        See `attach.training`, whose promises hold for both.
        """
        with resident([self.base.unet, self.base.vae]), offsets_attached(self.base, self.offsets) as refresh:
            yield refresh

    def predict(self, batch: Batch) -> Tensor:
        """The UNet's prediction [b, c, h, w] for a batch, float32, with gradients to the token and the offsets."""
        return self.predict_at(batch.noisy, batch.timesteps)

    def predict_at(self, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """As `predict`, for noisy latents [b, c, h, w] at timesteps [b]."""
        unet = self.base.unet
        with self.casting():
            cond = self._read().to(unet.dtype).expand(len(noisy))
            return split_forward(unet, noisy.to(unet.dtype), timesteps, cond).float()

    def _read(self) -> Conditioning:
        """The prompt; where memory is low it is read once more on the way back, with the text encoders away between."""
        if self.base.memory != "low":
            return self.base.reader.embed(self._prompt, [self.token])
        hooks = [hook for hook in self.base.offloaded if hook.model in self.base.text_encoders]

        def read() -> tuple[Tensor, Tensor | None]:
            found = self.base.reader.embed(self._prompt, [self.token])
            rest(hooks)
            return found.embeds, found.pooled

        return Conditioning(*checkpoint(read, use_reentrant=False, preserve_rng_state=False))

    @torch.no_grad()
    def preview(self, clean: Tensor) -> Image.Image:
        """What the model makes of latents [1, c, h, w] once they are at 60 % of the noise."""
        scheduler = self.base.scheduler
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(self.config.seed)).to(clean.device)
        timestep = torch.tensor([int(0.6 * scheduler.config.num_train_timesteps)], device=clean.device)
        batch = noisy_batch(clean, noise, timestep, scheduler)
        output = self.predict(batch)
        return to_pil(decode_unclamped(self.base.vae, pred_x0_of(batch, output, scheduler)))

    def arithmetic(self) -> Arithmetic:
        """In which arithmetic to train: as configured, or as the hardware has it."""
        if self.config.autocast != "auto":
            return Arithmetic(self.config.autocast == "on", f"autocast is {self.config.autocast!r}")
        return training_arithmetic(self.base.device, self.base.dtype)


@contextmanager
def offsets_attached(base: BaseModel, make_offsets: Callable[[], Mapping[str, Offset]]) -> Iterator[Callable[[], None]]:
    """Attach differentiable offsets to the UNet and the autoencoder's decoder; yields `refresh`.

    See `attach.training`, whose promises hold for both; `make_offsets` is asked once for both parts.
    """
    made = dict(make_offsets())

    def part(decoder: bool) -> dict[str, Offset]:
        return split_offsets(made)[decoder]

    with ExitStack() as undo:
        renew = [undo.enter_context(training(base.unet, lambda: part(False)))]
        undo.enter_context(frozen(base.vae))
        if part(True):
            renew.append(undo.enter_context(training(base.vae.decoder, lambda: part(True))))

        def refresh() -> None:
            made.update(make_offsets())
            for put in renew:
                put()

        yield refresh


def _new_state(base: BaseModel, config: CaptureConfig, token: nn.Parameter) -> TrainingState:
    """The state before the first step: offsets at the identity, the token at the domain's own embedding."""
    layers = target_layers(base.unet, config.targets, config.rank)
    if config.autoencoder == "on":
        found = decoder_layers(base.vae, config.rank, MOST_BYTES - offset_bytes(layers, config.rank))
        layers |= {DECODER + path: shape for path, shape in found.items()}
    made = make_hypernet(config.generator, layers, config.rank, config.seed, config.hypernet_width)
    hypernet = made.to(base.device)
    groups = [
        {"params": list(hypernet.parameters()), "full_lr": config.hypernet_lr},
        {"params": [token], "full_lr": config.token_lr},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.99), weight_decay=0.0)
    return TrainingState(hypernet, token, optimizer, torch.Generator().manual_seed(config.seed + 1))

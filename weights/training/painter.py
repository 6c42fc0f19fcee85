"""Train the one hypernetwork for every style: from a style image to offsets that paint, with no capture between."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sigstyle.base.autoencoder import encode_latents, pixels_per_latent
from sigstyle.base.conditioning import Conditioning
from sigstyle.base.devices import training_arithmetic
from sigstyle.base.model import BaseModel, load_base
from sigstyle.base.prompts import StyleToken, style_prompt
from sigstyle.base.split_unet import split_forward
from sigstyle.imaging.strokes import seeded
from sigstyle.learning.bank import window_px
from sigstyle.learning.batches import noisy_batch
from sigstyle.learning.instant import DOMAIN
from sigstyle.learning.learner import offsets_attached
from sigstyle.learning.measured import Measured
from sigstyle.learning.painting_terms import (
    HIGHEST,
    LOCKED_WEIGHT,
    LOWEST,
    VARIATION_WEIGHT,
    PaintingTerms,
    at_noise,
    painted_over,
)
from sigstyle.scoring.features import CHANNELS, style_features
from sigstyle.style.attach import frozen
from sigstyle.style.instant import DECODER, load_hypernetwork, save_hypernetwork
from sigstyle.style.shared_hypernet import SharedHypernet
from sigstyle.style.targets import decoder_layers, target_layers
from weights.training import checkpoint
from weights.training.painter_data import Photos, Styles, StyleView, from_bytes, random_window
from weights.training.run_control import Periods, interruptible, log_line, summarise
from weights.training.styles import load_index

TOKEN = "<style>"
FITTED_ON = 300  # views whose principal components make the embedding


@dataclass(frozen=True)
class PainterConfig:
    """How the hypernetwork is trained. Weights of the loss are those of a capture, but for the content's hinge."""

    minutes: float = 60.0
    device: str = "cpu"
    seed: int = 0
    styles: int = 2  # in one step
    windows: int = 2  # of photos for each style
    basis: int = 20  # offsets a layer that styles share: with 20 the file stays below 8 MB
    remembered: int = 1  # windows of the first style image itself, of which the noise is predicted
    lr: float = 4e-3
    warmup_steps: int = 30
    decay_share: float = 0.25  # of the minutes, in which the learning rate falls to 0
    ema_decay: float = 0.998
    style_weight: float = 5.0
    content_weight: float = 0.6
    content_bound: float = 0.85
    beyond_bound: float = 4.0  # what further content distance costs
    save_every_s: float = 300.0
    held_every_s: float = 900.0


class Painter:
    """The hypernetwork while it is trained, on a base whose own weights stay."""

    def __init__(self, base: BaseModel, config: PainterConfig) -> None:
        self.base, self.config = base, config
        shapes = target_layers(base.unet, "decoder+all")
        shapes |= {DECODER + path: shape for path, shape in decoder_layers(base.vae, 1).items()}
        self.start = base.reader.starting_embedding(DOMAIN).to(base.device)
        token = (self.start.shape[0], self.start.shape[1])
        self.net = SharedHypernet(shapes, 2 * sum(CHANNELS), token, config.basis, seed=config.seed).to(base.device)
        self.averaged = {name: p.detach().clone() for name, p in self.net.named_parameters()}
        net = self.net
        groups = [  # what adds up many inputs moves as far as all of them together
            {"params": [net.ups], "share": 1.0},
            {"params": [net.downs], "share": 0.3},
            {"params": [*net.trunk.parameters(), *net.head.parameters(), *net.token_head.parameters()], "share": 0.05},
            {"params": [net.shared], "share": 1.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.99), weight_decay=0.0)
        self.network = style_features().to(base.device)
        self.plain = base.reader.encode([""]).detach()
        prompt = style_prompt("", DOMAIN, TOKEN)
        self.ids = base.reader.tokenized([prompt], [StyleToken(TOKEN, self.start.detach())])
        self.bfloat16 = training_arithmetic(base.device, base.dtype).bfloat16
        self.step, self.seconds = 0, 0.0

    def casting(self) -> torch.autocast:
        """The context of the arithmetic that this processor has units for."""
        return torch.autocast(self.base.unet.device.type, dtype=torch.bfloat16, enabled=self.bfloat16)

    @contextmanager
    def attached(self) -> Iterator[Any]:
        """Offsets on UNet and decoder; yields a function that puts those of a style there and gives its prompt."""
        made = self.net.offsets(torch.zeros(len(self.net.shapes), self.net.basis, device=self.base.device))
        with frozen(*self.base.text_encoders), offsets_attached(self.base, lambda: made) as refresh:

            def put(view: StyleView) -> Conditioning:
                predicted = self.net.predict(self.net.embed(view.measured.vector.to(self.base.device)))
                made.update(self.net.offsets(predicted.coefficients))
                refresh()
                token = StyleToken(TOKEN, self.start + predicted.token)
                with self.casting():
                    return self.base.reader.embed(self.ids, [token]).to(self.base.unet.dtype)

            yield put

    def losses(
        self, view: StyleView, photos: Photos, prompt: Conditioning, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """The terms of painting windows of photos in one style."""
        base, config, measured = self.base, self.config, view.measured
        pixels = photos.draw(config.windows, window_px(base), measured.palette, rng)
        noisy, timesteps = self._noisy(pixels, measured, rng)
        output = self._predicted(noisy, timesteps, prompt)
        picture = painted_over(base, noisy, timesteps, output, self.casting)
        period_px = pixels_per_latent(base.vae)
        terms = PaintingTerms.of(self.network, picture, pixels.to(base.device), measured.statistics, period_px)
        return vars(terms) | {"beyond": (terms.content - config.content_bound).clamp_min(0)}

    def _noisy(self, pixels: Tensor, measured: Measured, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The windows' latents at random noise levels, and these."""
        base, count = self.base, len(pixels)
        schedule = base.scheduler.config.num_train_timesteps
        timesteps = torch.tensor(rng.uniform(LOWEST, HIGHEST, count) * schedule).long().to(base.device)
        generators = [torch.Generator().manual_seed(int(seed)) for seed in rng.integers(2**31, size=count)]
        laid = seeded(pixels, measured.palette, measured.brushwork, generators)

        def fresh(shape: torch.Size) -> Tensor:
            return torch.stack([torch.randn(shape[1:], generator=generator) for generator in generators])

        return at_noise(base, laid, timesteps, self.plain, self.casting, fresh), timesteps

    def remembered(self, view: StyleView, prompt: Conditioning, rng: np.random.Generator) -> Tensor:
        """Squared error of the noise predicted on windows of the style image."""
        base, side = self.base, window_px(self.base)
        windows = torch.cat([random_window(view.pixels, side, rng) for _ in range(self.config.remembered)])
        with torch.no_grad(), self.casting():
            clean = encode_latents(base.vae, from_bytes(windows)).to(base.device)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        schedule = base.scheduler.config.num_train_timesteps
        timesteps = torch.tensor(rng.integers(schedule, size=len(clean))).to(base.device)
        batch = noisy_batch(clean, noise, timesteps, base.scheduler)
        return F.mse_loss(self._predicted(batch.noisy, batch.timesteps, prompt), batch.target)

    def _predicted(self, noisy: Tensor, timesteps: Tensor, prompt: Conditioning) -> Tensor:
        unet = self.base.unet
        with self.casting():
            return split_forward(unet, noisy.to(unet.dtype), timesteps, prompt.expand(len(noisy))).float()

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum of the terms."""
        config = self.config
        weights = {"style": config.style_weight, "content": config.content_weight, "beyond": config.beyond_bound}
        weights |= {"locked": LOCKED_WEIGHT, "variation": VARIATION_WEIGHT, "noise": 1.0}
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()

    def train_step(self, put: Any, styles: Styles, photos: Photos, rng: np.random.Generator) -> dict[str, float]:
        """One step of the optimiser over a few styles; the means of their terms."""
        started, config = time.perf_counter(), self.config
        self.optimizer.zero_grad(set_to_none=True)
        rows = []
        for index in range(config.styles):
            view = styles.draw(rng)
            prompt = put(view)
            terms = self.losses(view, photos, prompt, rng)
            if config.remembered and index == 0:
                terms["noise"] = self.remembered(view, prompt, rng)
            (self.total(terms) / config.styles).backward()
            rows.append({name: float(term.detach()) for name, term in terms.items()})
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        if norm.isfinite():
            for group in self.optimizer.param_groups:
                group["lr"] = group["share"] * self.rate
            self.optimizer.step()
            self._average()
        self.step += 1
        taken = time.perf_counter() - started
        self.seconds += taken
        known = {name: [row[name] for row in rows if name in row] for name in rows[0]}
        means = {name: sum(values) / len(values) for name, values in known.items()}
        return means | {"images": float(config.styles), "seconds": taken}

    @property
    def rate(self) -> float:
        """The learning rate at this step."""
        left = (1 - self.seconds / (60 * self.config.minutes)) / self.config.decay_share
        return self.config.lr * min(1.0, (self.step + 1) / self.config.warmup_steps, max(0.02, left))

    def _average(self) -> None:
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        for name, parameter in self.net.named_parameters():
            self.averaged[name].lerp_(parameter.detach(), 1 - decay)

    @contextmanager
    def average(self) -> Iterator[None]:
        """Within the context the averaged values are in place."""
        kept = {name: p.detach().clone() for name, p in self.net.named_parameters()}
        try:
            self.net.load_state_dict(self.averaged, strict=False)
            yield
        finally:
            self.net.load_state_dict(kept, strict=False)

    def held(self, put: Any, styles: Styles, photos: Photos, count: int = 12) -> dict[str, float]:
        """Mean terms on style images that are never trained on, the same each time."""
        rng, rows = np.random.default_rng(0), []
        with torch.no_grad(), self.average():
            for index in range(min(count, len(styles.pictures))):
                view = styles.view(index, 0)
                terms = self.losses(view, photos, put(view), rng)
                rows.append({f"held_{name}": float(term) for name, term in terms.items()})
        return {name: round(sum(row[name] for row in rows) / len(rows), 5) for name in rows[0]}

    def save(self, path: Path, rng: np.random.Generator) -> None:
        """Write everything that goes on."""
        tensors = checkpoint.prefixed("net", dict(self.net.state_dict()))
        tensors |= checkpoint.prefixed("averaged", self.averaged)
        tensors |= checkpoint.prefixed("optimizer", checkpoint.flatten_optimizer(self.optimizer))
        meta = {"step": self.step, "seconds": self.seconds, "rng": checkpoint.rng_meta(rng)}
        checkpoint.save(path, tensors, meta | {"config": asdict(self.config)})

    def begin_with(self, path: Path) -> None:
        """Take the values of a network's file, and its average too: only the optimiser begins anew.

        A smaller basis is grown, which changes nothing at first.
        """
        known = load_hypernetwork(path).net
        self.net.load_state_dict(known.grown(self.config.basis, self.config.seed).state_dict())
        self.averaged = {name: p.detach().clone() for name, p in self.net.named_parameters()}

    def resume(self, path: Path, rng: np.random.Generator) -> None:
        """Go on from what `save` wrote."""
        tensors, meta = checkpoint.load(path)
        self.net.load_state_dict(checkpoint.under("net", tensors))
        self.averaged = checkpoint.under("averaged", tensors)
        checkpoint.restore_optimizer(self.optimizer, checkpoint.under("optimizer", tensors))
        self.step, self.seconds = meta["step"], meta["seconds"]
        checkpoint.restore_rng(rng, meta["rng"])


def train(config: PainterConfig, data: Path, work: Path, base_name: str = "mini", begin: Path | None = None) -> Painter:
    """Train for the minutes of `config`, going on where `work` was left; log and checkpoint lie in `work`.

    Where nothing was left it begins anew, or with the network in the file `begin`, whose embeddings it keeps.
    Raises: StyleFileError or RuntimeError for a file that holds no network, or one of another base.
    """
    work.mkdir(parents=True, exist_ok=True)
    pictures = load_index(data)
    base = load_base(base_name, config.device)
    painter, rng = Painter(base, config), np.random.default_rng(config.seed)
    drawn = [p for p in pictures if p.kind != "photo" and p.split == "train"]
    unseen = [p for p in pictures if p.kind in ("painting", "filtered", "art") and p.split == "held"]
    styles, held = Styles(drawn, painter.network), Styles(unseen, painter.network)
    photos = Photos([p for p in pictures if p.kind == "photo" and p.split == "train"])
    state = work / "painter.safetensors"
    if state.exists():
        painter.resume(state, rng)
    elif begin is not None:
        painter.begin_with(begin)
    else:
        some = np.random.default_rng(1)
        painter.net.fit(torch.stack([styles.draw(some).measured.vector.cpu() for _ in range(FITTED_ON)]))
    periods, window = Periods(painter.seconds), []
    with painter.attached() as put, interruptible() as caught:
        while painter.seconds < 60 * config.minutes and not caught:
            window.append(painter.train_step(put, styles, photos, rng))
            if len(window) == 20:
                entry = {"step": painter.step, "minutes": round(painter.seconds / 60, 1), "lr": painter.rate}
                log_line(work, entry | summarise(window))
                window.clear()
            if periods.due("save", config.save_every_s, painter.seconds):
                painter.save(state, rng)
            if unseen and periods.due("held", config.held_every_s, painter.seconds):
                log_line(work, {"step": painter.step, **painter.held(put, held, photos)})
    painter.save(state, rng)
    return painter


def export(work: Path, out: Path, base_name: str = "mini") -> dict[str, Any]:
    """Write the averaged network in float16 to `out`, to lie beside its base."""
    painter = Painter(load_base(base_name), PainterConfig())
    painter.resume(work / "painter.safetensors", np.random.default_rng(0))
    facts = {"steps": painter.step, "minutes": round(painter.seconds / 60, 1)}
    with painter.average():
        save_hypernetwork(out, painter.net, painter.base.fingerprint, facts)
    return facts | {"bytes": out.stat().st_size}

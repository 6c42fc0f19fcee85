"""Stage 1 of the embedded base model: train its AutoencoderTiny within a time budget."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn

from . import checkpoint
from .adversary import PatchJudge, balance, judge_loss
from .autoencoder_eval import Sample, evaluate, save_grid
from .autoencoder_loss import LossWeights, equivariance, latent_spread, reconstruction_terms
from .autoencoder_start import start_from_identity
from .crops import CropSampler, to_tensor
from .muon import Muon
from .perceptual import feature_distance
from .run_control import Periods, interruptible, log_line, summarise


@dataclass(frozen=True)
class AutoencoderConfig:
    """Everything that shapes a run besides the images."""

    phase: str = "joint"
    minutes: float = 40.0
    device: str = "cpu"
    seed: int = 0
    width: int = 64
    latent_channels: int = 16
    encoder_blocks: tuple[int, ...] = (0, 1, 3, 3)
    decoder_blocks: tuple[int, ...] = (6, 5, 3, 1)
    optimizer: str = "muon"
    lr: float = 1e-3
    muon_lr: float = 3e-3
    warmup_steps: int = 50
    crops: tuple[tuple[int, int], ...] = ((64, 16), (128, 6))
    noise: float = 0.05
    equivariance_every: int = 4
    ema_decay: float = 0.998
    adversarial_share: float = 0.1
    log_every: int = 50
    save_minutes: float = 3.0
    eval_minutes: float = 8.0
    eval_images: int = 8
    loss: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.phase not in ("joint", "decoder"):
            raise ValueError(f"phase {self.phase!r}: use joint or decoder")
        if self.optimizer not in ("muon", "adamw"):
            raise ValueError(f"optimizer {self.optimizer!r}: use muon or adamw")
        if self.minutes <= 0:
            raise ValueError(f"{self.minutes} minutes: give a positive time")


def build(config: AutoencoderConfig) -> AutoencoderTiny:
    """The autoencoder of a config, 8x down, with random weights."""
    widths = (config.width,) * 4
    network: Any = AutoencoderTiny(
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=config.encoder_blocks,
        num_decoder_blocks=config.decoder_blocks,
        latent_channels=config.latent_channels,
    )
    return network.to(memory_format=torch.channels_last)


def build_optimizers(network: nn.Module, config: AutoencoderConfig) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or Muon for the inner convolutions and AdamW for the rest."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    inner = [p for p in parameters if p.ndim == 4 and min(p.shape[:2]) >= 32]
    chosen = {id(p) for p in inner} if config.optimizer == "muon" else set()
    rest = [p for p in parameters if id(p) not in chosen]
    adam = torch.optim.AdamW(rest, lr=config.lr, betas=(0.9, 0.99), weight_decay=1e-4)
    return [adam, Muon(inner, lr=config.muon_lr)] if chosen else [adam]


class Trainer:
    """A run that can be stopped and resumed."""

    def __init__(self, config: AutoencoderConfig, images: Sequence[np.ndarray], weights: np.ndarray):
        self.config, self.device_type = config, config.device.split(":")[0]
        self.rng = np.random.default_rng(config.seed)
        self.noise = torch.Generator(config.device).manual_seed(config.seed)
        self.sampler = CropSampler(images, weights, self.rng)
        self.distance = feature_distance(config.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.vae, self.ema = build(config), build(config)
            start_from_identity(self.vae, to_tensor(self.sampler.batch(128, 64), "cpu"))
            self.judge = PatchJudge().to(config.device)
        self._adopt(self.vae.state_dict())
        self.step, self.elapsed_s, self.adversarial_weight = 0, 0.0, 0.0
        self.optimizers = build_optimizers(self.vae, config)
        if config.phase == "decoder":
            judge_adam = torch.optim.AdamW(self.judge.parameters(), lr=2e-4, betas=(0.5, 0.9))
            self.optimizers.append(judge_adam)
        self.base_lrs = [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers]

    def _adopt(self, weights: dict[str, Tensor]) -> None:
        networks: list[Any] = [self.vae, self.ema]
        for network in networks:
            network.load_state_dict(weights)
            network.to(device=self.config.device)
        self.ema.requires_grad_(False).eval()
        self.vae.encoder.requires_grad_(self.config.phase == "joint")

    def start_after(self, path: Path) -> None:
        """Begin from the averaged weights of an earlier phase."""
        tensors, _ = checkpoint.load(path)
        self._adopt(checkpoint.under("ema", tensors))

    def start_from(self, folder: Path) -> None:
        """Begin from an exported autoencoder."""
        self._adopt(AutoencoderTiny.from_pretrained(folder).state_dict())

    def save(self, path: Path) -> None:
        """Write everything `resume` needs."""
        tensors = {"noise": self.noise.get_state()}
        for name, network in (("vae", self.vae), ("ema", self.ema), ("judge", self.judge)):
            tensors |= checkpoint.prefixed(name, network.state_dict())
        for index, optimizer in enumerate(self.optimizers):
            state = checkpoint.flatten_optimizer(optimizer)
            tensors |= checkpoint.prefixed(f"optimizer{index}", state)
        meta = {"step": self.step, "elapsed_s": self.elapsed_s, "rng": checkpoint.rng_meta(self.rng)}
        meta["adversarial_weight"] = self.adversarial_weight
        checkpoint.save(path, tensors, meta | {"config": asdict(self.config)})

    def resume(self, path: Path) -> None:
        """Continue where `save` was called."""
        tensors, meta = checkpoint.load(path)
        for name, network in (("vae", self.vae), ("ema", self.ema), ("judge", self.judge)):
            network.load_state_dict(checkpoint.under(name, tensors))
        for index, optimizer in enumerate(self.optimizers):
            checkpoint.restore_optimizer(optimizer, checkpoint.under(f"optimizer{index}", tensors))
        self.noise.set_state(tensors["noise"])
        checkpoint.restore_rng(self.rng, meta["rng"])
        self.step, self.elapsed_s = meta["step"], meta["elapsed_s"]
        self.adversarial_weight = meta["adversarial_weight"]

    @property
    def _judged(self) -> bool:
        return self.config.phase == "decoder" and self.config.adversarial_share > 0

    @property
    def progress(self) -> float:
        """The part of the time budget that is spent, 0 to 1."""
        return min(self.elapsed_s / (60 * self.config.minutes), 1.0)

    def _set_rates(self) -> None:
        warm = min((self.step + 1) / self.config.warmup_steps, 1.0)
        factor = warm * max(0.5 * (1 + np.cos(np.pi * self.progress)), 0.01)
        for optimizer, base in zip(self.optimizers, self.base_lrs, strict=True):
            optimizer.param_groups[0]["lr"] = base * factor

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device_type, torch.bfloat16)

    def _losses(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The weighted terms for a batch, and its reconstruction."""
        config, weights = self.config, asdict(self.config.loss)
        with self._autocast():
            with torch.set_grad_enabled(config.phase == "joint"):
                z = self.vae.encoder(x).float()
            noise = torch.randn(z.shape, generator=self.noise, device=z.device)
            y = self.vae.decoder(z + config.noise * noise)
            terms = reconstruction_terms(y, x, self.distance)
            if config.phase == "joint":
                terms["latent"] = latent_spread(z)
            if self.step % config.equivariance_every == 0:
                terms["equivariance"] = equivariance(self.vae.decoder, z, x)
        return {name: weights[name] * term for name, term in terms.items()}, y

    def _fool_judge(self, rest: Tensor, y: Tensor) -> Tensor:
        """The adversarial term, its weight renewed now and then and ramped up at first."""
        with self._autocast():
            adversarial = -self.judge(y).mean()
        if self.step % 10 == 0:
            last: Any = self.vae.decoder.layers[-1].weight
            found = balance(rest, adversarial, last, self.config.adversarial_share)
            self.adversarial_weight += 0.2 * (found - self.adversarial_weight)
        return min(self.progress / 0.1, 1.0) * self.adversarial_weight * adversarial

    def _teach_judge(self, x: Tensor, y: Tensor) -> Tensor:
        self.judge.zero_grad(set_to_none=True)
        with self._autocast():
            loss = judge_loss(self.judge, x, y)
        loss.backward()
        return loss.detach()

    def train_step(self, size_px: int, count: int) -> dict[str, float]:
        """One update of the weights and of their average."""
        self._set_rates()
        x = to_tensor(self.sampler.batch(count, size_px), self.config.device)
        terms, y = self._losses(x)
        loss = torch.stack(list(terms.values())).sum()
        if self._judged:
            terms["adversarial"] = self._fool_judge(loss, y)
            loss = loss + terms["adversarial"]
        self.vae.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in self.vae.parameters() if p.grad is not None], 1.0)
        if self._judged:
            terms["judge"] = self._teach_judge(x, y)
        for optimizer in self.optimizers:
            optimizer.step()
        self._average()
        self.step += 1
        return {name: float(term.detach()) for name, term in terms.items()}

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema_decay, (self.step + 1) / (self.step + 10))
        for average, now in zip(self.ema.parameters(), self.vae.parameters(), strict=True):
            average.lerp_(now.detach(), 1 - decay)

    def run(self, folder: Path, samples: Sequence[Sample] = ()) -> None:
        """Train until the budget is spent or an interrupt comes; log, evaluate and save."""
        config, clock = self.config, Periods(self.elapsed_s)
        path = folder / f"{config.phase}.safetensors"
        some = samples[:: max(1, len(samples) // config.eval_images)]
        window: list[dict[str, float]] = []
        with interruptible() as interrupted:
            while self.progress < 1 and not interrupted:
                size_px, count = config.crops[int(self.progress * len(config.crops))]
                begun = time.perf_counter()
                window.append(self.train_step(size_px, count) | {"images": count})
                window[-1]["seconds"] = time.perf_counter() - begun
                self.elapsed_s += window[-1]["seconds"]
                if self.step % config.log_every == 0:
                    self.log(folder, summarise(window))
                    window = []
                if some and clock.due("eval", 60 * config.eval_minutes, self.elapsed_s):
                    self.log(folder, {"eval": evaluate(self.ema, some, config.device)})
                if clock.due("save", 60 * config.save_minutes, self.elapsed_s):
                    self.save(path)
            self.save(path)

    def log(self, folder: Path, found: dict[str, Any]) -> None:
        head = {"phase": self.config.phase, "step": self.step, "elapsed_s": round(self.elapsed_s, 1)}
        log_line(folder, head | found)


def train(
    config: AutoencoderConfig,
    images: Sequence[np.ndarray],
    weights: np.ndarray,
    folder: Path,
    samples: Sequence[Sample] = (),
    start: Path | None = None,
) -> dict[str, dict[str, float]]:
    """Run or resume a phase, export the averaged weights and return their quality.

    A new joint phase begins from the autoencoder in the folder ``start``, if given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, images, weights)
    if (folder / f"{config.phase}.safetensors").exists():
        trainer.resume(folder / f"{config.phase}.safetensors")
    elif config.phase == "decoder":
        trainer.start_after(folder / "joint.safetensors")
    elif start:
        trainer.start_from(start)
    trainer.run(folder, samples)
    trainer.ema.save_pretrained(folder / config.phase)
    found = evaluate(trainer.ema, samples, config.device, bf16=False) if samples else {}
    trainer.log(folder, {"final": found})
    if samples:
        some = samples[:: max(1, len(samples) // config.eval_images)]
        save_grid(trainer.ema, some, folder / f"{config.phase}.png", config.device)
    return found


def tile_weights(tiles: Sequence[Any]) -> np.ndarray:
    """How often each tile is drawn, relative to the others."""
    return np.array([tile.weight for tile in tiles])


def config_of(phase: str, minutes: float, device: str, seed: int, refined: bool = False) -> AutoencoderConfig:
    """The recipe of a phase; what starts from good weights, the decoder phase and a refined joint one, goes slower."""
    config = AutoencoderConfig(phase=phase, minutes=minutes, device=device, seed=seed)
    if phase == "joint" and refined:
        loss = replace(config.loss, mse=10.0, perceptual=0.04, ssim=0.15)
        return replace(config, lr=4e-4, muon_lr=1.2e-3, crops=((128, 6),), noise=0.03, ema_decay=0.995, loss=loss)
    if phase == "joint":
        return config
    loss = replace(config.loss, mse=12.0, perceptual=0.03, ssim=0.2)
    return replace(config, lr=3e-4, muon_lr=5e-4, crops=((128, 6),), noise=0.02, adversarial_share=0.0, loss=loss)

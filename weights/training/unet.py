"""Stage 2 of the embedded base model: train its UNet and text encoder on the tiles' latents."""

import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from diffusers.training_utils import compute_snr
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from . import checkpoint, dataset, text
from .latents import Latents, encode_tiles
from .muon import Muon
from .run_control import Periods, interruptible, log_line, summarise

SCHEDULE: dict[str, Any] = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False,
    "set_alpha_to_one": False, "steps_offset": 1, "prediction_type": "v_prediction", "timestep_spacing": "leading",
}  # fmt: skip


@dataclass(frozen=True)
class UNetConfig:
    """Everything that shapes a run besides the latents."""

    minutes: float = 70.0
    device: str = "cpu"
    seed: int = 0
    widths: tuple[int, ...] = (64, 128, 192, 256)
    heads: tuple[int, ...] = (2, 4, 6, 8)
    groups: int = 32
    text_width: int = 192
    text_layers: int = 2
    lr: float = 6e-4
    muon_lr: float = 1.2e-3
    warmup_steps: int = 100
    stages: tuple[tuple[float, tuple[tuple[int, int], ...]], ...] = (
        (0.1, ((16, 48),)),
        (0.7, ((32, 16),)),
        (1.0, ((32, 16), (32, 16), (48, 8), (64, 4))),
    )
    """(end of the stage as a part of the budget, equally likely (latent side, batch size))."""
    whole_share: float = 0.6  # of the 32-latent samples show a whole tile at 256 px; the rest are parts at 512 px
    caption_dropout: float = 0.12
    colour_share: float = 0.3
    snr_limit: float = 5.0
    ema_decay: float = 0.9993
    log_every: int = 50
    save_minutes: float = 4.0
    eval_minutes: float = 10.0


def build(config: UNetConfig) -> UNet2DConditionModel:
    """Stable Diffusion's UNet, small; self- and cross-attention at three decoder resolutions."""
    depth = len(config.widths)
    down = ("DownBlock2D", *("CrossAttnDownBlock2D",) * (depth - 2), "DownBlock2D")
    up = ("UpBlock2D", *("CrossAttnUpBlock2D",) * (depth - 1))
    heads: Any = config.heads
    unet: Any = UNet2DConditionModel(
        sample_size=32, in_channels=16, out_channels=16, block_out_channels=config.widths, layers_per_block=1,
        attention_head_dim=heads, down_block_types=down, up_block_types=up, norm_num_groups=config.groups,
        cross_attention_dim=config.text_width,
    )  # fmt: skip
    nn.init.zeros_(unet.conv_out.weight)
    return unet.to(memory_format=torch.channels_last)


def build_networks(tokenizer: CLIPTokenizer, config: UNetConfig) -> nn.ModuleDict:
    """The UNet and its text encoder, with random weights."""
    encoder = text.build_text_encoder(tokenizer, config.text_width, config.text_layers)
    return nn.ModuleDict({"unet": build(config), "text": encoder})


class Batches:
    """Draws latents and captions: tiles by weight, views by stage."""

    def __init__(self, latents: Latents, tiles: Sequence[dataset.Tile], config: UNetConfig, rng: np.random.Generator):
        self.latents, self.tiles, self.config, self.rng = latents, tiles, config, rng
        self.scale = latents.scale
        weights = np.array([tile.weight for tile in tiles])
        self.any_tile = np.cumsum(weights) / weights.sum()
        fine = weights[latents.large_tile.numpy()]
        self.fine_tile = np.cumsum(fine) / max(fine.sum(), 1e-9)

    def draw(self, side: int, count: int) -> tuple[Tensor, list[str]]:
        """Scaled latents [count, 16, side, side] and their captions."""
        pairs = [self._one(side) for _ in range(count)]
        return torch.stack([latent.float() for latent, _ in pairs]) * self.scale, [said for _, said in pairs]

    def _one(self, side: int) -> tuple[Tensor, str]:
        whole = side <= 32 and (self.rng.random() < self.config.whole_share or not len(self.latents.large))
        if whole:
            tile = int(np.searchsorted(self.any_tile, self.rng.random(), side="right"))
            latent = self.latents.small[tile]
        else:
            row = int(np.searchsorted(self.fine_tile, self.rng.random(), side="right"))
            tile, latent = int(self.latents.large_tile[row]), self.latents.large[row]
        top, left = (int(self.rng.integers(latent.shape[-1] - side + 1)) for _ in range(2))
        return latent[:, top : top + side, left : left + side], self._caption(self.tiles[tile])

    def _caption(self, tile: dataset.Tile) -> str:
        chance = self.rng.random()
        if chance < self.config.caption_dropout:
            return ""
        coloured = chance > 1 - self.config.colour_share and tile.colours
        return f"{tile.caption}, {tile.colours}" if coloured else tile.caption


class Trainer:
    """A run that can be stopped and resumed."""

    def __init__(self, config: UNetConfig, tokenizer: CLIPTokenizer, batches: Batches):
        self.config, self.tokenizer, self.batches = config, tokenizer, batches
        self.noise = torch.Generator(config.device).manual_seed(config.seed)
        self.scheduler = DDIMScheduler(**SCHEDULE)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = build_networks(tokenizer, config).to(config.device)
        self.ema = deepcopy(self.model).requires_grad_(False).eval()
        self.step, self.elapsed_s = 0, 0.0
        matrices = [p for n, p in self.model.named_parameters() if _is_matrix(n, p)]
        chosen = {id(p) for p in matrices}
        rest = [p for p in self.model.parameters() if id(p) not in chosen]
        adam = torch.optim.AdamW(rest, lr=config.lr, betas=(0.9, 0.99), weight_decay=0.0)
        self.optimizers = [adam, Muon(matrices, lr=config.muon_lr)]
        self.base_lrs = [config.lr, config.muon_lr]

    def start_from(self, base: Path) -> None:
        """Take over the weights of an exported base, and the factor its latents are multiplied by."""
        unet: Any = UNet2DConditionModel.from_pretrained(base / "unet")
        encoder = CLIPTextModel.from_pretrained(base / "text_encoder")
        for network in (self.model, self.ema):
            network["unet"].load_state_dict(unet.state_dict())
            network["text"].load_state_dict(encoder.state_dict())
        config: Any = AutoencoderTiny.load_config(base / "vae")
        self.batches.scale = config["scaling_factor"]

    def save(self, path: Path) -> None:
        """Write everything `resume` needs."""
        tensors = {"noise": self.noise.get_state()}
        for name, network in (("model", self.model), ("ema", self.ema)):
            tensors |= checkpoint.prefixed(name, network.state_dict())
        for index, optimizer in enumerate(self.optimizers):
            tensors |= checkpoint.prefixed(f"optimizer{index}", checkpoint.flatten_optimizer(optimizer))
        meta = {"step": self.step, "elapsed_s": self.elapsed_s, "rng": checkpoint.rng_meta(self.batches.rng)}
        checkpoint.save(path, tensors, meta | {"config": asdict(self.config), "scale": self.batches.scale})

    def resume(self, path: Path) -> None:
        """Continue where `save` was called."""
        tensors, meta = checkpoint.load(path)
        for name, network in (("model", self.model), ("ema", self.ema)):
            network.load_state_dict(checkpoint.under(name, tensors))
        for index, optimizer in enumerate(self.optimizers):
            checkpoint.restore_optimizer(optimizer, checkpoint.under(f"optimizer{index}", tensors))
        self.noise.set_state(tensors["noise"])
        checkpoint.restore_rng(self.batches.rng, meta["rng"])
        self.step, self.elapsed_s = meta["step"], meta["elapsed_s"]
        self.batches.scale = meta["scale"]

    @property
    def progress(self) -> float:
        """The part of the time budget that is spent, 0 to 1."""
        return min(self.elapsed_s / (60 * self.config.minutes), 1.0)

    def _stage(self) -> tuple[int, int]:
        """Latent side and batch size of the next step."""
        shapes = next(shapes for end, shapes in self.config.stages if self.progress <= end)
        return shapes[int(self.batches.rng.integers(len(shapes)))]

    def _set_rates(self) -> None:
        warm = min((self.step + 1) / self.config.warmup_steps, 1.0)
        factor = warm * min(1.0, max((1 - self.progress) / 0.6, 0.02))
        for optimizer, base in zip(self.optimizers, self.base_lrs, strict=True):
            optimizer.param_groups[0]["lr"] = base * factor

    def train_step(self) -> dict[str, float]:
        """One update of the weights and of their average."""
        self._set_rates()
        side, count = self._stage()
        latents, captions = self.batches.draw(side, count)
        latents = latents.to(self.config.device, memory_format=torch.channels_last)
        loss = self._loss(self.model, latents, captions)
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        decay = min(self.config.ema_decay, (self.step + 1) / (self.step + 10))
        for average, now in zip(self.ema.parameters(), self.model.parameters(), strict=True):
            average.lerp_(now.detach(), 1 - decay)
        self.step += 1
        return {f"loss{side}": float(loss.detach()), "images": count}

    def _loss(self, model: nn.ModuleDict, latents: Tensor, captions: list[str]) -> Tensor:
        """The min-SNR weighted v-prediction error of a batch. Source: 2303.09556, section 3.4."""
        count, device = len(latents), latents.device
        noise = torch.randn(latents.shape, generator=self.noise, device=device)
        strata = torch.rand(count, generator=self.noise, device=device) + torch.arange(count, device=device)
        steps = (strata / count * 1000).long().clamp(max=999)
        snr = compute_snr(self.scheduler, steps)
        weights = snr.clamp(max=self.config.snr_limit) / (snr + 1)
        errors = squared_errors(model, self.scheduler, self.tokenizer, latents, noise, steps, captions)
        return (weights * errors).mean()

    def run(self, folder: Path, held: Latents, held_captions: Sequence[str]) -> None:
        """Train until the budget is spent or an interrupt comes; log, evaluate and save."""
        clock, window, path = Periods(self.elapsed_s), [], folder / "unet.safetensors"
        with interruptible() as interrupted:
            while self.progress < 1 and not interrupted:
                begun = time.perf_counter()
                window.append(self.train_step())
                window[-1]["seconds"] = time.perf_counter() - begun
                self.elapsed_s += window[-1]["seconds"]
                if self.step % self.config.log_every == 0:
                    self.log(folder, summarise(window))
                    window = []
                if clock.due("eval", 60 * self.config.eval_minutes, self.elapsed_s):
                    self.log(folder, {"held_out": self.evaluate(held, held_captions)})
                if clock.due("save", 60 * self.config.save_minutes, self.elapsed_s):
                    self.save(path)
            self.save(path)
        self.log(folder, {"held_out": self.evaluate(held, held_captions)})

    def log(self, folder: Path, found: dict[str, Any]) -> None:
        """Append one line to the run's log."""
        log_line(folder, {"step": self.step, "elapsed_s": round(self.elapsed_s, 1)} | found)

    @torch.no_grad()
    def evaluate(self, held: Latents, captions: Sequence[str], most: int = 96) -> dict[str, float]:
        """Unweighted v-prediction error of the averaged weights on held-out tiles, with fixed noise and steps."""
        found = {}
        said = list(captions)
        for name, latents, shown in (
            ("v_mse_256px", held.small[:most], said[:most]),
            ("v_mse_512px", held.large[: most // 4], [said[i] for i in held.large_tile[: most // 4].tolist()]),
        ):
            fixed = torch.Generator().manual_seed(1)
            errors = []
            for index in range(0, len(latents), 8):
                x = latents[index : index + 8].float() * self.batches.scale
                steps = ((torch.arange(len(x)) + index) * 619 + 50) % 1000
                noise = torch.randn(x.shape, generator=fixed)
                device = self.config.device
                errors.append(squared_errors(self.ema, self.scheduler, self.tokenizer, x.to(device), noise.to(device),
                                             steps.to(device), shown[index : index + 8]))  # fmt: skip
            found[name] = round(float(torch.cat(errors).mean()), 4) if errors else float("nan")
        return found


def _is_matrix(name: str, parameter: Tensor) -> bool:
    return parameter.ndim in (2, 4) and min(parameter.shape[:2]) >= 32 and "embedding" not in name


def squared_errors(
    model: nn.ModuleDict, scheduler: DDIMScheduler, tokenizer: CLIPTokenizer, latents: Tensor, noise: Tensor,
    steps: Tensor, captions: Sequence[str],
) -> Tensor:  # fmt: skip
    """Mean squared v-prediction error of each sample [b]."""
    noisy = scheduler.add_noise(latents, noise, steps)  # type: ignore[arg-type]
    target = scheduler.get_velocity(latents, noise, steps)  # type: ignore[arg-type]
    ids = tokenizer(list(captions), padding="max_length", truncation=True, return_tensors="pt").input_ids
    with torch.autocast(latents.device.type, torch.bfloat16):
        context = model["text"](ids.to(latents.device)).last_hidden_state
        predicted = model["unet"](noisy.contiguous(memory_format=torch.channels_last), steps, context).sample
    return (predicted.float() - target).square().flatten(1).mean(1)


def train(config: UNetConfig, data_dir: Path, work_dir: Path, vae_dir: Path, start: Path | None = None) -> Trainer:
    """Encode the tiles, run or resume the training, return the trainer with the averaged weights.

    A new run begins from the exported base in ``start``, if given: same autoencoder, tokenizer and widths.
    """
    tiles = dataset.load_index(data_dir)
    vae = AutoencoderTiny.from_pretrained(vae_dir).to(config.device).eval()  # type: ignore[attr-defined]
    seen = [tile for tile in tiles if tile.split == "train"]
    held = [tile for tile in tiles if tile.split == "held"]
    folder = work_dir / "unet"
    folder.mkdir(parents=True, exist_ok=True)
    words = [tile.caption for tile in seen]
    tokenizer = CLIPTokenizer.from_pretrained(start / "tokenizer") if start else text.learn_tokenizer(words)
    tokenizer.save_pretrained(folder / "tokenizer")
    batches = Batches(encode_tiles(vae, seen, folder / "latents.safetensors", config.device), seen, config,
                      np.random.default_rng(config.seed))  # fmt: skip
    trainer = Trainer(config, tokenizer, batches)
    if (folder / "unet.safetensors").exists():
        trainer.resume(folder / "unet.safetensors")
    elif start:
        trainer.start_from(start)
    held_latents = encode_tiles(vae, held, folder / "held.safetensors", config.device)
    trainer.run(folder, held_latents, [tile.caption for tile in held])
    return trainer

"""How the autoencoder of the embedded base is trained."""

from dataclasses import dataclass, field, replace

from .autoencoder_loss import LossWeights


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
    painted_every: int = 6
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


def config_of(phase: str, minutes: float, device: str, seed: int, refined: bool = False) -> AutoencoderConfig:
    """The recipe of a phase; what starts from good weights, the decoder phase and a refined joint one, goes slower."""
    config = AutoencoderConfig(phase=phase, minutes=minutes, device=device, seed=seed)
    if phase == "joint" and refined:
        loss = replace(config.loss, mse=10.0, perceptual=0.04, ssim=0.15)
        return replace(config, lr=4e-4, muon_lr=1.2e-3, crops=((128, 6),), noise=0.03, ema_decay=0.995, loss=loss)
    if phase == "joint":
        return config
    loss = replace(config.loss, mse=12.0, perceptual=0.03, ssim=0.2)
    muon_lr = 1e-3 if refined else 5e-4
    return replace(config, lr=3e-4, muon_lr=muon_lr, crops=((128, 6),), noise=0.02, adversarial_share=0.0, loss=loss)

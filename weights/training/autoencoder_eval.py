"""PSNR, SSIM and a picture of reconstructions at 512 px."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from .crops import to_tensor

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class Sample:
    """A whole image to reconstruct: its name, its group and its uint8 [h, w, 3] pixels."""

    name: str
    group: str
    pixels: np.ndarray


def load_sample(path: Path, short_px: int = 512) -> Sample:
    """An image with its short side at `short_px`, both sides divisible by 8."""
    with Image.open(path) as image:
        image = image.convert("RGB")
    scale = short_px / min(image.size)
    width_px, height_px = (max(8, round(side * scale / 8) * 8) for side in image.size)
    resized = image.resize((width_px, height_px), Image.Resampling.LANCZOS)
    return Sample(path.stem, path.parent.name, np.asarray(resized))


def load_samples(folders: Sequence[Path], short_px: int = 512) -> list[Sample]:
    """Every image directly in the folders, by name."""
    files = [path for folder in folders for path in sorted(folder.iterdir())]
    return [load_sample(path, short_px) for path in files if path.suffix.lower() in SUFFIXES]


@torch.no_grad()
def reconstruct(vae: AutoencoderTiny, pixels: np.ndarray, device: str, bf16: bool) -> np.ndarray:
    """uint8 [h, w, 3] through the encoder and back."""
    x = to_tensor(pixels[None].copy(), device)
    with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=bf16):
        y = vae.decoder(vae.encoder(x))
    y = y.float().add(1).mul(127.5).round().clamp(0, 255).byte()
    return y[0].permute(1, 2, 0).cpu().numpy()


def quality(image: np.ndarray, reconstruction: np.ndarray) -> tuple[float, float]:
    """PSNR in dB and SSIM of uint8 images."""
    psnr: Any = peak_signal_noise_ratio(image, reconstruction, data_range=255)
    ssim: Any = structural_similarity(image, reconstruction, channel_axis=2, data_range=255)
    return float(psnr), float(ssim)


def evaluate(
    vae: AutoencoderTiny, samples: Sequence[Sample], device: str = "cpu", bf16: bool = True
) -> dict[str, dict[str, float]]:
    """Mean PSNR and SSIM for each group of samples, and for `all`."""
    found: dict[str, list[tuple[float, float]]] = {}
    for sample in samples:
        pair = quality(sample.pixels, reconstruct(vae, sample.pixels, device, bf16))
        found.setdefault(sample.group, []).append(pair)
    found["all"] = [pair for pairs in list(found.values()) for pair in pairs]
    means = {group: np.mean(pairs, axis=0) for group, pairs in found.items() if pairs}
    return {g: {"psnr": round(float(m[0]), 3), "ssim": round(float(m[1]), 4)} for g, m in means.items()}


def save_grid(
    vae: AutoencoderTiny, samples: Sequence[Sample], path: Path, device: str = "cpu", side_px: int = 320
) -> None:
    """Write originals above reconstructions, centre crops of `side_px`."""
    columns = []
    for sample in samples:
        made = reconstruct(vae, sample.pixels, device, bf16=False)
        top, left = ((size - side_px) // 2 for size in sample.pixels.shape[:2])
        window = np.s_[max(top, 0) : top + side_px, max(left, 0) : left + side_px]
        columns.append(np.concatenate([sample.pixels[window], made[window]]))
    Image.fromarray(np.concatenate(columns, axis=1)).save(path)

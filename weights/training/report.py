"""Stage 4: measure the exported base on images it has never seen, and write its model card."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageDraw
from torch import Tensor

from sigstyle.base.conditioning import Conditioning
from sigstyle.diffusion.inversion import invert

from . import dataset
from .autoencoder_eval import Sample, evaluate, load_samples, quality, reconstruct
from .crops import to_tensor

PROMPTS = (
    "a photo of mountains", "clip art of a tree", "a texture of stone", "a photo of a city", "a photo of sea",
    "a painting of medieval landscape", "a photo of snow, blue and white", "an illustration of cartoon underwater room",
)  # fmt: skip


@torch.no_grad()
def sample_grid(pipe: StableDiffusionPipeline, path: Path, prompts: Sequence[str] = PROMPTS, size_px: int = 256,
                guidance: float = 3.0, steps: int = 30, seeds: int = 2) -> None:  # fmt: skip
    """Draw ``seeds`` pictures of every prompt, a column each, with the prompt above."""
    columns = []
    for prompt in prompts:
        generator = [torch.Generator().manual_seed(seed) for seed in range(seeds)]
        drawn: Any = pipe([prompt] * seeds, height=size_px, width=size_px, num_inference_steps=steps,
                          guidance_scale=guidance, generator=generator)  # fmt: skip
        column = Image.new("RGB", (size_px, seeds * size_px + 18), "white")
        ImageDraw.Draw(column).text((4, 3), prompt[: size_px // 7], fill="black")
        for row, image in enumerate(drawn.images):
            column.paste(image, (0, 18 + row * size_px))
        columns.append(column)
    save_row(columns, path)


def save_row(pictures: Sequence[Image.Image], path: Path) -> None:
    """Paste pictures side by side into one file."""
    sheet = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)), "white")
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width
    sheet.save(path, quality=90)


def reconstruction_sheet(pipe: StableDiffusionPipeline, samples: Sequence[Sample], path: Path) -> None:
    """Show centre crops of originals above their reconstructions at full size."""
    pictures = []
    for sample in samples:
        made = reconstruct(pipe.vae, sample.pixels, "cpu", bf16=False)
        top, left = ((side - 320) // 2 for side in sample.pixels.shape[:2])
        window = np.s_[top : top + 320, left : left + 320]
        pictures.append(Image.fromarray(np.concatenate([sample.pixels[window], made[window]])))
    save_row(pictures, path)


@torch.no_grad()
def decode(pipe: StableDiffusionPipeline, latents: Tensor) -> np.ndarray:
    """uint8 [h, w, 3] of scaled latents [1, c, h, w]."""
    pixels = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample[0]
    return pixels.add(1).mul(127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


@torch.no_grad()
def round_trip(
    pipe: StableDiffusionPipeline, image: np.ndarray, caption: str, steps: int, iterations: int
) -> dict[str, float]:
    """PSNR of a picture after the autoencoder alone, and after inversion and denoising at guidance 1 as well."""
    latents = pipe.vae.encode(to_tensor(image[None].copy(), "cpu")).latents * pipe.vae.config.scaling_factor
    ids = pipe.tokenizer(caption, padding="max_length", truncation=True, return_tensors="pt").input_ids
    context = pipe.text_encoder(ids)[0]
    trace = invert(pipe.unet, pipe.scheduler, latents, Conditioning(context), steps=steps, iterations=iterations)
    assert trace is not None
    x = trace.initial_noise
    for step in pipe.scheduler.timesteps:
        x = pipe.scheduler.step(pipe.unet(x, step, context).sample, step, x).prev_sample
    alone, back = decode(pipe, latents), decode(pipe, x)
    return {"autoencoder": quality(image, alone)[0], "round_trip": quality(image, back)[0],
            "between": quality(alone, back)[0]}  # fmt: skip


def round_trips(
    pipe: StableDiffusionPipeline, tiles: Sequence[dataset.Tile], most: int, steps: int = 50
) -> dict[str, Any]:
    """Mean round-trip PSNR of held-out photographs with 1 and 2 evaluations a step."""
    photos = [t for t in tiles if t.split == "held" and t.kind == "photo" and t.whole][:most]
    found: dict[str, Any] = {"photos": len(photos), "steps": steps}
    for iterations in (1, 2):
        rows = []
        for tile in photos:
            with Image.open(tile.path) as image:
                rows.append(round_trip(pipe, np.asarray(image.convert("RGB")), tile.caption, steps, iterations))
        names = rows[0] if rows else {}
        found[f"iterations_{iterations}"] = {k: round(float(np.mean([r[k] for r in rows])), 2) for k in names}
    return found


def report(
    base_dir: Path, tiles: Sequence[dataset.Tile], examples: Sequence[Path], out_dir: Path, photos: int = 2,
    prompts: Sequence[str] = PROMPTS,
) -> dict[str, Any]:  # fmt: skip
    """Measure ``base_dir`` and write scores.json, reconstructions.jpg and samples.jpg to ``out_dir``."""
    pipe = StableDiffusionPipeline.from_pretrained(base_dir, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    samples = load_samples(examples)
    found: dict[str, Any] = {"autoencoder_512px": evaluate(pipe.vae, samples, bf16=False) if samples else {}}
    if samples:
        reconstruction_sheet(pipe, samples[:: max(1, len(samples) // 6)][:6], out_dir / "reconstructions.jpg")
    found["round_trip"] = round_trips(pipe, tiles, photos)
    sample_grid(pipe, out_dir / "samples.jpg", prompts)
    (out_dir / "scores.json").write_text(json.dumps(found, indent=1) + "\n")
    return found

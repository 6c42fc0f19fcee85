"""The published SigStyle rebuilt from its description, as a yardstick: its training step and its transfer schedule.

Source: arXiv 2502.13997, section 3. What the authors' code does beyond the description is not counted.
"""

from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sigstyle.base.conditioning import Conditioning
from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import StyleToken, embed_prompts, tokenize
from sigstyle.diffusion.attention import recorded, recording, self_attention_layers
from sigstyle.diffusion.attention_swap import Swap
from sigstyle.diffusion.denoise import predict, predict_guided
from sigstyle.style.targets import target_layers

INVERSION_STEPS = 51
RECONSTRUCTION_STEPS = 51
STEPS = 50
SWAPPED_STEPS = 16
GUIDANCE = 7.5


class MatrixGenerator(nn.Module):
    """Makes every target's offset as a whole matrix: a scaled outer product through two affine maps.

    Shapes: `shapes` holds (out, in) by layer path; the maps are shared by layers of one width.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, int]]) -> None:
        super().__init__()
        self.shapes = dict(shapes)
        self.scales = nn.Parameter(torch.zeros(len(shapes)))
        self.vectors = nn.ParameterList(torch.randn(n) for shape in shapes.values() for n in shape)
        widths = {n for shape in shapes.values() for n in shape}
        self.maps = nn.ModuleDict({f"{side}{n}": nn.Linear(n, n) for side in ("row", "column") for n in widths})

    def forward(self) -> dict[str, Tensor]:
        """The offset [out, in] of every layer, by path."""
        offsets = {}
        for index, (path, (fan_out, fan_in)) in enumerate(self.shapes.items()):
            outer = self.scales[index] * torch.outer(self.vectors[2 * index], self.vectors[2 * index + 1])
            offsets[path] = self.maps[f"column{fan_out}"](self.maps[f"row{fan_in}"](outer).T).T
        return offsets


class _Scaled(nn.Module):
    """A parametrization: the weight times one plus its generated offset."""

    def __init__(self, offset: Tensor) -> None:
        super().__init__()
        self._offset = [offset]  # not a buffer: the gradient is to flow

    def forward(self, weight: Tensor) -> Tensor:
        return weight * (1 + self._offset[0])


class PublishedCapture:
    """The published training step: one sample, encoded anew, through the whole UNet and back."""

    def __init__(self, base: BaseModel) -> None:
        self.base = base
        self.generator = MatrixGenerator(target_layers(base.unet))
        self.token = nn.Parameter(torch.zeros(1, base.unet.config.cross_attention_dim))
        style = StyleToken("<style>", self.token)
        self.prompt = tokenize(base.tokenizer, ["a painting in the style of <style>"], [style])

    def step(self, pixels: Tensor) -> None:
        """Leaves the gradients of one step. Shapes: pixels [1, 3, h, w] in [-1, 1]."""
        base = self.base
        with torch.no_grad():
            encoded = base.vae.encode(pixels)
            clean = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
        noise, timesteps = torch.randn_like(clean), torch.full((1,), 500)
        embeds = embed_prompts(base.text_encoder, self.prompt, [StyleToken("<style>", self.token)])
        with _generated(base.unet, self.generator()):
            F.mse_loss(base.unet(clean + noise, timesteps, embeds).sample, noise).backward()


@contextmanager
def _generated(unet: nn.Module, offsets: Mapping[str, Tensor]) -> Any:
    """Within the context the UNet's targets carry the generated offsets."""
    with ExitStack() as undo:
        for path, offset in offsets.items():
            layer = unet.get_submodule(path)
            parametrize.register_parametrization(layer, "weight", _Scaled(offset), unsafe=True)
            undo.callback(parametrize.remove_parametrizations, layer, "weight", leave_parametrized=False)
        yield


@torch.no_grad()
def published_transfer(styled: Any, plain: Any, scheduler: Any, latents: Tensor, cond: Conditioning) -> Tensor:
    """Every UNet evaluation of one published transfer, 218 in all; latents are stepped as DDIM steps them.

    Inversion, a reconstruction, then guided denoising; in its first steps the unstyled UNet is evaluated beside the
    styled one, and its self-attention queries are fed in.
    Shapes: latents [1, c, h, w]; cond of 2 rows, the negative prompt and the prompt.
    """
    negative, prompt = cond[:1], cond[1:]
    layers = self_attention_layers(plain)
    for steps, order in ((INVERSION_STEPS, -1), (RECONSTRUCTION_STEPS, 1)):
        scheduler.set_timesteps(steps)
        for timestep in scheduler.timesteps.tolist()[::order]:
            output = predict(plain, latents, torch.tensor(timestep), prompt)
            latents = scheduler.step(output, timestep, latents).prev_sample
    scheduler.set_timesteps(STEPS)
    for step, timestep in enumerate(scheduler.timesteps.tolist()):
        swap = Swap({})
        if step < SWAPPED_STEPS:
            with recording(plain, layers) as recorders:
                predict(plain, latents, torch.tensor(timestep), prompt)
            swap = Swap({timestep: recorded(recorders)})
        with swap.installed(styled):
            swap.prepare(step, timestep, rows=1)
            output = predict_guided(styled, latents, torch.tensor(timestep), prompt, negative, GUIDANCE)
        latents = scheduler.step(output, timestep, latents).prev_sample
    return latents

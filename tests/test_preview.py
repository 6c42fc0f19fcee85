import pytest
import torch
from conftest import MakeBase
from diffusers import AutoencoderTiny
from PIL import Image
from random_style import random_style

from sigstyle.api import generate, transfer
from sigstyle.base.model import BaseModel
from sigstyle.diffusion.preview import Preview

QUICK = {"preset": "classic", "steps": 4, "size_px": 64, "noise_sigma": 0.0}


@pytest.mark.parametrize("vae", ["tiny", "kl"])
def test_every_denoising_step_is_seen(make_base: MakeBase, painting: Image.Image, vae: str) -> None:
    base = make_base(vae=vae)
    seen: list[Image.Image] = []
    with_previews = transfer(painting, random_style(base), base=base, on_preview=seen.append, **QUICK)
    assert len(seen) == QUICK["steps"]
    assert all(picture.mode == "RGB" for picture in seen)
    without = transfer(painting, random_style(base), base=base, **QUICK)
    assert with_previews.images[0].tobytes() == without.images[0].tobytes(), "looking changes nothing"


def test_a_painted_prompt_is_seen_too(base: BaseModel) -> None:
    seen: list[Image.Image] = []
    generate("a castle", random_style(base), base=base, steps=3, width=64, height=64, on_preview=seen.append)
    assert len(seen) == 4, "three steps of the base's picture, and one that paints it"


def test_a_variational_autoencoder_is_never_run_for_a_preview(
    make_base: MakeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make_base(vae="kl")
    preview = Preview(base)
    monkeypatch.setattr(base.vae, "decode", lambda *_: pytest.fail("decoded"))
    latents = torch.zeros(1, 4, 8, 12)
    assert preview(latents).size == (12, 8)


def test_linear_colours_are_fitted_to_the_autoencoder(make_base: MakeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    base = make_base(vae="kl")
    mixing = torch.tensor([[0.5, 0.2, 0.0], [0.0, 0.4, 0.1], [0.3, 0.0, 0.6], [0.1, 0.1, 0.1]])

    def linear(vae: AutoencoderTiny, pixels: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bdhw,cd->bchw", torch.nn.functional.avg_pool2d(pixels, 8), mixing)

    monkeypatch.setattr("sigstyle.diffusion.preview.encode_latents", linear)
    preview = Preview(base)
    assert preview.colours is not None
    red = linear(base.vae, torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 64, 64))
    colour = torch.cat([red[0, :, 0, 0], torch.ones(1)]) @ preview.colours
    assert torch.allclose(colour, torch.tensor([1.0, -1.0, -1.0]), atol=1e-3)

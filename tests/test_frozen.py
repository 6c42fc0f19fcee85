"""Inverting and swapping, and the captures made for it, are as they were before painting came: see `frozen`."""

import numpy as np
import pytest
import torch
from frozen import CAPTURED, CAPTURES, CASES, FIXTURES, TRANSFERS, captured, frozen_base, painted
from safetensors.torch import load_file

from sigstyle.base.model import BaseModel
from sigstyle.style.style import Style
from sigstyle.style.tensor_file import read_tensors


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return frozen_base()


@pytest.mark.parametrize("case", CASES)
def test_a_picture_is_as_before(base: BaseModel, case: str) -> None:
    """Bit for bit on the processor that made it; others round differently."""
    frozen, made = load_file(TRANSFERS), painted(base, case)
    pixels = np.asarray(made.images[0], dtype=np.int16)
    assert np.abs(pixels - frozen[f"{case}.pixels"].numpy().astype(np.int16)).max() <= 1
    latents = painted(base, case, output_type="latent").images
    torch.testing.assert_close(latents, frozen[f"{case}.latents"], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_learns_what_it_learned_before(base: BaseModel, name: str) -> None:
    frozen, style = load_file(CAPTURED), captured(base, name, name)
    found = {f"{name}.{key}": tensor for key, tensor in style.tensors().items()}
    assert set(found) == {key for key in frozen if key.startswith(f"{name}.")}
    for key, tensor in found.items():
        torch.testing.assert_close(tensor.float(), frozen[key].float(), atol=2e-3, rtol=1e-2)


def test_a_style_file_of_before_is_read_whole(base: BaseModel) -> None:
    path = FIXTURES / "great-wave.safetensors"
    assert "checksum" not in read_tensors(path)[1]["sigstyle"]
    style = Style.load(path)
    style.check_base(base)
    assert style.palette is None and style.brushwork.amount == 0 and style.decoder_offsets == {}
    frozen = load_file(CAPTURED)
    tensors = style.tensors()
    assert style.reference is not None and len(tensors) == sum(key.startswith("classic.") for key in frozen)
    assert all(torch.equal(tensor, frozen[f"classic.{key}"]) for key, tensor in tensors.items())

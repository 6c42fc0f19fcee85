import dataclasses
import json
import os
import pickle
import struct
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from conftest import TEXT_DIM, MakeBase

from sigstyle import files
from sigstyle.base.model import BaseModel
from sigstyle.base.prompts import StyleToken
from sigstyle.errors import BaseMismatchError, ConfigError, StyleFileError
from sigstyle.imaging.brushwork import Brushwork
from sigstyle.imaging.palette import Palette
from sigstyle.style.offsets import Offset
from sigstyle.style.style import Style
from sigstyle.style.tensor_file import read_tensors

LAYER = "up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"


def make_style(**changes: Any) -> Style:
    generator = torch.Generator().manual_seed(3)
    values: dict[str, Any] = {
        "name": "Great Wave",
        "token": StyleToken("<great-wave>", torch.randn(1, TEXT_DIM, generator=generator)),
        "offsets": {
            LAYER: Offset(torch.randn(32, 3, generator=generator), torch.randn(3, 32, generator=generator)),
            "up_blocks.2.resnets.0.conv1": Offset(torch.ones(16, 1), torch.ones(1, 288)),
        },
        "domain": "painting",
        "base_fingerprint": "11111111-22222222",
        "base_name": "tiny",
        "start_mean": torch.randn(4, generator=generator),
        "start_std": torch.ones(4),
        "latent_mean": torch.zeros(4),
        "latent_std": torch.ones(4),
        "metadata": {"steps": 240, "title": "Größe"},
        "thumbnail": "data:image/jpeg;base64,AAAA",
    }
    return Style(**(values | changes))


def make_painter() -> Style:
    """A style as a capture that paints makes it: colours and a decoder, nothing of the image itself."""
    generator = torch.Generator().manual_seed(4)
    return make_style(
        start_mean=None,
        start_std=None,
        latent_mean=None,
        latent_std=None,
        palette=Palette(torch.tensor([0.1, -0.2, 0.3]), torch.tensor([[0.2, 0.1, 0], [0.1, 0.3, 0], [0, 0, 0.1]])),
        brushwork=Brushwork(0.125, 12.0, 2.0, 64.0, -0.5, 0.25),
        decoder_offsets={
            "layers.3.conv.0": Offset(torch.randn(8, 2, generator=generator), torch.randn(2, 72, generator=generator))
        },
    )


def rewrite(path: Path, tensors: dict[str, torch.Tensor] | None = None, /, **metadata: str) -> Path:
    """Write `path` again with other tensors or other header texts."""
    old, header = safetensors.torch.load_file(path), read_tensors(path)[1]
    safetensors.torch.save_file(old | (tensors or {}), path, header | metadata)
    return path


def with_header(path: Path, header: Any, body: bytes = b"") -> Path:
    """A file with a safetensors header made by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    make_style().save(tmp_path / "wave.safetensors")
    return tmp_path / "wave.safetensors"


def test_a_saved_style_is_the_same_style(saved: Path) -> None:
    style, loaded = make_style(), Style.load(saved)
    assert loaded.hash == style.hash
    for entry in dataclasses.fields(Style):
        if entry.name not in ("offsets", "token") and not entry.name.endswith(("mean", "std")):
            assert getattr(loaded, entry.name) == getattr(style, entry.name)
    assert loaded.token.token == style.token.token
    assert torch.equal(loaded.token.embedding, style.token.embedding)
    assert set(loaded.offsets) == set(style.offsets)
    for path, offset in style.offsets.items():
        assert torch.equal(loaded.offsets[path].up, offset.up)
        assert torch.equal(loaded.offsets[path].down, offset.down)
    assert torch.equal(loaded.tensors()["start_mean"], style.tensors()["start_mean"])


def test_saving_is_deterministic(saved: Path, tmp_path: Path) -> None:
    Style.load(saved).save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


def test_the_file_is_small_holds_half_floats_and_says_what_it_is(saved: Path) -> None:
    tensors, metadata = read_tensors(saved)
    assert {tensor.dtype for key, tensor in tensors.items() if key.startswith("offsets")} == {torch.float16}
    assert metadata["modelspec.title"] == "Great Wave"
    assert metadata["modelspec.trigger_phrase"] == "<great-wave>"
    assert saved.stat().st_size < 8192


def test_the_hash_depends_on_every_tensor_and_the_token_only() -> None:
    style = make_style()
    assert make_style(metadata={}, thumbnail="").hash == style.hash
    assert make_style(start_std=torch.full((4,), 2.0)).hash != style.hash
    assert make_style(token=StyleToken("<other>", style.token.embedding)).hash != style.hash


def test_only_its_own_base_is_accepted(make_base: MakeBase) -> None:
    base, tuned = make_base(seed=0), make_base(seed=1)
    style = make_style(base_fingerprint=base.fingerprint)
    style.check_base(base)
    style.check_base(tuned, same_weights=False)
    with pytest.raises(BaseMismatchError, match=f"tiny.*{base.fingerprint}.*{tuned.fingerprint}.*other weights"):
        style.check_base(tuned)
    with pytest.raises(BaseMismatchError, match="another architecture"):
        make_style().check_base(base, same_weights=False)


def test_another_autoencoder_or_text_encoder_is_refused_where_it_counts(make_base: MakeBase) -> None:
    base = make_base()
    known = {"vae_fingerprint": base.vae_fingerprint, "text_fingerprint": base.text_fingerprint}
    style = make_style(base_fingerprint=base.fingerprint, metadata=known)
    other_vae, other_text = make_base(vae="kl"), make_base()
    other_vae.fingerprint, other_vae.text_fingerprint = base.fingerprint, base.text_fingerprint
    other_text.text_fingerprint = make_base(seed=1).text_fingerprint
    style.check_base(base)
    own, found = base.vae_fingerprint, other_vae.vae_fingerprint
    with pytest.raises(BaseMismatchError, match=f"tiny.*{own}.*tiny.*{found}.*an autoencoder of another architecture"):
        style.check_base(other_vae)
    style.check_base(other_vae, latents=False)
    with pytest.raises(BaseMismatchError, match="a text encoder of other weights"):
        style.check_base(other_text)
    style.check_base(other_text, same_weights=False)


def test_a_style_of_before_knows_its_unet_alone(make_base: MakeBase) -> None:
    base, other = make_base(), make_base(vae="kl", seed=1)
    other.fingerprint = base.fingerprint
    make_style(base_fingerprint=base.fingerprint, metadata={}).check_base(other)


def test_styles_are_equal_by_content() -> None:
    style, renamed, other = make_style(), make_style(name="Wave", metadata={}), make_style(start_std=torch.ones(4) * 2)
    assert style == renamed and style in [other, renamed]
    assert style != other and style not in [other]
    assert style != "Great Wave"
    assert {style, renamed, other} == {style, other}


def test_offsets_and_tokens_are_equal_by_content() -> None:
    ones, again, more = Offset(torch.ones(4, 1), torch.ones(1, 4)), Offset(torch.ones(4, 1), torch.ones(1, 4)), 2.0
    assert ones == again and {ones, again} == {ones} and ones != ones.scaled(more)
    assert Offset(torch.ones(4, 1, requires_grad=True), torch.ones(1, 4)) == ones
    token = StyleToken("<a>", torch.ones(1, 3))
    assert token == StyleToken("<a>", torch.ones(1, 3)) and token in [token]
    assert token not in [StyleToken("<b>", torch.ones(1, 3)), StyleToken("<a>", torch.ones(2, 3))]
    assert len({token, StyleToken("<a>", torch.ones(1, 3))}) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_values_that_do_not_fit_are_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="not finite or too large"):
        make_style(offsets={LAYER: Offset(torch.full((4, 1), value), torch.ones(1, 4))})


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 81])
def test_unusable_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="style name"):
        make_style(name=name)


def test_every_truncation_is_refused(saved: Path, tmp_path: Path) -> None:
    data, cut = saved.read_bytes(), tmp_path / "cut.safetensors"
    for length in [0, 1, 7, 8, 9, 100, len(data) // 2, len(data) - 1]:
        cut.write_bytes(data[:length])
        with pytest.raises(StyleFileError, match=r"cut\.safetensors"):
            Style.load(cut)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(saved: Path, value: float) -> None:
    with pytest.raises(StyleFileError, match="NaN or infinite"):
        Style.load(rewrite(saved, {f"offsets.{LAYER}.up": torch.full((32, 3), value).half()}))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"../../etc/passwd": torch.zeros(1)}, "does not belong"),
        ({"extra": torch.zeros(1)}, "unknown entry 'extra'"),
        ({"offsets.some.layer.up": torch.zeros(4, 1)}, "only one factor"),
        ({"offsets.some.layer.up": torch.zeros(4, 1), "offsets.some.layer.down": torch.zeros(2, 4)}, "expected"),
        ({"offsets.some.layer.up": torch.zeros(4, 1, dtype=torch.int64)}, "does not belong"),
        ({"token": torch.zeros(3)}, "token embedding has shape"),
    ],
)
def test_entries_that_no_style_has_are_refused(saved: Path, tensors: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(StyleFileError, match=message):
        Style.load(rewrite(saved, tensors))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("not json", "damaged header"),
        ("[]", "style format"),
        ('{"format": 99}', "style format 99"),
        ('{"format": 1}', "incomplete header"),
    ],
)
def test_bad_style_headers_are_refused(saved: Path, header: str, message: str) -> None:
    with pytest.raises(StyleFileError, match=message):
        Style.load(rewrite(saved, sigstyle=header))


def test_a_foreign_safetensors_file_is_named_as_such(tmp_path: Path) -> None:
    safetensors.torch.save_file({"lora.up": torch.zeros(2, 2)}, tmp_path / "lora.safetensors")
    with pytest.raises(StyleFileError, match="not a SigStyle style"):
        Style.load(tmp_path / "lora.safetensors")


def test_missing_statistics_are_named(saved: Path) -> None:
    tensors, metadata = read_tensors(saved)
    del tensors["start_mean"]
    safetensors.torch.save_file(tensors, saved, metadata)
    with pytest.raises(StyleFileError, match="lacks start_mean"):
        Style.load(saved)


# --- what a capture that paints gives


@pytest.fixture
def painter(tmp_path: Path) -> Path:
    make_painter().save(tmp_path / "painter.safetensors")
    return tmp_path / "painter.safetensors"


def test_palette_brushwork_and_decoder_come_back_from_the_file(painter: Path) -> None:
    style, loaded = make_painter(), Style.load(painter)
    assert loaded.hash == style.hash and loaded.brushwork == style.brushwork
    assert loaded.palette is not None and style.palette is not None
    assert torch.equal(loaded.palette.mean, style.palette.mean)
    assert torch.equal(loaded.palette.covariance, style.palette.covariance)
    assert loaded.decoder_offsets == style.decoder_offsets and loaded.offsets == style.offsets
    assert loaded.reference is loaded.start_mean is loaded.start_std is loaded.latent_mean is loaded.latent_std is None
    assert not {"reference", "start_mean", "start_std", "latent_mean", "latent_std"} & set(read_tensors(painter)[0])


def test_palette_brushwork_and_decoder_count_for_the_hash() -> None:
    style = make_painter()
    others = [
        {"brushwork": Brushwork(0.25)},
        {"decoder_offsets": {}},
        {"palette": Palette(torch.zeros(3), torch.eye(3))},
    ]
    assert len({style.hash, *(dataclasses.replace(style, **change).hash for change in others)}) == 4


@pytest.mark.parametrize(
    ("entry", "value", "told"),
    [
        ("palette_mean", torch.zeros(4), r"palette_mean of shape \[4\]; expected \[3\]"),
        ("palette_mean", torch.full((3,), float("nan")), "NaN or infinite values in palette_mean"),
        ("palette_mean", torch.full((3,), 7.0), "no palette of colours"),
        ("palette_covariance", torch.zeros(3), r"palette_covariance of shape \[3\]; expected \[3, 3\]"),
        ("palette_covariance", torch.full((3, 3), float("inf")), "NaN or infinite values in palette_covariance"),
        ("palette_covariance", torch.arange(9.0).view(3, 3) / 9, "no palette of colours"),
        ("palette_covariance", -torch.eye(3), "no palette of colours"),
        ("palette_covariance", 50 * torch.eye(3), "no palette of colours"),
        ("brushwork", torch.zeros(2), r"brushwork of shape \[2\]; expected \[1\]"),
        ("brushwork", torch.tensor([-0.1]), "brushwork"),
        ("brushwork", torch.tensor([9.0]), "brushwork"),
        ("strokes", torch.zeros(4), r"strokes of shape \[4\]; expected \[5\]"),
        ("strokes", torch.tensor([500.0, 1.5, 32, 0, 0]), "length_px of 500"),
        ("strokes", torch.tensor([24.0, 1.5, 64, 2, 0]), "heading longer than 1"),
        ("strokes", torch.tensor([24.0, 1.5, float("nan"), 0, 0]), "strokes"),
        ("palette_mean", None, "palette_mean of shape none"),
        ("palette_covariance", None, "palette_covariance of shape none"),
        ("brushwork", None, "brushwork of shape none"),
    ],
)
def test_damaged_palettes_are_refused_in_one_line(
    painter: Path, entry: str, value: torch.Tensor | None, told: str
) -> None:
    tensors, metadata = read_tensors(painter)
    changed = {key: tensor for key, tensor in (tensors | {entry: value}).items() if tensor is not None}
    safetensors.torch.save_file(changed, painter, metadata)
    with pytest.raises(StyleFileError, match=told) as found:
        Style.load(painter)
    assert "\n" not in str(found.value) and painter.name in str(found.value)


# --- the checksum


def flipped(path: Path, place: int) -> Path:
    """The same file with one bit of its last `place` bytes turned."""
    data = bytearray(path.read_bytes())
    data[-place] ^= 1
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("place", [1, 40, 400])
def test_a_single_flipped_bit_is_found(painter: Path, place: int) -> None:
    with pytest.raises(StyleFileError, match=r"is damaged or was changed.*Get the file again") as found:
        Style.load(flipped(painter, place))
    assert "\n" not in str(found.value)


def test_tensors_under_other_names_are_found(painter: Path) -> None:
    tensors, metadata = read_tensors(painter)
    first, second = (f"decoder.layers.3.conv.0.{factor}" for factor in ("up", "down"))
    renamed = {f"{key.replace('layers.3', 'layers.4')}": tensor for key, tensor in tensors.items()}
    assert first in tensors and second in tensors and first not in renamed
    safetensors.torch.save_file(renamed, painter, metadata)
    with pytest.raises(StyleFileError, match="checksum"):
        Style.load(painter)


@pytest.mark.parametrize("checksum", ["", 5, None, ["a"]])
def test_a_checksum_that_is_none_is_refused(painter: Path, checksum: object) -> None:
    header = json.loads(read_tensors(painter)[1]["sigstyle"]) | {"checksum": checksum}
    rewrite(painter, sigstyle=json.dumps(header))
    with pytest.raises(StyleFileError, match="checksum"):
        Style.load(painter)


def test_a_file_of_before_says_no_checksum_and_is_read(painter: Path) -> None:
    header = json.loads(read_tensors(painter)[1]["sigstyle"])
    del header["checksum"]
    rewrite(painter, sigstyle=json.dumps(header))
    assert Style.load(painter).hash == make_painter().hash


def entry(start: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [(end - start) // 4], "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"a": entry(0, 8), "b": entry(4, 12)}, "damaged"),
        ({"a": entry(0, 8000)}, "damaged"),
        ({f"t{i}": entry(0, 0) for i in range(9000)}, "9000 entries"),
        ({f"t{i}": entry(0, 0) for i in range(200_000)}, "no safetensors file"),
        (b'{"a": {}, "a": {}}', "twice"),
        (b"[" * 100_000, "damaged header"),
        ({"__metadata__": {"sigstyle": 3}}, "damaged header"),
        ([1], "damaged header"),
        ({"a": 1}, "does not belong"),
    ],
)
def test_hostile_headers_are_refused_fast(tmp_path: Path, header: Any, message: str) -> None:
    path = with_header(tmp_path / "hostile.safetensors", header, bytes(12))
    started = time.process_time()
    with pytest.raises(StyleFileError, match=message):
        Style.load(path)
    assert time.process_time() - started < 2


def test_a_huge_header_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(StyleFileError, match="cut off"):
        Style.load(path)


class Bomb:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("exploded"),)


def test_pickles_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain.pt").write_bytes(pickle.dumps(Bomb()))
    torch.save({"bomb": Bomb()}, "zipped.ckpt")
    for name in ("plain.pt", "zipped.ckpt"):
        with pytest.raises(StyleFileError, match="never opened"):
            Style.load(name)
    assert not Path("exploded").exists()


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_no_length_of_a_header_is_taken_for_a_pickle(saved: Path, length: int) -> None:
    data = saved.read_bytes()
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:end])
    text = json.dumps(header, separators=(",", ":")).encode()
    length += -(-max(0, len(text) - length) // 65536) * 65536
    saved.write_bytes(struct.pack("<Q", length) + text.ljust(length) + data[end:])
    assert saved.read_bytes()[0] == 0x80
    assert Style.load(saved).hash == make_style().hash


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("missing", "pipe", "loop", "."):
        with pytest.raises(StyleFileError, match="cannot be read"):
            Style.load(tmp_path / name)
    with (tmp_path / "checkpoint").open("wb") as file:
        file.truncate(4 * 2**30)
    with pytest.raises(StyleFileError, match="4096 MB"):
        Style.load(tmp_path / "checkpoint")


@pytest.mark.parametrize("thumbnail", ["javascript:alert(1)", "data:text/html;base64,AAAA", "data:image/svg+xml,<svg>"])
def test_a_thumbnail_that_is_no_picture_is_dropped(saved: Path, thumbnail: str) -> None:
    assert Style.load(rewrite(saved, **{"modelspec.thumbnail": thumbnail})).thumbnail == ""


def test_a_full_disk_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StyleFileError, match="No space left"):
        make_style(name="other").save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_saving_into_nowhere_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StyleFileError, match="existing, writable folder"):
        make_style().save(tmp_path / "no" / "where.safetensors")


def test_a_style_fits_the_base_it_names(base: BaseModel) -> None:
    assert base.unet.get_submodule(LAYER).weight.shape == make_style().offsets[LAYER].shape

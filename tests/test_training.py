"""The chain that makes the embedded base, from package files to a loadable folder, at toy size."""

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from PIL import Image

from weights.training import archives, autoencoder, captions, checkpoint, dataset, text, trained, unet
from weights.training.crops import load_images
from weights.training.export import export
from weights.training.report import PROMPTS, report


def picture(seed: int, width: int = 640, height: int = 520) -> Image.Image:
    """A smooth random picture with some edges."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (9, 11, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked stand-ins for three of the real packages, with their paths."""
    root = tmp_path_factory.mktemp("packages")
    nature = root / "scratch/usr/share/scratch/Media/Backgrounds/Nature"
    nature.mkdir(parents=True)
    for index in range(40):
        picture(index).save(nature / f"hill-{index}.jpg")
    picture(3).save(nature / "copy-of-three.jpg", quality=60)
    stamps = root / "tuxpaint-stamps-default/usr/share/tuxpaint/stamps/animals"
    stamps.mkdir(parents=True)
    stamp = picture(50, 300, 300).convert("RGBA")
    stamp.putalpha(Image.radial_gradient("L").resize((300, 300)).point(lambda v: 255 - v))
    stamp.save(stamps / "owl.png")
    (stamps / "owl.txt").write_text("A snowy owl.\nfr.utf8=Un hibou.\n")
    return root


@pytest.fixture(scope="module")
def tiles(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dataset.Tile]]:
    """The tiles cut from them, one picture being an example that must stay out."""
    work = tmp_path_factory.mktemp("work")
    (work / "examples").mkdir()
    picture(7).save(work / "examples" / "seven.jpg")
    dataset.build(packages, work / "data", [work / "examples"], workers=1)
    return work, dataset.load_index(work / "data")


def test_tiles_are_captioned_square_and_without_copies_of_others_or_of_examples(
    tiles: tuple[Path, list[dataset.Tile]],
) -> None:
    _, found = tiles
    sources = {tile.source.rsplit("/", 1)[-1] for tile in found}
    assert "hill-7.jpg" not in sources
    assert len({"hill-3.jpg", "copy-of-three.jpg"} & sources) == 1
    assert {tile.caption for tile in found} >= {"a photo of hills", "clip art of a snowy owl"}
    for tile in found:
        with Image.open(tile.path) as image:
            assert image.size in {(512, 512), (256, 256)}
    assert all(tile.split == dataset.split_of(tile.source) for tile in found)


def test_cutting_again_gives_the_same_index(
    packages: Path, tiles: tuple[Path, list[dataset.Tile]], tmp_path: Path
) -> None:
    work, _ = tiles
    dataset.build(packages, tmp_path, [work / "examples"], workers=2)
    assert (tmp_path / "index.jsonl").read_text() == (work / "data" / "index.jsonl").read_text()


def test_qt_resources_and_zips_are_read(tmp_path: Path) -> None:
    name = "owl.webp".encode("utf-16-be")
    labels = struct.pack(">HI", 8, 0) + name
    content = b"picture"
    blobs = struct.pack(">I", len(content)) + content
    root = struct.pack(">IHII", 0, 2, 1, 1) + bytes(8)
    leaf = struct.pack(">IHHHI", 0, 0, 0, 0, 0) + bytes(8)
    head = 24
    data = struct.pack(">4sIIIII", b"qres", 3, head + len(blobs) + len(labels), head, head + len(blobs), 0)
    resource = data + blobs + labels + root + leaf
    assert list(archives.qt_resource(resource)) == [("owl.webp", content)]
    with zipfile.ZipFile(tmp_path / "a.pk3", "w") as archive:
        archive.writestr("textures/stone.jpg", b"x")
    assert list(archives.files(tmp_path, r"a\.pk3$")) == [("textures/stone.jpg", b"x")]


def test_colours_and_words() -> None:
    blue = np.zeros((64, 64, 3), np.uint8)
    blue[..., 2] = 220
    assert captions.colours_of(blue) == "blue"
    assert captions.words_of("Media/Nature/GrandCanyon_by_Somebody.jpg") == "grand canyon"


def test_the_tokenizer_knows_every_text() -> None:
    tokenizer = text.learn_tokenizer(["a photo of mountains"] * 3)
    ids = tokenizer("mountains at dusk, Größe 42 \N{SNOWMAN}").input_ids
    known = "a photo of mountains"
    assert tokenizer.decode(tokenizer(known).input_ids, skip_special_tokens=True) == known
    assert tokenizer.eos_token_id not in ids[1:-1]


def test_checkpoints_are_whole_or_absent(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.safetensors", {"x": torch.arange(3)}, {"step": 1})
    tensors, meta = checkpoint.load(tmp_path / "a.safetensors")
    assert tensors["x"].tolist() == [0, 1, 2] and meta == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


SMALL = unet.UNetConfig(
    minutes=0.05, widths=(32, 32, 64, 64), heads=(1, 1, 2, 2), text_width=32, text_layers=1,
    stages=((0.3, ((16, 4),)), (1.0, ((32, 2), (64, 1)))), save_minutes=0.02, eval_minutes=0.02,
)  # fmt: skip


def test_the_chain_ends_with_a_loadable_base(tiles: tuple[Path, list[dataset.Tile]], tmp_path: Path) -> None:
    work, found = tiles
    images, weights = load_images(found), autoencoder.tile_weights(found)
    for phase in ("joint", "decoder"):
        config = autoencoder.config_of(phase, 0.05, "cpu", 0)
        autoencoder.train(config, images, weights, work / "autoencoder", [])
    trainer = unet.train(SMALL, work / "data", work, work / "autoencoder" / "joint")
    again = unet.train(SMALL, work / "data", work, work / "autoencoder" / "joint")
    assert again.step == trainer.step > 0, "a finished run is not run again"
    made = trained.load_trained(work)
    decoder = AutoencoderTiny.from_pretrained(work / "autoencoder" / "decoder")
    export(decoder, made.unet, made.text_encoder, made.tokenizer, made.scale, tmp_path / "mini")
    scores = report(tmp_path / "mini", found, [work / "examples"], tmp_path / "mini", photos=1, prompts=PROMPTS[:1])
    assert scores["autoencoder_512px"]["all"]["psnr"] > 15
    assert json.loads((tmp_path / "mini" / "scores.json").read_text()) == scores
    pipe: Any = StableDiffusionPipeline.from_pretrained(tmp_path / "mini", safety_checker=None)
    assert len(pipe.tokenizer("a photo of hills").input_ids) == 6
    further = unet.Trainer(SMALL, pipe.tokenizer, again.batches)
    further.start_from(tmp_path / "mini")
    kept = again.ema["unet"].get_parameter("conv_in.weight")
    assert torch.allclose(further.model["unet"].get_parameter("conv_in.weight"), kept, atol=1e-3), (
        "an exported base can be trained on"
    )
    buffer = io.BytesIO()
    pipe("a photo of hills", num_inference_steps=2, height=64, width=64).images[0].save(buffer, "PNG")
    assert buffer.tell() > 0

"""LoRAs under every picture: in batches, job files, films and textures, as in a transfer; resumed only where equal."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import digest, make_painting, make_parts
from PIL import Image
from random_style import random_style
from test_base_model import save_pipeline
from test_cli import done, refused
from test_film import moving
from test_lora_in import ATTENTION, save_lora

import sigstyle
from sigstyle.base.model import BaseModel, load_base
from sigstyle.batches.batch import plan
from sigstyle.batches.jobs import labelled
from sigstyle.cli.info import command_of
from sigstyle.errors import ConfigError, StyleFileError
from sigstyle.imaging.images import read_recipe

SMALL: dict[str, Any] = {"size_px": 64, "margin_px": 0}


def changed(path: Path, to: Path) -> Path:
    """A LoRA of twice the strength under a name."""
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file({name: 2 * value for name, value in tensors.items()}, to)
    return to


def test_a_batch_over_a_lora_is_a_transfer_over_it_and_goes_on_only_over_the_same(
    base: BaseModel, photo: Path, tmp_path: Path
) -> None:
    style, lora, before = random_style(base), save_lora(tmp_path / "ink.safetensors"), digest(base.unet)
    how: dict[str, Any] = {"base": base, **SMALL}
    [made] = sigstyle.batch([photo], style, tmp_path / "out", loras=[(lora, 0.5)], **how)
    alone = sigstyle.transfer(photo, style, loras=[(lora, 0.5)], **how)
    assert made.path is not None and made.recipe is not None and digest(base.unet) == before
    assert np.array_equal(np.asarray(Image.open(made.path)), np.asarray(alone.images[0]))
    assert made.recipe["loras"] == alone.recipe["loras"] == read_recipe(made.path)["loras"]
    assert f"--lora {lora}:0.5" in str(command_of(made.recipe))
    line = json.loads((tmp_path / "out/manifest.jsonl").read_text())
    assert line["recipe"]["loras"] == made.recipe["loras"]

    moved = tmp_path / "elsewhere" / "ink.safetensors"
    moved.parent.mkdir()
    moved.write_bytes(lora.read_bytes())
    assert not list(sigstyle.batch([photo], style, tmp_path / "out", loras=[(moved, 0.5)], **how))
    for others in ([], [(lora, 0.6)], [(changed(lora, tmp_path / "elsewhere/ink.safetensors"), 0.5)]):
        with pytest.raises(ConfigError, match="was made with loras"):
            sigstyle.batch([photo], style, tmp_path / "out", loras=others, **how)
    with pytest.raises(StyleFileError, match="no LoRA"):
        plan([photo], style, tmp_path / "new", loras=[photo])


def test_rows_of_a_job_file_have_loras_of_their_own(base: BaseModel, tmp_path: Path) -> None:
    make_painting().save(tmp_path / "photo.png")
    style, other = random_style(base), random_style(base, "dots", seed=1)
    style.save(tmp_path / "wave.safetensors")
    ink = save_lora(tmp_path / "ink.safetensors")
    wash = changed(ink, tmp_path / "wash.safetensors")
    rows = ["content,style,lora", "photo.png,,", "photo.png,wave.safetensors,ink.safetensors:0.5|wash.safetensors"]
    (tmp_path / "jobs.csv").write_text("\n".join(rows))
    job: dict[str, Any] = {"jobs": tmp_path / "jobs.csv", "base": base, **SMALL}
    made = {r.path.name: r.recipe["loras"] for r in sigstyle.batch(None, style, tmp_path / "o", loras=[wash], **job)  # type: ignore[union-attr]
            if r.recipe}  # fmt: skip
    assert sorted(made) == ["photo--wave-ink-wash.png", "photo--wave-wash.png"]
    over = made["photo--wave-ink-wash.png"]
    assert [(entry["name"], entry["weight"]) for entry in over] == [("ink", 0.5), ("wash", 1.0)]
    assert over[0]["path"] == str(ink) and made["photo--wave-wash.png"][0]["name"] == "wash"
    images = [np.asarray(Image.open(tmp_path / "o" / name)) for name in sorted(made)]
    assert not np.array_equal(images[0], images[1])
    assert not list(sigstyle.batch(None, style, tmp_path / "o", loras=[wash], **job))

    jsonl = tmp_path / "jobs.jsonl"
    for lora, told in ((["none.safetensors"], "jobs.jsonl, row 1: There is no LoRA"), (3, "expected FILE"),
                       (["ink.safetensors:99"], "row 1: The weight of a LoRA is 99")):  # fmt: skip
        jsonl.write_text(json.dumps({"content": "photo.png", "lora": lora}))
        with pytest.raises(ConfigError, match=told):
            plan(None, style, tmp_path / "p", jobs=jsonl)
    key = f"lora_unet_{ATTENTION.replace('.', '_')}"
    wide = {f"{key}.lora_up.weight": torch.zeros(64, 2), f"{key}.lora_down.weight": torch.zeros(2, 64)}
    safetensors.torch.save_file(wide, tmp_path / "wide.safetensors")
    jsonl.write_text(json.dumps({"content": "photo.png", "lora": "wide.safetensors"}))
    with pytest.raises(ConfigError, match=r"jobs.jsonl, row 1 \(dots\): wide.safetensors is a LoRA for another base"):
        sigstyle.batch(None, other, tmp_path / "p", jobs=jsonl, base=base, **SMALL)
    [output] = plan(None, other, tmp_path / "p", jobs=jsonl).outputs
    assert output.name == "photo--dots.png" and [look.label for look in labelled([output.look] * 2)] == ["dots"] * 2


def test_films_and_textures_over_a_lora(base: BaseModel, tmp_path: Path) -> None:
    style, lora, before = random_style(base), save_lora(tmp_path / "ink.safetensors"), digest(base.unet)
    frames = tmp_path / "frames"
    frames.mkdir()
    for place, frame in enumerate(moving(2)):
        frame.save(frames / f"{place}.png")
    small: dict[str, Any] = {"base": base, "size_px": 32}
    for make in (
        lambda **how: sigstyle.video(frames, style, tmp_path / f"film-{len(how)}", margin_px=0, **small, **how),
        lambda **how: sigstyle.texture(style, seamless="on", **{**small, "size_px": 64}, **how),
    ):
        plain, over = make(), make(loras=[(lora, 0.5)])
        [entry] = over.recipe["loras"]
        assert (entry["name"], entry["weight"]) == ("ink", 0.5) and "loras" not in plain.recipe
        assert f"--lora {lora}:0.5" in str(command_of({"images": 1} | over.recipe)) and digest(base.unet) == before
    films = [sorted((tmp_path / f"film-{count}").iterdir()) for count in (0, 1)]
    assert all(one.read_bytes() != two.read_bytes() for one, two in zip(*films, strict=True))


def test_the_flag_of_every_command(photo: Path, tmp_path: Path) -> None:
    folder, style = save_pipeline(tmp_path / "tiny", make_parts()), tmp_path / "wave.safetensors"
    random_style(load_base(folder)).save(style)
    lora, under = save_lora(tmp_path / "ink.safetensors"), ("--lora", f"{tmp_path / 'ink.safetensors'}:0.5")
    small = ("--base", folder, "--size-px", 32)
    commands = {
        "batch": ("--content", photo, "--style", style, "-o", tmp_path / "out", *small),
        "texture": (style, "-o", tmp_path / "tile.png", "--base", folder, "--size", 64),
    }
    assert done("batch", *commands["batch"], *under, "--dry-run", "--json").exit_code == 0
    done("batch", *commands["batch"], *under)
    assert read_recipe(tmp_path / "out/photo--wave.png")["loras"][0]["weight"] == 0.5
    data = json.loads(done("texture", *commands["texture"], *under, "--json").stdout)
    assert data["recipe"]["loras"][0]["path"] == str(lora)
    commands["video"] = (photo, "-s", style, "-o", tmp_path / "film.mp4", *small)
    for name, words in commands.items():
        assert "is a SigStyle style, no LoRA. A style is given with -s" in refused(name, *words, "--lora", style)
    told = refused("texture", *commands["texture"][:2], lora, "-y", *commands["texture"][3:], *under)
    assert "ends in .png" in told

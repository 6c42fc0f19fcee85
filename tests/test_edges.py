"""The edges: what is no base is told at once, quiet is quiet, SIGTERM is Ctrl-C, no hub is asked unasked."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from conftest import make_unet, make_vae
from PIL import Image
from test_cli import QUICK_FLAGS, SMALL, done, refused, run
from test_files import folder

import sigstyle
from sigstyle import api
from sigstyle.base import candidates, loading, model
from sigstyle.base.model import load_base
from sigstyle.cli import console as cli_console
from sigstyle.errors import ConfigError
from sigstyle.style.style import Style

__all__ = ["folder"]  # a fixture
ROOT = Path(__file__).resolve().parent.parent


# --- bases that are none


def written(path: Path, *names: str, shape: tuple[int, ...] = (2, 2, 1, 1), **texts: str) -> Path:
    safetensors.torch.save_file({name: torch.zeros(shape) for name in names}, path, texts or None)
    return path


PARTS = ("model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.encoder.conv_in.weight")
FILES: dict[str, tuple[str, ...]] = {
    "is a LoRA": ("lora_unet_down_blocks_0.lora_up.weight",),
    "is a LoRA, no": ("unet.up_blocks.1.attentions.0.to_q.lora_A.weight",),
    "is a ControlNet": ("control_model.input_hint_block.0.weight",),
    "is a ControlNet, no": ("controlnet_cond_embedding.conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"),
    "is an IP-Adapter": ("image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"),
    "is a Flux transformer": ("double_blocks.0.img_attn.qkv.weight",),
    "is an XL checkpoint": (*PARTS, "conditioner.embedders.0.transformer.text_model.x.weight"),
    "is a checkpoint without its autoencoder and text encoder": PARTS[:1],
    "is a checkpoint without its UNet and text encoder": PARTS[1:],
}


def test_what_is_no_base_is_told_by_its_header_before_anything_is_loaded(
    folder: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "from_single_file", None)
    wave = folder / "wave.safetensors"
    given = {told: written(tmp_path / f"{n}.safetensors", *names) for n, (told, names) in enumerate(FILES.items())}
    given["is a textual inversion"] = written(tmp_path / "t.safetensors", "emb_params", shape=(2, 8))
    given["is a SigStyle style, no checkpoint"] = wave
    done("export", wave, "-o", tmp_path / "lora.safetensors", "--base", folder / "tiny", "--rank", 2)
    given["lora.safetensors is a LoRA"] = tmp_path / "lora.safetensors"
    given["wave.safetensors is a textual"] = tmp_path / "embeddings" / "wave.safetensors"
    for name, part in (("unet", make_unet()), ("vae", make_vae("kl")), ("small", make_vae("tiny"))):
        part.save_pretrained(tmp_path / name)
    whole = "diffusion_pytorch_model.safetensors"
    given |= {f"{whole} is a UNet alone": tmp_path / "unet" / whole}
    given |= {f"{whole} is an autoencoder (VAE) alone": tmp_path / "vae" / whole}
    given |= {f"{whole} is an autoencoder": tmp_path / "small" / whole}
    (tmp_path / "cut.safetensors").write_bytes(wave.read_bytes()[:100])
    given["its header is damaged"] = tmp_path / "cut.safetensors"
    for expected, path in given.items():
        for command in (
            ["transfer", photo, "-s", wave, "-o", tmp_path / "o.png"],
            ["generate", "a tower", "-s", wave, "-o", tmp_path / "o.png"],
            ["capture", photo, "-o", tmp_path / "o.safetensors"],
            ["batch", "-c", photo, "-s", wave, "-o", tmp_path / "o"],
        ):
            assert expected in refused(*command, "--base", path), (expected, command[0])
        with pytest.raises(ConfigError, match=r"expected a whole Stable Diffusion|Get the file again"):
            load_base(path)
    assert not list(tmp_path.glob("o*"))


def test_a_whole_checkpoint_passes(tmp_path: Path) -> None:
    whole = written(tmp_path / "sd.safetensors", *PARTS, "cond_stage_model.transformer.text_model.x.weight")
    candidates.check_checkpoint(whole)
    candidates.check_base(str(whole))


def test_the_header_alone_is_read_and_nothing_heavy_imported(tmp_path: Path) -> None:
    lora = written(tmp_path / "lora.safetensors", "lora_unet_x.lora_up.weight")
    code = (
        "import sys; from sigstyle.cli.main import app\n"
        "try: app(sys.argv[1:])\n"
        "finally: print({'torch', 'diffusers', 'transformers'} & set(sys.modules))"
    )
    arguments = ["generate", "a", "-s", "wave", "-o", str(tmp_path / "o.png"), "--base", str(lora)]
    told = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert (told.returncode, told.stdout) == (2, "set()\n") and "is a LoRA" in told.stderr


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("~nosuchuser/x", "no user ~nosuchuser"),
        ("n" * 300, "300 bytes"),
        ("a/" + "n" * 300, "300"),
        ("n/" * 3000 + "n", "bytes and may have 4095"),
    ],
)
def test_impossible_names_get_one_line_at_once(
    folder: Path, photo: Path, tmp_path: Path, name: str, expected: str
) -> None:
    wave, out = folder / "wave.safetensors", tmp_path / "o.png"
    base = ["--base", folder / "tiny"]
    assert expected in refused("transfer", photo, "-s", wave, "-o", out, "--base", name)
    assert expected in refused("transfer", photo, "-s", name, "-o", out, *base)
    assert expected in refused("transfer", name, "-s", wave, "-o", out, *base)
    assert expected in refused("transfer", photo, "-s", wave, "--mask", name, "-o", out, *base)
    assert expected in refused("capture", name, "-o", tmp_path / "o.safetensors", *base)
    assert expected in refused("capture", photo, "--bank", name, "-o", tmp_path / "o.safetensors", *base, *QUICK_FLAGS)
    assert expected.partition("300")[0] in refused("generate", "a", "-s", wave, "-o", f"{name}.png", *base)
    assert expected in refused("export", name, "-o", tmp_path / "o.safetensors")
    assert expected in refused("info", name)
    assert expected in refused("rename", name, "new")
    assert expected in refused("evaluate", name)
    assert expected in refused("evaluate", photo, "--content", photo, "--style", name)
    assert expected in refused("evaluate", photo, "--content", photo, "--style", photo, "--csd", name)
    assert expected in refused("batch", "-c", photo, "-s", wave, "-o", name, "--dry-run")
    assert expected in refused("demo", "-o", name, *base)
    assert not list(tmp_path.glob("o*"))


def test_a_weight_that_is_none_is_one_line_however_long(folder: Path, photo: Path, tmp_path: Path) -> None:
    wave, more = folder / "wave.safetensors", ["-o", tmp_path / "o.png", "--base", folder / "tiny"]
    assert "bytes" in refused("transfer", photo, "-s", f"{wave}:{'x' * 5000}", *more)
    assert "numbers above 0, of 0.000001 to 1000" in refused("transfer", photo, "-s", f"{wave}:1e300", *more)
    assert len(refused("transfer", photo, "-s", "n" * 5000, *more)) < 1100


def test_a_nul_is_refused_in_python(folder: Path, photo: Path, tmp_path: Path) -> None:
    for arguments in (("a\0b", folder / "wave.safetensors"), (photo, "a\0b")):
        with pytest.raises(sigstyle.errors.SigStyleError, match="NUL"):  # type: ignore[attr-defined]
            api.transfer(*arguments, base=folder / "tiny")
    with pytest.raises(ConfigError, match="NUL"):
        load_base("a\0b")


# --- quiet


def test_loading_shows_no_bars_and_leaves_the_libraries_as_they_were(
    folder: Path, capfd: pytest.CaptureFixture
) -> None:
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    shown = [library.is_progress_bar_enabled() for library in (diffusers_logging, transformers_logging)]
    load_base(folder / "tiny")
    assert capfd.readouterr() == ("", "")
    assert [library.is_progress_bar_enabled() for library in (diffusers_logging, transformers_logging)] == shown
    with loading.quiet():
        assert not diffusers_logging.is_progress_bar_enabled()


def test_a_command_that_is_quiet_or_has_no_terminal_says_nothing_on_standard_error(
    folder: Path, photo: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "sigstyle", "transfer", str(photo), "-s", str(folder / "wave.safetensors")]
    command += ["--base", str(folder / "tiny"), "-o", str(tmp_path / "o.png"), *map(str, SMALL)]
    for flags, lines in (([], 1), (["--quiet"], 0)):
        told = subprocess.run([*command, *flags], capture_output=True, text=True, cwd=ROOT, check=True)
        assert (told.stderr, told.stdout.count("\n")) == ("", lines)


# --- the hub


def test_a_style_never_makes_the_hub_be_asked(
    folder: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, bool]] = []

    def noted(repository: str, offline: bool, cache: Any, **_: Any) -> Path:
        asked.append((repository, offline))
        raise OSError("not cached")

    monkeypatch.setattr(model, "downloaded", noted)
    elsewhere, out = tmp_path / "elsewhere.safetensors", tmp_path / "o.png"
    dataclasses.replace(Style.load(folder / "wave.safetensors"), base_name="someone/some-base").save(elsewhere)
    commands = (
        ["transfer", photo, "-s", elsewhere, "-o", out],
        ["generate", "a", "-s", elsewhere, "-o", out],
        ["batch", "-c", photo, "-s", elsewhere, "-o", tmp_path / "o"],
        ["batch", "-c", photo, "-s", elsewhere, "-o", tmp_path / "o", "--dry-run"],
        ["export", elsewhere, "-o", tmp_path / "o.safetensors"],
    )
    for command in commands:
        told = refused(*command)
        assert "not fetched because a file says so" in told and "--base someone/some-base" in told
    with pytest.raises(ConfigError, match="is not on this computer"):
        api.transfer(photo, elsewhere)
    assert {offline for _, offline in asked} == {True}
    asked.clear()
    refused(*commands[0], "--base", "someone/some-base")
    assert asked == [("someone/some-base", False)]


# --- SIGTERM


def terminating(at: int) -> Any:
    @contextmanager
    def bar(self: cli_console.Report, description: str) -> Iterator[cli_console.Update]:
        def update(count: int, total: int, note: str = "") -> None:
            if count >= at:
                os.kill(os.getpid(), signal.SIGTERM)

        yield update

    return bar


def test_sigterm_is_handled_like_ctrl_c(
    folder: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, base = signal.getsignal(signal.SIGTERM), folder / "tiny"
    out, state = tmp_path / "mine.safetensors", tmp_path / "mine.state.safetensors"
    capture = ["capture", photo, "-o", out, "--base", base, *QUICK_FLAGS]
    paint = ["transfer", photo, "-s", folder / "wave.safetensors", "-o", tmp_path / "o.png", "--base", base, *SMALL]
    with monkeypatch.context() as patch:
        patch.setattr(cli_console.Report, "bar", terminating(at=2))
        stopped, painting = run(*capture), run(*paint)
    assert [told.exit_code for told in (stopped, painting)] == [143, 143]
    assert stopped.stderr.count("\n") == painting.stderr.count("\n") == 1
    assert "step 2 of 4" in stopped.stderr and "nothing was left half written" in painting.stderr
    assert state.exists() and not out.exists() and not (tmp_path / "o.png").exists()
    assert signal.getsignal(signal.SIGTERM) is before
    done(*capture, "--resume")
    assert not state.exists() and Style.load(out).hash


def test_sigterm_in_a_batch_keeps_what_is_done_and_the_next_start_goes_on(
    folder: Path, painting: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(4):
        painting.rotate(20 * number).save(tmp_path / "in" / f"p{number}.png")
    start = ["batch", "-c", tmp_path / "in", "-s", folder / "wave.safetensors", "--base", folder / "tiny", *SMALL, "-o"]
    with monkeypatch.context() as patch:
        patch.setattr(cli_console.Report, "bar", terminating(at=2))
        told = run(*start, tmp_path / "out")
    made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*--*.png")}
    assert told.exit_code == 143 and told.stderr.count("\n") == 1 and 1 <= len(made) < 4
    assert "of 4 pictures are done" in told.stderr and "the same command goes on with the rest" in told.stderr
    done(*start, tmp_path / "out")
    done(*start, tmp_path / "alone")
    whole = {path.name: path.read_bytes() for path in (tmp_path / "alone").glob("*--*.png")}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*--*.png")} == whole
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in made} == made


def test_sigterm_reaches_a_process_of_its_own(folder: Path, tmp_path: Path, photo: Path) -> None:
    code = (
        "import os, signal, sys; from sigstyle import api; from sigstyle.cli.main import app\n"
        "api.transfer = lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)\n"
        "app(sys.argv[1:])"
    )
    arguments = ["transfer", str(photo), "-s", str(folder / "wave.safetensors"), "-o", str(tmp_path / "o.png")]
    told = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert (told.returncode, told.stdout) == (143, "") and told.stderr.startswith("sigstyle: stopped")


# --- strength 0


@pytest.mark.parametrize(
    "flags", [[], ["--preset", "classic"], ["--preset", "paper"]], ids=["paint", "classic", "paper"]
)
@pytest.mark.parametrize("steps", [1, 3])
def test_strength_0_gives_the_photo_back_bit_for_bit(
    folder: Path, painting: Image.Image, tmp_path: Path, flags: list[str], steps: int
) -> None:
    content = painting.crop((0, 0, 93, 71))  # sides that no base can work at
    content.save(tmp_path / "photo.png")
    wave, base = folder / "wave.safetensors", folder / "tiny"
    more = ["--base", base, "--strength", 0, "--steps", steps, "--size-px", 71, *flags]
    done("transfer", tmp_path / "photo.png", "-s", wave, "-o", tmp_path / "o.png", *more)
    assert Image.open(tmp_path / "o.png").tobytes() == content.tobytes()
    told = json.loads(
        done("batch", "-c", tmp_path / "photo.png", "-s", wave, "-o", tmp_path / "m", "--json", *more).stdout
    )
    (made,) = (tmp_path / "m").glob("photo*.png")
    assert told["made"] == 1 and Image.open(made).tobytes() == content.tobytes()

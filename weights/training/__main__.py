"""Make the embedded base from nothing: ``python -m weights.training all --work build/training``."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from diffusers import AutoencoderTiny

from . import autoencoder, dataset, fetch, painter, styles, trained, unet
from .autoencoder_eval import load_samples
from .crops import load_images
from .export import export
from .report import report

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
Work = Annotated[Path, typer.Option(help="folder for packages, tiles, checkpoints and logs")]
Device = Annotated[str, typer.Option(help="cpu or cuda")]
Threads = Annotated[int, typer.Option(help="CPU threads")]
Start = Annotated[Path | None, typer.Option("--from", help="an exported base to begin from, such as weights/mini")]
Network = Annotated[
    Path | None,
    typer.Option("--from", help="a hypernetwork to begin from, such as weights/hypernetworks/mini.safetensors"),
]
Examples = Annotated[list[Path], typer.Option(help="folders of images to measure on and never to train on")]
REFINED_UNET: dict[str, Any] = {
    "lr": 4e-4,
    "muon_lr": 8e-4,
    "warmup_steps": 30,
    "ema_decay": 0.998,
    "stages": ((1.0, ((32, 16), (32, 16), (32, 16), (48, 8), (64, 4))),),
}
"""What changes for weights that are good already: slower, and all sizes from the first step."""
REFINED_PAINTER: dict[str, Any] = {"lr": 1.2e-3, "decay_share": 0.5}
"""The same for a hypernetwork: at the rate of the first training it forgets for half an hour what it knew."""
EXAMPLES = [Path("examples/content"), Path("examples/style")]
OUT_OF_STYLES = [Path("examples"), Path("benchmarks/pairs")]


@app.command()
def data(work: Work, examples: Examples = EXAMPLES, workers: int = 2) -> None:
    """Fetch the packages, cut the tiles, write DATA.md."""
    debs = fetch.fetch(work)
    dataset.build(work / "packages", work / "data", examples, workers)
    fetch.write_card(debs, work / "packages", dataset.load_index(work / "data"), work / "DATA.md")
    typer.echo(f"tiles in {work / 'data'}, their origin in {work / 'DATA.md'}")


@app.command()
def vae(
    work: Work, joint_minutes: float = 40, decoder_minutes: float = 30, examples: Examples = EXAMPLES,
    device: Device = "cpu", threads: Threads = 2, seed: int = 0, start: Start = None,
) -> None:  # fmt: skip
    """Train the autoencoder: all of it, then its decoder alone; a phase of 0 minutes is left out."""
    torch.set_num_threads(threads)
    tiles = [tile for tile in dataset.load_index(work / "data") if tile.split == "train"]
    images, weights = load_images(tiles), autoencoder.tile_weights(tiles)
    samples = load_samples(examples)
    for phase, minutes in (("joint", joint_minutes), ("decoder", decoder_minutes)):
        if not minutes:
            continue
        config = autoencoder.config_of(phase, minutes, device, seed, refined=start is not None)
        autoencoder.train(config, images, weights, work / "autoencoder", samples, start and start / "vae")


@app.command(name="unet")
def unet_command(
    work: Work, minutes: float = 120, device: Device = "cpu", threads: Threads = 2, seed: int = 0, start: Start = None
) -> None:
    """Train the UNet with its text encoder on the autoencoder's latents."""
    torch.set_num_threads(threads)
    config = replace(unet.UNetConfig(), minutes=minutes, device=device, seed=seed)
    config = replace(config, **REFINED_UNET) if start else config
    unet.train(config, work / "data", work, work / "autoencoder" / "joint", start)


@app.command(name="styles")
def styles_command(work: Work, workers: int = 2) -> None:
    """Collect style images and photos for the hypernetwork, out of the packages and G'MIC's filters (Debian: gmic)."""
    fetch.fetch(work)
    rows = styles.build(work / "packages", work / "styles", OUT_OF_STYLES, [Path("examples/style")], workers)
    typer.echo(f"{len(rows)} pictures in {work / 'styles'}")


@app.command(name="painter")
def painter_command(
    work: Work, minutes: float = 60, device: Device = "cpu", threads: Threads = 1, seed: int = 0,
    start: Network = None, base: str = "mini", out: Path = Path("weights/hypernetworks/mini.safetensors"),
) -> None:  # fmt: skip
    """Train the hypernetwork for every style, going on where the work folder was left, and write it beside its base."""
    torch.set_num_threads(threads)
    config = painter.PainterConfig(minutes=minutes, device=device, seed=seed)
    config = replace(config, **REFINED_PAINTER) if start else config
    painter.train(config, work / "styles", work / "painter", base, start)
    typer.echo(json.dumps(painter.export(work / "painter", out, base)))


@app.command(name="export")
def export_command(work: Work, out: Path = Path("weights/mini")) -> None:
    """Write the averaged weights as a diffusers folder in float16."""
    phase = "decoder" if (work / "autoencoder" / "decoder").exists() else "joint"
    decoder = AutoencoderTiny.from_pretrained(work / "autoencoder" / phase)
    made = trained.load_trained(work)
    found = export(decoder, made.unet, made.text_encoder, made.tokenizer, made.scale, out)
    typer.echo(json.dumps(found))


@app.command(name="report")
def report_command(work: Work, base: Path = Path("weights/mini"), examples: Examples = EXAMPLES) -> None:
    """Measure the exported base on unseen images; write scores and grids beside it."""
    typer.echo(json.dumps(report(base, dataset.load_index(work / "data"), examples, base), indent=1))


@app.command(name="all")
def everything(work: Work, out: Path = Path("weights/mini"), device: Device = "cpu", threads: Threads = 2) -> None:
    """Run data, vae, unet, export and report; a run that was stopped goes on where it was."""
    if not (work / "data" / "index.jsonl").exists():
        data(work)
    vae(work, device=device, threads=threads)
    unet_command(work, device=device, threads=threads)
    export_command(work, out)
    report_command(work, out)


if __name__ == "__main__":
    app()
